//! Why a `[[file]]` cannot be used.

use std::path::PathBuf;

use crate::error::{Fault, Kind};

/// Why a `[[file]]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The source is not there.
    #[error("there is no file or directory {}", .0.display())]
    Missing(PathBuf),
    /// The source lies outside of the description's directory.
    #[error("the source {} leaves the description's directory", .0.display())]
    Leaves(PathBuf),
    /// A socket, fifo or device.
    #[error("{} is a socket, fifo or device, which an image cannot take", .0.display())]
    Special(PathBuf),
    /// A name that cannot stand in an image.
    #[error("{0}")]
    Name(String),
    /// Too many files.
    #[error("{} holds more than two million files", .0.display())]
    TooMany(PathBuf),
    /// A pattern of `exclude` that is none.
    #[error("`exclude` has a pattern that cannot be read")]
    Pattern(#[source] globset::Error),
    /// `exclude` for a single file.
    #[error("`exclude` is for directories, and {} is a file", .0.display())]
    ExcludeOfFile(PathBuf),
    /// `mode` for a directory.
    #[error("`mode` is for single files, and {} is a directory", .0.display())]
    ModeOfDirectory(PathBuf),
    /// `unpack` for something that is no file.
    #[error("`unpack` is for archives, and {} is no file", .0.display())]
    NoArchive(PathBuf),
    /// The lock has no entry for a URL.
    #[error("the lock has no entry for {0}")]
    NotLocked(String),
    /// The input has other bytes than when it was hashed.
    #[error("{0} changed while it was read")]
    Changed(String),
}

impl Fault for FileProblem {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            FileProblem::Missing(_) => "`source` is relative to the description's own directory",
            FileProblem::Leaves(_) => "copy it beside the description: an image is a function of that directory and the lock",
            FileProblem::Special(_) | FileProblem::TooMany(_) => "leave it out with `exclude`",
            FileProblem::ModeOfDirectory(_) => "in a directory modes follow the source: 0755 where it is executable, else 0644",
            FileProblem::NotLocked(_) => "run `byoi lock`",
            FileProblem::ExcludeOfFile(_) => "take the `exclude` line out",
            FileProblem::NoArchive(_) => "name a .tar, .tar.gz, .tar.xz, .tar.zst or .zip file, or take the `unpack` line out",
            FileProblem::Changed(_) => "run the command again when nothing writes there",
            FileProblem::Name(_) | FileProblem::Pattern(_) => return None,
        };
        Some(help.to_owned())
    }
}
