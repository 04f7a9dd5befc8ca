//! A layer: a tree of entries becomes a tar exactly as BuildKit writes it, and that a gzip whose bytes depend on the tar alone ("format 1").
//! This room knows nothing of images.

mod content;
mod tree;

pub use content::{Content, FileRange, OpenContent};
pub use tree::{Entry, Node, Tree};
