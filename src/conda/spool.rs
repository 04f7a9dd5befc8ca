//! The one temporary file into which the packages of a layer are unpacked, alive while something reads from it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::layer::{Content, FileRange};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// An unnamed temporary file that the packages of one layer share. It goes away with the last content that lies in it.
#[derive(Debug, Default)]
pub struct LayerSpool(Mutex<Weak<File>>);

impl LayerSpool {
    /// A spool without a file yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The file, to be written to at its end by nobody else meanwhile.
    pub(super) fn open(&self) -> io::Result<Spool<'_>> {
        // A panic elsewhere leaves a file with bytes at its end that nothing names.
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match shared.upgrade() {
            Some(file) => file,
            None => {
                let file = Arc::new(tempfile::tempfile()?);
                *shared = Arc::downgrade(&file);
                file
            }
        };
        Ok(Spool { file, _alone: shared })
    }
}

/// The open spool.
pub(super) struct Spool<'a> {
    file: Arc<File>,
    _alone: MutexGuard<'a, Weak<File>>,
}

impl Spool<'_> {
    /// The file, at whose end archives are unpacked.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// What `write` writes, as a content at the spool's end.
    pub(super) fn append(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Content> {
        let offset = self.file.metadata()?.len();
        let mut out = BufWriter::with_capacity(BUFFER, AtEnd { file: &self.file, end: offset });
        write(&mut out)?;
        let end = out.into_inner().map_err(io::IntoInnerError::into_error)?.end;
        let size = end - offset;
        Ok(Content::new(size, FileRange { file: self.file.clone(), offset, size }))
    }
}

struct AtEnd<'a> {
    file: &'a File,
    end: u64,
}

impl Write for AtEnd<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(bytes, self.end)?;
        self.end += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_serves_a_layer_and_goes_away_with_it() {
        let shared = LayerSpool::new();
        let first = shared.open().unwrap().append(|out| out.write_all(b"first")).unwrap();
        let spool = shared.open().unwrap();
        let second = spool.append(|out| out.write_all(b"second")).unwrap();
        assert_eq!(spool.file().metadata().unwrap().len(), 11);
        drop(spool);
        assert_eq!(io::read_to_string(first.open().unwrap()).unwrap(), "first");
        assert_eq!(io::read_to_string(second.open().unwrap()).unwrap(), "second");
        drop((first, second));
        assert_eq!(shared.open().unwrap().file().metadata().unwrap().len(), 0);
    }
}
