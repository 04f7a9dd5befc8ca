//! Why a layer could not be made.

use std::io;

use crate::error::{Fault, Kind};
use crate::image_path::ImagePath;

/// Why a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// An entry that a layer cannot hold.
    #[error("a layer cannot hold `{}`: {reason}", .path.absolute())]
    Entry {
        /// Where it stands.
        path: ImagePath,
        /// What is wrong, as the rest of a sentence.
        reason: &'static str,
    },
    /// A hard link that leads to no file.
    #[error("the hard link `{}` leads to `{}`, {reason}", .path.absolute(), .to.absolute())]
    HardLink {
        /// The link.
        path: ImagePath,
        /// What it names.
        to: ImagePath,
        /// What is wrong with that, as the rest of a sentence.
        reason: &'static str,
    },
    /// The content of a file could not be read.
    #[error("cannot read the content of `{}`", .path.absolute())]
    Read {
        /// The file in the layer.
        path: ImagePath,
        /// Why; it names the source.
        #[source]
        cause: io::Error,
    },
    /// The content of a file has another size than was said.
    #[error("the content of `{}` has {} than the {size} bytes that it should have", .path.absolute(), if *.more { "more" } else { "fewer" })]
    Size {
        /// The file in the layer.
        path: ImagePath,
        /// The promised size.
        size: u64,
        /// Whether there is more, else there is less.
        more: bool,
    },
    /// The layer could not be written to where it goes.
    #[error("cannot write the layer")]
    Write(#[source] io::Error),
    /// An entry could not be laid into a directory.
    #[error("cannot write `{}`", .path.absolute())]
    Place {
        /// The entry.
        path: ImagePath,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The threads that compress could not be started.
    #[error("cannot start a thread for compression")]
    Thread(#[source] io::Error),
    /// The encoder gives other bytes than format 1 asks for.
    #[error("this build of byoi compresses to other bytes than image format 1 prescribes ({0})")]
    Encoder(String),
}

impl Fault for LayerError {
    fn kind(&self) -> Kind {
        match self {
            LayerError::Entry { .. } | LayerError::HardLink { .. } | LayerError::Size { .. } => Kind::Input,
            LayerError::Read { .. } | LayerError::Write(_) | LayerError::Place { .. } | LayerError::Thread(_) | LayerError::Encoder(_) => Kind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            LayerError::Size { .. } => Some("The file changed while it was read; build again when nothing writes to it.".into()),
            LayerError::Encoder(_) => Some("Build byoi with the locked versions of its dependencies: `cargo install --locked`.".into()),
            _ => None,
        }
    }
}
