//! The content-addressed cache: foreign inputs and finished layers by digest, and small records by key. All of it can be deleted at any time.
//!
//! A blob is visible under its digest only when it is whole and its bytes were hashed, so that readers need not hash again. Writers
//! work in temporary files of the same directory; two builds may write the same blob at once, the last rename wins with equal bytes.

mod blob;
mod partial;
mod record;

pub use blob::{BlobWriter, CommitError};

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Fault, FileError, Kind};
use crate::inputs::Inputs;

/// The cache, rooted in one directory of this machine.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// An input is not in the store though it was fetched before: something deleted it meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the input {digest} is not in the cache {}", root.display())]
pub struct Missing {
    digest: Digest,
    root: PathBuf,
}

impl Fault for Missing {
    fn kind(&self) -> Kind {
        Kind::World
    }

    fn help(&self) -> Option<String> {
        Some("run the command again: it fetches what is missing".to_owned())
    }
}

impl Store {
    /// Opens the cache in `root`, which is made if it is not there.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, FileError> {
        let root = root.into();
        for directory in ["blobs/sha256", "records", "tmp", partial::DIRECTORY] {
            let path = root.join(directory);
            fs::create_dir_all(&path).map_err(FileError::at("create", &path))?;
        }
        let store = Store { root };
        store.sweep();
        Ok(store)
    }

    /// The directory of the cache.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob lies, if it is here.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.blob_path(digest);
        path.is_file().then_some(path)
    }

    /// Opens the blob, if it is here.
    ///
    /// # Errors
    /// When it is here but cannot be read.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>, FileError> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::at("read", path)(error)),
        }
    }

    /// A new file in the cache that becomes visible when it is committed, and vanishes when it is dropped before.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn writer(&self) -> Result<BlobWriter, FileError> {
        BlobWriter::create(self)
    }

    /// As [`Store::writer`], for a blob whose digest is known: it goes on where a writer of before was dropped, and stays where it is dropped itself.
    ///
    /// # Errors
    /// When the file cannot be made or read.
    pub fn resume(&self, digest: &Digest) -> Result<BlobWriter, FileError> {
        BlobWriter::resume(self, digest)
    }

    /// An unnamed file in the cache's directory, for spooling: gone when it is closed.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn spool(&self) -> Result<File, FileError> {
        let directory = self.temporary();
        tempfile::tempfile_in(&directory).map_err(FileError::at("create a file in", directory))
    }

    /// A file in the cache's directory with a name, for what is read by name: gone when it is dropped.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn named_spool(&self) -> Result<tempfile::NamedTempFile, FileError> {
        let directory = self.temporary();
        tempfile::NamedTempFile::new_in(&directory).map_err(FileError::at("create a file in", directory))
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Deletes temporary files and interrupted downloads that nothing was written to for more than a day.
    fn sweep(&self) {
        let day = std::time::Duration::from_secs(24 * 3600);
        let directories = [self.temporary(), self.root.join(partial::DIRECTORY)];
        for entry in directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten() {
            let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > day) {
                // Another process may sweep at the same time: whoever comes second finds nothing, which is what both want.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Inputs for Store {
    fn open(&self, digest: &Digest) -> Result<File, Error> {
        self.open_blob(digest)?.ok_or_else(|| Missing { digest: *digest, root: self.root.clone() }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("cache")).unwrap();
        (directory, store)
    }

    fn files(store: &Store) -> usize {
        ["blobs/sha256", "tmp", "records", "partial"].iter().map(|name| fs::read_dir(store.root().join(name)).unwrap().count()).sum()
    }

    #[test]
    fn a_blob_is_visible_when_it_is_whole() {
        let (_directory, store) = store();
        let mut writer = store.writer().unwrap();
        writer.write_all(b"hello").unwrap();
        assert_eq!(store.blob(&Digest::of("hello")), None);
        assert_eq!(writer.commit().unwrap(), (Digest::of("hello"), 5));
        assert_eq!(fs::read(store.blob(&Digest::of("hello")).unwrap()).unwrap(), b"hello");
    }

    #[test]
    fn what_is_not_committed_or_not_as_promised_leaves_nothing() {
        let (_directory, store) = store();
        let mut writer = store.writer().unwrap();
        writer.write_all(b"half").unwrap();
        drop(writer);
        let mut writer = store.writer().unwrap();
        writer.write_all(b"wrong").unwrap();
        assert!(writer.commit_as(&Digest::of("right")).is_err());
        assert_eq!(files(&store), 0);
    }

    #[test]
    fn records_come_back_and_garbage_counts_as_absent() {
        let (_directory, store) = store();
        let key = Digest::of("key");
        assert_eq!(store.record::<Vec<u32>>("test", &key), None);
        store.put_record("test", &key, &vec![1, 2]).unwrap();
        assert_eq!(store.record::<Vec<u32>>("test", &key), Some(vec![1, 2]));
        fs::write(store.root().join("records").join(format!("test-{}.json", key.hex())), "{").unwrap();
        assert_eq!(store.record::<Vec<u32>>("test", &key), None);
    }
}
