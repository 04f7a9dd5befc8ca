//! An image that was opened: manifest, config, and a way to its blobs.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{BaseError, Blobs};
use crate::contract;
use crate::digest::Digest;
use crate::manifest::{Document, IndexEntry, Manifest, media_type};

/// Which platforms an image may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platforms {
    /// What Studio runs, linux/amd64: another one is an error.
    Studio,
    /// Any: that of Studio where there is one, else the first. For images that are to be judged.
    Any,
}

/// The index through which an image was found.
pub(super) type Above = (Digest, Vec<IndexEntry>);

/// An opened image, for linux/amd64 unless any platform was asked for.
#[derive(Clone)]
pub struct OpenedImage {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The digest of the multi-platform index through which it was found.
    pub index: Option<Digest>,
    /// What that index lists; empty without one.
    pub index_entries: Vec<IndexEntry>,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// The manifest.
    pub manifest: Manifest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: Map<String, Value>,
    /// The digests of the layers' tars, the lowest first; as many as the manifest has layers.
    pub diff_ids: Vec<Digest>,
    /// Opens its blobs.
    pub blobs: Arc<dyn Blobs>,
}

impl OpenedImage {
    /// Checks manifest and config against each other and against the platform.
    ///
    /// # Errors
    /// Another platform, a config that does not fit the manifest.
    pub(super) fn new(
        name: &str,
        platforms: Platforms,
        above: Option<Above>,
        manifest_bytes: Vec<u8>,
        config_bytes: Vec<u8>,
        blobs: Arc<dyn Blobs>,
    ) -> Result<Self, BaseError> {
        let manifest = manifest_of(name, &manifest_bytes)?;
        let damaged = |why: String| BaseError::Damaged { image: name.to_owned(), why };
        if Digest::of(&config_bytes) != manifest.config.digest {
            return Err(damaged(format!("its config has not the digest {} that the manifest names", manifest.config.digest)));
        }
        let config: Map<String, Value> =
            serde_json::from_slice(&config_bytes).map_err(|error| damaged(format!("its config is not a JSON object: {error}")))?;
        let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let platform = format!("{}/{}", text("os"), text("architecture"));
        if platforms == Platforms::Studio && !fits(&platform) {
            return Err(BaseError::Platform { image: name.to_owned(), found: vec![platform] });
        }
        let diff_ids: Vec<Digest> = config
            .get("rootfs")
            .and_then(|rootfs| rootfs.get("diff_ids"))
            .map(|ids| serde_json::from_value(ids.clone()))
            .transpose()
            .map_err(|error| damaged(format!("the diff ids of its config are no digests: {error}")))?
            .unwrap_or_default();
        if diff_ids.len() != manifest.layers.len() {
            return Err(damaged(format!("its config has {} diff ids, its manifest {} layers", diff_ids.len(), manifest.layers.len())));
        }
        let (index, index_entries) = above.map_or((None, Vec::new()), |(digest, entries)| (Some(digest), entries));
        let digest = Digest::of(&manifest_bytes);
        Ok(OpenedImage { digest, index, index_entries, manifest_bytes, manifest, config_bytes, config, diff_ids, blobs })
    }

    /// `created` of the config, where it is a time.
    pub fn created(&self) -> Option<jiff::Timestamp> {
        self.config.get("created")?.as_str()?.parse().ok()
    }
}

/// Whether Studio runs this platform, whatever the variant of the processor.
fn fits(platform: &str) -> bool {
    let mut parts = platform.split('/');
    (parts.next(), parts.next()) == (Some(contract::OS), Some(contract::ARCHITECTURE))
}

/// The manifest in these bytes, which must not be an index.
pub(super) fn manifest_of(name: &str, bytes: &[u8]) -> Result<Manifest, BaseError> {
    match Document::parse(bytes, None) {
        Ok(Document::Manifest(manifest)) => Ok(manifest),
        Ok(Document::Index(_)) => {
            Err(BaseError::Damaged { image: name.to_owned(), why: "a multi-platform index stands where its manifest should".to_owned() })
        }
        Err(cause) => Err(BaseError::Manifest { image: name.to_owned(), cause }),
    }
}

/// Indexes may name indexes; more than this deep is no image.
pub(super) const MAX_DEPTH: usize = 4;

/// The error for an image whose indexes are nested deeper than [`MAX_DEPTH`].
pub(super) fn too_deep(name: &str) -> BaseError {
    BaseError::Damaged { image: name.to_owned(), why: "its indexes are nested too deep".to_owned() }
}

/// The digest of what a document names for these platforms: itself where it is a manifest; else an entry of the index that it is, which may be an
/// index again.
pub(super) fn select(name: &str, document: &Document, own: Digest, platforms: Platforms) -> Result<Digest, BaseError> {
    let entries = match document {
        Document::Manifest(_) => return Ok(own),
        Document::Index(entries) => entries,
    };
    // buildx nests: an index whose only entry is an index.
    if let [only] = entries.as_slice()
        && [media_type::OCI_INDEX, media_type::DOCKER_LIST].contains(&only.descriptor.media_type.as_str())
    {
        return Ok(only.descriptor.digest);
    }
    let images: Vec<_> = entries.iter().filter(|entry| entry.is_image).collect();
    // `linux/amd64` sorts before `linux/amd64/v2`: an image for newer processors is taken only where there is no other.
    let fitting = images.iter().filter(|entry| entry.platform.as_deref().is_some_and(fits)).min_by_key(|entry| &entry.platform);
    match (fitting, images.as_slice()) {
        (Some(entry), _) => Ok(entry.descriptor.digest),
        // An index of one that does not say its platform: the config will.
        (None, [only]) if only.platform.is_none() => Ok(only.descriptor.digest),
        (None, [first, ..]) if platforms == Platforms::Any => Ok(first.descriptor.digest),
        _ => {
            let found = images.iter().map(|entry| entry.platform.clone().unwrap_or_else(|| "unknown".to_owned())).collect();
            Err(BaseError::Platform { image: name.to_owned(), found })
        }
    }
}
