//! Where an image goes: a registry, an OCI layout, an archive, a docker daemon. The same digest everywhere.

pub mod archive;
pub mod daemon;
pub mod layout;
pub mod registry;

use crate::error::{Error, Fault, Kind};

/// What writing an image to one destination came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// Blobs whose bytes were written; the config is not counted.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that a registry took over from another of its repositories.
    pub mounted: u64,
    /// Whether the destination names another image than before.
    pub manifest: bool,
}

impl std::ops::Add for Written {
    type Output = Written;

    fn add(self, other: Written) -> Written {
        Written {
            blobs: self.blobs + other.blobs,
            bytes: self.bytes + other.bytes,
            mounted: self.mounted + other.mounted,
            manifest: self.manifest || other.manifest,
        }
    }
}

/// Why an image did not get to its destination.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The bytes could not be written.
    #[error("cannot {doing}")]
    Write {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        cause: std::io::Error,
    },
    /// A layer's bytes could not be read, or are not those that its digest promises.
    #[error("cannot read {blob}")]
    Read {
        /// The blob.
        blob: String,
        /// Why it failed.
        #[source]
        cause: std::io::Error,
    },
    /// The docker daemon does not answer.
    #[error("cannot reach the docker daemon at {host}")]
    DaemonAway {
        /// Its address.
        host: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The docker daemon refused the image.
    #[error("the docker daemon at {host} did not take the image: {message}")]
    DaemonRefused {
        /// Its address.
        host: String,
        /// What it said.
        message: String,
    },
    /// The docker daemon does not give an image.
    #[error("the docker daemon at {host} does not give `{name}`: {message}")]
    DaemonHasNot {
        /// Its address.
        host: String,
        /// The image.
        name: String,
        /// What it said.
        message: String,
    },
    /// `DOCKER_HOST` is of a kind that byoi does not speak.
    #[error("DOCKER_HOST is `{0}`: byoi speaks unix:// and tcp:// only")]
    DaemonAddress(String),
}

impl Fault for OutputError {
    fn kind(&self) -> Kind {
        match self {
            OutputError::DaemonAddress(_) => Kind::Usage,
            _ => Kind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            OutputError::DaemonAway { .. } => Some("start docker, or write to docker-archive:FILE and load that where docker is".to_owned()),
            OutputError::DaemonAddress(_) => Some("write to docker-archive:FILE and run `docker load -i FILE`".to_owned()),
            _ => None,
        }
    }
}

fn reading(blob: &impl std::fmt::Display, cause: std::io::Error) -> Error {
    OutputError::Read { blob: blob.to_string(), cause }.into()
}
