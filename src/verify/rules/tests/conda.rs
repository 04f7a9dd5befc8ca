//! conda environments.

use serde_json::json;

use super::Case;
use crate::verify::specimen::Specimen;

/// With a package in the environment of `prefix`: its record, and its files but for those that begin with `-`.
fn package(image: Specimen, prefix: &str, name: &str, version: &str, noarch: bool, files: &[&str]) -> Specimen {
    let listed: Vec<&str> = files.iter().map(|file| file.trim_start_matches('-')).collect();
    let paths: Vec<_> = listed.iter().map(|file| json!({"_path": file, "path_type": "hardlink"})).collect();
    let mut record = json!({
        "name": name, "version": version, "build": "0", "build_number": 0, "subdir": "linux-64", "depends": [], "files": listed,
        "paths_data": {"paths_version": 1, "paths": paths}, "fn": format!("{name}-{version}-0.conda"), "channel": "conda-forge",
        "url": format!("https://conda.anaconda.org/conda-forge/linux-64/{name}-{version}-0.conda"),
    });
    if noarch {
        record["noarch"] = json!("python");
    }
    let image = image.file(&format!("{prefix}/conda-meta/{name}-{version}-0.json"), 0o644, record.to_string());
    let there = files.iter().filter(|file| !file.starts_with('-'));
    there.fold(image, |image, file| image.file(&format!("{prefix}/{file}"), 0o755, ""))
}

fn in_conda(name: &str, version: &str, files: &[&str]) -> Specimen {
    package(Specimen::good(), "opt/conda", name, version, false, files)
}

fn with_python(image: Specimen, version: &str, minor: &str) -> Specimen {
    let os = format!("lib/python{minor}/os.py");
    package(image, "opt/conda", "python", version, false, &["bin/python", &os])
}

fn module(image: Specimen, name: &str, minor: &str) -> Specimen {
    let path = format!("lib/python{minor}/site-packages/{name}.py");
    let bytecode = format!("-lib/python{minor}/site-packages/__pycache__/{name}.cpython.pyc");
    package(image, "opt/conda", name, "1.0", true, &[&path, &bytecode])
}

pub(super) fn cases() -> Vec<Case> {
    let good = Specimen::good;
    let script = |line: &str| format!("#!{line}\nimport sys\n");
    vec![
        ("BYOI100", good().file("opt/conda/conda-meta/x-1.0-0.json", 0o644, "{")),
        ("BYOI101", in_conda("zlib", "1.3", &["lib/libz.so.1", "-lib/libz.so"])),
        ("BYOI102", good().file("opt/conda/bin/pip", 0o755, script("/opt/build/bin/python3.12 -E"))),
        ("BYOI102", good().file("opt/conda/bin/pip", 0o755, script("/home/sagemaker-user/env/bin/python"))),
        ("BYOI103", good().file("home/sagemaker-user/.conda/envs/mine/conda-meta/history", 0o644, "")),
        ("BYOI104", good().file("opt/other/conda-meta/history", 0o644, "").file("opt/other/bin/tool", 0o755, "")),
        ("BYOI105", module(with_python(good(), "3.12.4", "3.12"), "attrs", "3.11")),
        ("BYOI106", in_conda("zlib", "1.3", &["lib/libz.so.1"]).without("opt/conda/conda-meta/history")),
        ("BYOI107", good().file("opt/conda/pkgs/zlib-1.3-0.conda", 0o644, "archive")),
        ("BYOI108", package(in_conda("zlib", "1.3", &["lib/libz.so.1"]), "opt/conda", "zlib", "1.2", false, &["lib/libz.so.1"])),
    ]
}

#[test]
fn a_whole_environment_breaks_no_rule() {
    let image = module(module(with_python(Specimen::good(), "3.12.4", "3.12"), "attrs", "3.12"), "scrapy", "3.12");
    let image = package(image, "opt/conda", "zlib", "1.3", false, &["lib/libz.so.1", "lib64/libz.a"]).link("opt/conda/lib64", "lib");
    let image = image.without("opt/conda/lib64/libz.a").file("opt/conda/lib/libz.a", 0o644, "");
    let image = image.file("opt/conda/bin/pip", 0o755, "#!/opt/conda/bin/python\n").file("opt/conda/bin/sh-script", 0o755, "#!/bin/sh\n").file(
        "opt/conda/bin/env-script",
        0o755,
        "#!/usr/bin/env python\n",
    );
    assert_eq!(image.broken(), Vec::<String>::new());
    // Environments that have names are activated by them.
    let named = image.file("opt/conda/envs/r/conda-meta/history", 0o644, "").file("opt/conda/envs/r/bin/R", 0o755, "");
    assert_eq!(named.broken(), Vec::<String>::new());
}

#[test]
fn an_entrypoint_that_activates_is_as_good_as_path() {
    let other = || Specimen::good().file("opt/other/conda-meta/history", 0o644, "").file("opt/other/bin/tool", 0o755, "");
    let entrypoint =
        |text: &str| other().file("usr/bin/enter", 0o755, format!("#!/bin/sh\n{text}\nexec \"$@\"\n")).set("Entrypoint", json!(["/usr/bin/enter"]));
    assert!(entrypoint("eval \"$(micromamba shell hook)\" && micromamba activate /opt/other").found("BYOI104").is_empty());
    assert_eq!(entrypoint("# activate nothing").found("BYOI104").len(), 1);
    assert!(other().env("PATH", "/opt/other/bin:/opt/conda/bin:/usr/bin:/bin").broken().is_empty());
    assert!(entrypoint("export PATH=/opt/other/bin:$PATH").found("BYOI104").is_empty());
}

#[test]
fn what_is_said_is_counted() {
    let image = ["a", "b", "c"].iter().fold(with_python(Specimen::good(), "3.12.4", "3.12"), |image, name| module(image, name, "3.11"));
    let expected = "/opt/conda: the modules of 3 packages lie elsewhere, such as a 1.0 in lib/python3.11/site-packages, and Python 3.12.4 looks in \
                    lib/python3.12/site-packages";
    assert_eq!(image.found("BYOI105"), [expected]);
    let image = package(in_conda("zlib", "1.3", &["-lib/x"]), "opt/conda", "xz", "5", false, &["bin/xz", "-lib/y", "-lib/z"]);
    assert_eq!(image.found("BYOI101"), ["/opt/conda: 3 files of 2 packages are not there: xz 5 lacks 2 of its 3, such as lib/y"]);
    let pip = |name: &str| (format!("opt/conda/bin/{name}"), "#!/opt/gone/bin/python\n");
    let image = ["pip", "pip3", "wheel"].map(pip).into_iter().fold(Specimen::good(), |image, (path, text)| image.file(&path, 0o755, text));
    assert_eq!(image.found("BYOI102"), ["/opt/conda/bin/pip: it begins with `#!/opt/gone/bin/python`, and 2 more scripts there do; it is not there"]);
}
