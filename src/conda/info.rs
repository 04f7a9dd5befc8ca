//! What a package's info section says: its index, its paths, its entry points, its link scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use rattler_conda_types::package::{
    EntryPoint, FileMode, Files, HasPrefix, IndexJson, LinkJson, NoArchLinks, NoLink, NoSoftlink, PackageFile, PathType, PathsJson,
};

use super::archive::{self, Form, Found, FoundNode};
use super::package_error::PackageError;
use crate::archive::{ArchiveError, Member};
use crate::digest::Digest;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::layer::{Content, Node};
use crate::lock::Noarch;

/// Largest file of an info section that is read, in bytes; the largest known `paths.json` have a few MiB.
const FILE_MAX: u64 = 64 << 20;
/// Longest placeholder of a prefix, in bytes; conda-build's have 255.
const PLACEHOLDER_MAX: usize = 4096;

/// Files of an info section that say how a package is laid.
const INDEX: &str = "index.json";
const PATHS: &str = "paths.json";
const LINK: &str = "link.json";
const FILES: &str = "files";
const HAS_PREFIX: &str = "has_prefix";
const NO_LINK: &str = "no_link";
const NO_SOFTLINK: &str = "no_softlink";
const READ: &[&str] = &[INDEX, PATHS, LINK, FILES, HAS_PREFIX, NO_LINK, NO_SOFTLINK];

/// What a package's info section says.
#[derive(Debug, Clone)]
pub struct PackageInfo {
    /// `index.json`: name, version, what it depends on.
    pub index: IndexJson,
    /// All that it lays, sorted by path, no path twice.
    pub paths: Vec<PackagePath>,
    /// Commands that are made for a `noarch: python` package.
    pub entry_points: Vec<EntryPoint>,
}

/// A path of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagePath {
    /// Where it stands in the archive.
    pub path: ImagePath,
    /// What it is.
    pub kind: PathKind,
    /// The prefix in its content that is to be replaced.
    pub placeholder: Option<Placeholder>,
    /// Whether it is to be a file of its own, no hard link.
    pub no_link: bool,
    /// The content's digest before the prefix is replaced.
    pub sha256: Option<Digest>,
    /// The content's size before the prefix is replaced.
    pub size: Option<u64>,
}

/// What a path of a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A directory, which is laid even if it is empty.
    Directory,
}

/// The prefix that a package was built in, as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placeholder {
    /// The prefix; not empty, no NUL, at most 4096 bytes.
    pub text: String,
    /// Whether the file is binary: then its size stays, and strings are filled up with NULs.
    pub binary: bool,
}

impl PackageInfo {
    /// Reads the info section of the archive `file`, whose form its name says. Of a `.tar.bz2`, and of a `.conda` without `paths.json`, that takes the
    /// whole archive.
    ///
    /// # Errors
    /// A damaged or hostile archive.
    pub fn of_archive(file: &File, file_name: &str) -> Result<Self, Error> {
        let read = || -> Result<Self, PackageError> {
            let form = Form::of(file_name)?;
            let file = Arc::new(file.try_clone().map_err(ArchiveError::from)?);
            let spool = Arc::new(tempfile::tempfile().map_err(PackageError::Spool)?);
            let members = archive::info_members(&file, form, &spool)?;
            let texts = texts(&members)?;
            let content = match form {
                Form::TarBz2 => members,
                Form::Conda if texts.contains_key(PATHS) => Vec::new(),
                Form::Conda => archive::content_members(&file, form, &spool)?,
            };
            Self::from_texts(&texts, &archive::by_path(content)?)
        };
        read().map_err(|error| Error::from(error).while_doing(format!("cannot read the conda package {file_name}")))
    }

    /// Reads the unpacked tar of a `.conda`'s info section. None where it has no `paths.json`: then only the whole archive tells what is a link.
    ///
    /// # Errors
    /// A damaged or hostile tar.
    pub fn from_info_tar(tar: impl Read) -> Result<Option<Self>, Error> {
        let read = || -> Result<Option<Self>, PackageError> {
            let spool = Arc::new(tempfile::tempfile().map_err(PackageError::Spool)?);
            let texts = texts(&archive::plain_members(tar, &spool)?)?;
            if !texts.contains_key(PATHS) {
                return Ok(None);
            }
            Self::from_texts(&texts, &BTreeMap::new()).map(Some)
        };
        read().map_err(|error| Error::from(error).while_doing("cannot read the info section of a conda package"))
    }

    /// From members of the info section, and those of the content for packages without `paths.json`.
    pub(super) fn of_members(info: &[Member], content: &BTreeMap<ImagePath, Found>) -> Result<Self, PackageError> {
        Self::from_texts(&texts(info)?, content)
    }

    fn from_texts(texts: &Texts, content: &BTreeMap<ImagePath, Found>) -> Result<Self, PackageError> {
        let index: IndexJson = parsed(texts, INDEX)?.ok_or_else(|| PackageError::info(INDEX, "is missing"))?;
        let link: Option<LinkJson> = if index.noarch.is_python() { parsed(texts, LINK)? } else { None };
        let entry_points = match link.map(|link| link.noarch) {
            Some(NoArchLinks::Python(python)) => python.entry_points,
            _ => Vec::new(),
        };
        let (listed, paths) = match parsed::<PathsJson>(texts, PATHS)? {
            Some(paths) => (PATHS, paths),
            None => (FILES, paths_of_old_package(texts, content)?),
        };
        Ok(PackageInfo { index, paths: checked(listed, paths)?, entry_points })
    }

