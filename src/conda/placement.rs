//! Where the paths of a package come to lie, and, in a whole environment, who lays what.
//!
//! Paths of a `noarch: python` package are mapped for the environment's Python (`site-packages/…`, `python-scripts/…`), and its entry points are
//! paths too. Where several packages have one path, the one that comes last in topological order lays it, as with rattler and conda; the others
//! leave it out ("clobbered"). A file against a directory is an error: whoever came first, one of the two would be broken.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rattler::install::PythonInfo;
use rattler_conda_types::package::EntryPoint;
use rattler_conda_types::{Subdir, Version};

use super::info::{PackageInfo, PackagePath, PathKind};
use super::package_error::PackageError;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::lock::{Noarch, Python};

/// A block of a tar: a header, or what contents are filled up to.
const BLOCK: u64 = 512;
/// What an entry point's file is taken for: a few lines that depend on names and prefix.
const ENTRY_POINT_SIZE: u64 = BLOCK;

/// Where the paths of one package come to lie: by final path, relative to the prefix.
pub type Placement<'a> = BTreeMap<ImagePath, Placed<'a>>;

/// What comes to lie at a final path.
#[derive(Debug, Clone, Copy)]
pub enum Placed<'a> {
    /// A path of the package.
    Path(&'a PackagePath),
    /// The command of an entry point.
    EntryPoint(&'a EntryPoint),
}

impl Placed<'_> {
    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, Placed::Path(path) if path.kind == PathKind::Directory)
    }

    /// Bytes of tar that it comes to, by what the package says of itself: before a prefix is replaced.
    fn tar_size(&self) -> u64 {
        let content = match self {
            Placed::Path(path) if path.kind == PathKind::File => path.size.unwrap_or_default(),
            Placed::Path(_) => 0,
            Placed::EntryPoint(_) => ENTRY_POINT_SIZE,
        };
        BLOCK.saturating_add(content.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX))
    }
}

/// Where the paths of a package come to lie in an environment with this Python.
///
/// # Errors
/// A `noarch: python` package without a Python; paths that leave the prefix; two paths that come to lie at one.
pub fn placement<'a>(info: &'a PackageInfo, python: Option<&Python>) -> Result<Placement<'a>, PackageError> {
    let python = match info.noarch() {
        Noarch::No => None,
        Noarch::Python => Some(python_info(python.ok_or(PackageError::NoPython)?)?),
    };
    let mut placed = Placement::new();
    for path in &info.paths {
        let target = match &python {
            Some(python) => mapped(&path.path, python)?,
            None => path.path.clone(),
        };
        if placed.insert(target.clone(), Placed::Path(path)).is_some() {
            return Err(PackageError::path(target.as_bytes(), "is laid twice: by its place, and as a part of `site-packages` or `python-scripts`"));
        }
    }
    for point in python.iter().flat_map(|_| &info.entry_points) {
        let path = ImagePath::parse(format!("bin/{}", point.command)).map_err(|error| PackageError::path(&point.command, error.reason))?;
        if placed.get(&path).is_some_and(Placed::is_directory) {
            return Err(PackageError::path(path.as_bytes(), "is a directory and an entry point"));
        }
        // The command is made after the files are laid, so it wins over a script of the same name.
        placed.insert(path, Placed::EntryPoint(point));
    }
    let files = placed.iter().map(|(path, placed)| (path, placed.is_directory()));
    if let Some((file, below)) = through(files) {
        return Err(PackageError::path(below.as_bytes(), format!("lies below `{file}`, which is no directory")));
    }
    Ok(placed)
}

/// What rattler calls the environment's Python.
pub(super) fn python_info(python: &Python) -> Result<PythonInfo, PackageError> {
    let invalid = || PackageError::PythonVersion(python.version.clone());
    let version: Version = python.version.parse().map_err(|_| invalid())?;
    PythonInfo::from_version(&version, Some(&python.site_packages), Subdir::Linux64).map_err(|_| invalid())
}

