//! Reads a VSIX: a zip archive with the files of an extension under `extension/`, and a manifest of the package beside them.
//!
//! What lands where is the editor's rule (`extract` in its `zip.ts`): a member whose name begins with `extension` loses just these letters, so
//! that `extension/package.json` becomes `package.json` and `extension.vsixmanifest` becomes `.vsixmanifest`; all others are left out.
//! Symbolic links become files that hold their target, since the editor knows no other members than files.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use jiff::Timestamp;

use super::javascript::{Object, Value};
use super::manifest::{self, Manifest, ManifestError};
use crate::archive::{ArchiveError, Limits, ZipMember, read_zip};
use crate::error::{Fault, Kind};
use crate::image_path::ImagePath;
use crate::layer::Content;

/// Largest VSIX, in bytes.
pub const SIZE_MAX: u64 = 1 << 30;
const LIMITS: Limits = Limits { members: 100_000, total: 4 << 30, ratio: 200 };
/// Largest `package.json` and `extension.vsixmanifest`.
const MANIFEST_MAX: u64 = 16 << 20;

const PREFIX: &str = "extension";
const PACKAGE: &str = "extension/package.json";
const VSIX_MANIFEST: &str = "extension.vsixmanifest";
/// Mode of a file whose member has none.
const DEFAULT_MODE: u32 = 0o644;

/// Why a VSIX is refused. The message is the rest of a sentence that names the VSIX.
#[derive(Debug, thiserror::Error)]
pub enum VsixError {
    /// As an archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A manifest is not there.
    #[error("it is no VSIX: it has no `extension/package.json`")]
    NoPackage,
    /// A manifest is not valid.
    #[error("its `{file}` {reason}")]
    Manifest {
        /// The manifest's name in the archive.
        file: &'static str,
        /// What is wrong.
        reason: ManifestError,
    },
    /// A manifest is not JSON.
    #[error("its `{file}` is not valid: {reason}")]
    Text {
        /// The manifest's name in the archive.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Fault for VsixError {
    fn kind(&self) -> Kind {
        match self {
            VsixError::Archive(error) => error.kind(),
            _ => Kind::Input,
        }
    }
}

/// A file or directory of an extension.
#[derive(Debug, Clone)]
pub enum Node {
    /// A directory.
    Directory,
    /// A file with its permission bits.
    File(Content, u16),
}

/// An opened VSIX.
#[derive(Debug)]
pub struct Vsix {
    /// What byoi needs to know of it.
    pub manifest: Manifest,
    /// The whole `package.json`.
    pub package: Object,
    /// The extension's tree, `package.json` as it stands in the archive, without the root. Every directory is there.
    pub tree: BTreeMap<ImagePath, Node>,
    /// Time of the newest member; the beginning of 1980 where none has one.
    pub timestamp: Timestamp,
}

impl Vsix {
    /// Opens a VSIX: reads its directory and its manifests, no other content.
    ///
    /// # Errors
    /// [`VsixError`].
    pub fn open(file: &Arc<File>) -> Result<Self, VsixError> {
        let members = read_zip(file, &LIMITS)?;
        let package = object(&text(&members, PACKAGE)?.ok_or(VsixError::NoPackage)?)?;
        let platform = match text(&members, VSIX_MANIFEST)? {
            Some(text) => manifest::platform(&text).map_err(|reason| VsixError::Manifest { file: VSIX_MANIFEST, reason })?,
            None => None,
        };
        let manifest = Manifest::of_package(&package, platform).map_err(|reason| VsixError::Manifest { file: PACKAGE, reason })?;
        let newest = members.iter().filter_map(|member| member.mtime).max().unwrap_or(DOS_EPOCH);
        let timestamp = Timestamp::from_second(newest).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Vsix { manifest, package, tree: tree(&members)?, timestamp })
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.tree.values().map(|node| if let Node::File(content, _) = node { content.size() } else { 0 }).sum()
    }
}

/// 1980-01-01T00:00:00Z.
const DOS_EPOCH: i64 = 315_532_800;

/// The text of the member with this name.
fn text(members: &[ZipMember], file: &'static str) -> Result<Option<String>, VsixError> {
    let Some(member) = members.iter().find(|member| member.name == file) else { return Ok(None) };
    let bytes = member.bytes(MANIFEST_MAX)?;
    String::from_utf8(bytes).map(Some).map_err(|_| VsixError::Text { file, reason: "it is not UTF-8".to_owned() })
}

fn object(text: &str) -> Result<Object, VsixError> {
    let invalid = |reason: String| VsixError::Text { file: PACKAGE, reason };
    if text.starts_with('\u{feff}') {
        return Err(invalid("it begins with a byte order mark, which the editor does not read".to_owned()));
    }
    match Value::parse(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(invalid("it is no object".to_owned())),
        Err(error) => Err(invalid(error.to_string())),
    }
}

