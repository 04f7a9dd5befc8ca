//! Records and history that byoi lays are read by others: by conda's own code, and by rattler, which writes the same of the same packages.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rattler_conda_types::PrefixRecord;
use rattler_conda_types::prefix_record::PathsEntry;
use serde_json::{Value, json};

use crate::support::conda::{PREFIX, Packages};
use crate::support::tools;

/// What conda itself finds in an environment.
const ASK: &str = r#"
import json, sys
from conda.core.prefix_data import PrefixData
from conda.history import History
from conda.plugins.subcommands.doctor.health_checks import find_altered_packages, find_packages_with_missing_files
prefix = sys.argv[1]
history = History(prefix)
print(json.dumps({
    "packages": {record.name: [record.version, record.build, record.subdir, record.fn] for record in PrefixData(prefix).iter_records()},
    "specs": {name: str(spec) for name, spec in history.get_requested_specs_map().items()},
    "state": sorted(history.get_state()),
    "missing": find_packages_with_missing_files(prefix),
    "altered": find_altered_packages(prefix),
}))
"#;

fn packages() -> Packages {
    Packages::of_channel(&tools::channel(), &["scrapy", "pip", "t-old", "t-noarch", "t-clobber-a", "t-clobber-b"])
}

fn unpack(tar: &[u8], directory: &Path) {
    let mut archive = tar::Archive::new(tar);
    archive.set_preserve_permissions(true);
    archive.unpack(directory).unwrap();
}

fn ask(prefix: &Path, program: &[&str]) -> Value {
    let mut command = Command::new(tools::conda());
    command.args(program).env("CONDA_NO_PLUGINS", "true").env("HOME", prefix);
    serde_json::from_str(&tools::stdout(&mut command)).unwrap()
}

#[test]
fn conda_knows_the_packages_and_what_was_asked_for() {
    let packages = packages();
    let directory = tempfile::tempdir().unwrap();
    unpack(&packages.laid(None), directory.path());
    let prefix = directory.path().join(PREFIX);
    let found = ask(&prefix, &["-c", ASK, prefix.to_str().unwrap()]);
    let expected: BTreeMap<String, Value> = packages
        .locked()
        .packages
        .iter()
        .map(|package| (package.name.clone(), json!([package.version, package.build, package.subdir, package.file_name()])))
        .collect();
    assert_eq!(found["packages"], json!(expected));
    assert_eq!(found["specs"], json!({"pip": "pip", "scrapy": "scrapy[version='>=2.11']"}));
    assert_eq!(found["state"].as_array().unwrap().len(), expected.len());
    assert_eq!(found["altered"], json!({}), "every file has the sha256 that its record says");
    assert_eq!(found["missing"], json!({}), "every path that a record lists is there");

    let listed = ask(&prefix, &["-m", "conda", "list", "--json", "--prefix", prefix.to_str().unwrap()]);
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert!(names.iter().copied().eq(expected.keys().map(String::as_str)), "{names:?}");
}

#[test]
fn rattler_writes_the_same_records() {
    let packages = packages();
    let directory = tempfile::tempdir().unwrap();
    unpack(&packages.laid(None), directory.path());
    let theirs = directory.path().join("theirs");
    packages.install(&theirs, &directory.path().join("cache"));
    let (ours, theirs) = (records(&directory.path().join(PREFIX)), records(&theirs));
    assert!(ours.keys().eq(theirs.keys()));
    for (name, ours) in ours {
        let theirs = &theirs[&name];
        assert_eq!(json!(ours.repodata_record.channel), json!(theirs.repodata_record.channel));
        let (mut ours_package, mut theirs_package) = (ours.repodata_record.package_record.clone(), theirs.repodata_record.package_record.clone());
        for package in [&mut ours_package, &mut theirs_package] {
            // The lock holds neither.
            (package.md5, package.legacy_bz2_md5, package.legacy_bz2_size) = (None, None, None);
        }
        assert_eq!(json!(ours_package), json!(theirs_package));
        assert_eq!(ours.repodata_record.url, theirs.repodata_record.url);
        assert_eq!(paths(&ours), paths(theirs), "{name}");
    }
}

/// `conda` itself at work on an environment, without a network.
fn conda(prefix: &Path, arguments: &[&str]) {
    let mut command = Command::new(tools::conda());
    command.args(["-m", "conda"]).args(arguments).args(["--offline", "--yes", "--quiet", "--json", "--prefix"]).arg(prefix);
    let cache = prefix.parent().unwrap().join("pkgs");
    command.env("CONDA_NO_PLUGINS", "true").env("CONDA_SOLVER", "classic").env("CONDA_PKGS_DIRS", cache).env("HOME", prefix.parent().unwrap());
    tools::stdout(&mut command);
}

#[test]
fn conda_changes_the_environment_as_one_of_its_own() {
    let packages = Packages::of_channel(&tools::channel(), &["t-lib", "t-noarch", "pip"]);
    let directory = tempfile::tempdir().unwrap();
    unpack(&packages.laid(None), directory.path());
    let prefix = directory.path().join(PREFIX);
    let old = tools::channel().canonicalize().unwrap().join("noarch/t-lib-1.0-h0_0.conda");
    assert!(prefix.join("share/t-lib/added").exists() && !prefix.join("share/t-lib/removed").exists(), "version 2.0 was laid");
    conda(&prefix, &["install", old.to_str().unwrap()]);
    assert!(!prefix.join("share/t-lib/added").exists() && prefix.join("share/t-lib/folder/removed").exists(), "version 1.0 took its place");
    assert!(!prefix.join("share/t-lib/becomes-folder").is_dir());

    let laid: Vec<_> = records(&prefix)["t-noarch-1.0-pyh0_0.json"].paths_data.paths.iter().map(|path| path.relative_path.clone()).collect();
    assert!(laid.len() > 4 && laid.iter().all(|path| prefix.join(path).exists()));
    conda(&prefix, &["remove", "--force", "t-noarch"]);
    assert!(laid.iter().all(|path| !prefix.join(path).exists()));

    let found = ask(&prefix, &["-c", ASK, prefix.to_str().unwrap()]);
    assert_eq!(found["packages"]["t-lib"][0], "1.0");
    assert!(found["packages"].get("t-noarch").is_none());
    assert_eq!((&found["altered"], &found["missing"]), (&json!({}), &json!({})), "the rest is whole");
}

fn records(prefix: &Path) -> BTreeMap<String, PrefixRecord> {
    let records: Vec<PrefixRecord> = PrefixRecord::collect_from_prefix(prefix).unwrap();
    records.into_iter().map(|record| (record.file_name(), record)).collect()
}

/// The paths that are laid. rattler keeps clobbered ones elsewhere, and says the digest in the prefix only where it is another; of symbolic links it
/// says what archives state of their targets.
fn paths(record: &PrefixRecord) -> BTreeMap<String, Value> {
    let laid = |path: &&PathsEntry| path.original_path.is_none();
    let said = |path: &PathsEntry| {
        let mut path = path.clone();
        path.sha256_in_prefix = path.sha256_in_prefix.or(path.sha256);
        // Packages of before 2017 state none.
        path.sha256 = None;
        if json!(path.path_type) == "softlink" {
            (path.sha256_in_prefix, path.size_in_bytes) = (None, None);
        }
        (path.relative_path.to_str().unwrap().to_owned(), json!(path))
    };
    record.paths_data.paths.iter().filter(laid).map(said).collect()
}
