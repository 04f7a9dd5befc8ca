//! What can go wrong with a registry, in words that a person can act on.

use std::time::Duration;

use reqwest::StatusCode;

use super::advice;
use super::credentials::CredentialsError;
use super::http::HttpError;
use super::message::{RegistryMessage, messages, shown};
use super::scope::Scope;
use crate::digest::Digest;
use crate::error::{Fault, Kind};

/// Something that was to be done at a registry.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// As the rest of a sentence: "read the manifest of …".
    pub(super) doing: String,
    /// The registry, `host[:port]`.
    pub(super) registry: String,
    /// The repository.
    pub(super) repository: String,
    /// The scopes that it takes.
    pub(super) scopes: Vec<Scope>,
}

/// Something could not be done at a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry was not reached, or the transfer failed.
    #[error("cannot {doing}")]
    Http {
        /// What was to be done.
        doing: String,
        /// Why it failed.
        #[source]
        cause: HttpError,
    },
    /// A blob's transfer failed; the message names its URL.
    #[error(transparent)]
    Transfer(#[from] HttpError),
    /// The registry said no.
    #[error("cannot {doing}: {registry} answered {status}{}", shown(messages))]
    Refused {
        /// What was to be done.
        doing: String,
        /// The registry, `host[:port]`.
        registry: String,
        /// The repository.
        repository: String,
        /// The status.
        status: StatusCode,
        /// What the registry said.
        messages: Vec<RegistryMessage>,
        /// Whether credentials were known for it.
        signed_in: bool,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// The registry asks for credentials in a way that byoi does not know.
    #[error("cannot {doing}: {registry} asks for credentials by `{schemes}`; byoi knows Basic and Bearer")]
    Challenge {
        /// What was to be done.
        doing: String,
        /// The registry.
        registry: String,
        /// What it asks for.
        schemes: String,
    },
    /// Credentials cannot be looked up.
    #[error("cannot {doing}")]
    Credentials {
        /// What was to be done.
        doing: String,
        /// Why they cannot.
        #[source]
        cause: CredentialsError,
    },
    /// The answer makes no sense.
    #[error("cannot {doing}: {registry} answered something that is not the distribution protocol: {reason}")]
    Protocol {
        /// What was to be done.
        doing: String,
        /// The registry.
        registry: String,
        /// Why it makes none.
        reason: String,
    },
    /// A manifest is not the one that it should be.
    #[error("cannot {doing}: {registry} sent bytes with the digest {found}, not {expected}")]
    Digest {
        /// What was to be done.
        doing: String,
        /// The registry.
        registry: String,
        /// What was asked for, or promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
}

impl RegistryError {
    /// The status with which the registry refused, if it did.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            RegistryError::Refused { status, .. } => Some(*status),
            RegistryError::Http { cause, .. } | RegistryError::Transfer(cause) => cause.status(),
            _ => None,
        }
    }

    /// How long the registry asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            RegistryError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the registry's answer has this code.
    pub fn has_code(&self, code: &str) -> bool {
        matches!(self, RegistryError::Refused { messages, .. } if messages.iter().any(|message| message.code.eq_ignore_ascii_case(code)))
    }
}

impl Fault for RegistryError {
    fn kind(&self) -> Kind {
        match self {
            RegistryError::Http { cause, .. } | RegistryError::Transfer(cause) => cause.kind(),
            _ => Kind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            RegistryError::Http { cause, .. } | RegistryError::Transfer(cause) => cause.help(),
            RegistryError::Refused { registry, repository, status, messages, signed_in, .. } => {
                advice::for_refusal(registry, repository, *status, messages, *signed_in)
            }
            RegistryError::Credentials { cause, .. } => cause.help(),
            RegistryError::Challenge { .. } => Some("use an account with a password or a token there".to_owned()),
            RegistryError::Protocol { registry, .. } => Some(advice::for_garbage(registry)),
            RegistryError::Digest { .. } => {
                Some("the registry or a proxy on the way changed the bytes: nothing of it was used; try again, or without the mirror".to_owned())
            }
        }
    }

    fn is_temporary(&self) -> bool {
        match self {
            RegistryError::Http { cause, .. } | RegistryError::Transfer(cause) => cause.is_temporary(),
            RegistryError::Refused { status, .. } => super::http::is_temporary(*status),
            _ => false,
        }
    }
}

impl Task {
    /// The error for a request that failed: a refusal is read, all else is the network's.
    pub(super) fn failed(&self, cause: HttpError, signed_in: bool) -> RegistryError {
        match cause {
            HttpError::Status { status, body, retry_after, .. } => RegistryError::Refused {
                doing: self.doing.clone(),
                registry: self.registry.clone(),
                repository: self.repository.clone(),
                status,
                messages: messages(&body),
                signed_in,
                retry_after,
            },
            cause => RegistryError::Http { doing: self.doing.clone(), cause },
        }
    }

    pub(super) fn protocol(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Protocol { doing: self.doing.clone(), registry: self.registry.clone(), reason: reason.into() }
    }
}
