//! A lock that is whole: it cannot be half-resolved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::digest::Digest;
use crate::image_path::ImagePath;

/// The form of the file that this program writes.
pub const VERSION: u32 = 1;
/// The form of the image's bytes that this program makes (`docs/reproducibility.md`).
pub const FORMAT: u32 = 1;

/// A whole lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// The base.
    pub base: Base,
    /// The conda environment, where the description has one.
    pub conda: Option<super::Conda>,
    /// Foreign extensions, sorted by id; local ones are git's.
    pub extensions: Vec<Extension>,
    /// Foreign files, sorted by requirement.
    pub files: Vec<File>,
}

/// The base image and what is known of it, so that no layer of it has to be read again.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// `base` of the description, as written.
    pub requirement: String,
    /// The digest of the linux/amd64 manifest; of the tar for `rootfs:`; none for `scratch`.
    pub digest: Option<Digest>,
    /// The digest of the multi-platform index, where there was one.
    pub index: Option<Digest>,
    /// `created` of the base's config; of a root filesystem its newest member.
    pub timestamp: Timestamp,
    /// What our layers build on.
    pub facts: Facts,
    /// The base's directories.
    pub directories: Directories,
}

/// What our layers need to know of the base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The Code-OSS version of the base's editor (`version` of its package.json): what extensions' engines are held against.
    pub editor: Option<String>,
    /// Where the editor's launcher lies.
    pub launcher: Option<ImagePath>,
    /// Where the base's own `entrypoint-code-editor` lies.
    pub entrypoint: Option<ImagePath>,
    /// Version of the C library.
    pub glibc: Option<String>,
    /// Whether `/bin/sh` is there.
    pub shell: bool,
    /// Whether `sudo` is there.
    pub sudo: bool,
    /// Ids of the editor's built-in extensions, lower case, sorted.
    pub builtin_extensions: Vec<String>,
    /// Extensions in the image's extensions directory: directory name → the manifest's facts.
    pub extensions: BTreeMap<String, BaseExtension>,
    /// The small texts that our layers merge into, by path.
    pub texts: BTreeMap<ImagePath, Text>,
}

impl Facts {
    /// What our layers that lie above conda's packages need to know: where one of them is an editor, it is the one that starts.
    pub fn with_conda(mut self, conda: Option<&super::Conda>) -> Self {
        if let Some(editor) = conda.and_then(|conda| conda.editor.as_ref()) {
            self.editor = Some(editor.version.clone());
            self.launcher = Some(editor.launcher.clone());
            self.builtin_extensions.clone_from(&editor.builtin_extensions);
        }
        self
    }
}

/// An extension that the base has in its extensions directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseExtension {
    /// `publisher.name`, lower case.
    pub id: String,
    /// The version.
    pub version: String,
}

/// A small text of the base, with its metadata, which the merged text keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Permission bits.
    pub mode: u16,
    /// Owner and group.
    pub owner: (u32, u32),
    /// The text.
    pub content: String,
}

/// The base's directories in the fewest lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Directories {
    /// Mode and owner of directories, by path; unlisted ones are 0755 and owned as the nearest rule above. The root is always listed.
    pub rules: BTreeMap<ImagePath, DirectoryRule>,
    /// Every symlink that leads to a directory: its target as it stands, in the text form of [`ImagePath`].
    pub links: BTreeMap<ImagePath, String>,
}

/// Mode and owner of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryRule {
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A foreign extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// What asked for it ([`crate::description::ExtensionOrigin::requirement`]).
    pub requirement: String,
    /// `publisher.name`, lower case.
    pub id: String,
    /// The version.
    pub version: String,
    /// Where its bytes were found.
    pub url: Url,
    /// The digest of the VSIX.
    pub sha256: Digest,
    /// The size of the VSIX in bytes.
    pub size: u64,
    /// `engines.vscode` of its manifest.
    pub engine: String,
    /// Its target platform, where it names one.
    pub platform: Option<String>,
    /// The time of its newest member.
    pub timestamp: Timestamp,
}

/// A foreign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What asked for it: the URL.
    pub requirement: Url,
    /// The digest.
    pub sha256: Digest,
    /// The size in bytes.
    pub size: u64,
}
