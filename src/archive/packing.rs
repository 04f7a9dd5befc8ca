//! What an archive is, by its first bytes; and a plain tar of a packed one, in an unnamed temporary file, within limits.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use serde::{Deserialize, Serialize};

use super::{ArchiveError, Limits};
use crate::layer::FileRange;

/// Bytes that are read and written at once.
const BUFFER: usize = 256 << 10;
/// Memory for unpacking xz, in KiB: enough for `xz -9`, whose dictionary is 64 MiB.
const XZ_MEMORY: u32 = 160 << 10;
/// Largest window of zstd as a power of two: 128 MiB, what the zstd program takes without being asked.
const ZSTD_WINDOW: u32 = 27;

/// What an archive is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// A zip archive.
    Zip,
    /// A tar archive.
    Plain,
    /// A tar archive, packed with gzip.
    Gzip,
    /// A tar archive, packed with xz.
    Xz,
    /// A tar archive, packed with zstd.
    Zstd,
    /// A tar archive, packed with bzip2: old conda packages, by their name. [`Packing::of_head`] never says so.
    Bzip2,
}

impl Packing {
    /// First bytes that [`Packing::of_head`] wants to see.
    pub const HEAD: u64 = 6;

    /// The packing of the archive in `file`.
    pub(super) fn of(file: &Arc<File>) -> Result<Self, ArchiveError> {
        let mut head = Vec::new();
        FileRange { file: file.clone(), offset: 0, size: 512 }.read_to_end(&mut head)?;
        Ok(match Packing::of_head(&head) {
            Packing::Plain if !is_tar(&head) => {
                return Err(ArchiveError::whole("it is neither a tar archive (plain, or packed with gzip, xz or zstd) nor a zip archive"));
            }
            packing => packing,
        })
    }

    /// What an archive is that begins with these bytes; plain where they say nothing else.
    pub fn of_head(head: &[u8]) -> Self {
        match head {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Packing::Zip,
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }

    /// The unpacked bytes of `source`: of a zip archive it is the archive itself. Memory is bounded, how much comes is not.
    ///
    /// # Errors
    /// When the decoder cannot be made.
    pub fn unpacked<'a>(self, source: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Packing::Plain | Packing::Zip => Box::new(source),
            Packing::Gzip => Box::new(MultiGzDecoder::new(source)),
            Packing::Xz => Box::new(XzReader::new_mem_limit(source, true, XZ_MEMORY)),
            Packing::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
            Packing::Bzip2 => Box::new(MultiBzDecoder::new(source)),
        })
    }
}

/// Old tar archives have no magic, so the header's checksum decides; an archive without members is zeros alone.
pub(super) fn is_tar(header: &[u8]) -> bool {
    let zeros = header.iter().all(|byte| *byte == 0);
    header.len() == 512 && (zeros || ::tar::Header::from_byte_slice(header).cksum().is_ok_and(|sum| sum == checksum(header)))
}

/// The sum of a header's bytes, with spaces in the place of the checksum (POSIX ustar, `chksum`).
fn checksum(header: &[u8]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { u32::from(b' ') } else { u32::from(*byte) };
    header.iter().enumerate().map(byte).sum()
}

/// A plain tar inside a file.
pub(super) struct PlainTar {
    pub(super) file: Arc<File>,
    /// Its first byte.
    pub(super) start: u64,
    /// The byte after its last.
    pub(super) end: u64,
}

impl PlainTar {
    /// Whether the tar has all bytes of this range, counted from the file's start.
    pub(super) fn holds(&self, offset: u64, size: u64) -> bool {
        offset.checked_add(size).is_some_and(|end| end <= self.end)
    }

    /// What comes of a packed tar of `packed` bytes, at the end of `spool`.
    pub(super) fn spooled(source: impl BufRead, packed: u64, packing: Packing, spool: &Arc<File>, limits: &Limits) -> Result<Self, ArchiveError> {
        let start = spool.metadata()?.len();
        let end = start + unpack(packing.unpacked(source)?, spool, start, packed, limits)?;
        Ok(PlainTar { file: spool.clone(), start, end })
    }
}

/// The plain tar: the file itself, or what comes of it in an unnamed temporary file.
pub(super) fn plain_tar(file: &Arc<File>, packing: Packing, limits: &Limits) -> Result<PlainTar, ArchiveError> {
    let packed = file.metadata()?.len();
    if matches!(packing, Packing::Plain | Packing::Zip) {
        return Ok(PlainTar { file: file.clone(), start: 0, end: packed });
    }
    let source = BufReader::with_capacity(BUFFER, FileRange { file: file.clone(), offset: 0, size: packed });
    PlainTar::spooled(source, packed, packing, &Arc::new(tempfile::tempfile()?), limits)
}

/// Writes what the reader gives at `start`, and says how much that was.
fn unpack(mut reader: impl Read, spool: &File, start: u64, packed: u64, limits: &Limits) -> Result<u64, ArchiveError> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        // Whatever a decoder says against the bytes is said against the archive; the file itself is a local one.
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ArchiveError::whole(format!("it is damaged: {error}"))),
        };
        limits.judge_size(packed, total + count as u64)?;
        spool.write_all_at(&buffer[..count], start + total)?;
        total += count as u64;
    }
}
