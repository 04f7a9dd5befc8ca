//! From a plan and its inputs to an image: layers, config, manifest.

mod config;
mod history;

pub use config::{Additions, ConfigLayer, compose};
pub use history::HistoryItem;
