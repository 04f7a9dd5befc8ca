//! Extensions beside the description: read at every build, since git has them and the lock has not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::manifest::Manifest;
use super::vsix::{SIZE_MAX, Vsix};
use crate::digest::Digest;
use crate::error::{Error, Fault, FileError, Kind};
use crate::inputs::Inputs;
use crate::store::Store;
use crate::world::go_on;

/// Bytes that are copied between two looks at whether the work is to end.
const PIECE: u64 = 1 << 20;

/// A local VSIX, put into the store.
pub struct Local {
    /// Its facts.
    pub manifest: Manifest,
    /// Its digest.
    pub sha256: Digest,
    /// The time of its newest member.
    pub timestamp: jiff::Timestamp,
}

/// A local VSIX cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It is not there.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// It lies outside of the description's directory.
    #[error("{} leaves the description's directory", .0.display())]
    Leaves(PathBuf),
    /// It is a directory or the like.
    #[error("{} is no file", .0.display())]
    NoFile(PathBuf),
    /// It is too large.
    #[error("{} is larger than {} MiB", .0.display(), SIZE_MAX >> 20)]
    TooLarge(PathBuf),
}

impl Fault for LocalError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        match self {
            LocalError::Leaves(_) => Some("copy it beside the description: an image is a function of that directory and the lock".to_owned()),
            LocalError::Missing(_) => Some("`path` is relative to the description's own directory".to_owned()),
            LocalError::NoFile(_) | LocalError::TooLarge(_) => None,
        }
    }
}

/// Opens a VSIX of the description's directory. Its bytes go into the store, so that they cannot change while they are laid.
///
/// # Errors
/// A file that is not there, that leaves the directory, or that is no VSIX.
pub fn open(directory: &Path, path: &Path, store: &Store, cancelled: &AtomicBool) -> Result<Local, Error> {
    let place = directory.join(path);
    let top = directory.canonicalize().map_err(FileError::at("read", directory))?;
    let real = place.canonicalize().map_err(|error| missing(&place, error))?;
    if !real.starts_with(&top) {
        return Err(LocalError::Leaves(place).into());
    }
    // Asked before it is opened: opening a named pipe would wait for somebody to write.
    if !real.metadata().map_err(FileError::at("read", &place))?.is_file() {
        return Err(LocalError::NoFile(place).into());
    }
    let mut writer = store.writer()?;
    let mut file = File::open(&real).map_err(FileError::at("read", &place))?.take(SIZE_MAX + 1);
    let size = copy(&mut file, &mut writer, cancelled).map_err(FileError::at("read", &place))?;
    if size > SIZE_MAX {
        return Err(LocalError::TooLarge(place).into());
    }
    let (sha256, _) = writer.commit()?;
    let vsix = Vsix::open(&Arc::new(store.open(&sha256)?))?;
    Ok(Local { manifest: vsix.manifest, sha256, timestamp: vsix.timestamp })
}

/// Copies all, and says how many bytes that were.
fn copy(from: &mut impl Read, to: &mut impl Write, cancelled: &AtomicBool) -> io::Result<u64> {
    let mut size = 0;
    loop {
        go_on(cancelled)?;
        match io::copy(&mut from.by_ref().take(PIECE), to)? {
            0 => return to.flush().map(|()| size),
            count => size += count,
        }
    }
}

fn missing(place: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LocalError::Missing(place.to_owned()).into(),
        _ => FileError::at("read", place)(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::vsix::tests::{MANIFEST, vsix};
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_local_extension_lies_in_the_directory_and_is_a_file() {
        let top = tempfile::tempdir().unwrap();
        let store = Store::open(top.path().join("cache")).unwrap();
        let directory = top.path().join("project");
        fs::create_dir_all(directory.join("sub")).unwrap();
        fs::write(directory.join("good.vsix"), vsix(MANIFEST, &[])).unwrap();
        fs::write(directory.join("bad.vsix"), "<html>").unwrap();
        fs::write(top.path().join("outside.vsix"), vsix(MANIFEST, &[])).unwrap();
        symlink("../outside.vsix", directory.join("link.vsix")).unwrap();
        symlink("good.vsix", directory.join("inside.vsix")).unwrap();
        let open = |name: &str| {
            open(&directory, Path::new(name), &store, &AtomicBool::new(false)).map(|local| local.manifest.id).map_err(|error| error.to_string())
        };
        assert_eq!(open("good.vsix").unwrap(), "acme.hello");
        assert_eq!(open("inside.vsix").unwrap(), "acme.hello");
        for (name, expected) in [
            ("none.vsix", "there is no file"),
            ("sub", "is no file"),
            ("link.vsix", "leaves the description's directory"),
            ("bad.vsix", "it is no zip archive"),
        ] {
            let message = open(name).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }
}
