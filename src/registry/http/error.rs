//! What can go wrong between here and a server.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::origin::shown;
use super::retry;
use crate::digest::Digest;
use crate::error::{Error, Fault, FileError, Kind};

/// Largest body of an error answer that is kept, in bytes.
pub(super) const MAX_ERROR_BODY: u64 = 64 << 10;

/// A request or a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, or it broke.
    #[error("{url} cannot be reached: {reason}")]
    Transport {
        /// What was asked for, without the secrets of its query.
        url: String,
        /// The innermost cause.
        reason: String,
        /// Whether it may go better later.
        temporary: bool,
        /// Whether the server's certificate was the reason.
        certificate: bool,
    },
    /// Nothing came for too long.
    #[error("{url} sent nothing for {} seconds", .waited.as_secs())]
    Idle {
        /// What was asked for.
        url: String,
        /// How long.
        waited: Duration,
    },
    /// The body broke off.
    #[error("the answer from {url} broke off after {received} bytes: {reason}")]
    Broken {
        /// What was asked for.
        url: String,
        /// How many bytes came.
        received: u64,
        /// The innermost cause.
        reason: String,
    },
    /// The server refused.
    #[error("{url} answered {status}{}", shown_message(body))]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: reqwest::StatusCode,
        /// The first 64 KiB of the body.
        body: Bytes,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// A redirect that is not followed.
    #[error("{url} redirects, which is not followed: {reason}")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Why.
        reason: String,
    },
    /// More came than may come.
    #[error("{url} has more than the {limit} bytes that are allowed")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// Another number of bytes came than was promised.
    #[error("{url} has {found} bytes, not {expected}")]
    Size {
        /// What was asked for.
        url: String,
        /// What was promised.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Other bytes came than were promised.
    #[error("{url} has the digest {found}, not {expected}")]
    Digest {
        /// What was asked for.
        url: String,
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The file changed while it was fetched.
    #[error("{url} changed while it was being fetched")]
    Changed {
        /// What was asked for.
        url: String,
    },
    /// A URL that is not used, with the reason.
    #[error("{url} is not used: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// What was to be sent could not be read.
    #[error("what was to be sent to {url} could not be read")]
    Source {
        /// Where it was to be sent.
        url: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The bundle of certificate authorities could not be read.
    #[error(transparent)]
    CaBundle(#[from] FileError),
    /// The client could not be made.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

impl HttpError {
    pub(super) fn transport(url: &Url, error: &reqwest::Error) -> Self {
        let reasons = chain(error);
        let certificate = reasons.iter().any(|reason| reason.contains("certificate"));
        let unknown_name = ["Name or service not known", "No address associated", "Name does not resolve"];
        let permanent = certificate || error.is_builder() || reasons.iter().any(|reason| unknown_name.iter().any(|text| reason.contains(text)));
        HttpError::Transport { url: shown(url), reason: innermost(reasons), temporary: !permanent, certificate }
    }

    pub(super) fn broken(url: &Url, received: u64, error: &reqwest::Error) -> Self {
        HttpError::Broken { url: shown(url), received, reason: innermost(chain(error)) }
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            HttpError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status with which the server refused, if it did.
    pub fn status(&self) -> Option<reqwest::StatusCode> {
        match self {
            HttpError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Whether a failed download says nothing against what asked for it: the network, a server or the disk failed. What is not there, is too large or
/// has another digest than was demanded is the asker's mistake.
pub fn speaks_of_the_world(error: &Error) -> bool {
    let of_the_asker = match error.downcast_ref::<HttpError>() {
        Some(HttpError::Status { status, .. }) => [404, 410].contains(&status.as_u16()),
        Some(HttpError::Digest { .. } | HttpError::Size { .. } | HttpError::TooLarge { .. } | HttpError::Url { .. }) => true,
        _ => false,
    };
    error.fault().kind() == Kind::World && !of_the_asker
}

impl Fault for HttpError {
    fn kind(&self) -> Kind {
        match self {
            HttpError::Source { cause, .. } => Error::inside(cause).map_or(Kind::World, |error| error.fault().kind()),
            _ => Kind::World,
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            HttpError::Transport { certificate: true, .. } => {
                "if a proxy of your company signs connections, name its certificate authority: `[registry] ca-bundle` in byoi's config.toml, or SSL_CERT_FILE; \
                 where no authority is known at all, install the package `ca-certificates`"
            }
            HttpError::Transport { temporary: false, .. } => "check the host's name, and that HTTPS_PROXY is set where there is no direct way out",
            HttpError::Transport { .. } | HttpError::Idle { .. } | HttpError::Broken { .. } => {
                "check the network, HTTPS_PROXY and NO_PROXY, and run the command again; `[mirrors]` in byoi's config.toml names other places"
            }
            HttpError::Status { status, .. } => return status_help(status.as_u16()),
            HttpError::Digest { .. } | HttpError::Size { .. } => {
                "somebody changed it since it was locked, or it was damaged on the way: look at what is there before you lock it anew"
            }
            HttpError::Changed { .. } => "run the command again",
            HttpError::Source { cause, .. } => return Error::inside(cause)?.fault().help(),
            _ => return None,
        };
        Some(text.to_owned())
    }

    fn is_temporary(&self) -> bool {
        match self {
            HttpError::Transport { temporary, .. } => *temporary,
            HttpError::Status { status, .. } => retry::is_temporary(*status),
            HttpError::Idle { .. } | HttpError::Broken { .. } => true,
            HttpError::Source { cause, .. } => Error::inside(cause).is_some_and(|error| error.fault().is_temporary()),
            _ => false,
        }
    }
}

fn status_help(status: u16) -> Option<String> {
    let text = match status {
        401 | 403 => "it needs credentials, or yours may not read it",
        404 | 410 => "check the name and the version",
        407 => "the proxy asks for a password: put it into HTTPS_PROXY",
        429 => "too many requests: wait, or use a mirror (`[mirrors]` in byoi's config.toml)",
        500.. => "the server has trouble: run the command again later",
        _ => return None,
    };
    Some(text.to_owned())
}

/// The messages of an error and of its causes, the outermost first, without the URL.
fn chain(error: &reqwest::Error) -> Vec<String> {
    let mut messages = Vec::new();
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        messages.push(error.to_string());
        cause = error.source();
    }
    if messages.is_empty() {
        messages.push(if error.is_builder() { "the request cannot be made".to_owned() } else { "the request failed".to_owned() });
    }
    messages
}

fn innermost(mut messages: Vec<String>) -> String {
    // "client error (Connect)" says nothing; the innermost of the chain is what the system said.
    messages.pop().unwrap_or_default()
}

/// The first line of a short text body, for a message.
fn shown_message(body: &Bytes) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(1000)]);
    let line: String =
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
    if line.is_empty() || line.starts_with('<') { String::new() } else { format!(": {line}") }
}
