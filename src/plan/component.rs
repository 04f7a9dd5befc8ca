//! A component: the smallest part of an image that byoi plans with. A pure function of a lock entry and bytes to entries.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::Entry;
use crate::lock::DirectoryRule;

/// Modification time of everything that has no time of its own: 1980-01-02T00:00:00Z, which zip files and every tool can hold.
pub const MTIME: i64 = 315_619_200;

/// An entry at its path, before the base's links are followed.
pub type Laid = (ImagePath, Entry);

/// What [`Component::recipe`] gives for a component of this kind that is plain data.
pub fn recipe(kind: &str, component: &impl serde::Serialize) -> Option<serde_json::Value> {
    Some(serde_json::json!({kind: serde_json::to_value(component).ok()?}))
}

/// A part of an image.
pub trait Component: Send + Sync {
    /// What a person would call it: `extension acme.hello 1.2.3`.
    fn name(&self) -> String;

    /// Everything that decides the component's bytes, as JSON with sorted keys: it becomes part of the layer's key.
    fn key(&self) -> serde_json::Value;

    /// Foreign inputs that [`Component::lay`] will open, by digest: what has to be fetched before the component's layer is made.
    fn inputs(&self) -> Vec<Digest> {
        Vec::new()
    }

    /// Files and directories of this machine that [`Component::lay`] will read, beside its inputs.
    fn local_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Directories that the component brings with a mode and owner of its own, its root first. They join the image's one directory table,
    /// where the base does not have them.
    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)>;

    /// Paths that the component is known to lay, for errors before any byte is read; the rest comes up when it is laid.
    fn claims(&self) -> Vec<ImagePath>;

    /// Whether it may lay more than its claims and its own directories: what an archive or a directory holds comes up only when it is laid.
    fn lays_more(&self) -> bool {
        true
    }

    /// Whether this is the base itself, a root filesystem: its entries are laid as they are, and the base's directories and links are theirs.
    fn is_base(&self) -> bool {
        false
    }

    /// The component as data that `assemble::Recipe` reads, on a machine that has its inputs and, at the same paths, its local files. None where it
    /// cannot travel.
    fn recipe(&self) -> Option<serde_json::Value> {
        None
    }

    /// All entries. Directories above the component's root need not be among them.
    ///
    /// # Errors
    /// When an input is not what was promised.
    fn lay(&self, inputs: &dyn Inputs) -> Result<Vec<Laid>, Error>;
}
