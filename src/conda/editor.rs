//! The editor as a package: where conda-forge's `sagemaker-code-editor` has its launcher, server and built-in extensions, and which version of
//! Code-OSS it is. The launcher is `bin/sagemaker-code-editor`, the server `share/sagemaker-code-editor`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::contract::LAUNCHER;
use crate::image_path::ImagePath;
use crate::lock::CondaEditor;

/// The server's directory, relative to its prefix.
pub const SHARE: &str = "share/sagemaker-code-editor";
/// Name of the manifests of the server and of extensions.
pub const MANIFEST: &str = "package.json";
/// Largest manifest that is read, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// The part of a manifest that matters here.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    #[serde(default)]
    publisher: String,
    #[serde(default)]
    name: String,
    /// The version; of the server, that of Code-OSS. Empty where there is none.
    #[serde(default)]
    pub version: String,
}

impl Manifest {
    /// Reads a manifest; none where it is not one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// `publisher.name` of an extension, lower case.
    pub fn id(&self) -> Option<String> {
        let known = !self.publisher.is_empty() && !self.name.is_empty();
        known.then(|| format!("{}.{}", self.publisher, self.name).to_lowercase())
    }
}

/// Whether a package with these final paths, relative to the prefix, brings the editor.
pub fn is_brought<'a>(mut paths: impl Iterator<Item = &'a str>) -> bool {
    let launcher = format!("bin/{LAUNCHER}");
    paths.any(|path| path == launcher)
}

/// Whether a file of such a package, by its path relative to the prefix, says something about the editor.
pub fn wants(path: &str) -> bool {
    let below = path.strip_prefix(SHARE).and_then(|rest| rest.strip_prefix('/'));
    below.is_some_and(|rest| rest == MANIFEST || extension(rest).is_some())
}

/// The directory of a built-in extension whose manifest this is, by the path relative to the server's directory.
fn extension(path: &str) -> Option<&str> {
    let directory = path.strip_prefix("extensions/")?.strip_suffix(MANIFEST)?.strip_suffix('/')?;
    (!directory.is_empty() && !directory.contains('/')).then_some(directory)
}

/// The editor, out of the files that [`wants`] names: path relative to the prefix → bytes. None where its manifest names no version.
pub fn read(prefix: &ImagePath, files: &BTreeMap<String, Vec<u8>>) -> Option<CondaEditor> {
    let server = Manifest::read(files.get(&format!("{SHARE}/{MANIFEST}"))?)?;
    if server.version.is_empty() {
        return None;
    }
    let extensions = files.iter().filter(|(path, _)| wants(path) && path.len() > SHARE.len() + 1 + MANIFEST.len());
    let ids: BTreeSet<String> = extensions.filter_map(|(_, bytes)| Manifest::read(bytes)?.id()).collect();
    let launcher = prefix.join(format!("bin/{LAUNCHER}")).ok()?;
    Some(CondaEditor { version: server.version, launcher, builtin_extensions: ids.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(files: &[(&str, &str)]) -> Option<CondaEditor> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        read(&ImagePath::literal("/opt/env"), &files)
    }

    #[test]
    fn the_editor_of_a_package() {
        let editor = read_all(&[
            ("share/sagemaker-code-editor/package.json", r#"{"name": "code-editor", "version": "1.101.2"}"#),
            ("share/sagemaker-code-editor/extensions/git/package.json", r#"{"publisher": "VSCode", "name": "git", "version": "1.0.0"}"#),
            ("share/sagemaker-code-editor/extensions/css/package.json", r#"{"publisher": "vscode", "name": "css"}"#),
            ("share/sagemaker-code-editor/extensions/odd/package.json", "no JSON"),
            ("share/sagemaker-code-editor/extensions/none/package.json", r#"{"name": "none"}"#),
            ("share/sagemaker-code-editor/extensions/git/node_modules/x/package.json", r#"{"publisher": "x", "name": "x"}"#),
        ])
        .unwrap();
        assert_eq!((editor.version.as_str(), editor.launcher.absolute().as_str()), ("1.101.2", "/opt/env/bin/sagemaker-code-editor"));
        assert_eq!(editor.builtin_extensions, ["vscode.css", "vscode.git"]);
    }

    #[test]
    fn what_names_no_version_is_no_editor() {
        assert_eq!(read_all(&[]), None);
        assert_eq!(read_all(&[("share/sagemaker-code-editor/package.json", "{}")]), None);
        assert_eq!(read_all(&[("share/sagemaker-code-editor/package.json", "[")]), None);
    }

    #[test]
    fn a_package_brings_the_editor_by_its_launcher() {
        assert!(is_brought(["bin/node", "bin/sagemaker-code-editor"].into_iter()));
        assert!(!is_brought(["bin/sagemaker-code-editor.old", "share/sagemaker-code-editor/package.json"].into_iter()));
    }

    #[test]
    fn manifests_alone_are_wanted() {
        for path in ["share/sagemaker-code-editor/package.json", "share/sagemaker-code-editor/extensions/git/package.json"] {
            assert!(wants(path), "{path}");
        }
        for path in [
            "share/sagemaker-code-editor/product.json",
            "share/sagemaker-code-editor/extensions/package.json",
            "share/sagemaker-code-editor/extensions/git/x/package.json",
            "share/sagemaker-code-editor-2/package.json",
            "package.json",
        ] {
            assert!(!wants(path), "{path}");
        }
    }
}
