//! Programs that every image needs, the editor and a shell: the base has them, the editor also a conda package, or a `[[file]]` may bring them.

use std::path::Path;

use crate::contract;
use crate::description::{Description, FileItem, FileOrigin};
use crate::error::{Error, Invalid, Problem};
use crate::lock::Facts;

/// Where a shell stands; the second where `/bin` is a link.
const SHELL: [&str; 2] = ["bin/sh", "usr/bin/sh"];

/// Demands that the base (or for the editor's launcher a conda package: `facts` are those of both) has the launcher and a shell, or that a `[[file]]` brings them or is an archive, of which only its content
/// can tell.
///
/// # Errors
/// When nothing can bring one of them; says how to add it.
pub fn demand_programs(description: &Description, directory: &Path, facts: &Facts) -> Result<(), Error> {
    let brought = |may_bring: fn(&FileItem, &Path) -> bool| description.files.iter().any(|item| may_bring(item, directory));
    let mut problems = Vec::new();
    if facts.launcher.is_none() && facts.entrypoint.is_none() && !brought(may_bring_editor) {
        problems.push(no_editor());
    }
    if !facts.shell && !brought(may_bring_shell) {
        problems.push(no_shell());
    }
    if problems.is_empty() {
        return Ok(());
    }
    let at_base = |problem: Problem| problem.at(&description.source, description.base.span.clone());
    Err(Invalid { problems: problems.into_iter().map(at_base).collect() }.into())
}

fn no_editor() -> Problem {
    let problem = Problem::new(format!(
        "neither the base nor a conda package nor a [[file]] brings an editor: there is no `{}` on the base's PATH",
        contract::LAUNCHER
    ));
    problem.label("has no editor").help(
        "build on public.ecr.aws/sagemaker/sagemaker-distribution, add the conda package sagemaker-code-editor, or the editor's tree as a [[file]] whose directory holds bin/sagemaker-code-editor and share/sagemaker-code-editor",
    )
}

fn no_shell() -> Problem {
    let problem =
        Problem::new("neither the base nor a [[file]] brings a shell: there is no program `/bin/sh`, and the image's entrypoint is a script for it");
    problem.label("has no shell").help(
        "build on a base with a shell, or add one as a [[file]] with target = \"/bin/sh\"; the entrypoint brings a space's volume up to date before it starts the editor",
    )
}

fn may_bring_editor(item: &FileItem, directory: &Path) -> bool {
    if item.unpack.is_some() || item.target.name() == contract::LAUNCHER.as_bytes() {
        return true;
    }
    let FileOrigin::Source(source) = &item.origin else { return false };
    ["", "bin", "usr/bin", "usr/local/bin"].iter().any(|below| directory.join(source).join(below).join(contract::LAUNCHER).symlink_metadata().is_ok())
}

fn may_bring_shell(item: &FileItem, directory: &Path) -> bool {
    SHELL.iter().any(|shell| match (Path::new(shell).strip_prefix(item.target.to_string()), &item.origin) {
        (Err(_), _) => false,
        (Ok(_), _) if item.unpack.is_some() => true,
        (Ok(below), _) if below.as_os_str().is_empty() => true,
        (Ok(below), FileOrigin::Source(source)) => directory.join(source).join(below).symlink_metadata().is_ok(),
        (Ok(_), _) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDITOR: &str = "[[file]]\nsource = \"editor\"\ntarget = \"/opt/editor\"\n";
    const SHELL: &str = "[[file]]\ncontent = \"\"\ntarget = \"/bin/sh\"\n";

    /// What is missing, with these files in the description's directory.
    fn missing(description: &str, local: &[&str], facts: &Facts) -> String {
        let directory = tempfile::tempdir().unwrap();
        for file in local.iter().filter(|file| !file.is_empty()) {
            let place = directory.path().join(file);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, "").unwrap();
        }
        let description = crate::description::parse("byoi.toml", &format!("schema = 1\nbase = \"debian:12\"\n{description}")).unwrap();
        demand_programs(&description, directory.path(), facts).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn an_image_without_an_editor_is_refused() {
        let shell = Facts { shell: true, ..Facts::default() };
        assert!(missing("", &[], &shell).contains("brings an editor"));
        assert!(missing(EDITOR, &["editor/README"], &shell).contains("brings an editor"));
        assert_eq!(missing(EDITOR, &["editor/bin/sagemaker-code-editor"], &shell), "");
    }

    #[test]
    fn an_image_without_a_shell_is_refused() {
        let editor = Facts { entrypoint: Some(crate::image_path::ImagePath::literal("/x")), ..Facts::default() };
        let tree = |target: &str| format!("[[file]]\nsource = \"tree\"\ntarget = \"{target}\"\n");
        let archive = |target: &str| format!("[[file]]\nsource = \"x.tar\"\nunpack = true\ntarget = \"{target}\"\n");
        for (description, local) in [
            (String::new(), ""),
            (tree("/usr"), "tree/bin/bash"),
            (tree("/opt"), "tree/bin/sh"),
            (tree("/usr/bin"), "tree/bin/sh"),
            (archive("/opt"), "x.tar"),
            (archive("/usr/binaries"), "x.tar"),
        ] {
            let message = missing(&description, &[local], &editor);
            assert!(message.contains("brings a shell"), "{description} {local}: {message}");
        }
        for (description, local) in [
            (SHELL.to_owned(), ""),
            (tree("/usr"), "tree/bin/sh"),
            (tree("/bin"), "tree/sh"),
            (tree("/bin/sh"), "tree"),
            (archive("/bin"), "x.tar"),
            (archive("/usr"), "x.tar"),
        ] {
            assert_eq!(missing(&description, &[local], &editor), "", "{description} {local}");
        }
    }

    #[test]
    fn both_are_missed_at_once() {
        let message = missing("", &[], &Facts::default());
        assert!(message.contains("brings an editor") && message.contains("brings a shell"), "{message}");
    }
}
