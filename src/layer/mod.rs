//! A layer: a tree of entries becomes a tar exactly as BuildKit writes it, and that a gzip whose bytes depend on the tar alone ("format 1",
//! described in `docs/reproducibility.md`). This room knows nothing of images.

mod content;
mod directory;
mod error;
mod gzip;
mod header;
mod pack;
#[cfg(any(test, feature = "testing"))]
pub mod specimens;
mod tar;
mod tree;
mod walk;

pub use content::{Content, FileRange, OpenContent};
pub use directory::write_directory;
pub use error::LayerError;
pub use gzip::prove_encoder;
pub use pack::{Packed, diff_id, pack, pack_heard};
pub use tar::{tar_size, write_tar};
pub use tree::{Entry, Node, Tree};
pub use walk::Step;
