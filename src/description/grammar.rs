//! The language as data: which tables and keys there are, of which type, with which meaning. The parser's shape check, the JSON Schema and
//! the generated reference all read it, so that they cannot differ.

mod conda;

pub use conda::CONDA;

/// A table of the language.
#[derive(Debug)]
pub struct Table {
    /// How it is written: `[env]`, `[[file]]`; empty for the file itself.
    pub header: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys, in the order in which people should meet them.
    pub keys: &'static [Key],
    /// What its forms choose, as the rest of "it says …", and one word for it; empty without forms.
    pub choice: (&'static str, &'static str),
    /// Where it must say exactly one of several things: which key chooses, and what goes with it. Keys of no form go with all.
    pub forms: &'static [Form],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value must be.
    pub value: Value,
    /// Whether every table must have it.
    pub required: bool,
    /// What it means when it is left out, as text for people; empty where that goes without saying.
    pub default: &'static str,
    /// What it says.
    pub about: &'static str,
    /// A value as it would stand in a file; empty for tables.
    pub example: &'static str,
}

/// One of the things that a table can be.
#[derive(Debug)]
pub struct Form {
    /// The key that chooses it.
    pub key: &'static str,
    /// Keys that must stand beside it.
    pub needs: &'static [&'static str],
    /// Keys that may stand beside it.
    pub may: &'static [&'static str],
}

