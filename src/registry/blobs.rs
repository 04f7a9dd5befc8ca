//! Reading blobs: streams that end well only when size and digest are those of the descriptor.

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use reqwest::{Method, StatusCode};

use super::client::{Place, Registry, Stubbornness};
use super::error::RegistryError;
use super::http::{ByteStream, Download, Expected, HttpError, Range, Request, Response, Source, verified};
use crate::digest::{Digest, Digester};
use crate::error::Error;
use crate::manifest::Descriptor;
use crate::reference::Reference;

/// A blob on its way here.
pub type BlobStream = Download<RegistryError>;

impl Registry {
    /// Opens a blob of the reference's repository. The stream resumes after a broken connection, and its last byte comes only if size and
    /// digest are as the descriptor says.
    ///
    /// # Errors
    /// [`RegistryError`], before the first byte here, after it in the stream.
    pub async fn blob(&self, reference: &Reference, descriptor: &Descriptor) -> Result<BlobStream, RegistryError> {
        let (digest, size) = (descriptor.digest, descriptor.size);
        self.read(reference, |place| {
            let registry = self.clone();
            Box::pin(async move {
                let opener = registry.clone();
                let open = move |range: Range| -> BoxFuture<'static, Result<Response, RegistryError>> {
                    let (registry, place) = (opener.clone(), place.clone());
                    Box::pin(async move { registry.open_blob(&place, &digest, &range).await })
                };
                verified(registry.http().clone(), Expected::exactly(digest, size), Digester::new(), open).await
            })
        })
        .await
    }

    async fn open_blob(&self, place: &Place, digest: &Digest, range: &Range) -> Result<Response, RegistryError> {
        let task = place.reading(format!("read the blob {digest} of {}", place.name()));
        let url = self.url(&task, &format!("blobs/{digest}"))?;
        let response = self.call(&task, range.apply(Request::get(url)), Stubbornness::Patient).await?;
        if [StatusCode::OK, StatusCode::PARTIAL_CONTENT].contains(&response.status()) {
            Ok(response)
        } else {
            Err(self.refused(&task, response).await)
        }
    }

    /// Reads a blob whole: a config or another small one. `limit` is the largest size that is taken, in bytes.
    ///
    /// # Errors
    /// As [`Registry::blob`], and [`HttpError::TooLarge`].
    pub async fn small_blob(&self, reference: &Reference, descriptor: &Descriptor, limit: u64) -> Result<Bytes, RegistryError> {
        if descriptor.size > limit {
            let url = format!("the blob {} of {}", descriptor.digest, reference.name());
            return Err(HttpError::TooLarge { url, limit }.into());
        }
        let stream = self.blob(reference, descriptor).await?;
        let whole = stream
            .try_fold(BytesMut::new(), |mut whole, bytes| async move {
                whole.extend_from_slice(&bytes);
                Ok(whole)
            })
            .await?;
        Ok(whole.freeze())
    }

    /// Whether the reference's repository has a blob. Mirrors are not asked.
    ///
    /// # Errors
    /// [`RegistryError`]
    pub async fn has_blob(&self, reference: &Reference, digest: &Digest) -> Result<bool, RegistryError> {
        let place = Place::of(reference);
        let task = place.reading(format!("look for the blob {digest} in {}", place.name()));
        let request = Request::new(Method::HEAD, self.url(&task, &format!("blobs/{digest}"))?);
        let response = self.call(&task, request, Stubbornness::Patient).await?;
        match response.status() {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(&task, response).await),
        }
    }
}

/// A blob in a registry, as the source of an upload to another.
pub(super) struct RemoteBlob {
    pub(super) registry: Registry,
    pub(super) from: Reference,
    pub(super) descriptor: Descriptor,
}

impl Source for RemoteBlob {
    fn open(&self) -> BoxFuture<'_, Result<ByteStream, Error>> {
        Box::pin(async move { Ok(self.registry.blob(&self.from, &self.descriptor).await?.into_byte_stream()) })
    }
}
