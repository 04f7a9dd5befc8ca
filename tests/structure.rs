//! The tree is the explanation: a room imports only from rooms below it. Read out of the `use` lines and paths of the source itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up; rooms of one line may not import each other unless the line's order allows it (left to right).
const ROOMS: &[&str] = &[
    "digest",
    "error",
    "image_path",
    "inputs",
    "json",
    "manifest",
    "progress",
    "reference",
    "contract",
    "environment",
    "user_config",
    "description",
    "lock",
    "store",
    "registry",
    "world",
    "layer",
    "archive",
    "plan",
    "base",
    "account",
    "entrypoint",
    "settings",
    "file",
    "conda",
    "extension",
    "resolve",
    "assemble",
    "output",
    "verify",
    "studio",
    "run",
    "cli",
];

/// All Rust files below a directory.
pub fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The library's and the command's sources.
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The room that a file lies in; none for `lib.rs` and `main.rs`.
fn room(file: &Path) -> Option<String> {
    let below = file.strip_prefix(source()).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}

/// Whether a file holds tests and nothing else: they may look anywhere.
pub fn is_test(file: &Path) -> bool {
    file.strip_prefix(source())
        .unwrap()
        .with_extension("")
        .iter()
        .any(|name| name.to_string_lossy() == "tests" || name.to_string_lossy().ends_with("_tests"))
}

/// The code of a file, without its tests and comments.
pub fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Rooms that a text names as `crate::ROOM`, its tests and comments left out: tests may look anywhere.
fn imports(text: &str) -> BTreeSet<String> {
    without_tests(text)
        .lines()
        .flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>())
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

#[test]
fn imports_run_downward() {
    let mut files = Vec::new();
    rust_files(&source(), &mut files);
    let level = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| !is_test(file)) {
        let Some(own) = room(file) else { continue };
        let Some(own_level) = level(&own) else {
            wrong.push(format!("{}: the room `{own}` is not in the list", file.display()));
            continue;
        };
        for other in imports(&fs::read_to_string(file).unwrap()) {
            match level(&other) {
                Some(other_level) if other_level <= own_level => {}
                Some(_) => wrong.push(format!("{}: `{own}` imports `{other}`, which is above it", file.display())),
                None => wrong.push(format!("{}: imports `{other}`, which is not in the list", file.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_file_says_its_subject() {
    let mut files = Vec::new();
    rust_files(&source(), &mut files);
    let silent: Vec<_> = files.iter().filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn the_list_sees_a_wrong_import() {
    let found = imports("use crate::cli::x;\n// crate::nothing\nlet y = crate::base::Blobs;\n#[cfg(test)]\nmod tests { use crate::later; }");
    assert_eq!(found, BTreeSet::from(["cli".to_owned(), "base".to_owned()]));
}
