//! Surveys of layers in the store: each by the digest of its blob and what was asked for.

use std::io;

use serde::{Deserialize, Serialize};

use super::facts::LayerFacts;
use super::interest::Interest;
use super::layer::Layer;
use super::packed;
use super::scan::Scanned;
use crate::digest::{Digest, Digesting};
use crate::error::{Error, FileError};
use crate::store::Store;

/// Kind of the store's records of surveyed layers.
const RECORD: &str = "layer-survey";

/// A layer as the store remembers it: its tree is the blob with this digest.
#[derive(Serialize, Deserialize)]
struct Remembered {
    diff_id: Digest,
    facts: LayerFacts,
    tree: Digest,
}

/// Whether the store has what this layer holds.
pub(super) fn is_known(layer: &Digest, diff_id: Digest, interest: &Interest, store: &Store) -> bool {
    let record: Option<Remembered> = store.record(RECORD, &interest.key(layer));
    record.is_some_and(|record| record.diff_id == diff_id && store.blob(&record.tree).is_some())
}

/// A layer out of the store. What cannot be read there, or is not what was written, counts as absent: it is made anew.
pub(super) fn remembered(key: &Digest, store: &Store) -> Option<Scanned> {
    let Remembered { diff_id, facts, tree } = store.record(RECORD, key)?;
    let mut source = io::BufReader::new(Digesting::new(store.open_blob(&tree).ok()??));
    let layer: Layer = packed::read(&mut source).ok()?;
    io::copy(&mut source, &mut io::sink()).ok()?;
    let (_, found, _) = source.into_inner().finish();
    (found == tree).then_some(Scanned { layer, diff_id, facts })
}

/// Keeps a layer under this key.
///
/// # Errors
/// A store that cannot be written.
pub(super) fn remember(key: &Digest, scanned: &Scanned, store: &Store) -> Result<(), Error> {
    let mut writer = store.writer()?;
    packed::write(&scanned.layer, &mut writer).map_err(FileError::at("write to", store.root()))?;
    let (tree, _) = writer.commit()?;
    Ok(store.put_record(RECORD, key, &Remembered { diff_id: scanned.diff_id, facts: scanned.facts.clone(), tree })?)
}
