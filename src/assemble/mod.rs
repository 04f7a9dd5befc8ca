//! From a plan and its inputs to an image: layers, config, manifest.

mod build;
mod config;
mod history;
mod image;
mod reuse;

pub use build::{BuiltLayer, Origin, Workshop};
pub use config::{Additions, ConfigLayer, compose};
pub use history::HistoryItem;
pub use image::{BasePart, Image, ImageLayer, compose_image};
pub use reuse::{KnownLayer, layers_of};
