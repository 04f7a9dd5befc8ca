//! What an engine is asked for: an image, the space that it is to run in, and the space's home.

use std::sync::Arc;

use super::engine::Engine;
use super::space::Space;
use crate::assemble::Image;
use crate::progress::Progress;
use crate::store::Store;

/// Where the image comes from.
pub enum Source<'a> {
    /// The engine has it under this name.
    Engine(&'a str),
    /// byoi has it.
    Image(&'a Image, &'a Store),
}

/// The home's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// A new one, gone afterwards.
    New,
    /// One with this name, or a directory of this machine; it stays.
    Kept(String),
}

/// What is to be run.
pub struct Request<'a> {
    /// The image.
    pub source: Source<'a>,
    /// The space.
    pub space: Space,
    /// Its home.
    pub home: Home,
    /// The port on this machine's loopback; a free one where none.
    pub port: Option<u16>,
    /// Hears of unpacking.
    pub progress: Arc<dyn Progress>,
}

/// An image that stands ready.
pub struct Prepared {
    /// Where it is started.
    pub engine: Box<dyn Engine>,
    /// The words that are run.
    pub command: Vec<String>,
    /// Whether somebody has used the home before.
    pub used_home: bool,
}
