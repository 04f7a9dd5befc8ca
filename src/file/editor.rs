//! Whether an image has an editor at all: in its base, or by a `[[file]]` that may bring one.

use std::path::Path;

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
}
