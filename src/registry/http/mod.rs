//! HTTP as all of byoi speaks it, to registries and for plain URLs: bounded, patient with what is temporary, careful with credentials.
//!
//! - At most five attempts for what is temporary, with growing waits; `Retry-After` is honoured.
//! - Redirects are followed by hand: at most ten, never from https to http (loopback excepted), and `Authorization` goes no further than
//!   the scheme, host and port that it is for. It is sent over plain HTTP to loopback and to configured hosts only.
//! - Timeouts are for silence, never for a whole transfer. Every body has a limit.
//! - Proxies come from the environment (`HTTPS_PROXY`, …); loopback addresses are always reached directly.

mod body;
mod download;
mod error;
mod origin;
mod response;
mod retry;
mod traffic;

pub use body::{Body, ByteStream, Source};
pub use download::{Download, Expected};
pub use error::{HttpError, speaks_of_the_world};
pub use origin::is_loopback;
pub use response::{Fetched, Response};
pub use retry::{RetryPolicy, Retrying};
pub use traffic::Traffic;

pub(crate) use download::{Range, verified};
pub(crate) use origin::{follow, leads_to_loopback, same_origin, shown};
pub(crate) use retry::{Attempts, is_temporary};

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Method};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::secret::Secret;
use crate::error::{Fault, FileError};
use crate::user_config::{Mirrors, UserConfig};
use body::Watch;
use traffic::Counters;

/// Most redirects that are followed in a row.
const MAX_REDIRECTS: usize = 10;
/// Short requests at once. More than uploads and transfers need together, since each of those makes some.
const MAX_REQUESTS: usize = 16;
/// Downloads at once: bodies that are read as a stream.
const MAX_TRANSFERS: usize = 8;
/// Uploads at once. An upload may wait for a download that feeds it, never the other way round.
const MAX_UPLOADS: usize = 4;

/// Is told of attempts that failed and are repeated.
pub type RetryListener = Arc<dyn Fn(&Retrying) + Send + Sync>;

/// How the client behaves.
#[derive(Clone)]
pub struct HttpOptions {
    /// Other places for URLs.
    pub mirrors: Mirrors,
    /// Hosts, `host[:port]`, that are trusted with credentials over plain HTTP, beside loopback.
    pub plain_http: BTreeSet<String>,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_bundle: Option<PathBuf>,
    /// When failed attempts are repeated.
    pub retry: RetryPolicy,
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// For the next bytes of a transfer, and for the answer to a request.
    pub idle_timeout: Duration,
    /// For the next bytes of an upload, whose source may wait itself, and for the answer after the last: a registry hashes what it got first.
    pub upload_timeout: Duration,
    /// Is told of every attempt that is going to be repeated.
    pub on_retry: Option<RetryListener>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            mirrors: Mirrors::none(),
            plain_http: BTreeSet::new(),
            ca_bundle: None,
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            upload_timeout: Duration::from_secs(600),
            on_retry: None,
        }
    }
}

impl From<&UserConfig> for HttpOptions {
    fn from(config: &UserConfig) -> Self {
        HttpOptions {
            mirrors: config.mirrors.clone(),
            plain_http: config.plain_http.clone(),
            ca_bundle: config.ca_bundle.clone(),
            ..HttpOptions::default()
        }
    }
}

/// A request, to be sent as often as it takes.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    authorization: Option<Secret>,
    body: Body,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Request { method, url, headers: HeaderMap::new(), authorization: None, body: Body::Empty }
    }

    /// A `GET`.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// With a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// With an `Authorization` header, for the scheme, host and port of the request's URL alone.
    pub fn authorization(mut self, value: Option<Secret>) -> Self {
        self.authorization = value;
        self
    }

    /// With a body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Where it goes.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The same request to another place. Authorization stays behind when the place has another origin.
    pub(crate) fn at(&self, url: Url) -> Self {
        let authorization = self.authorization.clone().filter(|_| same_origin(&self.url, &url));
        Request { url, authorization, ..self.clone() }
    }
}

