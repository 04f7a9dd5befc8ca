//! A part of what a local source holds.

use serde::{Deserialize, Serialize};

use crate::image_path::ImagePath;

/// Most names that the name of a part repeats.
const NAMED: usize = 3;

/// A part of what a source holds: what lies at or below some paths, but for what lies at or below others. Both are sorted: they may be thousands.
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
        let lies_in = |paths: &[ImagePath]| std::iter::once(path.clone()).chain(path.ancestors()).any(|above| paths.binary_search(&above).is_ok());
        lies_in(&self.within) && !lies_in(&self.without)
    }

    /// Whether something at or below a path is left to other parts.
    pub fn is_divided_below(&self, path: &ImagePath) -> bool {
        // What lies below a path follows it in the order of paths.
        let first = self.without.partition_point(|other| other < path);
        self.without.get(first).is_some_and(|other| other.starts_with(path))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    proptest! {
        /// What the searches in sorted paths find is what a look at each of them finds.
        #[test]
        fn sorted_paths_are_searched_as_read(within in vec("[ab-](/[ab-]){0,2}", 0..6), without in vec("[ab-](/[ab-]){0,2}", 0..6), asked in "[ab-](/[ab-]){0,3}") {
            let sorted = |texts: Vec<String>| {
                let mut paths: Vec<_> = texts.iter().map(|text| path(text)).collect();
                paths.sort_unstable();
                paths
            };
            let (part, asked) = (Part { within: sorted(within), without: sorted(without) }, path(&asked));
            let lies_in = |paths: &[ImagePath]| paths.iter().any(|above| asked.starts_with(above));
            prop_assert_eq!(part.has(&asked), lies_in(&part.within) && !lies_in(&part.without));
            prop_assert_eq!(part.is_divided_below(&asked), part.without.iter().any(|other| other.starts_with(&asked)));
            prop_assert!(Part::whole().has(&asked));
        }
    }
}
