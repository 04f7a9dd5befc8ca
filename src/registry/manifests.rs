//! Manifests and indexes: read with a limit and their digest checked, written whole.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};

use super::client::{Place, Registry, Stubbornness};
use super::error::{RegistryError, Task};
use super::http::{Attempts, Body, Request, Response};
use crate::digest::Digest;
use crate::manifest::{MAX_MANIFEST_SIZE, media_type};
use crate::reference::Reference;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A manifest or index as a registry gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type, as the registry states it.
    pub content_type: Option<String>,
    /// The digest of its bytes: the one that was asked for, where one was.
    pub digest: Digest,
}

impl Registry {
    /// Reads a manifest or index.
    ///
    /// # Errors
    /// [`RegistryError`]; also for bytes that have not the digest that was asked for or, by tag, the one that the registry states.
    pub async fn manifest(&self, reference: &Reference) -> Result<FetchedManifest, RegistryError> {
        self.read(reference, |place| {
            let reference = reference.clone();
            Box::pin(async move {
                let task = place.reading(format!("read the manifest of {}", at(&place, &reference)));
                match self.get_manifest(&task, &reference).await? {
                    Ok(found) => Ok(found),
                    Err(refusal) => Err(self.refused(&task, refusal).await),
                }
            })
        })
        .await
    }

    /// As [`Registry::manifest`]; none where the registry says that there is no such manifest or repository.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub async fn manifest_if_present(&self, reference: &Reference) -> Result<Option<FetchedManifest>, RegistryError> {
        match self.manifest(reference).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A broken body is asked for again: the answer is small, and starts anew each time.
    async fn get_manifest(&self, task: &Task, reference: &Reference) -> Result<Result<FetchedManifest, Response>, RegistryError> {
        let url = self.url(task, &format!("manifests/{}", reference.manifest_name()))?;
        let accept = HeaderValue::from_str(&media_type::MANIFESTS.join(", ")).map_err(|_| task.protocol("no Accept header"))?;
        let request = Request::get(url).header(ACCEPT, accept);
        let mut attempts = Attempts::new(self.http().options().retry);
        loop {
            let mut response = self.call(task, request.clone(), Stubbornness::Patient).await?;
            if response.status() != StatusCode::OK {
                return Ok(Err(response));
            }
            match response.bytes(MAX_MANIFEST_SIZE).await {
                Ok(bytes) => return check(task, reference, &response, bytes).map(Ok),
                Err(error) if self.http().again(&mut attempts, &error, None).await => {}
                Err(cause) => return Err(task.failed(cause, false)),
            }
        }
    }

    /// Writes a manifest or index under the reference's tag, or else its digest, and gives its digest.
    ///
    /// # Errors
    /// [`RegistryError`]; also where the registry states another digest than the bytes have.
    pub async fn push_manifest(&self, reference: &Reference, bytes: impl Into<Bytes>, media_type: &str) -> Result<Digest, RegistryError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let place = Place::of(reference);
        let name = reference.tag().map_or_else(|| digest.to_string(), str::to_owned);
        let task = place.writing(format!("push the manifest of {reference}"));
        let url = self.url(&task, &format!("manifests/{name}"))?;
        let content_type = HeaderValue::from_str(media_type).map_err(|_| task.protocol("the media type is no header's value"))?;
        let request = Request::new(Method::PUT, url).header(CONTENT_TYPE, content_type).body(Body::Bytes(bytes));
        let response = self.call(&task, request, Stubbornness::Patient).await?;
        if !response.status().is_success() {
            return Err(self.refused(&task, response).await);
        }
        match stated_digest(&response) {
            Some(stated) if stated != digest => Err(mismatch(&task, digest, stated)),
            _ => Ok(digest),
        }
    }
}

fn check(task: &Task, reference: &Reference, response: &Response, bytes: Bytes) -> Result<FetchedManifest, RegistryError> {
    let digest = Digest::of(&bytes);
    match reference.digest().or_else(|| stated_digest(response)) {
        Some(expected) if expected != digest => return Err(mismatch(task, expected, digest)),
        _ => {}
    }
    let content_type = response.header(CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or_default().trim().to_owned());
    // A login page of a proxy has status 200 too.
    if serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err() {
        return Err(task.protocol("the manifest is not JSON"));
    }
    Ok(FetchedManifest { bytes, content_type, digest })
}

fn stated_digest(response: &Response) -> Option<Digest> {
    response.header(CONTENT_DIGEST)?.parse().ok()
}

fn mismatch(task: &Task, expected: Digest, found: Digest) -> RegistryError {
    RegistryError::Digest { doing: task.doing.clone(), registry: task.registry.clone(), expected, found }
}

/// The reference as it is named in the place where it is read.
fn at(place: &Place, reference: &Reference) -> String {
    let separator = if reference.digest().is_some() { '@' } else { ':' };
    format!("{}{separator}{}", place.name(), reference.manifest_name())
}
