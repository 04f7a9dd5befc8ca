//! The registry client: where a repository is reached, and one request with its credentials. What is asked for stands in the files beside:
//! `manifests.rs`, `blobs.rs`, `uploads.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use url::Url;

use super::auth::Signer;
use super::challenge::challenge;
use super::credentials::Credentials;
use super::error::{RegistryError, Task};
use super::hosts::Hosts;
use super::http::{Http, Request, Response, same_origin};
use super::scope::Scope;
use crate::error::Fault;
use crate::reference::Reference;
use crate::user_config::{Mirrors, UserConfig};

/// A client of all registries. Clones share connections, credentials and tokens.
///
/// Registries are reached by https. Those on this machine (`localhost`, 127.0.0.0/8, `[::1]`) are reached by plain HTTP, unless the user's
/// configuration lists them under `https`; others are only where it lists them under `plain-http`.
///
/// What is read comes from the user's mirrors first; a mirror that cannot be reached is not asked again.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
    mirrored: bool,
}

struct Inner {
    http: Http,
    signer: Signer,
    mirrors: Mirrors,
    hosts: Hosts,
    /// Mirrors that could not be reached.
    silent: Mutex<BTreeSet<String>>,
    /// Upload sessions that a mount left behind, by registry and repository: the next upload there uses them.
    uploads: Mutex<BTreeMap<(String, String), Vec<Url>>>,
}

/// A repository in a registry, after mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) registry: String,
    pub(super) repository: String,
}

/// How stubborn a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stubbornness {
    /// One attempt: the caller repeats more than this request.
    Once,
    /// As many as the policy allows.
    Patient,
}

impl Registry {
    /// A client.
    pub fn new(http: Http, credentials: Credentials, config: &UserConfig) -> Self {
        let hosts = Hosts::new(config);
        let inner = Inner {
            signer: Signer::new(http.clone(), credentials, hosts.clone()),
            http,
            mirrors: config.mirrors.clone(),
            hosts,
            silent: Mutex::default(),
            uploads: Mutex::default(),
        };
        Registry { inner: Arc::new(inner), mirrored: true }
    }

    /// The same client, which reads from the registries themselves and from no mirror: for the destination of a push.
    pub fn without_mirrors(&self) -> Self {
        Registry { mirrored: false, ..self.clone() }
    }

    /// The HTTP client.
    pub fn http(&self) -> &Http {
        &self.inner.http
    }

    /// Keeps an upload session for the next upload to that repository.
    pub(super) fn keep_upload(&self, place: &Place, location: Url) {
        let mut all = self.inner.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((place.registry.clone(), place.repository.clone())).or_default().push(location);
    }

    /// An upload session that was kept.
    pub(super) fn kept_upload(&self, place: &Place) -> Option<Url> {
        let mut all = self.inner.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(&(place.registry.clone(), place.repository.clone()))?.pop()
    }

    /// The root of a registry's URLs; none for a name that makes no URL.
    pub(super) fn base(&self, registry: &str) -> Option<Url> {
        self.inner.hosts.base(registry)
    }

    /// The URL of something in a place: `rest` is what follows the repository's name.
    pub(super) fn url(&self, task: &Task, rest: &str) -> Result<Url, RegistryError> {
        let url = self.base(&task.registry).and_then(|base| base.join(&format!("v2/{}/{rest}", task.repository)).ok());
        url.ok_or_else(|| task.protocol("its name makes no URL"))
    }

    /// Sends a request for a task, with credentials where the registry asks for them.
    pub(super) async fn call(&self, task: &Task, request: Request, stubbornness: Stubbornness) -> Result<Response, RegistryError> {
        let home = self.base(&task.registry).ok_or_else(|| task.protocol("its name makes no URL"))?;
        let at_home = same_origin(&home, request.url());
        let sent = if at_home { self.inner.signer.authorization(task).await? } else { None };
        let response = self.send(task, &request.clone().authorization(sent.clone()), stubbornness).await?;
        // A challenge of somebody else, to whom the registry redirected, is not for the registry's credentials.
        if response.status() != StatusCode::UNAUTHORIZED || !at_home || !same_origin(&home, response.url()) {
            return Ok(response);
        }
        // Whoever waits for a token here must not keep the place that the request for the token needs.
        let response = response.without_place();
        let challenge = match challenge(response.headers()) {
            Ok(challenge) => challenge,
            Err(schemes) if schemes.is_empty() => return Ok(response),
            Err(schemes) => {
                return Err(RegistryError::Challenge { doing: task.doing.clone(), registry: task.registry.clone(), schemes });
            }
        };
        let Some(answer) = self.inner.signer.answer(task, challenge, sent.as_ref()).await? else { return Ok(response) };
        if Some(&answer) == sent.as_ref() {
            return Ok(response);
        }
        drop(response);
        self.send(task, &request.authorization(Some(answer)), stubbornness).await
    }

    async fn send(&self, task: &Task, request: &Request, stubbornness: Stubbornness) -> Result<Response, RegistryError> {
        let outcome = match stubbornness {
            Stubbornness::Once => self.http().send_once(request).await,
            Stubbornness::Patient => self.http().send(request).await,
        };
        match outcome {
            Ok(response) => Ok(response),
            Err(cause) => Err(task.failed(cause, self.inner.signer.is_signed_in(task).await)),
        }
    }

    /// The error for an answer that is not what the task needs.
    pub(super) async fn refused(&self, task: &Task, response: Response) -> RegistryError {
        // In this order: the answer keeps a place among the requests until it is read.
        let cause = response.into_error().await;
        task.failed(cause, self.inner.signer.is_signed_in(task).await)
    }

    /// The places where `reference` may be read, in order.
    fn places(&self, reference: &Reference) -> Vec<Place> {
        let place = |(registry, repository)| Place { registry, repository };
        if !self.mirrored {
            return vec![Place::of(reference)];
        }
        let mut places: Vec<_> = self.inner.mirrors.of_repository(reference.registry(), reference.repository()).into_iter().map(place).collect();
        let silent = self.inner.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() > 1 && places.iter().any(|place| !silent.contains(&place.registry)) {
            places.retain(|place| !silent.contains(&place.registry));
        }
        places
    }

    /// Reads from the first place that gives it; the last one's error counts.
    pub(super) async fn read<'a, T>(
        &'a self,
        reference: &Reference,
        from: impl Fn(Place) -> BoxFuture<'a, Result<T, RegistryError>> + Send,
    ) -> Result<T, RegistryError> {
        let mut places = self.places(reference);
        let last = places.pop().unwrap_or_else(|| Place::of(reference));
        for place in places {
            let registry = place.registry.clone();
            match from(place).await {
                Ok(found) => return Ok(found),
                Err(error) if error.is_temporary() => {
                    self.inner.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(registry);
                }
                Err(_) => {}
            }
        }
        from(last).await
    }
}

impl Place {
    pub(super) fn of(reference: &Reference) -> Self {
        Place { registry: reference.registry().to_owned(), repository: reference.repository().to_owned() }
    }

    /// A task that reads here.
    pub(super) fn reading(&self, doing: impl Into<String>) -> Task {
        self.task(doing, vec![Scope::pull(&self.repository)])
    }

    /// A task that writes here.
    pub(super) fn writing(&self, doing: impl Into<String>) -> Task {
        self.task(doing, vec![Scope::push(&self.repository)])
    }

    fn task(&self, doing: impl Into<String>, scopes: Vec<Scope>) -> Task {
        Task { doing: doing.into(), registry: self.registry.clone(), repository: self.repository.clone(), scopes }
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}
