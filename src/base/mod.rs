//! The base image: opened by any transport, and read once into an index. Knows nothing of conda or extensions.

mod blobs;

pub use blobs::{BlobReader, Blobs, Verified};
