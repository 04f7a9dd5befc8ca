//! A description that was parsed and found valid.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use crate::digest::Digest;
use crate::error::{Problem, Source};
use crate::image_path::ImagePath;
use crate::reference::ImageSource;

/// A value and the bytes of the file where it stands, for errors that come up later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands in the description's text.
    pub span: Range<usize>,
}

/// A valid description.
#[derive(Debug, Clone)]
pub struct Description {
    /// The file's name and text, for errors that come up later.
    pub source: Arc<Source>,
    /// The base image. Paths in it are relative to the description's directory.
    pub base: Spanned<ImageSource>,
    /// The requirement's text, as written: the lock repeats it.
    pub base_requirement: String,
    /// The `[conda]` table, where there is one.
    pub conda: Option<super::Conda>,
    /// The extensions, in the file's order.
    pub extensions: Vec<Extension>,
    /// The files, in the file's order.
    pub files: Vec<FileItem>,
    /// Settings that are merged into the base's machine settings at build time and win at every start.
    pub machine_settings: serde_json::Map<String, serde_json::Value>,
    /// Settings that seed the user's, and never overwrite them.
    pub user_settings: serde_json::Map<String, serde_json::Value>,
    /// Variables of the image.
    pub env: BTreeMap<String, Spanned<String>>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Whether the user may become root.
    pub sudo: Option<Spanned<bool>>,
    /// The `[editor]` table, where there is one.
    pub editor: Option<Spanned<Editor>>,
    /// Budget for our layers.
    pub layers: usize,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

/// One `[[extension]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Where its origin stands: the value of `github`, `open-vsx`, `url` or `path`.
    pub span: Range<usize>,
    /// Where it comes from.
    pub origin: ExtensionOrigin,
    /// The digest that the description demands.
    pub sha256: Option<Digest>,
}

/// Where an extension comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionOrigin {
    /// An asset of a GitHub release.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// The release's tag.
        tag: String,
        /// The asset's file name.
        asset: String,
    },
    /// A version on open-vsx.org.
    OpenVsx {
        /// `namespace.name`.
        id: String,
        /// The version.
        version: String,
    },
    /// A VSIX at a URL.
    Url(Url),
    /// A VSIX beside the description; relative to its directory.
    Path(PathBuf),
}

impl ExtensionOrigin {
    /// The requirement as one line, which the lock repeats: `github:OWNER/NAME@TAG/ASSET`, `open-vsx:ID@VERSION`, `url:…`, `path:…`.
    pub fn requirement(&self) -> String {
        match self {
            ExtensionOrigin::GitHub { repository, tag, asset } => format!("github:{repository}@{tag}/{asset}"),
            ExtensionOrigin::OpenVsx { id, version } => format!("open-vsx:{id}@{version}"),
            ExtensionOrigin::Url(url) => format!("url:{url}"),
            ExtensionOrigin::Path(path) => format!("path:{}", path.display()),
        }
    }
}

/// One `[[file]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileItem {
    /// Where its origin stands: the value of `source`, `content` or `url`.
    pub span: Range<usize>,
    /// Where the bytes come from.
    pub origin: FileOrigin,
    /// Where they go: the path of the file, or of the directory whose content is laid.
    pub target: ImagePath,
    /// Mode of a single file; none: 0755 where the source is executable, else 0644 (inline and URLs: 0644).
    pub mode: Option<u16>,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Patterns, as in `.dockerignore`, of what is left out of a directory.
    pub exclude: Vec<String>,
    /// Whether the source is an archive to unpack, and how many leading components its members lose.
    pub unpack: Option<Unpack>,
}

/// How an archive is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpack {
    /// Leading path components that are cut off; members with fewer are left out.
    pub strip: usize,
}

/// Where the bytes of a `[[file]]` come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOrigin {
    /// A file or directory beside the description; relative to its directory, and within it.
    Source(PathBuf),
    /// The text itself.
    Content(String),
    /// A file at a URL.
    Url {
        /// The URL.
        url: Url,
        /// The digest that the description demands.
        sha256: Option<Digest>,
    },
}

/// The `[editor]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor {
    /// One of the two spellings that Studio knows.
    pub base_path: String,
    /// More arguments for the server.
    pub arguments: Vec<String>,
}
