//! From description, lock and local files to the layers of an image: which components there are, in which layers they lie, by which key a
//! layer is known. Pure.

mod buckets;
mod component;
mod directories;
mod fixed;
mod key;
mod layers;
mod tree;

pub use crate::inputs::Inputs;
pub use buckets::{Measured, buckets};
pub use component::{Component, Laid, MTIME, recipe};
pub use directories::{DirectoryTable, LinkError, compress};
pub use fixed::Fixed;
pub use layers::{Components, LayerKind, Plan, PlannedLayer, layers_above_conda, layers_for_file_parts};
pub use tree::{Conflict, build as build_tree, check_claims};
