//! The seam between planning and bytes: something that opens an input by its digest.

use std::fs::File;

use crate::digest::Digest;
use crate::error::Error;

/// Opens foreign and local inputs by their digest: the store behind the command, read-only mounts behind the frontend.
pub trait Inputs: Send + Sync {
    /// The input with this digest, as a file that can be read at any offset.
    ///
    /// # Errors
    /// When it is not there: the caller fetched it before, so that is the world's fault.
    fn open(&self, digest: &Digest) -> Result<File, Error>;
}
