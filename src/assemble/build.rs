//! Makes the layers of a plan: takes those that are known, builds the others into the store.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::reuse::KnownLayer;
use crate::digest::Digest;
use crate::error::{Error, Fault, Kind};
use crate::inputs::Inputs;
use crate::layer;
use crate::plan::{DirectoryTable, Plan, PlannedLayer, build_tree};
use crate::store::Store;

/// Kind of the store's records that say what a layer's key came to.
const RECORD: &str = "layer";

/// How a layer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It was made in this build.
    New,
    /// It lay finished in the cache.
    Cached,
    /// It was taken from an earlier image by its key.
    Reused,
}

/// A finished layer of ours.
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// Its name for people, which is its history item's `created_by`.
    pub name: String,
    /// What its components are called.
    pub components: Vec<String>,
    /// Its key.
    pub key: Digest,
    /// Its digests and sizes.
    pub known: KnownLayer,
    /// How it came about.
    pub origin: Origin,
}

/// A layer that was made anew has other bytes than its key came to before.
#[derive(Debug, thiserror::Error)]
#[error("the layer `{name}` came out as {now}, but its key {key} stood for {before} before: its bytes are not a function of its inputs")]
struct Differs {
    name: String,
    key: Digest,
    before: Digest,
    now: Digest,
}

impl Fault for Differs {
    fn kind(&self) -> Kind {
        Kind::World
    }

    fn help(&self) -> Option<String> {
        Some("either the cache or the earlier image was damaged or forged, or this is a bug in byoi: please report it".to_owned())
    }
}

/// What the building of layers needs beside the plan.
pub struct Workshop<'a> {
    /// Where finished layers lie.
    pub store: &'a Store,
    /// Opens the components' inputs.
    pub inputs: &'a dyn Inputs,
    /// Threads that compress.
    pub threads: NonZeroUsize,
    /// Layers of earlier images by key.
    pub reusable: &'a BTreeMap<Digest, KnownLayer>,
    /// Trust nothing: make every layer, and fail where bytes differ from what was known.
    pub rebuild: bool,
    /// Hears how many bytes of tar were packed.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Workshop<'_> {
    /// Which of the plan's layers must be made: those that are neither in the cache nor in an earlier image.
    pub fn missing<'p>(&self, plan: &'p Plan) -> Vec<&'p PlannedLayer> {
        plan.layers.iter().filter(|layer| self.rebuild || self.find(layer).is_none()).collect()
    }

    /// The finished layer: found, else made.
    ///
    /// # Errors
    /// Conflicts of paths, inputs that are not what was promised, a full disk.
    pub fn finish(&self, layer: &PlannedLayer, directories: &DirectoryTable) -> Result<BuiltLayer, Error> {
        let (known, origin) = match self.find(layer) {
            Some(found) if !self.rebuild => found,
            before => {
                let known = self.make(layer, directories)?;
                if let Some((before, _)) = before
                    && before != known
                {
                    let (before, now) = (before.digest, known.digest);
                    return Err(Differs { name: layer.name.clone(), key: layer.key, before, now }.into());
                }
                (known, Origin::New)
            }
        };
        let components = layer.components.iter().map(|component| component.name()).collect();
        Ok(BuiltLayer { name: layer.name.clone(), components, key: layer.key, known, origin })
    }

    /// Makes a layer although it is known, because a destination needs bytes that lie nowhere near.
    ///
    /// # Errors
    /// As [`Workshop::finish`].
    pub fn make(&self, layer: &PlannedLayer, directories: &DirectoryTable) -> Result<KnownLayer, Error> {
        let doing = || format!("making the layer `{}`", layer.name);
        let tree = build_tree(layer, directories, self.inputs)?;
        let mut writer = self.store.writer()?;
        let packed = layer::pack(&tree, self.threads, &mut writer, self.progress).map_err(|error| Error::from(error).while_doing(doing()))?;
        let size = writer.commit_as(&packed.digest)?;
        let known = KnownLayer { digest: packed.digest, size, diff_id: packed.diff_id };
        self.store.put_record(RECORD, &layer.key, &known)?;
        Ok(known)
    }

    fn find(&self, layer: &PlannedLayer) -> Option<(KnownLayer, Origin)> {
        let cached = self.store.record::<KnownLayer>(RECORD, &layer.key).filter(|known| self.store.blob(&known.digest).is_some());
        cached.map(|known| (known, Origin::Cached)).or_else(|| self.reusable.get(&layer.key).map(|known| (*known, Origin::Reused)))
    }
}