/// What a value can be.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A string; with the regular expression (ECMA 262) that it must match, or an empty one.
    Text(&'static str),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An integer from the first to the second, both included.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// An array of strings.
    Texts,
    /// A table with free keys whose values are strings.
    TextMap,
    /// A table with free keys whose values are anything that JSON can hold.
    AnyMap,
    /// A table.
    Table(&'static Table),
    /// An array of tables.
    Tables(&'static Table),
}

/// The version of the language.
pub const SCHEMA: i64 = 1;
/// Most layers that `image.layers` can ask for.
pub const MAX_LAYERS: i64 = 100;
/// Budget for our layers where the description has none.
pub const DEFAULT_LAYERS: usize = 40;

const SHA256: &str = "^[0-9a-fA-F]{64}$";

/// The whole file.
pub const ROOT: Table = Table {
    header: "",
    about: "A description of a custom image for SageMaker Studio's Code Editor.",
    choice: ("", ""),
    forms: &[],
    keys: &[
        Key {
            name: "schema",
            value: Value::Integer(SCHEMA, SCHEMA),
            required: true,
            default: "",
            about: "The version of this language.",
            example: "1",
        },
        Key {
            name: "base",
            value: Value::Text("^\\S"),
            required: true,
            default: "",
            about: "The image to build on: a registry reference, `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`, `rootfs:FILE` (a root \
                    filesystem as tar, laid as the first layer) or `scratch`. Paths are relative to the description's folder.",
            example: "\"public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu\"",
        },
        Key { name: "conda", value: Value::Table(&CONDA), required: false, default: "", about: "Packages of conda channels.", example: "" },
        Key { name: "extension", value: Value::Tables(&EXTENSION), required: false, default: "", about: "The editor's extensions.", example: "" },
        Key { name: "file", value: Value::Tables(&FILE), required: false, default: "", about: "Files of the image.", example: "" },
        Key { name: "settings", value: Value::Table(&SETTINGS), required: false, default: "", about: "The editor's settings.", example: "" },
        Key {
            name: "env",
            value: Value::TextMap,
            required: false,
            default: "",
            about: "Variables of the image. A value stands as it is written; only in `PATH`, `$PATH` (or `${PATH}`) stands for the base's value: it must \
                    occur exactly once, between colons, so that PATH is only ever extended. Variables that the platform or the contract sets are errors.",
            example: "EDITOR = \"nano\"",
        },
        Key {
            name: "labels",
            value: Value::TextMap,
            required: false,
            default: "",
            about: "Labels of the image.",
            example: "\"org.opencontainers.image.source\" = \"https://github.com/acme/ide\"",
        },
        Key { name: "account", value: Value::Table(&ACCOUNT), required: false, default: "", about: "The user of the running space.", example: "" },
        Key { name: "editor", value: Value::Table(&EDITOR), required: false, default: "", about: "How the editor is started.", example: "" },
        Key { name: "image", value: Value::Table(&IMAGE), required: false, default: "", about: "How the image is put together.", example: "" },
    ],
};

/// `[[extension]]`
pub const EXTENSION: Table = Table {
    header: "[[extension]]",
    about: "An extension of the editor (VSIX). It says where it comes from: `github`, `open-vsx`, `url` or `path`.",
    choice: ("where it comes from", "origin"),
    forms: &[
        Form { key: "github", needs: &["tag", "asset"], may: &["sha256"] },
        Form { key: "open-vsx", needs: &["version"], may: &["sha256"] },
        Form { key: "url", needs: &[], may: &["sha256"] },
        Form { key: "path", needs: &[], may: &[] },
    ],
    keys: &[
        Key {
            name: "github",
            value: Value::Text("^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$"),
            required: false,
            default: "",
            about: "The GitHub repository, `OWNER/NAME`, that publishes the extension as a release asset.",
            example: "\"VSCodeVim/Vim\"",
        },
        Key { name: "tag", value: Value::Text("^\\S+$"), required: false, default: "", about: "The release's tag.", example: "\"v1.27.2\"" },
        Key {
            name: "asset",
            value: Value::Text("^[^/]+$"),
            required: false,
            default: "",
            about: "The file name of the release's asset.",
            example: "\"vim-1.27.2.vsix\"",
        },
        Key {
            name: "open-vsx",
            value: Value::Text("^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$"),
            required: false,
            default: "",
            about: "The extension's id on open-vsx.org, `NAMESPACE.NAME`.",
            example: "\"ms-python.python\"",
        },
        Key {
            name: "version",
            value: Value::Text("^[0-9][0-9A-Za-z.+-]*$"),
            required: false,
            default: "",
            about: "The exact version.",
            example: "\"2023.20.0\"",
        },
        Key {
            name: "url",
            value: Value::Text("^https?://"),
            required: false,
            default: "",
            about: "An `https` or `http` URL of the VSIX, without credentials.",
            example: "\"https://example.com/mine-1.0.0.vsix\"",
        },
        Key {
            name: "path",
            value: Value::Text("^[^/]"),
            required: false,
            default: "",
            about: "A VSIX in the description's folder or below.",
            example: "\"extensions/mine.vsix\"",
        },
        Key {
            name: "sha256",
            value: Value::Text(SHA256),
            required: false,
            default: "what `byoi lock` finds; the lock always holds it",
            about: "The sha256 that the VSIX must have, as 64 hexadecimal digits.",
            example: "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        },
    ],
};

/// `[[file]]`
pub const FILE: Table = Table {
    header: "[[file]]",
    about: "A file, a directory or an unpacked archive. It says where its bytes come from (`source`, `content` or `url`) and where they go.",
    choice: ("where it comes from", "origin"),
    forms: &[
        Form { key: "source", needs: &[], may: &["mode", "exclude", "unpack", "strip"] },
        Form { key: "content", needs: &[], may: &["mode"] },
        Form { key: "url", needs: &[], may: &["sha256", "mode", "unpack", "strip"] },
    ],
    keys: &[
        Key {
            name: "source",
            value: Value::Text("^[^/]"),
            required: false,
            default: "",
            about: "A file or directory in the description's folder or below. Of a directory, the content is laid. Symbolic links stay links, hard links \
                    become files.",
            example: "\"etc/pip.conf\"",
        },
        Key { name: "content", value: Value::Text(""), required: false, default: "", about: "The file's text itself.", example: "\"[global]\\n\"" },
        Key {
            name: "url",
            value: Value::Text("^https?://"),
            required: false,
            default: "",
            about: "An `https` or `http` URL of the file, without credentials.",
            example: "\"https://example.com/tool-1.0.tar.gz\"",
        },
        Key {
            name: "sha256",
            value: Value::Text(SHA256),
            required: false,
            default: "what `byoi lock` finds; the lock always holds it",
            about: "The sha256 that the file at the URL must have, as 64 hexadecimal digits.",
            example: "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        },
        Key {
            name: "target",
            value: Value::Text("^/."),
            required: true,
            default: "",
            about: "The absolute path in the image: of the file itself, or of the directory that gets the content of a source directory or archive. Paths \
                    that the platform hides or that byoi lays itself are errors.",
            example: "\"/etc/pip.conf\"",
        },
        Key {
            name: "mode",
            value: Value::Text("^0?[0-7]{3}$"),
            required: false,
            default: "`0755` where a source file is executable, else `0644`",
            about: "The mode of a single file, in octal digits, as a string. setuid, setgid and sticky bits are refused.",
            example: "\"0644\"",
        },
        Key {
            name: "owner",
            value: Value::Text("^[0-9]{1,5}:[0-9]{1,5}$"),
            required: false,
            default: "`0:0`, root",
            about: "Owner and group as numbers. The space's user is `1000:100`.",
            example: "\"1000:100\"",
        },
        Key {
            name: "exclude",
            value: Value::Texts,
            required: false,
            default: "nothing is left out",
            about: "What of a source directory is left out: patterns as in `.dockerignore`, relative to the source, the last that matches wins, `!` takes back.",
            example: "[\"**/*.tmp\", \"!keep.tmp\"]",
        },
        Key {
            name: "unpack",
            value: Value::Boolean,
            required: false,
            default: "`false`",
            about: "Whether the file is an archive to unpack into `target`: tar (plain, gzip, xz, zstd) or zip.",
            example: "true",
        },
        Key {
            name: "strip",
            value: Value::Integer(0, 100),
            required: false,
            default: "`0`",
            about: "How many leading path components the members of an unpacked archive lose; members with fewer are left out.",
            example: "1",
        },
    ],
};

/// `[settings]`
pub const SETTINGS: Table = Table {
    header: "[settings]",
    about: "The editor's settings. Names hold dots, so they must be quoted: `\"editor.fontSize\" = 14`.",
    choice: ("", ""),
    forms: &[],
    keys: &[
        Key {
            name: "machine",
            value: Value::AnyMap,
            required: false,
            default: "",
            about: "Machine settings: merged over the base's own at build time, and in force at every start.",
            example: "\"python.defaultInterpreterPath\" = \"/opt/conda/bin/python\"",
        },
        Key {
            name: "user",
            value: Value::AnyMap,
            required: false,
            default: "",
            about: "User settings: they seed those of a new space, and never overwrite what the user set.",
            example: "\"editor.fontSize\" = 14",
        },
    ],
};

/// `[account]`
pub const ACCOUNT: Table = Table {
    header: "[account]",
    about: "The user of the running space, `sagemaker-user`. Name, ids and home are fixed by the platform.",
    choice: ("", ""),
    forms: &[],
    keys: &[Key {
        name: "sudo",
        value: Value::Boolean,
        required: false,
        default: "`false`",
        about: "Whether the user may become root with `sudo`, without a password. The base must have `sudo`.",
        example: "true",
    }],
};

/// `[editor]`
pub const EDITOR: Table = Table {
    header: "[editor]",
    about: "How the editor's server is started. An error on a base whose own `entrypoint-code-editor` starts it.",
    choice: ("", ""),
    forms: &[],
    keys: &[
        Key {
            name: "base-path",
            value: Value::OneOf(&[crate::contract::BASE_PATH, crate::contract::BASE_PATH_DOCUMENTED]),
            required: false,
            default: "`/codeeditor/default`",
            about: "The path under which Studio's proxy reaches the editor: no other value works there.",
            example: "\"/codeeditor/default\"",
        },
        Key {
            name: "arguments",
            value: Value::Texts,
            required: false,
            default: "none",
            about: "More arguments for the server, each at most 64 characters. Arguments that would undo the platform's contract are errors.",
            example: "[\"--disable-telemetry\"]",
        },
    ],
};

/// `[image]`
pub const IMAGE: Table = Table {
    header: "[image]",
    about: "How the image is put together.",
    choice: ("", ""),
    forms: &[],
    keys: &[Key {
        name: "layers",
        value: Value::Integer(1, MAX_LAYERS),
        required: false,
        default: "`40`",
        about: "How many layers byoi may add to the base's.",
        example: "40",
    }],
};

impl Table {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The forms that allow the key; none for a key that goes with all.
    pub fn forms_with(&self, name: &str) -> Vec<&'static Form> {
        self.forms.iter().filter(|form| form.key == name || form.needs.contains(&name) || form.may.contains(&name)).collect()
    }
}

impl Value {
    /// The type, as the rest of "must be …".
    pub fn expected(&self) -> &'static str {
        match self {
            Value::Text(_) | Value::OneOf(_) => "a string",
            Value::Integer(..) => "an integer",
            Value::Boolean => "true or false",
            Value::Texts => "an array of strings",
            Value::TextMap | Value::AnyMap | Value::Table(_) => "a table",
            Value::Tables(_) => "an array of tables",
        }
    }
}
