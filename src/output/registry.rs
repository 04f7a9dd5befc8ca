//! Into a registry: layers that are there are left alone, layers of another repository there are mounted, the rest is streamed from where
//! it lies. Nothing names the image before all of it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::io::ReaderStream;

use super::Written;
use crate::assemble::{Before, Earlier, Image, ImageLayer};
use crate::digest::Digest;
use crate::error::Error;
use crate::progress::{Progress, Whole};
use crate::reference::{Destination, Reference};
use crate::registry::Registry;
use crate::registry::http::{ByteStream, Source};
use crate::world::World;

/// Layers on their way at once.
const PARALLEL: usize = 4;
/// Bytes of a layer that are read at once.
const CHUNK: usize = 1 << 18;
/// Pieces that are read before they are wanted.
const AHEAD: usize = 4;

/// Layers that went to the destinations in registries while the others were made.
#[derive(Debug, Default)]
pub struct Uploaded(BTreeMap<Reference, (Written, BTreeSet<Digest>)>);

/// Pushes layers of ours to every destination in a registry as they come out of `finished`, until that is closed. Layers of an image that
/// turns out to be there already are known to the destination, so nothing is asked for them.
///
/// # Errors
/// [`crate::registry`]'s.
pub async fn push_as_finished(
    mut finished: UnboundedReceiver<ImageLayer>,
    destinations: &[Destination],
    earlier: &Earlier,
    world: &World<'_>,
) -> Result<Uploaded, Error> {
    let references: Vec<&Reference> = destinations.iter().filter_map(Destination::registry).collect();
    let mut uploaded = Uploaded::default();
    let nothing = Before::default();
    while let Some(layer) = finished.recv().await {
        for reference in &references {
            let before = earlier.before.get(reference).unwrap_or(&nothing);
            let written = match find_layer(&layer, reference, before, world.registry).await? {
                Found::There => Written::default(),
                Found::Mounted => Written { mounted: 1, ..Written::default() },
                Found::Missing => send_layer(&layer, reference, world.registry, world.progress).await?,
            };
            let (sum, digests) = uploaded.0.entry((*reference).clone()).or_default();
            *sum = *sum + written;
            digests.insert(layer.descriptor.digest);
        }
    }
    Ok(uploaded)
}

impl Uploaded {
    /// Pushes what is left of the image: the base's layers, the config, and last the manifest. An image whose manifest is there already,
    /// byte for byte, moves nothing.
    ///
    /// # Errors
    /// [`crate::registry`]'s, and a base that cannot be read.
    pub async fn finish(&self, image: &Image, reference: &Reference, earlier: &Earlier, world: &World<'_>) -> Result<Written, Error> {
        let mut before = earlier.before.get(reference).cloned().unwrap_or_default();
        let mut written = Written::default();
        if let Some((sum, digests)) = self.0.get(reference) {
            written = *sum;
            before.blobs.extend(digests);
        }
        if before.manifest.as_ref() == Some(&image.manifest) {
            return Ok(written);
        }
        let registry = world.registry;
        let mut seen = BTreeSet::new();
        let layers = image.layers.iter().filter(|layer| seen.insert(layer.descriptor.digest));
        let before = &before;
        let found = layers.map(|layer| async move { Ok::<_, Error>((layer, find_layer(layer, reference, before, registry).await?)) });
        let found: Vec<(&ImageLayer, Found)> = stream::iter(found).buffer_unordered(PARALLEL).try_collect().await?;
        written.mounted += found.iter().filter(|(_, found)| *found == Found::Mounted).count() as u64;
        let missing: Vec<&ImageLayer> = found.into_iter().filter(|(_, found)| *found == Found::Missing).map(|(layer, _)| layer).collect();
        if !missing.is_empty() {
            written = written + send_all(&missing, reference, world).await?;
        }

        let config = &image.config_descriptor;
        if !before.blobs.contains(&config.digest) && !registry.has_blob(reference, &config.digest).await? {
            let bytes: Arc<dyn Source> = Arc::new(Bytes::from(image.config.clone()));
            registry.push_blob(reference, &config.digest, config.size, bytes).await?;
            written.bytes += config.size;
        }
        registry.push_manifest(reference, image.manifest.clone(), image.family.manifest()).await?;
        written.manifest = true;
        Ok(written)
    }
}

