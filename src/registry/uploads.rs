//! Writing blobs: one `POST`, one whole `PUT` (chunked uploads do not work everywhere, Amazon ECR among others); mounts; copies from
//! registry to registry as a bounded stream.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use super::blobs::RemoteBlob;
use super::client::{Place, Registry, Stubbornness};
use super::error::{RegistryError, Task};
use super::http::{Attempts, Body, Request, Response, Source, follow};
use super::scope::Scope;
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::reference::Reference;

impl Registry {
    /// Writes a blob into the reference's repository. The source is opened anew for each attempt; the caller asks [`Registry::has_blob`]
    /// first where that may spare the upload.
    ///
    /// # Errors
    /// [`RegistryError`]
    pub async fn push_blob(&self, reference: &Reference, digest: &Digest, size: u64, source: Arc<dyn Source>) -> Result<(), RegistryError> {
        let place = Place::of(reference);
        let task = place.writing(format!("push the blob {digest} to {}", place.name()));
        let mut attempts = Attempts::new(self.http().options().retry);
        loop {
            let kept = self.kept_upload(&place);
            let reused = kept.is_some();
            let location = match kept {
                Some(location) => location,
                None => self.begin_upload(&task).await?,
            };
            let body = Body::Stream { size, source: source.clone() };
            match self.finish_upload(&task, location, digest, body).await {
                Ok(()) => return Ok(()),
                // A session that a mount left may have expired meanwhile: that costs no attempt.
                Err(error) if reused && error.status() == Some(StatusCode::NOT_FOUND) => {}
                Err(error) if self.http().again(&mut attempts, &error, error.retry_after()).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens an upload session, and gives its URL.
    async fn begin_upload(&self, task: &Task) -> Result<Url, RegistryError> {
        let request = Request::new(Method::POST, self.url(task, "blobs/uploads/")?);
        let response = self.call(task, request, Stubbornness::Patient).await?;
        match response.status() {
            StatusCode::ACCEPTED => location(task, &response),
            _ => Err(self.refused(task, response).await),
        }
    }

    async fn finish_upload(&self, task: &Task, mut location: Url, digest: &Digest, body: Body) -> Result<(), RegistryError> {
        // What the registry put into the query is its own state, and stays as it is.
        location.query_pairs_mut().append_pair("digest", &digest.to_string());
        let request = Request::new(Method::PUT, location).header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")).body(body);
        let response = self.call(task, request, Stubbornness::Once).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.refused(task, response).await) }
    }

    /// Makes a blob of another repository of the same registry appear in the reference's repository, without moving it. False where the
    /// registry does not do that: then the blob must be copied, and the upload that the registry began instead is used for it.
    ///
    /// # Errors
    /// [`RegistryError`], for what a copy would not mend either.
    pub async fn mount(&self, reference: &Reference, from: &Reference, digest: &Digest) -> Result<bool, RegistryError> {
        if reference.registry() != from.registry() || reference.repository() == from.repository() {
            return Ok(false);
        }
        let place = Place::of(reference);
        let mut task = place.writing(format!("mount the blob {digest} of {} in {}", from.name(), place.name()));
        task.scopes.push(Scope::pull(from.repository()));
        let mut url = self.url(&task, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from.repository());
        let outcome = self.call(&task, Request::new(Method::POST, url), Stubbornness::Patient).await;
        let response = match outcome {
            Ok(response) => response,
            // The token endpoint may refuse the scope of the source.
            Err(error) if error.status().is_some_and(is_about_the_mount) => return Ok(false),
            Err(error) => return Err(error),
        };
        match response.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED => {
                self.keep_upload(&place, location(&task, &response)?);
                Ok(false)
            }
            status if is_about_the_mount(status) => Ok(false),
            _ => Err(self.refused(&task, response).await),
        }
    }

    /// Copies a blob from one registry to another: as a stream, with no more than buffers in memory and nothing on the disk. Bytes with
    /// another digest or size are never completed at the destination.
    ///
    /// # Errors
    /// [`RegistryError`] of either side.
    pub async fn copy_blob(&self, from: &Reference, reference: &Reference, descriptor: &Descriptor) -> Result<(), RegistryError> {
        let source = RemoteBlob { registry: self.clone(), from: from.clone(), descriptor: descriptor.clone() };
        self.push_blob(reference, &descriptor.digest, descriptor.size, Arc::new(source)).await
    }
}

/// Refusals that may be about the mount alone; if they are not, the copy that follows says so.
fn is_about_the_mount(status: StatusCode) -> bool {
    [400, 401, 403, 404, 405].contains(&status.as_u16())
}

/// Where the upload session is: `Location`, relative to the request or whole.
fn location(task: &Task, response: &Response) -> Result<Url, RegistryError> {
    let location = response.header(LOCATION).ok_or_else(|| task.protocol("it began an upload without a Location"))?;
    follow(response.url(), location).map_err(|reason| task.protocol(format!("the Location of the upload is not used: {reason}")))
}
