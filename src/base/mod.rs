//! The base image: opened by any transport, and read once into an index. Knows nothing of conda or extensions.

pub mod archive;
mod blobs;
pub mod docker_archive;
mod error;
mod extract;
mod facts;
mod image;
pub mod index;
mod interest;
mod kept;
mod layer;
pub mod layout;
mod links;
mod members;
mod open;
mod packed;
mod pass;
mod program;
mod read;
pub mod registry;
mod rootfs;
mod scan;
#[cfg(test)]
mod specimen;
mod survey;
mod surveyor;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;

pub use blobs::{BlobReader, Blobs, Verified};
pub use error::BaseError;
pub use facts::LayerFacts;
pub use image::{OpenedImage, Platforms};
pub use index::Index;
pub use interest::Interest;
pub use open::{open, open_for};
pub use program::Program;
pub use read::read;
pub use registry::RegistryBlobs;
pub use rootfs::{RootFs, RootFsComponent, inspect};
pub use survey::{Survey, SurveyedLayer, count_known, known, survey};
pub use surveyor::{Surveyor, Surveys};
pub use unpack::unpack;
