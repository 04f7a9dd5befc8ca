//! Reads an image whole, to judge it. Each layer is read once: its tree is kept in the store by the digest of its blob, so that another image with
//! the same layers below reads nothing of them.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::facts::LayerFacts;
use super::index::Index;
use super::interest::{Filter, Interest};
use super::kept::{is_known, remember, remembered};
use super::read::{AT_ONCE, Stop, damaged, demand_diff_id, scan_layer};
use super::scan::Scanned;
use super::tree::Directory;
use super::{BaseError, Blobs, extract};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Descriptor;
use crate::progress::Progress;
use crate::store::Store;

/// A layer to be read, and where its bytes are.
#[derive(Clone)]
pub struct SurveyedLayer {
    /// Its descriptor in the manifest.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// Opens its bytes.
    pub blobs: Arc<dyn Blobs>,
}

/// An image, read whole.
#[derive(Debug)]
pub struct Survey {
    /// The merged tree.
    pub index: Index,
    /// What is known of each layer, the lowest first.
    pub layers: Vec<LayerFacts>,
}

/// Reads all layers, the lowest first; those that were read before come out of the store.
///
/// # Errors
/// As [`super::read`]; a store that cannot be written.
pub async fn survey(layers: &[SurveyedLayer], interest: &Interest, store: &Store, progress: &dyn Progress) -> Result<Survey, Error> {
    let filter = Arc::new(Filter::new(interest).map_err(BaseError::Interest)?);
    let stop = Stop::default();
    let scans = layers.iter().enumerate().map(|(number, layer)| {
        let name = format!("layer {} of {}", number + 1, layers.len());
        one(layer, name, interest, filter.clone(), store, progress, &stop)
    });
    let mut scans = stream::iter(scans).buffered(AT_ONCE);
    let (mut tree, mut facts) = (Directory::default(), Vec::new());
    while let Some(scanned) = scans.next().await {
        let scanned = scanned?;
        scanned.layer.lay_over(&mut tree).map_err(|cause| damaged(&layers[facts.len()].descriptor, &cause))?;
        facts.push(scanned.facts);
    }
    let index = extract::index(tree, &filter).map_err(|why| BaseError::TooMuch { why })?;
    Ok(Survey { index, layers: facts })
}

async fn one(
    layer: &SurveyedLayer,
    name: String,
    interest: &Interest,
    filter: Arc<Filter>,
    store: &Store,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Scanned, Error> {
    let key = interest.key(&layer.descriptor.digest);
    // Packing and unpacking a tree takes a processor for a while.
    let (opened, own) = (store.clone(), key);
    if let Some(scanned) = blocking(move || remembered(&own, &opened)).await {
        demand_diff_id(&layer.descriptor, scanned.diff_id, layer.diff_id)?;
        return Ok(scanned);
    }
    let task = progress.begin(&name, Some(layer.descriptor.size));
    let scanned = scan_layer(&layer.descriptor, layer.diff_id, &*layer.blobs, filter, task, stop.0.clone()).await?;
    let opened = store.clone();
    blocking(move || remember(&key, &scanned, &opened).map(|()| scanned)).await
}

/// How many of the uppermost layers the store knows: from the last one down to the first that it does not know.
pub fn count_known(layers: &[SurveyedLayer], interest: &Interest, store: &Store) -> usize {
    layers.iter().rev().take_while(|layer| is_known(&layer.descriptor.digest, layer.diff_id, interest, store)).count()
}

/// What the store knows of the uppermost layers, merged; of nothing but the store a byte is read. None where it knows nothing of the last one, or
/// what it knows does not fit together without the layers below.
pub async fn known(layers: &[SurveyedLayer], interest: &Interest, store: &Store) -> Option<Survey> {
    let filter = Filter::new(interest).ok()?;
    let mut upper = Vec::new();
    let keys = layers.iter().rev().map(|layer| (interest.key(&layer.descriptor.digest), layer.diff_id));
    let mut scans = stream::iter(keys.map(|(key, diff_id)| {
        let store = store.clone();
        blocking(move || remembered(&key, &store).filter(|scanned| scanned.diff_id == diff_id))
    }))
    .buffered(AT_ONCE);
    while let Some(Some(scanned)) = scans.next().await {
        upper.push(scanned);
    }
    let (mut tree, mut facts) = (Directory::default(), Vec::new());
    for scanned in upper.into_iter().rev() {
        scanned.layer.lay_over(&mut tree).ok()?;
        facts.push(scanned.facts);
    }
    (!facts.is_empty()).then_some(())?;
    Some(Survey { index: extract::index(tree, &filter).ok()?, layers: facts })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
