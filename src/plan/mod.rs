//! From description, lock and local files to the layers of an image: which components there are, in which layers they lie, by which key a
//! layer is known. Pure.

mod component;

pub use crate::inputs::Inputs;
pub use component::{Component, Laid, MTIME};
