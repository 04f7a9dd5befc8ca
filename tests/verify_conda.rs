//! What `byoi verify` says of an image's conda environment is what conda's own code says of it.

use std::path::Path;
use std::process::Command;

use byoi::verify::specimen::Specimen;
use serde_json::json;

use crate::support::tools;
use crate::support::unpacked::Unpacked;

/// What conda finds missing.
const DOCTOR: &str = "import sys\nfrom conda.plugins.subcommands.doctor.health_checks import find_packages_with_missing_files as find\n\
                      print(sorted(find(sys.argv[1]).items()))";

/// The good image, and a package in its environment with these files of which those that begin with `-` are not there.
fn package(image: Specimen, name: &str, version: &str, files: &[&str]) -> Specimen {
    let listed: Vec<&str> = files.iter().map(|file| file.trim_start_matches('-')).collect();
    let paths: Vec<_> = listed.iter().map(|file| json!({"_path": file, "path_type": "hardlink"})).collect();
    let record = json!({
        "name": name, "version": version, "build": "0", "build_number": 0, "subdir": "linux-64", "depends": [], "files": listed,
        "paths_data": {"paths_version": 1, "paths": paths}, "fn": format!("{name}-{version}-0.conda"),
        "channel": "https://conda.anaconda.org/conda-forge/linux-64",
        "url": format!("https://conda.anaconda.org/conda-forge/linux-64/{name}-{version}-0.conda"),
    });
    let image = image.file(&format!("opt/conda/conda-meta/{name}-{version}-0.json"), 0o644, record.to_string());
    let there = files.iter().filter(|file| !file.starts_with('-'));
    there.fold(image, |image, file| image.file(&format!("opt/conda/{file}"), 0o644, ""))
}

/// What conda's Python prints, or the error that it ends with.
fn conda(prefix: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(tools::conda());
    command.args(arguments).env("CONDA_NO_PLUGINS", "true").env("CONDA_SOLVER", "classic").env("HOME", prefix);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stdout) + &text(output.stderr)) }
}

#[test]
fn conda_finds_wrong_what_breaks_a_rule() {
    let whole = || package(Specimen::good(), "zlib", "1.3", &["lib/libz.so.1"]);
    let rows = [
        (whole(), None),
        (whole().file("opt/conda/conda-meta/xz-5-0.json", 0o644, "{"), Some("BYOI100")),
        (package(whole(), "xz", "5", &["bin/xz", "-lib/liblzma.so"]), Some("BYOI101")),
        (whole().without("opt/conda/conda-meta/history"), Some("BYOI106")),
        (package(whole(), "zlib", "1.2", &["lib/libz.so.1"]), Some("BYOI108")),
    ];
    for (image, rule) in rows {
        assert_eq!(image.broken(), rule.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>());
        let files = Unpacked::of(&image);
        let prefix = files.path("opt/conda");
        let at = prefix.to_str().unwrap();
        let listed = conda(&prefix, &["-m", "conda", "list", "--prefix", at, "--json"]);
        let missing = conda(&prefix, &["-c", DOCTOR, at]);
        let installed = conda(&prefix, &["-m", "conda", "install", "--offline", "--yes", "--json", "--prefix", at, "xz"]);
        let changed = conda(&prefix, &["-m", "conda", "remove", "--force", "--offline", "--yes", "--json", "--prefix", at, "zlib"]);
        match rule {
            Some("BYOI100") => assert!(listed.is_err() && changed.is_err(), "{listed:?} {changed:?}"),
            Some("BYOI108") => assert_eq!(listed.unwrap().matches("\"name\": \"zlib\"").count(), 1),
            Some("BYOI101") => assert_eq!(missing.unwrap().trim(), "[('xz-5-0', ['lib/liblzma.so'])]"),
            Some("BYOI106") => assert!(installed.unwrap_err().contains("DirectoryNotACondaEnvironmentError")),
            _ => assert!(listed.unwrap().contains("zlib") && missing.unwrap().trim() == "[]" && changed.is_ok()),
        }
    }
}
