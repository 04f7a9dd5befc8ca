//! Makes the layers of a plan: takes those that are known, builds the others into the store.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::earlier::EarlierLayer;
use super::reuse::KnownLayer;
use crate::archive::Packing;
use crate::base::{Interest, Surveyor};
use crate::digest::Digest;
use crate::error::{Error, Fault, Kind};
use crate::layer;
use crate::plan::{DirectoryTable, PlannedLayer, build_tree};
use crate::progress::Progress;
use crate::store::Store;
use crate::world::go_on;

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

/// What the making of layers needs beside the plan.
pub struct Workshop<'a> {
    /// Where finished layers lie, and where inputs are opened.
    pub store: &'a Store,
    /// Threads that compress.
    pub threads: NonZeroUsize,
    /// Layers of earlier images by key.
    pub earlier: &'a BTreeMap<Digest, EarlierLayer>,
    /// Trust nothing: make every layer, and fail where bytes differ from what was known.
    pub rebuild: bool,
    /// Hears of packing.
    pub progress: &'a dyn Progress,
    /// Ends the work early.
    pub cancelled: &'a AtomicBool,
    /// What is kept of the trees of layers that are made.
    pub survey: Option<&'a Interest>,
}

impl Workshop<'_> {
    /// Whether the layer has to be made: it is neither in the cache nor in an earlier image.
    pub fn must_make(&self, layer: &PlannedLayer) -> bool {
        self.rebuild || self.find(layer).is_none()
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
                self.store.put_record(RECORD, &layer.key, &known)?;
                (known, Origin::New)
            }
        };
        let components = layer.components.iter().map(|component| component.name()).collect();
        Ok(BuiltLayer { name: layer.name.clone(), components, key: layer.key, known, origin })
    }

    fn make(&self, layer: &PlannedLayer, directories: &DirectoryTable) -> Result<KnownLayer, Error> {
        let tree = build_tree(layer, directories, self.store)?;
        let task = self.progress.begin(&format!("pack {}", layer.name), Some(layer::tar_size(&tree)?));
        let mut writer = self.store.writer()?;
        let mut out = Cancellable { inner: &mut writer, cancelled: self.cancelled };
        let told = Cell::new(0);
        let mut surveyor = self.survey.and_then(Surveyor::begin);
        let mut hear = |block: &Bytes| {
            if let Some(surveyor) = &mut surveyor {
                surveyor.hear(block);
            }
        };
        let packed = layer::pack_heard(&tree, self.threads, &mut out, &mut hear, &|done| task.advance(done - told.replace(done)))
            .map_err(|error| Error::from(error).while_doing(format!("cannot make the layer `{}`", layer.name)))?;
        let (digest, size) = writer.commit()?;
        if let Some(surveyor) = surveyor {
            surveyor.keep(&digest, packed.diff_id, Packing::Gzip, self.store);
        }
        Ok(KnownLayer { digest, size, diff_id: packed.diff_id })
    }

    fn find(&self, layer: &PlannedLayer) -> Option<(KnownLayer, Origin)> {
        let cached = self.store.record::<KnownLayer>(RECORD, &layer.key).filter(|known| self.store.blob(&known.digest).is_some());
        cached.map(|known| (known, Origin::Cached)).or_else(|| self.earlier.get(&layer.key).map(|earlier| (earlier.known, Origin::Reused)))
    }
}

/// Fails as soon as the work is to end, so that threads that make bytes end and take their temporary files with them.
struct Cancellable<'a, W> {
    inner: W,
    cancelled: &'a AtomicBool,
}

impl<W: Write> Write for Cancellable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        go_on(self.cancelled)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
