//! A download: a stream of bytes that goes on after a broken connection, and does not end before size and digest are proved.
//!
//! Resuming, after `n` bytes: `Range: bytes=n-`, guarded by `If-Range` where there is a strong validator. A server that sends the whole
//! again instead is read to `n` once more, and what comes again must be what came before. Without an expected digest and without a validator
//! the whole is asked for: nothing else would show that the file changed meanwhile.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::io::StreamReader;
use url::Url;

use super::body::ByteStream;
use super::error::HttpError;
use super::origin::shown;
use super::{Attempts, Http, Request, Response};
use crate::digest::{Digest, Digester};
use crate::error::{Error, Fault};

/// New bytes after which failed attempts are forgotten: a large file on a bad line needs more attempts than a small one.
const PROGRESS: u64 = 1 << 20;

/// What must be true of a download.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Its digest, where it is known.
    pub digest: Option<Digest>,
    /// Its exact size, where it is known.
    pub size: Option<u64>,
    /// The largest size that is taken, in bytes.
    pub limit: u64,
}

impl Expected {
    /// A download of which only the largest allowed size is known.
    pub fn at_most(limit: u64) -> Self {
        Expected { digest: None, size: None, limit }
    }

    /// A download whose digest and size are known.
    pub fn exactly(digest: Digest, size: u64) -> Self {
        Expected { digest: Some(digest), size: Some(size), limit: size }
    }
}

/// A running download. Its stream ends without an error only when size and digest are as expected.
pub struct Download<E = HttpError> {
    stream: BoxStream<'static, Result<Bytes, E>>,
    size: Option<u64>,
    url: Url,
}

impl<E> Download<E> {
    /// The size, as expected or else as the server states it.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Where it comes from, after mirrors and redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl<E: Into<Error> + 'static> Download<E> {
    /// As a stream of I/O: the errors travel in it, see [`Error::carried_by`].
    pub fn into_byte_stream(self) -> ByteStream {
        self.stream.map_err(|error| io::Error::from(error.into())).boxed()
    }

    /// As an asynchronous reader: the errors travel in its I/O errors, see [`Error::carried_by`].
    pub fn into_reader(self) -> StreamReader<ByteStream, Bytes> {
        StreamReader::new(self.into_byte_stream())
    }
}

impl<E> Stream for Download<E> {
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(context)
    }
}

/// The part of a file to ask for: all from `start`.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    start: u64,
    validator: Option<HeaderValue>,
}

impl Range {
    /// The request for this part.
    pub(crate) fn apply(&self, mut request: Request) -> Request {
        if self.start > 0 {
            let value = HeaderValue::from_str(&format!("bytes={}-", self.start)).expect("digits are a header's value");
            request = request.header(RANGE, value);
            if let Some(validator) = &self.validator {
                request = request.header(IF_RANGE, validator.clone());
            }
        }
        request
    }
}

impl Http {
    /// Downloads a URL, from its mirrors first where it has some. `authorization` stays behind where a mirror or a redirect leads elsewhere.
    ///
    /// # Errors
    /// Before the first byte as [`Http::send`], with every status but success as [`HttpError::Status`].
    pub async fn download(&self, request: &Request, expected: Expected) -> Result<Download, HttpError> {
        let mut places = self.options().mirrors.of_url(request.url());
        let last = places.pop().unwrap_or_else(|| request.url().clone());
        for place in places {
            if let Ok(download) = self.download_from(request.at(place), expected).await {
                return Ok(download);
            }
        }
        self.download_from(request.at(last), expected).await
    }

    /// As [`Http::download`], from this place alone.
    pub(crate) async fn download_from(&self, request: Request, expected: Expected) -> Result<Download, HttpError> {
        self.download_rest(request, expected, Digester::new()).await
    }

    /// As [`Http::download_from`], of what follows what `seen` has seen: an earlier download may have brought that. It counts for size and digest,
    /// which must be known then.
    pub(crate) async fn download_rest(&self, request: Request, expected: Expected, seen: Digester) -> Result<Download, HttpError> {
        let http = self.clone();
        let open = move |range: Range| -> BoxFuture<'static, Result<Response, HttpError>> {
            let (http, request) = (http.clone(), range.apply(request.clone()));
            Box::pin(async move {
                let response = http.send(&request).await?;
                if response.status().is_success() { Ok(response) } else { Err(response.into_error().await) }
            })
        };
        verified(self.clone(), expected, seen, open).await
    }
}

/// A download whose parts `open` asks for, after what `seen` has seen; it gives answers of success only.
pub(crate) async fn verified<E, O>(http: Http, expected: Expected, seen: Digester, open: O) -> Result<Download<E>, E>
where
    E: From<HttpError> + Fault,
    O: Fn(Range) -> BoxFuture<'static, Result<Response, E>> + Send + Sync + 'static,
{
    let place = http.transfer_place().await;
    let response = open(Range { start: seen.size(), validator: None }).await?.without_place();
    let url = response.url().clone();
    let size = expected.size.or(response.length());
    let validator = response.headers().get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")).cloned();
    let attempts = Attempts::new(http.options().retry);
    let mut transfer = Transfer {
        http,
        open,
        expected,
        url: url.clone(),
        validator,
        response: None,
        digester: seen,
        repeat: None,
        attempts,
        since_failure: 0,
        _place: place,
    };
    transfer.begin(response)?;
    let stream = stream::try_unfold(transfer, |mut transfer| async move { Ok(transfer.next().await?.map(|bytes| (bytes, transfer))) });
    Ok(Download { stream: stream.boxed(), size, url })
}

