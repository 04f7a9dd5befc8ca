//! Extensions beside the description: read at every build, since git has them and the lock has not.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::manifest::Manifest;
use super::vsix::Vsix;
use crate::digest::Digest;
use crate::error::{Error, Fault, FileError, Kind};
use crate::inputs::Inputs;
use crate::store::Store;

/// A local VSIX, put into the store.
pub struct Local {
    /// Its facts.
    pub manifest: Manifest,
    /// Its digest.
    pub sha256: Digest,
    /// The time of its newest member.
    pub timestamp: jiff::Timestamp,
}

/// A local VSIX lies outside of the description's directory.
#[derive(Debug, thiserror::Error)]
#[error("{} leaves the description's directory", .0.display())]
struct Leaves(std::path::PathBuf);

impl Fault for Leaves {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("copy it beside the description: an image is a function of that directory and the lock".to_owned())
    }
}

/// Opens a VSIX of the description's directory. Its bytes go into the store, so that they cannot change while they are laid.
///
/// # Errors
/// A file that is not there, that leaves the directory, or that is no VSIX.
pub fn open(directory: &Path, path: &Path, store: &Store) -> Result<Local, Error> {
    let place = directory.join(path);
    let top = directory.canonicalize().map_err(FileError::at("read", directory))?;
    let real = place.canonicalize().map_err(FileError::at("read", &place))?;
    if !real.starts_with(&top) {
        return Err(Leaves(place).into());
    }
    let mut writer = store.writer()?;
    let mut file = File::open(&real).map_err(FileError::at("read", &place))?;
    io::copy(&mut file, &mut writer).and_then(|_| writer.flush()).map_err(FileError::at("read", &place))?;
    let (sha256, _) = writer.commit()?;
    let vsix = Vsix::open(&Arc::new(store.open(&sha256)?))?;
    Ok(Local { manifest: vsix.manifest, sha256, timestamp: vsix.timestamp })
}
