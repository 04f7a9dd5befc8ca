//! The version of an editor that a `[[file]]` brings.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::local;
use crate::description::{Description, FileOrigin};

/// The Code-OSS version of an editor that a directory of the description brings: `version` of its `package.json`. None where no directory has one;
/// what archives hold is not known before they are unpacked.
pub fn editor_version(description: &Description, directory: &Path) -> Option<String> {
    let sources = description.files.iter().filter(|item| item.unpack.is_none()).filter_map(|item| match &item.origin {
        FileOrigin::Source(source) => local::place(directory, source).ok(),
        _ => None,
    });
    let trees = sources.flat_map(|source| TREES.iter().map(move |below| source.join(below)));
    trees.filter(|tree| tree.join("out/server-main.js").is_file()).find_map(|tree| version(&tree.join("package.json")))
}

/// Where the editor's tree may lie below a source: at its usual places, or the source is the tree.
const TREES: &[&str] = &["share/sagemaker-code-editor", "usr/share/sagemaker-code-editor", "usr/local/share/sagemaker-code-editor", ""];
/// Largest `package.json` of an editor that is read, in bytes.
const PACKAGE_MAX: u64 = 1 << 20;

fn version(package: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(package).ok()?.take(PACKAGE_MAX).read_to_string(&mut text).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    package.get("version")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_an_editor_that_a_directory_brings_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("editor/share/sagemaker-code-editor");
        std::fs::create_dir_all(tree.join("out")).unwrap();
        std::fs::write(tree.join("package.json"), r#"{"name":"x","version":"1.101.2"}"#).unwrap();
        let text = "schema = 1\nbase = \"debian:12\"\n[[file]]\nsource = \"editor\"\ntarget = \"/opt/editor\"\n";
        let description = crate::description::parse("byoi.toml", text).unwrap();
        assert_eq!(editor_version(&description, directory.path()), None);
        std::fs::write(tree.join("out/server-main.js"), "").unwrap();
        assert_eq!(editor_version(&description, directory.path()).as_deref(), Some("1.101.2"));
    }
}