fn mapped(path: &ImagePath, python: &PythonInfo) -> Result<ImagePath, PackageError> {
    let target = python.get_python_noarch_target_path(Path::new(OsStr::from_bytes(path.as_bytes())));
    ImagePath::parse(target.as_os_str().as_bytes()).map_err(|error| PackageError::path(path.as_bytes(), error.reason))
}

/// The first file or link with something below it, and what that is. `paths` are sorted; true are directories.
fn through<'a>(paths: impl Iterator<Item = (&'a ImagePath, bool)>) -> Option<(&'a ImagePath, &'a ImagePath)> {
    let mut file: Option<&ImagePath> = None;
    for (path, is_directory) in paths {
        if let Some(file) = file.filter(|file| path.starts_with(file)) {
            return Some((file, path));
        }
        file = (!is_directory).then_some(path);
    }
    None
}

/// The paths that a package has, laid or clobbered: relative to the prefix, true where it is a directory.
pub type Claims = BTreeMap<ImagePath, bool>;

/// The paths of a placement.
pub fn claims(placement: &Placement<'_>) -> Claims {
    placement.iter().map(|(path, placed)| (path.clone(), placed.is_directory())).collect()
}

/// Who lays what in a whole environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// By package, the final paths that it does not lay, as the lock has them, sorted; packages that lay all they have are not in it.
    pub clobbered: BTreeMap<String, Vec<String>>,
    /// By package, bytes of tar that what it lays comes to.
    pub laid_sizes: BTreeMap<String, u64>,
}

/// Who lays what when these packages, each with its name, are laid in topological order (what others depend on comes first).
///
/// # Errors
/// Those of [`placement`]; a file against a directory, with both packages' names.
pub fn owners(packages: &[(&str, &PackageInfo)], python: Option<&Python>) -> Result<Owned, Error> {
    let mut placements = Vec::with_capacity(packages.len());
    for (name, info) in packages {
        let placement = placement(info, python).map_err(|error| Error::from(error).while_doing(format!("cannot lay the conda package {name}")))?;
        placements.push((*name, placement));
    }
    let claimed: Vec<(&str, Claims)> = placements.iter().map(|(name, placement)| (*name, claims(placement))).collect();
    let clobbered = clobbered(&claimed)?;
    let laid_sizes =
        placements.iter().map(|(name, placement)| ((*name).to_owned(), laid_size(placement, clobbered.get(*name).map(Vec::as_slice)))).collect();
    Ok(Owned { clobbered, laid_sizes })
}

/// Bytes of tar that a placement comes to without its clobbered paths.
pub fn laid_size(placement: &Placement<'_>, clobbered: Option<&[String]>) -> u64 {
    let left_out: BTreeSet<&str> = clobbered.into_iter().flatten().map(String::as_str).collect();
    placement
        .iter()
        .filter(|(path, _)| left_out.is_empty() || !left_out.contains(path.to_string().as_str()))
        .fold(0, |sum, (_, placed)| sum.saturating_add(placed.tar_size()))
}

/// By package, the paths that a later one lays, sorted. The packages are in topological order.
///
/// # Errors
/// A file against a directory.
pub fn clobbered(packages: &[(&str, Claims)]) -> Result<BTreeMap<String, Vec<String>>, PackageError> {
    let mut laid: BTreeMap<&ImagePath, (&str, bool)> = BTreeMap::new();
    let mut clobbered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (package, claims) in packages {
        for (path, is_directory) in claims {
            let Some((other, other_is_directory)) = laid.insert(path, (package, *is_directory)) else { continue };
            if other_is_directory != *is_directory {
                return Err(PackageError::DirectoryOrFile { first: other.to_owned(), second: (*package).to_owned(), path: path.to_string() });
            }
            if !is_directory {
                clobbered.entry(other.to_owned()).or_default().push(path.to_string());
            }
        }
    }
    if let Some((file, below)) = through(laid.iter().map(|(path, (_, is_directory))| (*path, *is_directory))) {
        let (first, second) = (laid[file].0.to_owned(), laid[below].0.to_owned());
        return Err(PackageError::Through { first, path: file.to_string(), second, below: below.to_string() });
    }
    clobbered.values_mut().for_each(|paths| paths.sort());
    Ok(clobbered)
}
