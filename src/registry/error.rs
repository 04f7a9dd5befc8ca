//! What can go wrong with a registry, in words that a person can act on.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::advice;
use super::credentials::CredentialsError;
use super::http::HttpError;
use crate::digest::Digest;
use crate::error::{Fault, Kind};

/// Most errors of one answer that are kept, and most characters of each.
const MAX_MESSAGES: usize = 5;
const MAX_MESSAGE: usize = 500;

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
    pub(super) scopes: Vec<super::auth::Scope>,
}

/// An entry of a registry's error answer (distribution specification, "Error Codes").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryMessage {
    /// The code: `MANIFEST_UNKNOWN`, …
    pub code: String,
    /// What the registry says besides.
    pub message: String,
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

/// The errors in a body; of a body in no such form, its first line.
fn messages(body: &[u8]) -> Vec<RegistryMessage> {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        code: serde_json::Value,
        #[serde(default)]
        message: Option<String>,
    }
    let cut = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect::<String>().trim().to_owned();
    if let Ok(Body { errors }) = serde_json::from_slice(body) {
        let message = |item: Item| RegistryMessage {
            code: cut(item.code.as_str().unwrap_or_default()),
            message: cut(item.message.as_deref().unwrap_or_default()),
        };
        return errors.into_iter().take(MAX_MESSAGES).map(message).collect();
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(cut).find(|line| !line.is_empty()).unwrap_or_default();
    // A page of HTML says nothing in a terminal.
    if line.is_empty() || line.starts_with('<') { Vec::new() } else { vec![RegistryMessage { code: String::new(), message: line }] }
}

fn shown(messages: &[RegistryMessage]) -> String {
    let one = |RegistryMessage { code, message }: &RegistryMessage| match (code.as_str(), message.as_str()) {
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{message} ({code})"),
    };
    let all: Vec<_> = messages.iter().map(one).filter(|text| !text.is_empty()).collect();
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_errors_of_registries() {
        for (body, text) in [
            (r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository","detail":{}}]}"#, ": no such repository (NAME_UNKNOWN)"),
            (r#"{"errors":[{"code":"DENIED"},{"message":"also\nthis"}]}"#, ": DENIED; also this"),
            (r#"{"errors":[]}"#, ""),
            ("<html><body>nginx</body></html>", ""),
            ("\n\nupstream \u{1b}[31m down\nmore", ": upstream  [31m down"),
            ("", ""),
        ] {
            assert_eq!(shown(&messages(body.as_bytes())), text, "{body}");
        }
    }

    #[test]
    fn keeps_little_of_a_long_answer() {
        let items: Vec<_> = (0..99).map(|_| serde_json::json!({"code": "X", "message": "y".repeat(9999)})).collect();
        let all = messages(serde_json::json!({"errors": items}).to_string().as_bytes());
        assert!(all.len() == MAX_MESSAGES && all.iter().all(|message| message.message.len() == MAX_MESSAGE));
    }
}
