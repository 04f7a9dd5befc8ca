//! Container registries: the OCI distribution protocol over HTTP, with what people's accounts, proxies and mirrors ask for.
//!
//! [`http`] is the one HTTP client of byoi; other rooms download by it too. [`Registry`] speaks the protocol on top of it.

mod advice;
mod auth;
mod blobs;
mod challenge;
mod client;
mod credentials;
mod error;
mod hosts;
pub mod http;
mod manifests;
mod message;
mod scope;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
mod uploads;

pub use blobs::BlobStream;
pub use client::Registry;
pub use credentials::{Credential, Credentials, CredentialsError};
pub use error::RegistryError;
pub use manifests::FetchedManifest;
pub use message::RegistryMessage;
pub use secret::Secret;

#[cfg(test)]
mod tests;
