//! An environment that the base has: with `existing = "keep"` its packages stay, with `"update"` they may change, and then nothing of what they were
//! stays behind. Held against an environment that rattler brought up to date in place.

use std::path::Path;

use byoi::registry::testing::TestRegistry;

use crate::support::byoi::Workplace;
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
    file_tree::assert_same("rattler's", &without_empty(&contents(&after)), &without_empty(&contents(&rattlers)));
    for path in ["share/t-lib/removed", "share/t-lib/folder/removed"] {
        assert!(before.contains_key(Path::new(path)) && !after.contains_key(Path::new(path)), "{path}");
    }
    assert!(after.contains_key(Path::new("share/t-lib/becomes-folder/inside")));
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

/// Without directories in which nothing is left. Installers take those away; byoi's whiteouts are of files, and leave them.
fn without_empty(tree: &FileTree) -> FileTree {
    let holds = |path: &Path| tree.iter().any(|(other, item)| !matches!(item, Item::Directory { .. }) && other.starts_with(path));
    tree.iter()
        .filter(|(path, item)| !matches!(item, Item::Directory { .. }) || holds(path))
        .map(|(path, item)| (path.clone(), item.clone()))
        .collect()
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