fn tree(members: &[ZipMember]) -> Result<BTreeMap<ImagePath, Node>, ArchiveError> {
    let mut tree = BTreeMap::new();
    for member in members {
        let Some(rest) = member.name.strip_prefix(PREFIX) else { continue };
        let refuse = |reason: &str| Err(ArchiveError::member(&member.name, reason));
        let path = ImagePath::parse(rest).map_err(|error| ArchiveError::member(&member.name, error.reason))?;
        if !member.name_is_clear {
            return refuse("has a name that is not ASCII and not marked as UTF-8");
        }
        if path.components().any(|name| name.starts_with(b".wh.")) {
            return refuse("has a name that means a deletion in an image's layer");
        }
        if path.is_root() {
            if member.is_directory() {
                continue;
            }
            return refuse("would replace the extension's directory");
        }
        let node = if member.is_directory() { Node::Directory } else { Node::File(member.content.clone(), mode(member)) };
        let is_directory = matches!(node, Node::Directory);
        match tree.insert(path.clone(), node) {
            None => {}
            Some(Node::Directory) if is_directory => {}
            Some(_) => return refuse("stands twice"),
        }
        for above in path.ancestors().filter(|above| !above.is_root()) {
            if let Node::File(..) = tree.entry(above).or_insert(Node::Directory) {
                return refuse("lies below a file");
            }
        }
    }
    Ok(tree)
}

/// Permission bits as the editor makes them: those of the member, else 0644, under the umask 022.
fn mode(member: &ZipMember) -> u16 {
    let mode = member.mode.unwrap_or(DEFAULT_MODE) & 0o777 & !0o022;
    u16::try_from(mode).unwrap_or(0o644)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::write::{SimpleFileOptions, ZipWriter};

    pub const MANIFEST: &str = r#"{"name":"Hello","publisher":"Acme","version":"1.2.3","engines":{"vscode":"^1.80.0"}}"#;

    /// A VSIX with these members beside what every VSIX has.
    pub fn vsix(package: &str, members: &[(&str, u32)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let time = zip::DateTime::from_date_and_time(2024, 5, 6, 7, 8, 10).unwrap();
        let options = SimpleFileOptions::default().last_modified_time(time);
        for (name, bytes) in [("[Content_Types].xml", "<Types/>"), ("extension.vsixmanifest", "<PackageManifest/>"), (PACKAGE, package)] {
            writer.start_file(name, options.unix_permissions(0o664)).unwrap();
            writer.write_all(bytes.as_bytes()).unwrap();
        }
        for (name, mode) in members {
            writer.start_file(*name, options.unix_permissions(*mode)).unwrap();
            if !name.ends_with('/') {
                writer.write_all(b"x").unwrap();
            }
        }
        writer.finish().unwrap().into_inner()
    }

    pub fn opened(bytes: &[u8]) -> Result<Vsix, VsixError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Vsix::open(&Arc::new(file))
    }

    #[test]
    fn lays_members_as_the_editor_does() {
        let members =
            [("extension/run.sh", 0o775), ("extension/private", 0o600), ("extensionfoo/bar", 0o644), ("extension.extra", 0o644), ("other", 0o644)];
        let opened = opened(&vsix(MANIFEST, &members)).unwrap();
        let tree: Vec<_> = opened
            .tree
            .iter()
            .map(|(path, node)| match node {
                Node::Directory => format!("{path}/"),
                Node::File(_, mode) => format!("{path} {mode:o}"),
            })
            .collect();
        assert_eq!(tree, [".extra 644", ".vsixmanifest 644", "foo/", "foo/bar 644", "package.json 644", "private 600", "run.sh 755"]);
        assert_eq!(opened.timestamp.to_string(), "2024-05-06T07:08:10Z");
        assert_eq!(opened.size(), (MANIFEST.len() + "<PackageManifest/>".len() + 4) as u64);
        assert_eq!(opened.manifest.id, "acme.hello");
    }

    #[test]
    fn refuses_trees_that_cannot_be() {
        for (members, expected) in [
            (vec![("extension/a", 0o644), ("extension/a/b", 0o644)], "lies below a file"),
            (vec![("extension/a/b", 0o644), ("extension/a", 0o644)], "stands twice"),
            (vec![("extension/./package.json", 0o644)], "stands twice"),
            (vec![("extensionpackage.json", 0o644)], "stands twice"),
            (vec![("extension", 0o644)], "would replace the extension's directory"),
            (vec![("extension/.wh.x", 0o644)], "means a deletion"),
            (vec![("extension/../../x", 0o644)], "leaves the archive's root"),
        ] {
            let message = opened(&vsix(MANIFEST, &members)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn refuses_manifests_that_are_not_valid() {
        for (package, expected) in [
            ("", "its `extension/package.json` is not valid: EOF"),
            ("[]", "it is no object"),
            ("\u{feff}{}", "byte order mark"),
            ("{\"name\":\"x\"}", "its `extension/package.json` has no `version`"),
        ] {
            let message = opened(&vsix(package, &[])).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(matches!(opened(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), Err(VsixError::NoPackage)));
    }
}
