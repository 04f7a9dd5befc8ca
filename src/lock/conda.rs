//! The conda part of a lock: what was asked for, the packages that meet it, and what the image gets from them beside files.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::digest::Digest;
use crate::image_path::ImagePath;

/// The locked environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Conda {
    /// What asked for it.
    pub requirement: CondaRequirement,
    /// The Python that `noarch` packages are laid for: the environment's own, be it locked here or in the base.
    pub python: Option<Python>,
    /// The editor, where one of the packages is one.
    pub editor: Option<CondaEditor>,
    /// Variables that activation sets: of `env_vars.d`, and of those scripts of `activate.d` that only export.
    pub variables: BTreeMap<String, String>,
    /// Scripts of `activate.d` that do more, sorted; relative to the prefix.
    pub activation_scripts: Vec<String>,
    /// What the history of the base's environment says of requests, line by line: ours begins with it.
    pub history: Vec<String>,
    /// The packages that are laid, sorted by name.
    pub packages: Vec<CondaPackage>,
    /// Packages of the base that are replaced or removed, sorted by name.
    pub replaced: Vec<ReplacedPackage>,
}

/// What a description asks of conda: the lock is current while this is equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondaRequirement {
    /// Channels in order of priority, as written, without credentials.
    pub channels: Vec<String>,
    /// MatchSpecs as written, in the order of the description or of its environment file.
    pub specs: Vec<String>,
    /// The sha256 of the pixi.lock that was taken as it is.
    pub pixi_lock: Option<Digest>,
    /// Where the environment lies.
    pub prefix: ImagePath,
    /// Whether packages of the base may change.
    pub update_existing: bool,
    /// The driver's CUDA version, as declared.
    pub cuda: Option<String>,
}

impl CondaRequirement {
    /// `existing` as the description and the lock write it.
    pub fn existing(&self) -> &'static str {
        if self.update_existing { "update" } else { "keep" }
    }
}

/// The Python of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The whole version: `3.12.11`.
    pub version: String,
    /// Where modules go, relative to the prefix: `lib/python3.12/site-packages`.
    pub site_packages: String,
}

/// An editor that comes from a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondaEditor {
    /// The Code-OSS version (`version` of its package.json).
    pub version: String,
    /// Where its launcher lies, in the image.
    pub launcher: ImagePath,
    /// Ids of its built-in extensions, lower case, sorted.
    pub builtin_extensions: Vec<String>,
}

/// How the files of a package are laid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Noarch {
    /// As they are in the archive: a package of the platform, or `noarch: generic`.
    #[default]
    No,
    /// `noarch: python`: `site-packages` and `python-scripts` are mapped, entry points are made.
    Python,
}

/// A locked package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CondaPackage {
    /// Its name, normalized.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its build string.
    pub build: String,
    /// The channel's URL, without credentials and subdirectory: what conda-meta says of where it came from.
    pub channel: String,
    /// `linux-64` or `noarch`.
    pub subdir: String,
    /// Where the archive is, without credentials.
    pub url: Url,
    /// The archive's digest.
    pub sha256: Digest,
    /// Whether the channel had no sha256, so that md5 alone vouched for the bytes when they were locked.
    pub md5_only: bool,
    /// The archive's size in bytes.
    pub size: u64,
    /// When the package was built.
    pub timestamp: Option<Timestamp>,
    /// How it is laid.
    pub noarch: Noarch,
    /// `depends` of the channel's index where they differ from what the archive itself says (channels patch them).
    pub depends: Option<Vec<String>>,
    /// `constrains`, likewise.
    pub constrains: Option<Vec<String>>,
    /// Bytes of tar that its entries come to, by which packages are grouped into layers.
    pub laid_size: u64,
    /// Final paths, relative to the prefix and sorted, that it has and does not lay, since a package that comes later in topological order lays them.
    pub clobbered: Vec<String>,
    /// Link scripts that stay unrun, relative to the prefix and sorted.
    pub link_scripts: Vec<String>,
}

impl CondaPackage {
    /// `NAME-VERSION-BUILD`, the name of its conda-meta record without `.json`.
    pub fn record_name(&self) -> String {
        format!("{}-{}-{}", self.name, self.version, self.build)
    }

    /// The archive's file name.
    pub fn file_name(&self) -> &str {
        self.url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default()
    }
}

/// A package of the base that is replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its build string.
    pub build: String,
    /// What becomes a whiteout: paths of its record, and the record itself, that nothing lays again; relative to the prefix, sorted. Of a directory in
    /// which nothing is left the directory alone, with `/` at its end.
    pub removes: Vec<String>,
    /// Links to directories, and directories, where something else is laid; relative to the prefix, sorted.
    pub makes_way: Vec<String>,
}
