//! What is made from the grammar is fresh in the repository and true: the JSON Schema and the reference part of the guide.
//!
//! `BYOI_UPDATE=1 cargo test` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use byoi::description::{parse, reference, schema, template};
use serde_json::Value;

use crate::json_schema::violations;
use crate::wrong_descriptions::{SHAPE, whole};

const BEGIN: &str = "<!-- The reference is made from the grammar: `BYOI_UPDATE=1 cargo test` writes it anew. -->\n";
const END: &str = "<!-- End of the reference. -->\n";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds that the file is `expected`, or makes it so.
pub fn assert_fresh(name: &str, expected: &str) {
    let path = repository().join(name);
    if std::env::var_os("BYOI_UPDATE").is_some_and(|value| value == "1") {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is not fresh: run `BYOI_UPDATE=1 cargo test` and commit it");
}

#[test]
fn the_json_schema_is_fresh() {
    assert_fresh("docs/byoi.schema.json", &format!("{:#}\n", schema()));
}

#[test]
fn the_reference_is_fresh() {
    let guide = fs::read_to_string(repository().join("docs/language.md")).unwrap();
    let (before, rest) = guide.split_once(BEGIN).expect("the guide has a reference");
    let (_, after) = rest.split_once(END).expect("the reference ends");
    assert_fresh("docs/language.md", &format!("{before}{BEGIN}\n{}\n{END}{after}", reference()));
}

/// Every description in the repository that is meant to be right.
fn right_descriptions() -> Vec<(String, String)> {
    let mut found = vec![
        ("the template".to_owned(), template().to_owned()),
        ("full.toml".to_owned(), fs::read_to_string(repository().join("src/description/tests/full.toml")).unwrap()),
        ("the shortest".to_owned(), whole("")),
    ];
    let guide = fs::read_to_string(repository().join("docs/language.md")).unwrap();
    for (number, block) in guide.split("```toml\n").skip(1).enumerate() {
        let block = block.split_once("```").expect("a block ends").0;
        found.push((format!("block {number} of docs/language.md"), whole(block)));
    }
    let mut folders = vec![repository().join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "byoi.toml") {
                found.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

fn json(toml: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(toml).unwrap()).unwrap()
}

#[test]
fn right_descriptions_are_right_by_parser_and_schema() {
    let schema = schema();
    for (name, text) in right_descriptions() {
        assert!(parse("byoi.toml", &text).is_ok(), "{name}: {}", parse("byoi.toml", &text).unwrap_err());
        let found = violations(&schema, &json(&text));
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn wrong_shapes_are_wrong_by_the_schema_too() {
    let schema = schema();
    for (rule, text) in SHAPE {
        let found = violations(&schema, &json(&whole(text)));
        assert!(!found.is_empty(), "{rule}");
    }
}

#[test]
fn wrong_companions_are_wrong_by_the_schema_too() {
    let schema = schema();
    for text in [
        "[[extension]]\npath = \"a.vsix\"\nurl = \"https://example.com/a.vsix\"\n",
        "[[extension]]\ngithub = \"a/b\"\ntag = \"v1\"\n",
        "[[extension]]\nopen-vsx = \"a.b\"\nversion = \"1.0.0\"\ntag = \"v1\"\n",
        "[[file]]\ntarget = \"/a\"\n",
        "[[file]]\nsource = \"a\"\n",
        "[[file]]\nsource = \"a\"\ncontent = \"b\"\ntarget = \"/a\"\n",
        "[[file]]\ncontent = \"a\"\nunpack = true\ntarget = \"/a\"\n",
        "[[file]]\nurl = \"https://example.com/a\"\nexclude = [\"*.tmp\"]\ntarget = \"/a\"\n",
    ] {
        let text = whole(text);
        assert!(parse("byoi.toml", &text).is_err() && !violations(&schema, &json(&text)).is_empty(), "{text}");
    }
}

#[test]
fn the_lock_of_the_documentation_reads() {
    let page = fs::read_to_string(repository().join("docs/lock.md")).unwrap();
    let example = page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let lock = byoi::lock::parse("byoi.lock", example).unwrap();
    assert_eq!((lock.extensions.len(), lock.files.len(), lock.base.directories.rules.len()), (1, 1, 2));
    let conda = lock.conda.unwrap();
    assert_eq!((conda.packages.len(), conda.replaced.len(), conda.variables.len()), (1, 1, 1));
}
