//! The base image: opened by any transport, and read once into an index. Knows nothing of conda or extensions.

pub mod archive;
mod blobs;
pub mod docker_archive;
mod error;
mod image;
pub mod layout;
#[cfg(test)]
mod specimen;
#[cfg(test)]
mod tests;

pub use blobs::{BlobReader, Blobs, Verified};
pub use error::BaseError;
pub use image::OpenedImage;
