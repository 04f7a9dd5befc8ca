//! Bytecode of `noarch: python` packages, made and used by the Python of this machine.

use std::process::Command;

use super::*;
use crate::conda::Compiler;
use crate::plan::MTIME;

/// The Python of this machine, as if an environment had it.
fn host() -> Python {
    let output =
        Command::new("python3").args(["-c", "import platform; print(platform.python_version(), end='')"]).output().expect("python3 is installed");
    let version = String::from_utf8(output.stdout).unwrap();
    let minor = version.split('.').nth(1).unwrap();
    Python { site_packages: format!("lib/python3.{minor}/site-packages"), version }
}

fn compiling(python: &Python) -> Environment {
    Environment { python: Some(python.clone()), compiler: Some(Compiler::find(python).unwrap()), ..environment() }
}

fn specimen() -> Specimen {
    Specimen::new("a")
        .noarch_python()
        .file("site-packages/a/__init__.py", 0o644, "NAMES = {'x', 'y', 'z'}\ndef where():\n    return where.__code__.co_filename\n")
        .file("site-packages/a/sets.py", 0o644, "def known(x):\n    return x in {'x', 'y', 'z', 'w'}\n")
        .file("site-packages/a/none.py", 0o644, "def known(x):\n    return x in {'x', None}\n")
        .file("site-packages/a/old.py", 0o644, "print 'for Python 2'\n")
        .file("site-packages/a/bytes.py", 0o644, b"# \xff\xfe\x00 is no text\n".to_vec())
        .file("site-packages/a/data.txt", 0o644, "no module")
        .file("share/script.py", 0o644, "x = 1\n")
        .file("python-scripts/tool.py", 0o755, "x = 1\n")
}

#[test]
fn modules_get_bytecode_that_is_not_checked_against_them() {
    let python = host();
    let bytes = specimen().to_conda();
    let locked = specimen().locked(&bytes, "conda", Some(&python));
    let component = || PackageComponent::new(&locked, &compiling(&python), &LayerSpool::new());
    let archives = archives(&bytes);
    let laid = component().lay(&archives).unwrap();
    assert_eq!(lines_of_bytecode(&laid), lines_of_bytecode(&component().lay(&archives).unwrap()), "made twice, it is the same");

    let tag = format!("cpython-3{}", python.version.split('.').nth(1).unwrap());
    let names: Vec<String> = lines_of_bytecode(&laid).into_iter().map(|(path, _)| path).collect();
    let expected: Vec<String> =
        modules(&python).into_iter().map(|module| format!("/opt/conda/{}/a/__pycache__/{module}.{tag}.pyc", python.site_packages)).collect();
    assert_eq!(names, expected, "what cannot be compiled has none, and modules alone are compiled");

    // The sources are changed, and still what was compiled runs.
    let directory = tempfile::tempdir().unwrap();
    let site = prefix().join(&python.site_packages).unwrap();
    for (path, entry) in laid.iter().filter(|(path, _)| path.starts_with(&site)) {
        let place = directory.path().join(path.strip_prefix(&site).unwrap().to_string());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        let content = if place.extension().is_some_and(|extension| extension == "pyc") { super::bytes(entry) } else { b"import nothing\n".to_vec() };
        std::fs::write(place, content).unwrap();
    }
    let script = "import a, a.sets; print(sorted(a.NAMES), a.sets.known('w'))";
    let output = Command::new("python3").args(["-B", "-c", script]).env("PYTHONPATH", directory.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "['x', 'y', 'z'] True\n", "{}", String::from_utf8_lossy(&output.stderr));
    // What an error's traceback names is the module in the image.
    let named = format!("/opt/conda/{}/a/__init__.py", python.site_packages).into_bytes();
    let bytecode = &lines_of_bytecode(&laid)[0].1;
    assert!(bytecode.windows(named.len()).any(|bytes| bytes == named));
}

/// The modules that are compiled: before 3.12 not those with a set that holds None, whose order is another in each process.
fn modules(python: &Python) -> Vec<&'static str> {
    let is_before_3_12 = python.version.split('.').nth(1).unwrap().parse::<u32>().unwrap() < 12;
    ["__init__", "none", "sets"].into_iter().filter(|module| *module != "none" || !is_before_3_12).collect()
}

fn lines_of_bytecode(laid: &[Laid]) -> Vec<(String, Vec<u8>)> {
    let bytecode = laid.iter().filter(|(path, _)| path.as_bytes().ends_with(b".pyc"));
    bytecode
        .map(|(path, entry)| {
            assert_eq!((entry.mode, entry.mtime, entry.uid), (0o644, MTIME, OWNER.0));
            (path.absolute(), super::bytes(entry))
        })
        .collect()
}

#[test]
fn the_record_lists_bytecode_and_the_key_knows_the_interpreter() {
    let python = host();
    let bytes = specimen().to_conda();
    let locked = specimen().locked(&bytes, "conda", Some(&python));
    let package = PackageComponent::new(&locked, &compiling(&python), &LayerSpool::new());
    let record: serde_json::Value = serde_json::from_str(&text(&RecordComponent::new(&package).lay(&archives(&bytes)).unwrap()[0].1)).unwrap();
    let kinds = record["paths_data"]["paths"].as_array().unwrap().iter().filter(|path| path["path_type"] == "pyc_file").count();
    assert_eq!(kinds, modules(&python).len());
    let without = PackageComponent::new(&locked, &Environment { compiler: None, ..compiling(&python) }, &LayerSpool::new());
    assert_ne!(package.key(), without.key());
    assert_eq!(package.key()["bytecode"][0], python.version);
}

#[test]
fn without_such_a_python_it_is_an_error_that_says_so() {
    let python = Python { version: "3.99.1".to_owned(), site_packages: "lib/python3.99/site-packages".to_owned() };
    let error = whole(&Compiler::find(&python).unwrap_err());
    assert!(error.starts_with("`compile-bytecode` needs a python3.99 on this machine: "), "{error}");
}
