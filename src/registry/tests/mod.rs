//! The client against the in-process registry: one file a subject.

mod access;
mod credentials;
mod downloads;
mod mirrors;
mod pulls;
mod pushes;
mod requests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::http::{Http, HttpOptions, RetryPolicy, Retrying};
use super::testing::TestRegistry;
use super::{Credential, Credentials, Registry, Secret};
use crate::reference::Reference;
use crate::user_config::UserConfig;

/// Options that wait a millisecond where the real ones wait a while.
fn hasty() -> HttpOptions {
    let retry = RetryPolicy { first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(4), ..RetryPolicy::default() };
    HttpOptions { retry, ..HttpOptions::default() }
}

fn http() -> Http {
    Http::new(hasty()).unwrap()
}

/// A client that tells of every retry.
fn watched_http(mut options: HttpOptions) -> (Http, Arc<Mutex<Vec<Retrying>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = seen.clone();
    options.on_retry = Some(Arc::new(move |retrying: &Retrying| listener.lock().unwrap().push(retrying.clone())));
    (Http::new(options).unwrap(), seen)
}

fn client() -> Registry {
    client_with(Credentials::none())
}

fn client_with(credentials: Credentials) -> Registry {
    Registry::new(http(), credentials, &UserConfig::default())
}

fn config(text: &str) -> UserConfig {
    UserConfig::parse("config.toml", text.to_owned(), &PathBuf::new()).unwrap()
}

fn account(registry: &TestRegistry, user: &str, password: &str) -> Credentials {
    let credential = Credential::Password { user: user.to_owned(), password: Secret::new(password) };
    Credentials::none().with(registry.host(), credential)
}

/// `name` at a test registry.
fn at(registry: &TestRegistry, name: &str) -> Reference {
    format!("{}/{name}", registry.host()).parse().unwrap()
}

/// Bytes that compress and repeat badly.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}
