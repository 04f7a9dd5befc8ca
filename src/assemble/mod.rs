//! From description, lock and local files to an image: components, plan, layers, config, manifest.

mod build;
mod components;
mod config;
mod earlier;
mod history;
mod image;
mod pipeline;
mod recipe;
mod request;
mod reuse;

pub use build::{BuiltLayer, Origin};
pub use config::{Additions, ConfigLayer, compose};
pub use earlier::{Before, Earlier, EarlierLayer};
pub use history::{HistoryItem, read as read_history};
pub use image::{BasePart, Image, ImageLayer, compose_image};
pub use pipeline::{Planned, build, created, plan};
pub use recipe::Recipe;
pub use request::BuildRequest;
pub use reuse::{KnownLayer, layers_of};
