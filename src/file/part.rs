//! A part of what a local source holds.

use serde::{Deserialize, Serialize};

use crate::image_path::ImagePath;

/// Most names that the name of a part repeats.
const NAMED: usize = 3;

/// A part of what a source holds: what lies at or below some paths, but for what lies at or below others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// The paths, below the source; the root for all of it.
    pub within: Vec<ImagePath>,
    /// What of it is left to other parts.
    pub without: Vec<ImagePath>,
}

impl Part {
    /// All that a source holds.
    pub fn whole() -> Self {
        Part { within: vec![ImagePath::root()], without: Vec::new() }
    }

    /// What these parts leave.
    pub fn beside(parts: &[Part]) -> Self {
        let mut without: Vec<ImagePath> = parts.iter().flat_map(|part| part.within.clone()).collect();
        without.sort_unstable();
        Part { without, ..Part::whole() }
    }

    /// Whether a path is in it.
    pub fn has(&self, path: &ImagePath) -> bool {
        let lies_in = |paths: &[ImagePath]| paths.iter().any(|above| path.starts_with(above));
        lies_in(&self.within) && !lies_in(&self.without)
    }

    /// A name for people, of a part of what lies at `target`.
    pub fn name(&self, target: &ImagePath) -> String {
        let shown = |path: &ImagePath| target.join(path.as_bytes()).unwrap_or_else(|_| path.clone()).absolute();
        let named: Vec<String> = self.within.iter().take(NAMED).map(shown).collect();
        match self.within.len().saturating_sub(NAMED) {
            0 => format!("files {}", named.join(", ")),
            more => format!("files {} and {more} more", named.join(", ")),
        }
    }
}
