//! What was laid of a package, from which its record is made.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rattler_conda_types::package::{FileMode, IndexJson};
use rattler_conda_types::prefix_record::{PathType, PathsEntry};

use super::info::PathKind;
use super::placement::Placed;
use crate::digest::Digest;
use crate::image_path::ImagePath;

/// The content of a laid file: what the archive has, and what comes to lie in the prefix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digests {
    /// Before the prefix is replaced.
    pub(super) archive: Digest,
    /// As it is laid.
    pub(super) laid: Digest,
    /// Bytes as it is laid.
    pub(super) size: u64,
}

/// What was laid of a package, for its record.
pub(super) struct Installed {
    pub(super) index: IndexJson,
    pub(super) paths: Vec<PathsEntry>,
}

impl Installed {
    /// Nothing yet, of the package with this index.
    pub(super) fn new(index: IndexJson) -> Self {
        Installed { index, paths: Vec::new() }
    }

    /// Notes the bytecode of a module at a path relative to the prefix.
    pub(super) fn add_bytecode(&mut self, path: &ImagePath, text: &[u8]) {
        let digest = Digest::of(text);
        let content = Digests { archive: digest, laid: digest, size: text.len() as u64 };
        self.paths.push(made(path, PathType::PycFile, Some(content)));
    }

    /// Notes a path, relative to the prefix, that was laid; with its content where it is a file.
    pub(super) fn add(&mut self, path: &ImagePath, placed: &Placed<'_>, content: Option<Digests>) {
        let mut entry = made(path, PathType::UnixPythonEntryPoint, content);
        if let Placed::Path(source) = placed {
            entry.path_type = match source.kind {
                PathKind::File => PathType::HardLink,
                PathKind::Symlink => PathType::SoftLink,
                PathKind::Directory => PathType::Directory,
            };
            entry.no_link = source.no_link;
            let placeholder = source.placeholder.as_ref().filter(|_| source.kind == PathKind::File);
            entry.file_mode = placeholder.map(|placeholder| if placeholder.binary { FileMode::Binary } else { FileMode::Text });
            entry.prefix_placeholder = placeholder.map(|placeholder| placeholder.text.clone());
        }
        self.paths.push(entry);
    }
}

/// A path that is in no list of the package.
fn made(path: &ImagePath, path_type: PathType, content: Option<Digests>) -> PathsEntry {
    let sha256 = |digest: Digest| (*digest.as_bytes()).into();
    PathsEntry {
        relative_path: OsStr::from_bytes(path.as_bytes()).into(),
        original_path: None,
        path_type,
        no_link: false,
        sha256: content.map(|content| sha256(content.archive)),
        // As conda does it, of every file: its doctor looks at no other.
        sha256_in_prefix: content.map(|content| sha256(content.laid)),
        size_in_bytes: content.map(|content| content.size),
        file_mode: None,
        prefix_placeholder: None,
    }
}
