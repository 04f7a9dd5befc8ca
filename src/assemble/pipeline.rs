//! The build as a whole: description and lock in, image out. Layers are handed over as soon as they are finished, so that they can be
//! uploaded while the next one is made.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Map;
use tokio::sync::mpsc::UnboundedSender;

use super::build::{BuiltLayer, Origin, Workshop};
use super::components::{self, Parts};
use super::config::Additions;
use super::earlier::Earlier;
use super::image::{BasePart, Image, ImageLayer, compose_image};
use super::request::BuildRequest;
use crate::account;
use crate::base::{self, BlobReader, Blobs, OpenedImage, Verified};
use crate::contract;
use crate::error::{Error, FileError};
use crate::lock::Lock;
use crate::manifest::{Compression, Descriptor, Family};
use crate::plan::{DirectoryTable, Plan, check_claims};
use crate::reference::ImageSource;
use crate::resolve;
use crate::store::Store;
use crate::world::World;

/// Builds the image. Each layer of ours goes to `finished` when it is ready.
///
/// # Errors
/// Whatever any stage reports.
pub async fn build(request: &BuildRequest<'_>, earlier: &Earlier, world: &World<'_>, finished: UnboundedSender<ImageLayer>) -> Result<Image, Error> {
    let lock = request.lock;
    let base = base::open(&request.description.base.value, request.directory, lock.base.digest.filter(|_| is_image(request)), world.registry).await?;
    let Planned { plan, additions } = plan(request, base.as_ref().map_or(0, |base| base.diff_ids.len()), world)?;
    let base = base_part(request, base);
    let family = request.family.unwrap_or(base.family);
    let ours = make_layers(request, &plan, earlier, world, family, &finished).await?;
    compose_image(&base, ours, &additions, created(request), family)
}

/// An image before any byte of it is made.
pub struct Planned {
    /// Its layers.
    pub plan: Plan,
    /// What its config gets.
    pub additions: Additions,
}

/// Plans the image on a base of `base_layers` layers: its own layers with their keys, and what its config gets. Local files are read; nothing is
/// fetched or made.
///
/// # Errors
/// Local files that cannot be used, two things at one path.
pub fn plan(request: &BuildRequest<'_>, base_layers: usize, world: &World<'_>) -> Result<Planned, Error> {
    let budget = budget(request, base_layers);
    let Parts { mut components, mut additions } = components::of_image(request, budget, world)?;
    additions.labels.extend(request.labels.clone());
    let mut directories = DirectoryTable::new(&request.lock.base.directories);
    components.platform.extend(account::temporary_directory(&mut directories));
    let plan = Plan::new(components, directories, budget);
    check_claims(&plan.layers, &plan.directories)?;
    Ok(Planned { plan, additions })
}

/// The time of the image and of our history items.
pub fn created(request: &BuildRequest<'_>) -> Timestamp {
    request.epoch.unwrap_or_else(|| newest(request.lock))
}

fn is_image(request: &BuildRequest<'_>) -> bool {
    !matches!(request.description.base.value, ImageSource::RootFs { .. } | ImageSource::Scratch)
}

/// The layers that ours may be: what the description says, and no more than the base leaves room for.
fn budget(request: &BuildRequest<'_>, base_layers: usize) -> usize {
    let left = contract::limits::LAYERS.saturating_sub(base_layers);
    request.description.layers.min(left)
}

/// The newest time of all entries: a function of the lock alone.
fn newest(lock: &Lock) -> Timestamp {
    let extensions = lock.extensions.iter().map(|extension| extension.timestamp);
    let packages = lock.conda.iter().flat_map(|conda| &conda.packages).filter_map(|package| package.timestamp);
    extensions.chain(packages).fold(lock.base.timestamp, Timestamp::max)
}

fn base_part(request: &BuildRequest<'_>, base: Option<OpenedImage>) -> BasePart {
    let Some(base) = base else {
        return BasePart { family: Family::Oci, config: Map::new(), layers: Vec::new(), diff_ids: Vec::new(), blobs: Arc::new(Nothing), name: None };
    };
    let name = match &request.description.base.value {
        ImageSource::Registry(reference) => Some((reference.to_string(), request.lock.base.index.unwrap_or(base.digest))),
        _ => None,
    };
    let OpenedImage { manifest, config, diff_ids, blobs, .. } = base;
    BasePart { family: manifest.family, config, layers: manifest.layers, diff_ids, blobs, name }
}

async fn make_layers(
    request: &BuildRequest<'_>,
    plan: &Plan,
    earlier: &Earlier,
    world: &World<'_>,
    family: Family,
    finished: &UnboundedSender<ImageLayer>,
) -> Result<Vec<ImageLayer>, Error> {
    let workshop = Workshop {
        store: world.store,
        threads: request.threads,
        earlier: &earlier.layers,
        rebuild: request.rebuild,
        progress: world.progress,
        cancelled: world.cancelled,
        survey: request.survey.as_ref(),
    };
    let needed: Vec<_> = plan.layers.iter().filter(|layer| workshop.must_make(layer)).flat_map(|layer| layer.inputs()).collect();
    resolve::fetch(request.lock, &needed, world).await?;

    let in_store: Arc<dyn Blobs> = Arc::new(StoreBlobs(world.store.clone()));
    let mut layers = Vec::new();
    for planned in &plan.layers {
        // The uploads of finished layers go on meanwhile, on the runtime's other threads.
        let built = tokio::task::block_in_place(|| workshop.finish(planned, &plan.directories))?;
        let blobs = match (built.origin, earlier.layers.get(&built.key)) {
            (Origin::Reused, Some(earlier)) => earlier.blobs.clone(),
            _ => in_store.clone(),
        };
        let layer = image_layer(built, blobs, family);
        // Nobody listens where no destination is a registry.
        let _ = finished.send(layer.clone());
        layers.push(layer);
        tokio::task::yield_now().await;
    }
    Ok(layers)
}

fn image_layer(built: BuiltLayer, blobs: Arc<dyn Blobs>, family: Family) -> ImageLayer {
    // Both families have a name for gzip.
    let media_type = family.layer(Compression::Gzip).unwrap_or_default();
    let descriptor = Descriptor::new(media_type, built.known.digest, built.known.size);
    ImageLayer { descriptor, diff_id: built.known.diff_id, blobs, built: Some(built) }
}

/// Finished layers in the cache.
struct StoreBlobs(Store);

impl Blobs for StoreBlobs {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        async move {
            let file = crate::inputs::Inputs::open(&self.0, &descriptor.digest)?;
            let reader: BlobReader = Box::pin(Verified::new(tokio::fs::File::from_std(file), descriptor));
            Ok(reader)
        }
        .boxed()
    }
}

/// The blobs of no base.
struct Nothing;

impl Blobs for Nothing {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        let missing = FileError::at("read", descriptor.digest.to_string())(std::io::ErrorKind::NotFound.into());
        async move { Err(missing.into()) }.boxed()
    }
}
