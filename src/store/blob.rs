//! Writing a blob: a temporary file, hashed on the way, renamed to its digest.

use std::fs::{self, File};
use std::io::{self, Seek, Write};

use tempfile::NamedTempFile;

use super::Store;
use super::partial::Partial;
use crate::digest::{Digest, Digester};
use crate::error::{Fault, FileError, Kind};

/// A blob that is being written.
pub struct BlobWriter {
    place: Place,
    digester: Digester,
    store: Store,
}

enum Place {
    /// Vanishes with the writer.
    Temporary(NamedTempFile),
    /// Stays until it is whole.
    Partial(Partial),
}

/// Why a blob did not get into the cache.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The bytes are not those that were promised.
    #[error("the bytes have the digest {found}, not {expected}")]
    Mismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The disk failed.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Fault for CommitError {
    fn kind(&self) -> Kind {
        Kind::World
    }
}

impl BlobWriter {
    pub(super) fn create(store: &Store) -> Result<Self, FileError> {
        let directory = store.temporary();
        let file = NamedTempFile::new_in(&directory).map_err(FileError::at("create a file in", directory))?;
        Ok(BlobWriter { place: Place::Temporary(file), digester: Digester::new(), store: store.clone() })
    }

    pub(super) fn resume(store: &Store, digest: &Digest) -> Result<Self, FileError> {
        match Partial::open(store, digest)? {
            Some(partial) => Ok(BlobWriter { digester: partial.digester.clone(), place: Place::Partial(partial), store: store.clone() }),
            None => Self::create(store),
        }
    }

    /// What has seen all that was written so far.
    pub fn seen(&self) -> Digester {
        self.digester.clone()
    }

    /// Begins anew, as if nothing had been written.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn clear(&mut self) -> Result<(), FileError> {
        self.digester = Digester::new();
        let file = self.place.file();
        file.set_len(0).and_then(|()| file.rewind()).map_err(FileError::at("empty", "a file of the cache"))
    }

    /// Leaves nothing behind.
    pub fn discard(self) {
        if let Place::Partial(partial) = self.place {
            // What stays all the same is found wrong by whoever goes on with it.
            let _ = fs::remove_file(partial.path);
        }
    }

    /// How many bytes were written so far.
    pub fn size(&self) -> u64 {
        self.digester.size()
    }

    /// Makes the blob visible under the digest of what was written, and gives that and the size.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn commit(self) -> Result<(Digest, u64), FileError> {
        let size = self.digester.size();
        let digest = self.digester.finish();
        let path = self.store.blob_path(&digest);
        match self.place {
            Place::Temporary(file) => drop(file.persist(&path).map_err(|error| FileError::at("write", path)(error.error))?),
            Place::Partial(partial) => fs::rename(&partial.path, &path).map_err(FileError::at("write", path))?,
        }
        Ok((digest, size))
    }

    /// Like [`BlobWriter::commit`], but only if the digest is `expected`.
    ///
    /// # Errors
    /// [`CommitError::Mismatch`]; then nothing stays.
    pub fn commit_as(self, expected: &Digest) -> Result<u64, CommitError> {
        let found = self.digester.clone().finish();
        if found != *expected {
            self.discard();
            return Err(CommitError::Mismatch { expected: *expected, found });
        }
        Ok(self.commit()?.1)
    }
}

impl Place {
    fn file(&mut self) -> &mut File {
        match self {
            Place::Temporary(file) => file.as_file_mut(),
            Place::Partial(partial) => &mut partial.file,
        }
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.place.file().write(bytes)?;
        self.digester.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.place.file().flush()
    }
}