/// Whether a layer is in the destination's repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    There,
    /// The registry took it over from another of its repositories.
    Mounted,
    Missing,
}

async fn find_layer(layer: &ImageLayer, reference: &Reference, before: &Before, registry: &Registry) -> Result<Found, Error> {
    let digest = &layer.descriptor.digest;
    if before.blobs.contains(digest) || registry.has_blob(reference, digest).await? {
        return Ok(Found::There);
    }
    let elsewhere = layer.blobs.repository().filter(|from| from.registry() == reference.registry() && from.repository() != reference.repository());
    if let Some(from) = elsewhere
        && registry.mount(reference, from, digest).await?
    {
        return Ok(Found::Mounted);
    }
    Ok(Found::Missing)
}

async fn send_all(layers: &[&ImageLayer], reference: &Reference, world: &World<'_>) -> Result<Written, Error> {
    if let [one] = layers {
        return send_layer(one, reference, world.registry, world.progress).await;
    }
    let total = layers.iter().map(|layer| layer.descriptor.size).sum();
    let whole = Whole::begin(world.progress, &format!("push {} layers", layers.len()), total);
    let sends = layers.iter().map(|layer| send_layer(layer, reference, world.registry, &whole));
    let mut sends = stream::iter(sends).buffer_unordered(PARALLEL);
    let mut written = Written::default();
    while let Some(one) = sends.try_next().await? {
        written = written + one;
    }
    Ok(written)
}

async fn send_layer(layer: &ImageLayer, reference: &Reference, registry: &Registry, progress: &dyn Progress) -> Result<Written, Error> {
    let descriptor = &layer.descriptor;
    let name = layer.built.as_ref().map_or_else(|| format!("base layer {}", &descriptor.digest.hex()[..12]), |built| built.name.clone());
    let task = Arc::from(progress.begin(&format!("push {name}"), Some(descriptor.size)));
    let source = Arc::new(LayerSource { layer: layer.clone(), task });
    registry.push_blob(reference, &descriptor.digest, descriptor.size, source).await?;
    Ok(Written { blobs: 1, bytes: descriptor.size, ..Written::default() })
}

/// A layer's bytes, opened anew for each attempt.
struct LayerSource {
    layer: ImageLayer,
    task: Arc<dyn crate::progress::Task>,
}

impl Source for LayerSource {
    fn open(&self) -> BoxFuture<'_, Result<ByteStream, Error>> {
        Box::pin(async move {
            let reader = self.layer.blobs.open(&self.layer.descriptor).await?;
            let task = self.task.clone();
            let stream = ReaderStream::with_capacity(reader, CHUNK).inspect_ok(move |bytes| task.advance(bytes.len() as u64));
            Ok(read_ahead(stream).boxed())
        })
    }
}

/// The same stream, read by a task of its own: the next bytes are read and hashed while the last ones are sent. The task ends with the stream.
fn read_ahead<T: Send + 'static>(mut source: impl Stream<Item = T> + Send + Unpin + 'static) -> impl Stream<Item = T> + Send {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(AHEAD);
    tokio::spawn(async move {
        while let Some(item) = source.next().await {
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    stream::poll_fn(move |context| receiver.poll_recv(context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_ahead_comes_in_order_and_ends_with_the_reader() {
        let all: Vec<u32> = read_ahead(stream::iter(0..100)).collect().await;
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        let guard = Arc::new(());
        let held = guard.clone();
        let mut endless = read_ahead(stream::iter(0..).map(move |number| (number, held.clone())));
        assert_eq!(endless.next().await.map(|(number, _)| number), Some(0));
        drop(endless);
        while Arc::strong_count(&guard) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
