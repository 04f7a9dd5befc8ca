//! Bases in a registry.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::image::{OpenedImage, manifest_of, select};
use super::{BaseError, BlobReader, Blobs};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Descriptor, Document, MAX_CONFIG_SIZE};
use crate::reference::Reference;
use crate::registry::Registry;

/// Opens an image in a registry: two requests for a pinned one (manifest and config), one more where the reference names an index.
///
/// # Errors
/// The registry's, another platform, a config that does not fit.
pub async fn open(reference: &Reference, pinned: Option<Digest>, registry: &Registry) -> Result<OpenedImage, Error> {
    let name = reference.to_string();
    let asked = pinned.map_or_else(|| reference.clone(), |digest| reference.with_digest(digest));
    let top = registry.manifest(&asked).await?;
    let document = Document::parse(&top.bytes, top.content_type.as_deref()).map_err(|cause| BaseError::Manifest { image: name.clone(), cause })?;
    let digest = select(&name, &document, top.digest)?;
    let (index, manifest) =
        if digest == top.digest { (None, top.bytes) } else { (Some(top.digest), registry.manifest(&reference.with_digest(digest)).await?.bytes) };
    let config = manifest_of(&name, &manifest)?.config;
    let config = registry.small_blob(reference, &config, MAX_CONFIG_SIZE).await?;
    let blobs = Arc::new(RegistryBlobs { repository: reference.clone(), registry: registry.clone() });
    Ok(OpenedImage::new(&name, index, manifest.to_vec(), config.to_vec(), blobs)?)
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
