//! Bases in a registry.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::image::{Above, MAX_DEPTH, OpenedImage, Platforms, manifest_of, select, too_deep};
use super::{BaseError, BlobReader, Blobs};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Descriptor, Document, MAX_CONFIG_SIZE};
use crate::reference::Reference;
use crate::registry::Registry;

/// Opens an image in a registry: two requests for a pinned one (manifest and config), one more for each index on the way.
///
/// # Errors
/// The registry's, another platform, a config that does not fit.
pub async fn open(reference: &Reference, pinned: Option<Digest>, registry: &Registry) -> Result<OpenedImage, Error> {
    open_for(Platforms::Studio, reference, pinned, registry).await
}

/// Likewise for any of these platforms.
pub(super) async fn open_for(platforms: Platforms, reference: &Reference, pinned: Option<Digest>, registry: &Registry) -> Result<OpenedImage, Error> {
    let name = reference.to_string();
    let asked = pinned.map_or_else(|| reference.clone(), |digest| reference.with_digest(digest));
    let (index, manifest) = manifest(&name, platforms, &asked, registry).await?;
    let config = manifest_of(&name, &manifest)?.config;
    let config = registry.small_blob(reference, &config, MAX_CONFIG_SIZE).await?;
    let blobs = Arc::new(RegistryBlobs { repository: reference.clone(), registry: registry.clone() });
    Ok(OpenedImage::new(&name, platforms, index, manifest.to_vec(), config.to_vec(), blobs)?)
}

/// The manifest for one of these platforms, and the first index on the way to it.
async fn manifest(name: &str, platforms: Platforms, asked: &Reference, registry: &Registry) -> Result<(Option<Above>, Bytes), Error> {
    let (mut asked, mut index): (_, Option<Above>) = (asked.clone(), None);
    for _ in 0..MAX_DEPTH {
        let found = registry.manifest(&asked).await?;
        let document =
            Document::parse(&found.bytes, found.content_type.as_deref()).map_err(|cause| BaseError::Manifest { image: name.to_owned(), cause })?;
        let next = select(name, &document, found.digest, platforms)?;
        if next == found.digest {
            return Ok((index, found.bytes));
        }
        if let (None, Document::Index(entries)) = (&index, document) {
            index = Some((found.digest, entries));
        }
        asked = asked.with_digest(next);
    }
    Err(too_deep(name).into())
}

/// Blobs of a repository.
pub struct RegistryBlobs {
    /// The repository; tag and digest do not matter.
    pub repository: Reference,
    /// The client.
    pub registry: Registry,
}

impl Blobs for RegistryBlobs {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        async move {
            let reader: BlobReader = Box::pin(self.registry.blob(&self.repository, descriptor).await?.into_reader());
            Ok(reader)
        }
        .boxed()
    }

    fn repository(&self) -> Option<&Reference> {
        Some(&self.repository)
    }
}
