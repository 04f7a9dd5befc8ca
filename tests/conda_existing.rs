//! An environment that the base has: with `existing = "keep"` its packages stay, with `"update"` they may change, and then nothing of what they were
//! stays behind. Held against an environment that rattler brought up to date in place.

use std::fs;
use std::path::Path;

use byoi::conda::testing::Specimen;
use byoi::registry::testing::{TestLayer, TestRegistry};
use serde_json::{Map, Value, json};

use crate::support::base::editor_base;
use crate::support::byoi::Workplace;
use crate::support::conda::Packages;
use crate::support::conda_base::{Base, DISTRIBUTION_SPECS};
use crate::support::docker::Docker;
use crate::support::file_tree::{self, FileTree, Item};
use crate::support::rattler;

fn place(base: &Base, web: &TestRegistry, conda: &str) -> Workplace {
    let place = Workplace::new();
    place.write("byoi.toml", format!("schema = 1\nbase = \"oci:base\"\n\n[conda]\nchannels = [\"conda-forge\"]\n{conda}"));
    std::os::unix::fs::symlink(base.layout(), place.path("base")).unwrap();
    let channel = web.url("/conda-forge/");
    place.configure(&format!("[mirrors]\n\"https://conda.anaconda.org/conda-forge/\" = {{ mirrors = [\"{channel}\"], original = false }}\n"));
    place
}

#[test]
fn an_update_leaves_what_rattler_leaves() {
    let base = Base::distribution();
    let web = TestRegistry::start();
    web.serve_directory("/conda-forge/", rattler::channel());

    let keeping = place(&base, &web, "packages = [\"t-needs-new\"]\n");
    keeping.byoi(&["lock"]).fails(1, &["t-needs-new", "t-lib"]);

    let updating = place(&base, &web, "packages = [\"t-needs-new\"]\nexisting = \"update\"\n");
    let said = updating.byoi(&["lock"]).ok();
    assert!(said.message().contains("t-lib") || said.out.contains("t-lib"), "{}{}", said.out, said.err);
    let docker = Docker::start();
    let base_image = load(&docker, &updating, None);
    let image = load(&docker, &updating, Some("docker-archive:image.tar:updated"));
    let (before, after) = (environment(docker.tree(&base_image)), environment(docker.tree(&image)));

    // Outside of what changed, nothing did.
    let touched = |path: &Path| path.starts_with("share/t-lib") || path.starts_with("share/t-needs-new");
    for (path, item) in before.iter().filter(|(path, _)| !touched(path)) {
        assert_eq!(after.get(path), Some(item), "{}", path.display());
    }
    let directory = tempfile::tempdir().unwrap();
    let prefix = directory.path().join("conda");
    let present = rattler::solve(&rattler::channel(), DISTRIBUTION_SPECS);
    rattler::install(&prefix, "/opt/conda", &present);
    let specs: Vec<&str> = present.iter().map(|record| record.package_record.name.as_normalized()).chain(["t-needs-new"]).collect();
    rattler::install(&prefix, "/opt/conda", &rattler::solve_beside(&rattler::channel(), &specs, &present));
    let rattlers = file_tree::of_directory(&prefix).into_iter().filter(|(path, _)| !path.starts_with("conda-meta")).collect();
    file_tree::assert_same("rattler's", &contents(&after), &contents(&rattlers));
    for path in ["share/t-lib/removed", "share/t-lib/folder/removed"] {
        assert!(before.contains_key(Path::new(path)) && !after.contains_key(Path::new(path)), "{path}");
    }
    assert!(after.contains_key(Path::new("share/t-lib/becomes-folder/inside")));
}

const BUILT: &str = "/feedstock/_h_env_placehold_placehold_placehold_placehold_placehold_placehold";

/// Two Pythons, a package of modules, and packages that share directories.
fn packages() -> Vec<Specimen> {
    let with = |mut specimen: Specimen, version: &str| {
        specimen.index["version"] = version.into();
        specimen
    };
    let python = |version: &str, minor: &str| {
        let program = format!("bin/python{minor}");
        let specimen = Specimen::new("python").file(&program, 0o755, format!("#!/bin/sh\n# {minor}\n"));
        with(specimen.symlink("bin/python", &format!("python{minor}")).file(&format!("lib/python{minor}/os.py"), 0o644, ""), version)
    };
    let tool = Specimen::new("tool")
        .noarch_python()
        .depends("python >=3.8")
        .file("site-packages/tool/__init__.py", 0o644, "")
        .file("site-packages/tool/deep/inner.py", 0o644, "")
        .patched("python-scripts/tool-script", 0o755, BUILT, false, format!("#!{BUILT}/bin/python\n"))
        .file("share/tool/data", 0o644, "data\n")
        .entry_point("tool = tool:main");
    let old = Specimen::new("lib")
        .file("share/lib/gone/deep/file", 0o644, "1")
        .file("share/lib/shared/lib", 0o644, "1")
        .file("share/lib/users/file", 0o644, "1")
        .file("share/lib/back/old", 0o644, "1")
        .symlink("share/lib/link", "gone/deep");
    let new = Specimen::new("lib").file("share/lib/back/new", 0o644, "2").symlink("share/lib/link", "back");
    let other = Specimen::new("other").file("share/lib/shared/other", 0o644, "");
    vec![python("3.11.9", "3.11"), python("3.12.4", "3.12"), tool, old, with(new, "2.0"), other]
}

