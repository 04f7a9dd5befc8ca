//! Earlier images: what the destinations hold now, and what `--reuse` names. Their layers of the same keys are taken as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::reuse::{KnownLayer, layers_of};
use crate::base::{self, Blobs, RegistryBlobs, layout};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Document, MAX_CONFIG_SIZE};
use crate::reference::{Destination, ImageSource, Reference};
use crate::world::World;

/// A layer of an earlier image, and where its bytes lie.
#[derive(Clone)]
pub struct EarlierLayer {
    /// Its digests and sizes.
    pub known: KnownLayer,
    /// Opens its bytes.
    pub blobs: Arc<dyn Blobs>,
}

/// What a destination in a registry holds before the build.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// The manifest under the destination's tag.
    pub manifest: Option<Vec<u8>>,
    /// Blobs that are in the repository for certain: that manifest's.
    pub blobs: BTreeSet<Digest>,
}

/// All earlier images.
#[derive(Default)]
pub struct Earlier {
    /// Layers by key; the first image that has one wins.
    pub layers: BTreeMap<Digest, EarlierLayer>,
    /// What the destinations in registries hold, by reference.
    pub before: BTreeMap<Reference, Before>,
}

impl Earlier {
    /// Looks at the destinations and at the images named for reuse. A destination that holds nothing yet, or something else, is no error.
    ///
    /// # Errors
    /// A registry that does not answer, an image for reuse that is not there.
    pub async fn look(destinations: &[Destination], reuse: &[ImageSource], world: &World<'_>) -> Result<Self, Error> {
        let mut earlier = Earlier::default();
        for destination in destinations {
            match destination {
                Destination::Registry(reference) => earlier.look_in_registry(reference, world).await?,
                Destination::OciLayout { directory, tag } => earlier.look_in_layout(destination, directory, tag.as_deref()),
                _ => {}
            }
        }
        for source in reuse {
            if let Some(image) = base::open(source, Path::new(""), None, world.registry).await? {
                earlier.take(&image.manifest_bytes, &image.config_bytes, &image.blobs);
            }
        }
        Ok(earlier)
    }

    async fn look_in_registry(&mut self, reference: &Reference, world: &World<'_>) -> Result<(), Error> {
        // What a mirror of the destination holds is not in the destination.
        let registry = world.registry.without_mirrors();
        let mut before = Before::default();
        if let Some(found) = registry.manifest_if_present(reference).await? {
            if let Ok(Document::Manifest(manifest)) = Document::parse(&found.bytes, found.content_type.as_deref()) {
                let config = registry.small_blob(reference, &manifest.config, MAX_CONFIG_SIZE).await?;
                let blobs: Arc<dyn Blobs> = Arc::new(RegistryBlobs { repository: reference.clone(), registry: registry.clone() });
                self.take(&found.bytes, &config, &blobs);
                before.blobs = manifest.layers.iter().chain([&manifest.config]).map(|blob| blob.digest).collect();
            }
            before.manifest = Some(found.bytes.to_vec());
        }
        self.before.insert(reference.clone(), before);
        Ok(())
    }

    fn look_in_layout(&mut self, destination: &Destination, directory: &Path, tag: Option<&str>) {
        // A layout that is not there yet, or has no such tag, has nothing to give.
        if let Ok(image) = layout::open_directory(&destination.to_string(), directory, tag, None) {
            self.take(&image.manifest_bytes, &image.config_bytes, &image.blobs);
        }
    }

    fn take(&mut self, manifest: &[u8], config: &[u8], blobs: &Arc<dyn Blobs>) {
        for (key, known) in layers_of(manifest, config) {
            self.layers.entry(key).or_insert_with(|| EarlierLayer { known, blobs: blobs.clone() });
        }
    }
}
