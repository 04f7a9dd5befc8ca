//! A local source of a `[[file]]`, or a part of one, looked at and hashed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::FileProblem;
use super::exclude::Exclude;
use super::local::{self, LocalEntry, LocalKind};
use super::part::Part;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::store::Store;

/// A file or directory of this machine.
#[derive(Serialize, Deserialize)]
pub struct LocalTree {
    /// Where it lies.
    pub place: PathBuf,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
    /// Which part of it.
    pub part: Part,
    /// What was found, hashed; of the whole the first entry is the source itself. A recipe leaves it out: it is found again.
    #[serde(skip)]
    pub entries: Vec<LocalEntry>,
}

impl LocalTree {
    /// Looks at the place and hashes all that is not left out.
    ///
    /// # Errors
    /// A pattern that is none, files that cannot be read or laid.
    pub fn scan(place: PathBuf, part: Part, exclude: Vec<String>, store: &Store, cancelled: &AtomicBool) -> Result<Self, Error> {
        let patterns = Exclude::new(&exclude).map_err(FileProblem::Pattern)?;
        let entries = local::scan(&place, &part, &patterns, store, cancelled)?;
        Ok(LocalTree { place, exclude, part, entries })
    }

    /// Takes a part out.
    pub(super) fn take(&mut self, part: Part) -> Self {
        let entries = self.entries.extract_if(.., |entry| part.has(&entry.path)).collect();
        LocalTree { place: self.place.clone(), exclude: self.exclude.clone(), part, entries }
    }

    /// The places that it is read from: those of its paths, without other parts; or the source where they are many.
    pub(super) fn places(&self) -> Vec<PathBuf> {
        let mut paths: Vec<ImagePath> = Vec::new();
        let mut open = self.part.within.clone();
        while let Some(path) = open.pop() {
            match self.part.is_divided_below(&path) {
                true => open.extend(self.children(&path)),
                false => paths.push(path),
            }
            // A mount's path is text.
            if paths.len() + open.len() > MOST_PLACES || paths.last().is_some_and(|path| std::str::from_utf8(path.as_bytes()).is_err()) {
                return vec![self.place.clone()];
            }
        }
        paths.sort_unstable();
        // A mount follows links.
        let is_link = |entry: &LocalEntry| matches!(entry.kind, LocalKind::Symlink(_)) && paths.binary_search(&entry.path).is_ok();
        if self.entries.iter().any(is_link) {
            return vec![self.place.clone()];
        }
        paths.iter().map(|path| local::within(&self.place, path)).collect()
    }

    /// What lies in a directory and holds entries, or is one.
    fn children(&self, directory: &ImagePath) -> BTreeSet<ImagePath> {
        let below = self.entries.iter().filter_map(|entry| entry.path.strip_prefix(directory));
        below.filter_map(|path| path.components().next().and_then(|name| directory.join(name).ok())).collect()
    }
}

/// Most places of one component: each is a mount where it is made in a build step.
const MOST_PLACES: usize = 16;