/// A channel of these packages.
fn channel(directory: &Path, specimens: &[Specimen]) {
    // One by one: an environment has no two versions of a package.
    let records: Vec<_> = specimens.iter().flat_map(|specimen| Packages::of_specimens(directory, &[(specimen.clone(), "conda")]).records).collect();
    for subdir in ["linux-64", "noarch"] {
        let of_here = records.iter().filter(|record| record.package_record.subdir == subdir);
        let packages: Map<String, Value> = of_here.map(|record| (record.identifier.to_file_name(), json!(record.package_record))).collect();
        fs::create_dir_all(directory.join(subdir)).unwrap();
        let index = json!({"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages, "repodata_version": 1});
        fs::write(directory.join(subdir).join("repodata.json"), index.to_string()).unwrap();
    }
}

/// A directory as a layer that has it at `opt/conda`.
fn layer_of(prefix: &Path) -> TestLayer {
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    tar.append_dir_all("opt/conda", prefix).unwrap();
    TestLayer::of_tar(tar.into_inner().unwrap())
}

#[test]
fn with_another_python_modules_move_and_directories_go_as_with_rattler() {
    let place = Workplace::new();
    let channel_directory = place.path("channel");
    channel(&channel_directory, &packages());
    let prefix = place.path("conda");
    let present = rattler::solve(&channel_directory, &["python 3.11.*", "tool", "lib 1.*", "other"]);
    rattler::install(&prefix, "/opt/conda", &present);
    // What no record lists: the bytecode of who imported the modules, and files of users.
    for (path, text) in [
        ("lib/python3.11/site-packages/tool/__pycache__/__init__.cpython-311.pyc", "bytecode"),
        ("lib/python3.11/site-packages/tool/deep/__pycache__/inner.cpython-311.pyc", "bytecode"),
        ("lib/python3.11/site-packages/mine.py", ""),
        ("share/lib/users/mine", ""),
    ] {
        fs::create_dir_all(prefix.join(path).parent().unwrap()).unwrap();
        fs::write(prefix.join(path), text).unwrap();
    }
    let registry = TestRegistry::start();
    let mut image = editor_base(2);
    image.layers.push(layer_of(&prefix));
    registry.put_image("base", "1", &image);
    let conda = "channels = [\"./channel\"]\npackages = [\"python 3.12.*\", \"lib >=2\"]\nexisting = \"update\"\n";
    place.write("byoi.toml", format!("schema = 1\nbase = \"{}/base:1\"\n\n[conda]\n{conda}", registry.host()));
    let said = place.byoi(&["lock"]).ok();
    assert!(said.out.contains("tool") || said.err.contains("tool"), "{}{}", said.out, said.err);
    place.byoi(&["build", "--locked", "docker-archive:image.tar:moved"]).ok();
    let docker = Docker::start();
    docker.load(&place.path("image.tar"));
    let after = environment(docker.tree("moved"));

    let wanted = rattler::solve_beside(&channel_directory, &["python 3.12.*", "lib >=2", "tool", "other"], &present);
    rattler::install(&prefix, "/opt/conda", &wanted);
    let rattlers = file_tree::of_directory(&prefix).into_iter().filter(|(path, _)| !path.starts_with("conda-meta")).collect();
    file_tree::assert_same("rattler's", &contents(&after), &contents(&rattlers));
    for path in ["lib/python3.12/site-packages/tool/deep/inner.py", "lib/python3.11/site-packages/mine.py", "share/lib/users/mine"] {
        assert!(after.contains_key(Path::new(path)), "{path}");
    }
    for path in ["lib/python3.11/site-packages/tool", "share/lib/gone"] {
        assert!(!after.contains_key(Path::new(path)), "{path}");
    }
}

/// Puts an image into the daemon: the one that is built, or the base itself.
fn load(docker: &Docker, place: &Workplace, built: Option<&str>) -> String {
    match built {
        Some(destination) => {
            place.byoi(&["build", "--locked", destination]).ok();
            docker.load(&place.path("image.tar"));
            "updated".to_owned()
        }
        None => {
            let tar = place.path("base.tar");
            let mut skopeo = std::process::Command::new("skopeo");
            skopeo.args(["copy", "--quiet", "--insecure-policy", &format!("oci:{}:base", place.path("base").display())]);
            crate::support::tools::stdout(skopeo.arg(format!("docker-archive:{}:base:1", tar.display())));
            docker.load(&tar);
            "base:1".to_owned()
        }
    }
}

/// What lies in the prefix, but for the records.
fn environment(tree: FileTree) -> FileTree {
    let below = |(path, item): (std::path::PathBuf, Item)| path.strip_prefix("opt/conda").ok().map(|path| (path.to_owned(), item));
    tree.into_iter().filter_map(below).filter(|(path, _)| !path.as_os_str().is_empty() && !path.starts_with("conda-meta")).collect()
}

/// The same with owners and times made equal, and of modes the bit that makes programs: those follow other rules than rattler's.
fn contents(tree: &FileTree) -> FileTree {
    let plain = |item: &Item| match item.clone() {
        Item::Directory { .. } => Item::Directory { mode: 0, owner: (0, 0) },
        Item::File { mode, content, .. } => Item::File { mode: mode & 0o100, owner: (0, 0), time: 0, content },
        Item::Symlink { target, .. } => Item::Symlink { owner: (0, 0), time: 0, target },
    };
    tree.iter().map(|(path, item)| (path.clone(), plain(item))).collect()
}
