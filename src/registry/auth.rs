//! Showing credentials to a registry: none until it asks, then by Basic, or by a token for the scopes of the task (distribution's token
//! specification). Tokens are kept until they expire and serve for every task whose scopes they cover.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::challenge::Challenge;
use super::credentials::{Credential, Credentials};
use super::error::{RegistryError, Task};
use super::hosts::Hosts;
use super::http::{Body, Http, Request, leads_to_loopback, shown};
use super::scope::{Scope, joined};
use super::secret::Secret;

/// Largest answer of a token endpoint that is read, in bytes.
const MAX_TOKEN_SIZE: u64 = 1 << 20;
/// How long a token holds where its endpoint does not say so (token specification), and the least that is believed.
const SHORTEST_LIFE: u64 = 60;

/// What is known about how one registry wants credentials.
#[derive(Default)]
struct Session {
    challenge: Option<Challenge>,
    credentials: BTreeMap<String, Option<Credential>>,
    tokens: Vec<Token>,
}

struct Token {
    header: Secret,
    scopes: Vec<Scope>,
    until: Instant,
}

/// The sessions by registry. One task at a time asks for a token, the others wait for it.
#[derive(Default)]
struct Sessions(std::sync::Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Session>>>>);

impl Sessions {
    fn of(&self, registry: &str) -> Arc<tokio::sync::Mutex<Session>> {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.entry(registry.to_owned()).or_default().clone()
    }
}

impl Session {
    fn token(&self, scopes: &[Scope]) -> Option<Secret> {
        let covers = |token: &&Token| scopes.iter().all(|scope| token.scopes.iter().any(|own| own.covers(scope)));
        self.tokens.iter().filter(|token| token.until > Instant::now()).find(covers).map(|token| token.header.clone())
    }
}

/// Signs requests for the registries that ask for it.
pub(super) struct Signer {
    http: Http,
    credentials: Credentials,
    hosts: Hosts,
    sessions: Sessions,
}

impl Signer {
    /// One that has asked for nothing yet.
    pub(super) fn new(http: Http, credentials: Credentials, hosts: Hosts) -> Self {
        Signer { http, credentials, hosts, sessions: Sessions::default() }
    }

    /// The `Authorization` header for a task, as far as the registry has asked for one before.
    pub(super) async fn authorization(&self, task: &Task) -> Result<Option<Secret>, RegistryError> {
        let session = self.sessions.of(&task.registry);
        let mut session = session.lock().await;
        match session.challenge.clone() {
            None => Ok(None),
            Some(challenge) => self.meet(&mut session, task, &challenge).await,
        }
    }

    /// The header that answers a challenge. `rejected` is the one that was sent and did not do.
    pub(super) async fn answer(&self, task: &Task, challenge: Challenge, rejected: Option<&Secret>) -> Result<Option<Secret>, RegistryError> {
        let session = self.sessions.of(&task.registry);
        let mut session = session.lock().await;
        session.tokens.retain(|token| Some(&token.header) != rejected);
        session.challenge = Some(challenge.clone());
        self.meet(&mut session, task, &challenge).await
    }

    /// Whether there are credentials for a task's repository, as far as they were looked up.
    pub(super) async fn is_signed_in(&self, task: &Task) -> bool {
        let session = self.sessions.of(&task.registry);
        let session = session.lock().await;
        session.credentials.get(&task.repository).is_some_and(Option::is_some)
    }

