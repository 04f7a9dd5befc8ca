//! Whether an image has an editor at all: in its base, or by a `[[file]]` that may bring one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::local;
use crate::contract;
use crate::description::{Description, FileOrigin};
use crate::error::{Error, Problem};
use crate::lock::Facts;

/// Demands that the base has the editor, or that a `[[file]]` brings its launcher or is an archive, of which only its content can tell.
///
/// # Errors
/// When nothing can bring it; says how to add one.
pub fn demand_editor(description: &Description, directory: &Path, facts: &Facts) -> Result<(), Error> {
    if facts.launcher.is_some() || facts.entrypoint.is_some() || description.files.iter().any(|item| may_bring(item, directory)) {
        return Ok(());
    }
    let base = &description.base;
    let problem = Problem::new(format!("neither the base nor a [[file]] brings an editor: there is no `{}` on the base's PATH", contract::LAUNCHER));
    Err(Error::input(
        problem.at(&description.source, base.span.clone()).label("has no editor").help(
            "build on public.ecr.aws/sagemaker/sagemaker-distribution, or add the editor's tree as a [[file]] whose directory holds bin/sagemaker-code-editor and share/sagemaker-code-editor",
        ),
    ))
}

fn may_bring(item: &crate::description::FileItem, directory: &Path) -> bool {
    if item.unpack.is_some() || item.target.name() == contract::LAUNCHER.as_bytes() {
        return true;
    }
    let FileOrigin::Source(source) = &item.origin else { return false };
    ["", "bin", "usr/bin", "usr/local/bin"].iter().any(|below| directory.join(source).join(below).join(contract::LAUNCHER).symlink_metadata().is_ok())
}

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

    fn judged(file: &str, bring: bool) -> Result<(), Error> {
        let directory = tempfile::tempdir().unwrap();
        if bring {
            std::fs::create_dir_all(directory.path().join("editor/bin")).unwrap();
            std::fs::write(directory.path().join("editor/bin/sagemaker-code-editor"), "").unwrap();
        }
        let text = format!("schema = 1\nbase = \"debian:12\"\n{file}");
        let description = crate::description::parse("byoi.toml", &text).unwrap();
        demand_editor(&description, directory.path(), &Facts::default())
    }

    #[test]
    fn an_image_without_an_editor_is_refused() {
        let with = "[[file]]\nsource = \"editor\"\ntarget = \"/opt/editor\"\n";
        assert!(judged("", false).unwrap_err().to_string().contains("brings an editor"));
        assert!(judged(with, false).is_err());
        assert!(judged(with, true).is_ok());
    }

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
