//! `[conda]` as data.

use super::{Form, Key, Table, Value};

/// `[conda]`
pub const CONDA: Table = Table {
    header: "[conda]",
    about: "Packages of conda channels. It says what it asks for: `packages`, `environment` or `lock`.",
    choice: ("what it asks for", "request"),
    forms: &[
        Form { key: "packages", needs: &["channels"], may: &[] },
        Form { key: "environment", needs: &[], may: &["channels"] },
        Form { key: "lock", needs: &[], may: &[] },
    ],
    keys: &[
        Key {
            name: "channels",
            value: Value::Texts,
            required: false,
            default: "those of the environment file",
            about: "Where packages come from, in order of priority: a channel's name, an `https`, `http` or `file` URL without credentials, or a \
                    directory below the description's folder, which begins with `./`.",
            example: "[\"conda-forge\"]",
        },
        Key {
            name: "packages",
            value: Value::Texts,
            required: false,
            default: "",
            about: "What the environment must hold: MatchSpecs, as `conda install` takes them.",
            example: "[\"scrapy >=2.11\"]",
        },
        Key {
            name: "environment",
            value: Value::Text("^[^/].*\\.ya?ml$"),
            required: false,
            default: "",
            about: "An `environment.yml` in the description's folder or below, instead of `packages`. Its `pip:` section is an error.",
            example: "\"environment.yml\"",
        },
        Key {
            name: "lock",
            value: Value::Text("^[^/]"),
            required: false,
            default: "",
            about: "A `pixi.lock` in the description's folder or below: its packages are taken without a solve. PyPI packages in it are an error.",
            example: "\"pixi.lock\"",
        },
        Key {
            name: "prefix",
            value: Value::Text("^/[A-Za-z0-9._+@/-]+$"),
            required: false,
            default: "`/opt/conda`",
            about: "Where the environment lies in the image.",
            example: "\"/opt/conda\"",
        },
        Key {
            name: "existing",
            value: Value::OneOf(&["keep", "update"]),
            required: false,
            default: "`keep`",
            about: "What becomes of packages that the base has in the prefix: they stay exactly as they are, or the solver may change as few of them as \
                    it can.",
            example: "\"keep\"",
        },
        Key {
            name: "owner",
            value: Value::Text("^[0-9]{1,5}:[0-9]{1,5}$"),
            required: false,
            default: "`1000:100`, the space's user, so that conda and pip work in the running space",
            about: "Owner and group of all that conda lays, as numbers.",
            example: "\"1000:100\"",
        },
        Key {
            name: "activate",
            value: Value::OneOf(&["env", "entrypoint"]),
            required: false,
            default: "`env`",
            about: "How the environment is activated: by the image's variables alone, or the entrypoint also sources scripts of `etc/conda/activate.d` \
                    that do more than set variables.",
            example: "\"env\"",
        },
        Key {
            name: "allow-link-scripts",
            value: Value::Texts,
            required: false,
            default: "none",
            about: "Names of packages whose link scripts may stay unrun: byoi runs nothing. A package with such a script that is not listed is an error.",
            example: "[\"font-ttf-ubuntu\"]",
        },
        Key {
            name: "cuda",
            value: Value::Text("^[0-9]+(\\.[0-9]+){0,2}$"),
            required: false,
            default: "no CUDA",
            about: "The version of CUDA that the driver of the space's instances supports, for packages that ask for `__cuda`.",
            example: "\"12.4\"",
        },
        Key {
            name: "compile-bytecode",
            value: Value::Boolean,
            required: false,
            default: "`false`",
            about: "Whether `.pyc` files are made for `noarch: python` packages, which have none of their own. Building then needs a Python of the \
                    environment's minor version on the PATH.",
            example: "true",
        },
    ],
};