    async fn meet(&self, session: &mut Session, task: &Task, challenge: &Challenge) -> Result<Option<Secret>, RegistryError> {
        if let Challenge::Bearer { .. } = challenge
            && let Some(header) = session.token(&task.scopes)
        {
            return Ok(Some(header));
        }
        let credential = match session.credentials.get(&task.repository) {
            Some(known) => known.clone(),
            None => {
                let found = self.credentials.look_up(&task.registry, &task.repository).await;
                let found = found.map_err(|cause| RegistryError::Credentials { doing: task.doing.clone(), cause })?;
                session.credentials.insert(task.repository.clone(), found.clone());
                found
            }
        };
        match (challenge, credential) {
            (Challenge::Basic, Some(Credential::Password { user, password })) => Ok(Some(basic(&user, &password))),
            // An identity token is for token endpoints; a registry that knows Basic alone has none.
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scope }, credential) => {
                let scopes = joined(&task.scopes, scope.as_deref());
                let token = self.fetch_token(task, realm, service.as_deref(), &scopes, credential).await?;
                let header = token.header.clone();
                session.tokens.retain(|token| token.until > Instant::now());
                session.tokens.push(token);
                Ok(Some(header))
            }
        }
    }

    async fn fetch_token(
        &self,
        task: &Task,
        realm: &str,
        service: Option<&str>,
        scopes: &[Scope],
        credential: Option<Credential>,
    ) -> Result<Token, RegistryError> {
        let task = Task { doing: format!("{} (a token from {})", task.doing, cut(realm)), ..task.clone() };
        let signed_in = credential.is_some();
        let request = self.token_request(&task, realm, service, scopes, credential)?;
        let fetched = self.http.fetch(&request, MAX_TOKEN_SIZE).await.map_err(|cause| task.failed(cause, signed_in))?;
        if !fetched.status.is_success() {
            return Err(task.failed(fetched.into_error(), signed_in));
        }
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        // The error's text would quote a part of the answer, which may hold a token.
        let answer: Answer =
            serde_json::from_slice(&fetched.body).map_err(|_| task.protocol("the token endpoint's answer is not JSON with a token"))?;
        let text = answer.token.or(answer.access_token).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| task.protocol("the token endpoint's answer has no token"))?;
        let life = answer.expires_in.unwrap_or(SHORTEST_LIFE).clamp(SHORTEST_LIFE, 24 * 3600);
        // A tenth less, so that no token expires on its way.
        let until = Instant::now() + Duration::from_secs(life * 9 / 10);
        Ok(Token { header: Secret::new(format!("Bearer {text}")), scopes: scopes.to_vec(), until })
    }

    fn token_request(
        &self,
        task: &Task,
        realm: &str,
        service: Option<&str>,
        scopes: &[Scope],
        credential: Option<Credential>,
    ) -> Result<Request, RegistryError> {
        let mut url: Url = realm.parse().map_err(|_| task.protocol("the realm of its challenge is not a URL"))?;
        if !self.trusts_realm(&task.registry, &url) {
            return Err(task.protocol(format!("the realm of its challenge, {}, is not https", shown(&url))));
        }
        if let Some(Credential::IdentityToken(token)) = credential {
            let scopes: Vec<_> = scopes.iter().map(Scope::to_string).collect();
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("client_id", "byoi");
            form.append_pair("service", service.unwrap_or_default()).append_pair("scope", &scopes.join(" "));
            form.append_pair("refresh_token", token.reveal());
            if !self.http.may_send_credentials(&url) {
                return Err(task.protocol("its token endpoint is not https"));
            }
            let request = Request::new(Method::POST, url).body(Body::Bytes(form.finish().into()));
            return Ok(request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
        }
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", &scope.to_string());
            }
            if let Some(Credential::Password { user, .. }) = &credential {
                query.append_pair("account", user);
            }
        }
        let authorization = match credential {
            Some(Credential::Password { user, password }) => Some(basic(&user, &password)),
            _ => None,
        };
        Ok(Request::get(url).authorization(authorization))
    }

    /// A realm must be https. Plain HTTP is for registries that are spoken to in plain HTTP themselves, and then to loopback or the same host.
    fn trusts_realm(&self, registry: &str, realm: &Url) -> bool {
        match realm.scheme() {
            "https" => true,
            "http" => self.hosts.base(registry).is_some_and(|base| {
                base.scheme() == "http" && (base.host() == realm.host() || (leads_to_loopback(&base) && leads_to_loopback(realm)))
            }),
            _ => false,
        }
    }
}

fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

fn cut(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_serves_what_it_covers_until_it_expires() {
        let token = |text: &str, scopes: Vec<Scope>, life: u64| Token {
            header: Secret::new(text),
            scopes,
            until: Instant::now() + Duration::from_secs(life),
        };
        let session = Session {
            tokens: vec![token("old", vec![Scope::push("a")], 0), token("a", vec![Scope::push("a")], 60), token("b", vec![Scope::pull("b")], 60)],
            ..Session::default()
        };
        assert_eq!(session.token(&[Scope::pull("a")]), Some(Secret::new("a")));
        assert_eq!(session.token(&[Scope::pull("b")]), Some(Secret::new("b")));
        assert_eq!(session.token(&[Scope::push("b")]), None);
        assert_eq!(session.token(&[Scope::push("a"), Scope::pull("b")]), None);
    }
}