    /// How it is laid.
    pub fn noarch(&self) -> Noarch {
        if self.index.noarch.is_python() { Noarch::Python } else { Noarch::No }
    }

    /// Scripts that an installer runs when it has laid the package, or before that, relative to the prefix and sorted.
    pub fn link_scripts(&self) -> Vec<String> {
        let name = self.index.name.as_normalized();
        let scripts = ["post-link", "pre-link"].map(|when| format!("bin/.{name}-{when}.sh"));
        scripts.into_iter().filter(|script| self.paths.iter().any(|path| path.path.as_bytes() == script.as_bytes())).collect()
    }
}

/// Files of the info section by their name.
type Texts = BTreeMap<&'static str, Vec<u8>>;

fn texts(members: &[Member]) -> Result<Texts, PackageError> {
    let mut texts = Texts::new();
    for (path, entry) in members {
        let name = path.as_bytes().strip_prefix(b"info/");
        let Some(file) = READ.iter().find(|file| Some(file.as_bytes()) == name) else { continue };
        let Node::File(content) = &entry.node else { return Err(PackageError::info(file, "is no regular file")) };
        texts.insert(file, whole(file, content)?);
    }
    Ok(texts)
}

fn whole(file: &'static str, content: &Content) -> Result<Vec<u8>, PackageError> {
    if content.size() > FILE_MAX {
        return Err(PackageError::info(file, format!("is larger than {} MiB", FILE_MAX >> 20)));
    }
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(content.size()).unwrap_or_default());
        content.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(PackageError::Spool)
}

fn parsed<T: PackageFile>(texts: &Texts, file: &'static str) -> Result<Option<T>, PackageError> {
    let Some(bytes) = texts.get(file) else { return Ok(None) };
    // Old lists are read by their lines, which `from_slice` of rattler's default takes for UTF-8 whatever they are.
    let text = std::str::from_utf8(bytes).map_err(|_| PackageError::info(file, "is not UTF-8"))?;
    T::from_str(text).map(Some).map_err(|error| PackageError::info(file, format!("cannot be read: {error}")))
}

/// Packages of before 2017 have their paths spread over several lists, and no sizes or digests.
fn paths_of_old_package(texts: &Texts, content: &BTreeMap<ImagePath, Found>) -> Result<PathsJson, PackageError> {
    let files: Files = parsed(texts, FILES)?.ok_or_else(|| PackageError::info(PATHS, "is missing, and so is `info/files` of older packages"))?;
    let has_prefix: Option<HasPrefix> = parsed(texts, HAS_PREFIX)?;
    let no_link: Option<NoLink> = parsed(texts, NO_LINK)?;
    let no_softlink: Option<NoSoftlink> = parsed(texts, NO_SOFTLINK)?;
    PathsJson::from_deprecated(files, has_prefix, no_link, no_softlink, |path| {
        let bytes = path.as_os_str().as_encoded_bytes();
        match ImagePath::parse(bytes).ok().and_then(|path| content.get(&path)).map(|found| &found.node) {
            Some(FoundNode::Directory) => Ok(PathType::Directory),
            Some(FoundNode::Symlink(_)) => Ok(PathType::SoftLink),
            Some(FoundNode::File { .. }) => Ok(PathType::HardLink),
            None => Err(PackageError::path(bytes, "is listed, and the archive does not have it")),
        }
    })
}

fn checked(listed: &'static str, paths: PathsJson) -> Result<Vec<PackagePath>, PackageError> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::with_capacity(paths.paths.len());
    for entry in paths.paths {
        let bytes = entry.relative_path.as_os_str().as_encoded_bytes();
        let refused = |reason: &str| PackageError::path(bytes, format!("{reason} (in `info/{listed}`)"));
        if entry.relative_path.is_absolute() {
            return Err(refused("is absolute"));
        }
        let path = ImagePath::parse(bytes).map_err(|error| refused(error.reason))?;
        if path.is_root() {
            return Err(refused("is the prefix itself"));
        }
        if path.components().any(|part| part.starts_with(b".wh.")) {
            return Err(refused("has a name that means a deletion in an image"));
        }
        if !seen.insert(path.clone()) {
            return Err(refused("is listed twice"));
        }
        let placeholder = entry.prefix_placeholder.filter(|placeholder| !placeholder.placeholder.is_empty());
        if placeholder.as_ref().is_some_and(|placeholder| placeholder.placeholder.len() > PLACEHOLDER_MAX || placeholder.placeholder.contains('\0')) {
            return Err(refused("has a placeholder of its prefix that is none"));
        }
        all.push(PackagePath {
            path,
            kind: match entry.path_type {
                PathType::HardLink => PathKind::File,
                PathType::SoftLink => PathKind::Symlink,
                PathType::Directory => PathKind::Directory,
            },
            placeholder: placeholder
                .map(|placeholder| Placeholder { text: placeholder.placeholder, binary: placeholder.file_mode == FileMode::Binary }),
            no_link: entry.no_link,
            sha256: entry.sha256.map(|sha256| Digest::from_bytes(sha256.into())),
            size: entry.size_in_bytes,
        });
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}
