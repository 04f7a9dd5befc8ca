//! Layers of earlier images that a new image takes as they are, found by the keys in their histories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::history;
use crate::digest::Digest;
use crate::manifest::{Compression, Document, Manifest};

/// What a key came to: the layer's digests and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLayer {
    /// The digest of the compressed layer.
    pub digest: Digest,
    /// The size of the compressed layer in bytes.
    pub size: u64,
    /// The digest of its tar.
    pub diff_id: Digest,
}

/// The layers of an image by key. Empty for an image that byoi did not write, byte for byte: a manifest that went through another tool may
/// name another tool's compression of the same tar, and the new image's digest would depend on what was there before.
pub fn layers_of(manifest: &[u8], config: &[u8]) -> BTreeMap<Digest, KnownLayer> {
    match_layers(manifest, config).unwrap_or_default()
}

fn match_layers(manifest_bytes: &[u8], config: &[u8]) -> Option<BTreeMap<Digest, KnownLayer>> {
    let Document::Manifest(manifest) = Document::parse(manifest_bytes, None).ok()? else { return None };
    if manifest.to_bytes() != manifest_bytes || manifest.config.digest != Digest::of(config) {
        return None;
    }
    let config: Map<String, Value> = serde_json::from_slice(config).ok()?;
    let diff_ids: Vec<Digest> = serde_json::from_value(config.get("rootfs")?.get("diff_ids")?.clone()).ok()?;
    let items: Vec<_> = history::read(&config).into_iter().filter(|item| !item.empty_layer).collect();
    if items.len() != manifest.layers.len() || diff_ids.len() != manifest.layers.len() {
        return None;
    }
    Some(keyed(&manifest, &diff_ids, items.iter().map(history::HistoryItem::key)))
}

fn keyed(manifest: &Manifest, diff_ids: &[Digest], keys: impl Iterator<Item = Option<Digest>>) -> BTreeMap<Digest, KnownLayer> {
    let layers = manifest.layers.iter().zip(diff_ids).zip(keys);
    layers
        .filter(|((layer, _), _)| layer.compression() == Some(Compression::Gzip))
        .filter_map(|((layer, diff_id), key)| Some((key?, KnownLayer { digest: layer.digest, size: layer.size, diff_id: *diff_id })))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::{Additions, ConfigLayer, compose};
    use crate::manifest::{Descriptor, Family};

    fn image() -> (Manifest, Vec<u8>) {
        let layer = ConfigLayer { diff_id: Digest::of("tar"), created_by: "byoi: files".to_owned(), key: Digest::of("key") };
        let config = compose(&Map::new(), &[Digest::of("base tar")], &[layer], &Additions::default(), jiff::Timestamp::UNIX_EPOCH);
        let layers = ["base", "gzip"].map(|name| Descriptor::new(Family::Oci.layer(Compression::Gzip).unwrap(), Digest::of(name), 7)).to_vec();
        let config_descriptor = Descriptor::new(Family::Oci.config(), Digest::of(&config), config.len() as u64);
        (Manifest { family: Family::Oci, config: config_descriptor, layers, annotations: BTreeMap::new() }, config)
    }

    #[test]
    fn our_layers_are_found_by_key() {
        let (manifest, config) = image();
        let found = layers_of(&manifest.to_bytes(), &config);
        let expected = KnownLayer { digest: Digest::of("gzip"), size: 7, diff_id: Digest::of("tar") };
        assert_eq!(found, BTreeMap::from([(Digest::of("key"), expected)]));
    }

    #[test]
    fn nothing_is_taken_from_a_manifest_of_another_form() {
        let (manifest, config) = image();
        let indented = serde_json::to_vec_pretty(&serde_json::from_slice::<Value>(&manifest.to_bytes()).unwrap()).unwrap();
        assert!(layers_of(&indented, &config).is_empty());
        assert!(layers_of(&manifest.to_bytes(), b"{}").is_empty());
        assert!(layers_of(b"", b"").is_empty());
    }
}
