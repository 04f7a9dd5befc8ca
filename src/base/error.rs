//! Why a base image cannot be used.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::error::{Fault, Kind};
use crate::manifest::InvalidManifest;

/// Why a base image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It is not for the platform that Studio runs.
    #[error("{image} is not for linux/amd64, which is what SageMaker Studio runs; it is for {}", listed(.found))]
    Platform {
        /// The image as the user named it.
        image: String,
        /// The platforms that it is for.
        found: Vec<String>,
    },
    /// The manifest is none that byoi reads.
    #[error("the manifest of {image} cannot be used")]
    Manifest {
        /// The image as the user named it.
        image: String,
        /// Why.
        #[source]
        cause: InvalidManifest,
    },
    /// Manifest, config and blobs do not fit together.
    #[error("{image} is damaged: {why}")]
    Damaged {
        /// The image as the user named it.
        image: String,
        /// What does not fit.
        why: String,
    },
    /// There is no such image in a layout or archive.
    #[error("{image} is not there: {why}")]
    Absent {
        /// The image as the user named it.
        image: String,
        /// What is there instead.
        why: String,
    },
    /// A local base is no longer what the lock says.
    #[error("{image} now has the digest {found}, but the lock says {locked}")]
    Changed {
        /// The image as the user named it.
        image: String,
        /// What the lock says.
        locked: Digest,
        /// What lies there.
        found: Digest,
    },
    /// A layer is not what manifest and config say, or holds what no layer may.
    #[error("the layer {layer} of the base is damaged: {why}")]
    Layer {
        /// The digest of the layer's blob.
        layer: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// The bytes of a layer did not come.
    #[error("the layer {layer} of the base cannot be read")]
    Read {
        /// The digest of the layer's blob.
        layer: Digest,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// There is more in the image than an index may hold.
    #[error("the base cannot be used: {why}")]
    TooMuch {
        /// What there is too much of.
        why: String,
    },
    /// A root filesystem that cannot be laid as a layer.
    #[error("the root filesystem {file} cannot be used: {why}")]
    RootFs {
        /// The tar as the user named it.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Patterns of an interest that are none.
    #[error("what to look for in the base is no pattern")]
    Interest(#[source] globset::Error),
    /// An archive is compressed as a whole.
    #[error("{image} is a compressed archive")]
    Compressed {
        /// The image as the user named it.
        image: String,
    },
}

/// The platforms, each once.
fn listed(found: &[String]) -> String {
    let found: BTreeSet<&str> = found.iter().map(|platform| if platform == "/" { "unknown" } else { platform.as_str() }).collect();
    if found.is_empty() { "no platform at all".to_owned() } else { found.into_iter().collect::<Vec<_>>().join(", ") }
}

impl Fault for BaseError {
    fn kind(&self) -> Kind {
        match self {
            BaseError::Read { .. } => Kind::World,
            _ => Kind::Input,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            BaseError::Platform { .. } => Some("name an image, or build one, for linux/amd64 (`docker build --platform linux/amd64`)".to_owned()),
            BaseError::Changed { .. } => Some("run `byoi lock --update base` to take it as it is now".to_owned()),
            BaseError::Compressed { .. } => Some("unpack it first: its members are read in place (`gunzip FILE`)".to_owned()),
            BaseError::Layer { .. } => Some("pull or build the base again; where it comes from a mirror, its copy may be broken".to_owned()),
            BaseError::Manifest { .. } | BaseError::Damaged { .. } | BaseError::Absent { .. } => None,
            BaseError::Read { .. } | BaseError::TooMuch { .. } | BaseError::RootFs { .. } | BaseError::Interest(_) => None,
        }
    }
}