/// The client. Clones share connections, bounds and counters.
#[derive(Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    options: HttpOptions,
    roots: Vec<Certificate>,
    /// For the network, by proxies where they are set.
    outward: OnceLock<Result<reqwest::Client, String>>,
    /// For this machine, never by a proxy.
    loopback: OnceLock<Result<reqwest::Client, String>>,
    counters: Counters,
    requests: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Http {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// When the bundle of certificate authorities cannot be read.
    pub fn new(options: HttpOptions) -> Result<Self, HttpError> {
        let roots = match &options.ca_bundle {
            None => Vec::new(),
            Some(path) => {
                let pem = fs::read(path).map_err(FileError::at("read", path))?;
                let roots = Certificate::from_pem_bundle(&pem).ok().filter(|roots| !roots.is_empty());
                roots.ok_or_else(|| FileError::at("read", path)(std::io::Error::other("it holds no certificate in PEM form")))?
            }
        };
        let inner = Inner {
            options,
            roots,
            outward: OnceLock::new(),
            loopback: OnceLock::new(),
            counters: Counters::default(),
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            transfers: Arc::new(Semaphore::new(MAX_TRANSFERS)),
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
        };
        Ok(Http { inner: Arc::new(inner) })
    }

    /// What went over the wire so far.
    pub fn traffic(&self) -> Traffic {
        self.inner.counters.snapshot()
    }

    /// Sends a request, again where that may help, and gives the answer, whatever its status, as soon as its headers are here.
    ///
    /// # Errors
    /// [`HttpError`]; a temporary status that stays is [`HttpError::Status`].
    pub async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let mut attempts = Attempts::new(self.inner.options.retry);
        loop {
            match self.send_once(request).await {
                Err(error) if self.again(&mut attempts, &error, error.retry_after()).await => {}
                outcome => return outcome,
            }
        }
    }

    /// As [`Http::send`], with the whole body, of at most `limit` bytes. A body that breaks off is asked for again.
    ///
    /// # Errors
    /// As [`Http::send`], and [`HttpError::TooLarge`].
    pub async fn fetch(&self, request: &Request, limit: u64) -> Result<Fetched, HttpError> {
        let mut attempts = Attempts::new(self.inner.options.retry);
        loop {
            let outcome = match self.send_once(request).await {
                Ok(response) => response.fetch(limit).await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if self.again(&mut attempts, &error, error.retry_after()).await => {}
                outcome => return outcome,
            }
        }
    }

    /// As [`Http::fetch`] for a URL that may have mirrors: the first place that answers with success wins, else the last one's answer counts.
    ///
    /// # Errors
    /// As [`Http::fetch`].
    pub async fn fetch_url(&self, request: &Request, limit: u64) -> Result<Fetched, HttpError> {
        let mut places = self.inner.options.mirrors.of_url(&request.url);
        let last = places.pop().unwrap_or_else(|| request.url.clone());
        for place in places {
            match self.fetch(&request.at(place), limit).await {
                Ok(fetched) if fetched.status.is_success() => return Ok(fetched),
                _ => {}
            }
        }
        self.fetch(&request.at(last), limit).await
    }

    /// Waits before the next attempt; false if there is none, since the error is final or the attempts are used up.
    pub(crate) async fn again(&self, attempts: &mut Attempts, error: &dyn Fault, retry_after: Option<Duration>) -> bool {
        if !error.is_temporary() {
            return false;
        }
        let Some(wait) = attempts.fail(retry_after) else { return false };
        if let Some(listener) = &self.inner.options.on_retry {
            listener(&Retrying { reason: error.to_string(), attempt: attempts.failed(), wait });
        }
        tokio::time::sleep(wait).await;
        true
    }

    /// One attempt: the request and the redirects that it leads to.
    pub(crate) async fn send_once(&self, request: &Request) -> Result<Response, HttpError> {
        let place = match request.body {
            Body::Stream { .. } => place(&self.inner.uploads).await,
            _ => place(&self.inner.requests).await,
        };
        let mut url = request.url.clone();
        let mut authorization = request.authorization.clone();
        for _ in 0..=MAX_REDIRECTS {
            let inner = self.hop(request, &url, authorization.as_ref()).await?;
            let location = inner.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match origin::redirect(&request.method, inner.status(), &url, location) {
                None => {
                    let response = Response::new(inner, url, self.clone(), place);
                    return if retry::is_temporary(response.status()) { Err(response.into_error().await) } else { Ok(response) };
                }
                Some(Err(reason)) => return Err(HttpError::Redirect { url: shown(&url), reason }),
                Some(Ok(next)) => {
                    authorization = authorization.filter(|_| same_origin(&url, &next));
                    url = next;
                }
            }
        }
        Err(HttpError::Redirect { url: shown(&request.url), reason: format!("it leads through more than {MAX_REDIRECTS} redirects") })
    }

    /// One request and its answer.
    async fn hop(&self, request: &Request, url: &Url, authorization: Option<&Secret>) -> Result<reqwest::Response, HttpError> {
        let client = self.client(url)?;
        let mut builder = client.request(request.method.clone(), url.clone()).headers(request.headers.clone());
        if let Some(secret) = authorization {
            builder = builder.header(AUTHORIZATION, self.header(secret, url)?);
        }
        let watch = Watch::default();
        let mut patience = self.inner.options.idle_timeout;
        match &request.body {
            Body::Empty => {}
            Body::Bytes(bytes) => {
                self.inner.counters.uploaded(bytes.len());
                builder = builder.body(bytes.clone());
            }
            Body::Stream { size, source } => {
                let stream = source.open().await.map_err(|cause| HttpError::Source { url: shown(url), cause: cause.into() })?;
                let body = body::watched(stream, *size, self.clone(), watch.clone());
                builder = builder.header(CONTENT_LENGTH, *size).body(body);
                patience = self.inner.options.upload_timeout;
            }
        }
        self.inner.counters.request();
        let outcome = self.patiently(url, patience, &watch, builder.send()).await?;
        outcome.map_err(|error| match watch.problem() {
            Some(cause) => HttpError::Source { url: shown(url), cause },
            None => HttpError::transport(url, &error),
        })
    }

    /// Waits for an answer as long as bytes go out, or `patience` after the last of them.
    async fn patiently<T>(&self, url: &Url, patience: Duration, watch: &Watch, answer: impl Future<Output = T>) -> Result<T, HttpError> {
        let mut answer = pin!(answer);
        loop {
            let before = watch.sent();
            match tokio::time::timeout(patience, answer.as_mut()).await {
                Ok(outcome) => return Ok(outcome),
                Err(_) if watch.sent() != before => {}
                Err(_) => return Err(HttpError::Idle { url: shown(url), waited: patience }),
            }
        }
    }

    /// Whether `url` is a place where credentials may be sent at all: not in plain sight of a network.
    pub(crate) fn may_send_credentials(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        url.scheme() == "https" || leads_to_loopback(url) || self.inner.options.plain_http.contains(&authority)
    }

    /// The value of an `Authorization` header, if it may be sent to `url`.
    fn header(&self, secret: &Secret, url: &Url) -> Result<HeaderValue, HttpError> {
        let refuse = |reason: &str| HttpError::Url { url: shown(url), reason: reason.to_owned() };
        if !self.may_send_credentials(url) {
            return Err(refuse("credentials are not sent without encryption"));
        }
        secret.header().ok_or_else(|| refuse("the credentials hold characters that no header can have"))
    }

    fn client(&self, url: &Url) -> Result<&reqwest::Client, HttpError> {
        let loopback = leads_to_loopback(url);
        let cell = if loopback { &self.inner.loopback } else { &self.inner.outward };
        cell.get_or_init(|| self.build(loopback)).as_ref().map_err(|error| HttpError::Client(error.clone()))
    }

    fn build(&self, loopback: bool) -> Result<reqwest::Client, String> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("byoi/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                // Bodies are taken as they are sent, whatever encodings other crates of the tree switch on: sizes and digests are of these bytes.
                .no_gzip()
                .no_brotli()
                .no_zstd()
                .no_deflate()
                .connect_timeout(self.inner.options.connect_timeout)
                .tcp_keepalive(Duration::from_secs(30));
            if loopback { builder.no_proxy() } else { builder }
        };
        // On a machine without any certificate authorities plain HTTP must still work: then the client has none.
        let client = builder().tls_certs_merge(self.inner.roots.clone()).build();
        client.or_else(|_| builder().tls_certs_only([]).build()).map_err(|error| error.to_string())
    }

    pub(crate) async fn transfer_place(&self) -> Option<OwnedSemaphorePermit> {
        place(&self.inner.transfers).await
    }

    pub(crate) fn options(&self) -> &HttpOptions {
        &self.inner.options
    }

    fn idle_timeout(&self) -> Duration {
        self.inner.options.idle_timeout
    }

    fn counters(&self) -> &Counters {
        &self.inner.counters
    }
}

/// A place among those who may do something at once. The semaphores are never closed, so there always is one in the end.
async fn place(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    semaphore.clone().acquire_owned().await.ok()
}
