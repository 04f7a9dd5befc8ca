//! Downloads that were interrupted: what came of a blob stays in the cache under the digest that it is to have, so that another process goes on
//! there. One process at a time: whoever finds the file locked makes one of its own.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

use super::Store;
use crate::digest::{Digest, Digester};
use crate::error::FileError;

/// Where they lie in the cache.
pub(super) const DIRECTORY: &str = "partial";

/// The beginning of a blob; what is written follows it.
pub(super) struct Partial {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// What has seen all of it.
    pub(super) digester: Digester,
}

impl Partial {
    /// What there is of a blob, be it nothing; none where another process is at it.
    pub(super) fn open(store: &Store, digest: &Digest) -> Result<Option<Self>, FileError> {
        let path = store.root.join(DIRECTORY).join(digest.hex());
        let open = || -> io::Result<Option<Self>> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Ok(None);
            }
            // The process that had it may just have finished: then this file is a blob by now, or gone.
            let is_there =
                fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|own| (own.ino(), own.dev()) == (there.ino(), there.dev())));
            if !is_there {
                return Ok(None);
            }
            let mut digester = Digester::new();
            io::copy(&mut file, &mut digester)?;
            Ok(Some(Partial { file, path: path.clone(), digester }))
        };
        open().map_err(FileError::at("open", &path))
    }
}
