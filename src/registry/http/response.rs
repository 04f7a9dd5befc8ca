//! An answer: its status and headers, and its body in pieces that are counted and not waited for endlessly.

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::Http;
use super::error::{HttpError, MAX_ERROR_BODY};
use super::origin::shown;
use super::retry::retry_after;

/// An answer whose body is not read yet.
pub struct Response {
    inner: reqwest::Response,
    url: Url,
    received: u64,
    http: Http,
    _place: Option<OwnedSemaphorePermit>,
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The status: any that is not temporary.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// Where it came from in the end, after redirects.
    pub url: Url,
    /// The body.
    pub body: Bytes,
}

impl Fetched {
    /// The answer as an error.
    pub(crate) fn into_error(self) -> HttpError {
        let retry_after = retry_after(&self.headers, jiff::Timestamp::now());
        let body = self.body.slice(..self.body.len().min(MAX_ERROR_BODY as usize));
        HttpError::Status { url: shown(&self.url), status: self.status, body, retry_after }
    }
}

impl Response {
    pub(super) fn new(inner: reqwest::Response, url: Url, http: Http, place: Option<OwnedSemaphorePermit>) -> Self {
        Response { inner, url, received: 0, http, _place: place }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// A header's value, where it is there and text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Where it came from in the end, after redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The stated length of the body.
    pub fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// [`HttpError::Broken`] and [`HttpError::Idle`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let idle = self.http.idle_timeout();
        let Ok(outcome) = tokio::time::timeout(idle, self.inner.chunk()).await else {
            return Err(HttpError::Idle { url: shown(&self.url), waited: idle });
        };
        let piece = outcome.map_err(|error| HttpError::broken(&self.url, self.received, &error))?;
        if let Some(bytes) = &piece {
            self.received += bytes.len() as u64;
            self.http.counters().downloaded(bytes.len());
        }
        Ok(piece)
    }

    /// The whole body, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`HttpError::TooLarge`], and as [`Response::chunk`].
    pub async fn bytes(&mut self, limit: u64) -> Result<Bytes, HttpError> {
        let too_large = || HttpError::TooLarge { url: shown(&self.url), limit };
        if self.length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.chunk().await? {
            if (whole.len() + bytes.len()) as u64 > limit {
                return Err(HttpError::TooLarge { url: shown(&self.url), limit });
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    /// The answer as an error, with the beginning of its body.
    pub(crate) async fn into_error(mut self) -> HttpError {
        let mut body = BytesMut::new();
        // A body that breaks off still says something.
        while let Ok(Some(bytes)) = self.chunk().await {
            body.extend_from_slice(&bytes);
            if body.len() as u64 >= MAX_ERROR_BODY {
                body.truncate(MAX_ERROR_BODY as usize);
                break;
            }
        }
        let retry_after = retry_after(self.headers(), jiff::Timestamp::now());
        HttpError::Status { url: shown(&self.url), status: self.status(), body: body.freeze(), retry_after }
    }

    pub(super) async fn fetch(mut self, limit: u64) -> Result<Fetched, HttpError> {
        let body = self.bytes(limit).await?;
        Ok(Fetched { status: self.status(), headers: self.headers().clone(), url: self.url.clone(), body })
    }

    /// Gives its place among the requests back, for who bounds or awaits what follows otherwise.
    pub(crate) fn without_place(mut self) -> Self {
        self._place = None;
        self
    }
}