struct Transfer<O> {
    http: Http,
    open: O,
    expected: Expected,
    url: Url,
    validator: Option<HeaderValue>,
    response: Option<Response>,
    /// All that was given so far.
    digester: Digester,
    /// What comes a second time since the server began anew: how much of it was seen.
    repeat: Option<Digester>,
    attempts: Attempts,
    /// New bytes since the last failure.
    since_failure: u64,
    _place: Option<OwnedSemaphorePermit>,
}

impl<O> Transfer<O> {
    /// Takes the answer to a request for all from where we are.
    fn begin(&mut self, response: Response) -> Result<(), HttpError> {
        let start = self.digester.size();
        if response.status() == StatusCode::PARTIAL_CONTENT {
            if content_range_start(&response) != Some(start) {
                return Err(self.broken("the server sent another part than it was asked for"));
            }
        } else {
            self.repeat = (start > 0).then(Digester::new);
            if let Some(length) = response.length() {
                self.check_size(length)?;
            }
        }
        self.response = Some(response);
        Ok(())
    }

    /// Whether a file of `size` bytes may still be what is expected.
    fn check_size(&self, size: u64) -> Result<(), HttpError> {
        match self.expected.size {
            Some(expected) if size != expected => Err(HttpError::Size { url: shown(&self.url), expected, found: size }),
            _ if size > self.expected.limit => Err(HttpError::TooLarge { url: shown(&self.url), limit: self.expected.limit }),
            _ => Ok(()),
        }
    }

    /// What of `bytes` is new: a second answer from the start is compared with what came before.
    fn unseen(&mut self, bytes: Bytes) -> Result<Bytes, HttpError> {
        let Some(mut repeat) = self.repeat.take() else { return Ok(bytes) };
        let missing = self.digester.size() - repeat.size();
        let seen = bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
        repeat.update(&bytes[..seen]);
        if repeat.size() < self.digester.size() {
            self.repeat = Some(repeat);
        } else if repeat.finish() != self.digester.clone().finish() {
            return Err(HttpError::Changed { url: shown(&self.url) });
        }
        Ok(bytes.slice(seen..))
    }

    fn take(&mut self, bytes: Bytes) -> Result<Bytes, HttpError> {
        let bytes = self.unseen(bytes)?;
        self.digester.update(&bytes);
        let size = self.digester.size();
        match self.expected.size {
            Some(expected) if size > expected => return Err(HttpError::Size { url: shown(&self.url), expected, found: size }),
            _ if size > self.expected.limit => return Err(HttpError::TooLarge { url: shown(&self.url), limit: self.expected.limit }),
            _ => {}
        }
        if self.expected.size == Some(size) {
            // Before the last byte is given: who passes the bytes on has not completed anything then.
            self.prove()?;
        }
        self.since_failure += bytes.len() as u64;
        if self.since_failure >= PROGRESS {
            self.attempts.progress();
        }
        Ok(bytes)
    }

    /// Judges the whole, at its end.
    fn prove(&self) -> Result<(), HttpError> {
        let found = self.digester.size();
        match self.expected.size {
            Some(expected) if found != expected => return Err(HttpError::Size { url: shown(&self.url), expected, found }),
            _ => {}
        }
        match self.expected.digest {
            Some(expected) => {
                let found = self.digester.clone().finish();
                if found == expected { Ok(()) } else { Err(HttpError::Digest { url: shown(&self.url), expected, found }) }
            }
            None => Ok(()),
        }
    }

    fn broken(&self, reason: &str) -> HttpError {
        HttpError::Broken { url: shown(&self.url), received: self.digester.size(), reason: reason.to_owned() }
    }

    /// The next new piece of the running answer; none at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let Some(response) = &mut self.response else { return Ok(None) };
            match response.chunk().await? {
                Some(bytes) => {
                    let new = self.take(bytes)?;
                    if !new.is_empty() {
                        return Ok(Some(new));
                    }
                }
                None if self.repeat.is_some() => return Err(HttpError::Changed { url: shown(&self.url) }),
                None => return Ok(None),
            }
        }
    }
}

impl<O> Transfer<O> {
    async fn next<E>(&mut self) -> Result<Option<Bytes>, E>
    where
        E: From<HttpError> + Fault,
        O: Fn(Range) -> BoxFuture<'static, Result<Response, E>>,
    {
        loop {
            let error = match self.piece().await {
                Ok(Some(bytes)) => return Ok(Some(bytes)),
                Ok(None) => {
                    self.prove()?;
                    return Ok(None);
                }
                Err(error) => error,
            };
            self.response = None;
            self.since_failure = 0;
            if !self.http.again(&mut self.attempts, &error, None).await {
                return Err(error.into());
            }
            let may_ask_for_a_part = self.expected.digest.is_some() || self.validator.is_some();
            let start = if may_ask_for_a_part { self.digester.size() } else { 0 };
            let response = (self.open)(Range { start, validator: self.validator.clone() }).await?.without_place();
            self.begin(response)?;
        }
    }
}

/// The first byte of a `206` answer: `Content-Range: bytes 5-9/10`.
fn content_range_start(response: &Response) -> Option<u64> {
    response.header(CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}
