//! Foreign archives: which members they hold, held against limits, and their contents by offset. Knows nothing of what an archive is for.

mod error;
mod extensions;
mod packing;
mod tar;
mod unpack;
mod zip;

pub use error::ArchiveError;
pub use extensions::{Extensions, MAX_EXTENSION};
pub use packing::Packing;
pub use tar::spool_tar;
pub use unpack::unpack;
pub use zip::{ZipMember, read_zip};

use std::io::{self, Read};

use crate::image_path::ImagePath;
use crate::layer::Entry;

/// A member of an archive of any kind: its path below the archive's root, and what it is.
pub type Member = (ImagePath, Entry);

/// Names that begin so are deletions in a layer's tar (OCI image specification, "Whiteouts").
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// The path of a member with this name.
fn path(name: &[u8]) -> Result<ImagePath, ArchiveError> {
    if name.starts_with(b"/") {
        return Err(ArchiveError::member(name, "has an absolute name"));
    }
    let path = ImagePath::parse(name).map_err(|error| ArchiveError::member(name, error.reason))?;
    if path.components().any(|part| part.starts_with(WHITEOUT_PREFIX)) {
        return Err(ArchiveError::member(name, "has a name that means a deletion in an image"));
    }
    Ok(path)
}

/// What an archive may come to. Everything is checked before a byte of content is read, as far as the archive says it; the rest while it is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Members, directories included.
    pub members: u64,
    /// Bytes of all members together, unpacked.
    pub total: u64,
    /// How many times larger all members together may be than the archive; what is below [`Limits::SMALL`] is not held against it.
    pub ratio: u64,
}

impl Limits {
    /// Unpacked size at which no ratio is suspicious.
    pub const SMALL: u64 = 16 << 20;

    /// What is wrong with an archive of `packed` bytes that unpacks to `total`, if anything.
    fn judge_size(&self, packed: u64, total: u64) -> Result<(), ArchiveError> {
        if total > self.total {
            return Err(ArchiveError::whole(format!("it unpacks to more than {} MiB", self.total >> 20)));
        }
        if total > Self::SMALL && total / self.ratio > packed {
            return Err(ArchiveError::whole(format!(
                "it unpacks to more than {} times its size, as an archive does that is made to do harm",
                self.ratio
            )));
        }
        Ok(())
    }

    fn judge_count(&self, members: u64) -> Result<(), ArchiveError> {
        if members > self.members {
            return Err(ArchiveError::whole(format!("it has more than {} members", self.members)));
        }
        Ok(())
    }
}

/// Reads a member that is needed in memory.
///
/// # Errors
/// When it is larger than `limit` or cannot be read.
fn read_small(mut reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}
