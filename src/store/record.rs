//! Small facts worth remembering, as JSON by kind and key: what a layer key came to, what a base holds.

use std::fs;
use std::io::Write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Store;
use crate::digest::Digest;
use crate::error::FileError;

impl Store {
    /// The record of this kind and key. One that cannot be read (an older form, a broken disk) counts as absent: it is made anew.
    pub fn record<T: DeserializeOwned>(&self, kind: &str, key: &Digest) -> Option<T> {
        serde_json::from_slice(&fs::read(self.record_path(kind, key)).ok()?).ok()
    }

    /// Remembers `value`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn put_record(&self, kind: &str, key: &Digest, value: &impl Serialize) -> Result<(), FileError> {
        let path = self.record_path(kind, key);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(self.temporary())?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(FileError::at("write", &path))
    }

    fn record_path(&self, kind: &str, key: &Digest) -> std::path::PathBuf {
        self.root().join("records").join(format!("{kind}-{}.json", key.hex()))
    }
}
