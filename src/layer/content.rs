//! Where the bytes of a file in a layer come from. Nothing is read before the tar is written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::LayerError;
use crate::image_path::ImagePath;

/// Opens the bytes of one file, as often as asked, always the same.
pub trait OpenContent: Send + Sync {
    /// A reader over all bytes of the file.
    ///
    /// # Errors
    /// When the source cannot be read or is not what it was.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// The bytes of one file: a size, and a way to open them. Cheap to clone.
#[derive(Clone)]
pub struct Content {
    size: u64,
    source: Arc<dyn OpenContent>,
}

impl Content {
    /// `size` bytes from `source`. The writer of the tar fails when it gives more or fewer.
    pub fn new(size: u64, source: impl OpenContent + 'static) -> Self {
        Content { size, source: Arc::new(source) }
    }

    /// Bytes held in memory: small texts only.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Content { size: bytes.len() as u64, source: Arc::new(Inline(bytes)) }
    }

    /// A file of this machine, which has `size` bytes.
    pub fn file(path: impl Into<PathBuf>, size: u64) -> Self {
        Content { size, source: Arc::new(OnDisk(path.into())) }
    }

    /// How many bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A reader over the bytes.
    ///
    /// # Errors
    /// As [`OpenContent::open`].
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self.source.open()
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.size)
    }
}

struct Inline(Arc<[u8]>);

impl OpenContent for Inline {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.0.clone())))
    }
}

struct OnDisk(PathBuf);

impl OpenContent for OnDisk {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let name = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.0.display()));
        Ok(Box::new(File::open(&self.0).map_err(name)?))
    }
}

/// A range of an open file, read without moving the file's position: a member of a spooled archive.
#[derive(Clone)]
pub struct FileRange {
    /// The open file.
    pub file: Arc<File>,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub size: u64,
}

impl Read for FileRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.size).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        self.size -= count as u64;
        Ok(count)
    }
}

impl OpenContent for FileRange {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.clone()))
    }
}

/// Copies the content of the file at `path`, exactly its size, to `out`.
pub(super) fn copy_exactly(path: &ImagePath, content: &Content, piece: &mut [u8], out: &mut dyn Write) -> Result<(), LayerError> {
    let failed = |cause| LayerError::Read { path: path.clone(), cause };
    let wrong = |more| LayerError::Size { path: path.clone(), size: content.size(), more };
    let mut reader = content.open().map_err(failed)?;
    let mut left = content.size();
    loop {
        let count = match reader.read(piece) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        if count == 0 {
            break;
        }
        left = left.checked_sub(count as u64).ok_or_else(|| wrong(true))?;
        out.write_all(&piece[..count]).map_err(LayerError::Write)?;
    }
    if left > 0 { Err(wrong(false)) } else { Ok(()) }
}
