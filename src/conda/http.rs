//! HTTP to channels: byoi's one client, with mirrors and each place's own credentials; also in the form in which rattler's gateway wants it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream;
use reqwest::{Body, ResponseBuilderExt, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use url::Url;

use super::credentials::{Access, Credentials};
use crate::digest::Digester;
use crate::error::{Error, Fault};
use crate::registry::http::{Download, Expected, Http, HttpError, Request, Response, shown};

/// The file whose absence says that a channel has no sharded index (CEP 16).
const SHARDS: &str = "repodata_shards.msgpack.zst";

/// Reaches channels. Clones share what failed last.
#[derive(Clone)]
pub struct Transport {
    http: Http,
    credentials: Arc<Credentials>,
    failure: Arc<Mutex<Option<Failure>>>,
}

/// What failed last, and for which URL of a channel.
pub struct Failure {
    /// What was asked for, before mirrors.
    pub url: Url,
    /// What went wrong.
    pub error: HttpError,
}

impl Transport {
    /// A transport that shows these credentials.
    pub fn new(http: &Http, credentials: Credentials) -> Self {
        Transport { http: http.clone(), credentials: Arc::new(credentials), failure: Arc::default() }
    }

    /// What failed last.
    pub fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn remember(&self, url: &Url, error: HttpError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Failure { url: url.clone(), error });
    }

    /// The request at each place where it may be met, in order; never empty.
    fn places(&self, request: &Request) -> Result<Vec<Request>, HttpError> {
        let places = self.http.options().mirrors.of_url(request.url());
        places.iter().map(|place| self.with_access(request, place)).collect()
    }

    fn with_access(&self, request: &Request, place: &Url) -> Result<Request, HttpError> {
        let Access { url, authorization, secret } = self.credentials.access(place);
        if secret && !self.http.may_send_credentials(place) {
            return Err(HttpError::Url { url: shown(place), reason: "credentials are not sent without encryption".to_owned() });
        }
        Ok(request.at(url).authorization(authorization))
    }

    /// Sends a request to one place after the other, until one has what is asked for; else the last one's answer counts.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let mut places = self.places(request)?;
        let last = places.pop();
        for place in &places {
            match self.http.send(place).await {
                Ok(response) if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED => return Ok(response),
                _ => {}
            }
        }
        self.http.send(last.as_ref().unwrap_or(request)).await
    }

    /// Downloads a URL from the first place that has it, after what `seen` has seen of it before.
    ///
    /// # Errors
    /// As [`Http::download`].
    pub async fn download(&self, url: &Url, expected: Expected, seen: Digester) -> Result<Download, HttpError> {
        let request = Request::get(url.clone());
        let mut places = self.places(&request)?;
        let last = places.pop().unwrap_or(request);
        for place in places {
            if let Ok(download) = self.http.download_rest(place, expected, seen.clone()).await {
                return Ok(download);
            }
        }
        self.http.download_rest(last, expected, seen).await
    }

    /// A client for rattler's gateway, all of whose requests go through here.
    ///
    /// # Errors
    /// When no client can be made at all.
    pub fn client(&self) -> Result<ClientWithMiddleware, HttpError> {
        // The inner client is never asked: the middleware answers all. So it needs no certificate authorities, which a machine may lack.
        let inner = reqwest::Client::builder().tls_certs_only([]).build().map_err(|error| HttpError::Client(error.to_string()))?;
        Ok(ClientBuilder::new(inner).with(self.clone()).build())
    }

    async fn answer(&self, asked: &reqwest::Request) -> Result<reqwest::Response, HttpError> {
        let url = asked.url();
        let headers = asked.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
        let request = headers.fold(Request::new(asked.method().clone(), url.clone()), |request, (name, value)| request.header(name, value));
        let response = self.send(&request).await?;
        let is_fine = response.status().is_success() || [304, 404, 501].contains(&response.status().as_u16());
        // Stores that may not be listed answer so where a file is not there.
        let is_absent_index = response.status() == StatusCode::FORBIDDEN && url.path().ends_with(SHARDS);
        match (is_fine, is_absent_index) {
            (_, true) => self.passed_on(response, url, StatusCode::NOT_FOUND),
            (true, _) => {
                let status = response.status();
                self.passed_on(response, url, status)
            }
            (false, false) => Err(response.into_error().await),
        }
    }

    /// The answer as reqwest's own, with the body read by our rules, and under the URL that was asked for: a token or a mirror is nobody's business.
    fn passed_on(&self, response: Response, url: &Url, status: StatusCode) -> Result<reqwest::Response, HttpError> {
        let mut builder = http::Response::builder().status(status).url(url.clone());
        if let Some(headers) = builder.headers_mut() {
            headers.extend(response.headers().clone());
        }
        let state = (response, self.clone(), url.clone());
        let pieces = stream::try_unfold(state, |(mut response, transport, url)| async move {
            match response.chunk().await {
                Ok(piece) => Ok(piece.map(|bytes| (bytes, (response, transport, url)))),
                Err(error) => {
                    let message = error.to_string();
                    transport.remember(&url, error);
                    Err(io::Error::other(message))
                }
            }
        });
        let answer = builder.body(Body::wrap_stream(pieces)).map_err(|error| HttpError::Client(error.to_string()))?;
        Ok(answer.into())
    }
}

#[async_trait::async_trait]
impl Middleware for Transport {
    async fn handle(&self, request: reqwest::Request, _: &mut http::Extensions, _: Next<'_>) -> reqwest_middleware::Result<reqwest::Response> {
        self.answer(&request).await.map_err(|error| {
            let message = io::Error::other(error.to_string());
            self.remember(request.url(), error);
            reqwest_middleware::Error::middleware(message)
        })
    }
}

/// Whether a server's answer means that the thing is not there.
pub fn is_absent(error: &HttpError) -> bool {
    matches!(error.status().map(|status| status.as_u16()), Some(404 | 410))
}

/// Whether a server wants other credentials than it was shown.
pub fn wants_credentials(error: &HttpError) -> bool {
    matches!(error.status().map(|status| status.as_u16()), Some(401 | 403))
}

/// An error of a download whose way out is told for channels.
#[derive(Debug)]
pub struct ChannelHttpError(pub HttpError);

impl std::fmt::Display for ChannelHttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ChannelHttpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0)
    }
}

impl Fault for ChannelHttpError {
    fn kind(&self) -> crate::error::Kind {
        self.0.kind()
    }

    fn help(&self) -> Option<String> {
        if wants_credentials(&self.0) { Some(super::error::CREDENTIALS_HELP.to_owned()) } else { self.0.help() }
    }

    fn is_temporary(&self) -> bool {
        self.0.is_temporary()
    }
}

/// Of a failed request to a channel.
pub fn http_error(error: HttpError) -> Error {
    if wants_credentials(&error) { ChannelHttpError(error).into() } else { error.into() }
}
