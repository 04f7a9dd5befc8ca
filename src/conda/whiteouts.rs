//! What an update takes away from the base: paths of replaced packages that nothing lays again, and directories in which nothing is left.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::image_path::{ImagePath, InvalidPath};
use crate::inputs::Inputs;
use crate::layer::Entry;
use crate::lock::{DirectoryRule, ReplacedPackage};
use crate::plan::{Component, Laid, recipe};

/// Paths of the base's environment in `prefix` that are no more, or make way for what is laid there.
///
/// # Errors
/// A path of the lock that leaves the prefix.
pub fn gone(prefix: &ImagePath, replaced: &[ReplacedPackage]) -> Result<Vec<ImagePath>, InvalidPath> {
    replaced.iter().flat_map(|package| package.removes.iter().chain(&package.makes_way)).map(|path| below(prefix, path)).collect()
}

fn below(prefix: &ImagePath, path: &str) -> Result<ImagePath, InvalidPath> {
    prefix.join(path.parse::<ImagePath>()?.as_bytes())
}

/// The component of all whiteouts.
#[derive(Serialize, Deserialize)]
pub struct Whiteouts {
    paths: Vec<ImagePath>,
}

impl Whiteouts {
    /// The whiteouts for these packages of the base's environment in `prefix`; none where all their paths are laid again.
    ///
    /// # Errors
    /// A path of the lock that leaves the prefix.
    pub fn new(prefix: &ImagePath, replaced: &[ReplacedPackage]) -> Result<Option<Self>, InvalidPath> {
        let removed = replaced.iter().flat_map(|package| &package.removes);
        let mut paths: Vec<_> = removed.map(|path| below(prefix, path)).collect::<Result<_, _>>()?;
        paths.sort_unstable();
        paths.dedup();
        Ok((!paths.is_empty()).then_some(Whiteouts { paths }))
    }
}

impl Component for Whiteouts {
    fn name(&self) -> String {
        "files that conda packages no longer have".to_owned()
    }

    fn key(&self) -> Value {
        json!({"whiteouts": self.paths.iter().map(ImagePath::absolute).collect::<Vec<_>>()})
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        Vec::new()
    }

    fn claims(&self) -> Vec<ImagePath> {
        // Others may lay what they like where something was taken away below them.
        Vec::new()
    }

    fn recipe(&self) -> Option<Value> {
        recipe("whiteouts", self)
    }

    fn lay(&self, _: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        Ok(self.paths.iter().map(|path| (path.clone(), Entry::whiteout())).collect())
    }
}
