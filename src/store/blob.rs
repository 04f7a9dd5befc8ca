//! Writing a blob: a temporary file, hashed on the way, renamed to its digest.

use std::io::{self, Write};

use tempfile::NamedTempFile;

use super::Store;
use crate::digest::{Digest, Digester};
use crate::error::{Fault, FileError, Kind};

/// A blob that is being written.
pub struct BlobWriter {
    file: NamedTempFile,
    digester: Digester,
    store: Store,
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
        Ok(BlobWriter { file, digester: Digester::new(), store: store.clone() })
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
        self.file.persist(&path).map_err(|error| FileError::at("write", path)(error.error))?;
        Ok((digest, size))
    }

    /// Like [`BlobWriter::commit`], but only if the digest is `expected`.
    ///
    /// # Errors
    /// [`CommitError::Mismatch`]; then nothing stays.
    pub fn commit_as(self, expected: &Digest) -> Result<u64, CommitError> {
        let found = self.digester.clone().finish();
        if found != *expected {
            return Err(CommitError::Mismatch { expected: *expected, found });
        }
        Ok(self.commit()?.1)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digester.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
