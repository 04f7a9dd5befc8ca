//! Why an archive is refused.

use std::io;

use crate::error::{Fault, Kind};

/// Why an archive is refused. The message is the rest of a sentence that names the archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive as a whole.
    #[error("{0}")]
    Whole(String),
    /// One member.
    #[error("its member `{}` {reason}", .name.escape_debug())]
    Member {
        /// The member's name, cut to 200 characters.
        name: String,
        /// What is wrong, as the rest of a sentence.
        reason: String,
    },
    /// It could not be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
}

impl ArchiveError {
    pub(super) fn whole(reason: impl Into<String>) -> Self {
        ArchiveError::Whole(reason.into())
    }

    /// A member that is refused; `reason` is the rest of a sentence.
    pub fn member(name: impl AsRef<[u8]>, reason: impl Into<String>) -> Self {
        let name = String::from_utf8_lossy(name.as_ref()).chars().take(200).collect();
        ArchiveError::Member { name, reason: reason.into() }
    }
}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        // What no call of the operating system says is said by a reader about the bytes.
        match (error.raw_os_error(), error.kind()) {
            (Some(_), _) => ArchiveError::Read(error),
            (None, io::ErrorKind::UnexpectedEof) => ArchiveError::Whole("it ends too early".to_owned()),
            (None, _) => ArchiveError::Whole(format!("it is damaged: {error}")),
        }
    }
}

impl Fault for ArchiveError {
    fn kind(&self) -> Kind {
        match self {
            ArchiveError::Whole(_) | ArchiveError::Member { .. } => Kind::Input,
            ArchiveError::Read(_) => Kind::World,
        }
    }
}
