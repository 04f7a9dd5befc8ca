//! Where registry credentials come from: docker's `config.json` with its helpers, and containers' `auth.json`.
//!
//! The files are asked in this order, the first that knows something wins: `$REGISTRY_AUTH_FILE`; `config.json` in `$DOCKER_CONFIG` or
//! `~/.docker`; `$XDG_RUNTIME_DIR/containers/auth.json`; `containers/auth.json` in the user's configuration directory. In a file the most
//! specific key wins: `host/a/b`, then `host/a`, then `host`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::{Value, json};

use super::secret::Secret;
use crate::environment;
use crate::error::{Fault, Kind};
use crate::reference::DOCKER_HUB;

/// Under which docker keeps Docker Hub's credentials.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// How long a credential helper may take: some wait for a person to unlock a key ring.
const HELPER_TIMEOUT: Duration = Duration::from_secs(120);
/// Largest credentials file that is read, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// What a registry may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that is exchanged for others at the registry's token endpoint.
    IdentityToken(Secret),
}

/// Credentials cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file is there but cannot be read.
    #[error("cannot read the credentials in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// An entry makes no sense.
    #[error("the credentials for {key} in {} cannot be read: {reason}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// A helper failed. What it printed is not shown: it may hold secrets.
    #[error("the credential helper `docker-credential-{helper}`, which {} names for {key}, {reason}", path.display())]
    Helper {
        /// The file that names it.
        path: PathBuf,
        /// For what it was asked.
        key: String,
        /// The helper, without the prefix of its program's name.
        helper: String,
        /// What happened.
        reason: &'static str,
    },
}

impl Fault for CredentialsError {
    fn kind(&self) -> Kind {
        Kind::World
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            CredentialsError::File { path, .. } => format!("repair {}, or sign in again with `docker login`", path.display()),
            CredentialsError::Entry { key, .. } => format!("sign in again: `docker login {key}`"),
            CredentialsError::Helper { helper, key, .. } => {
                format!("try it by hand: `echo {key} | docker-credential-{helper} get >/dev/null`; or take it out of the file and use `docker login`")
            }
        })
    }
}

/// The places where credentials are looked up.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    given: BTreeMap<String, Credential>,
    files: Vec<PathBuf>,
}

impl Credentials {
    /// No credentials: everything is asked for anonymously.
    pub fn none() -> Self {
        Self::default()
    }

    /// The files that the environment names.
    pub fn from_environment() -> Self {
        let docker = environment::DOCKER_CONFIG.path().or_else(|| Some(environment::HOME.path()?.join(".docker")));
        let files = [
            environment::REGISTRY_AUTH_FILE.path(),
            docker.map(|directory| directory.join("config.json")),
            environment::XDG_RUNTIME_DIR.path().map(|directory| directory.join("containers/auth.json")),
            environment::config_home().map(|directory| directory.join("containers/auth.json")),
        ];
        Credentials { given: BTreeMap::new(), files: files.into_iter().flatten().collect() }
    }

    /// These files, in this order; those that are not there are passed over.
    pub fn from_files(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Credentials { given: BTreeMap::new(), files: files.into_iter().collect() }
    }

    /// Besides, and before all files, this credential for a registry (`host[:port]`).
    pub fn with(mut self, registry: &str, credential: Credential) -> Self {
        self.given.insert(registry.to_owned(), credential);
        self
    }

    /// What is known for a repository; none if nothing is.
    ///
    /// # Errors
    /// When a file that is there cannot be read, or a helper fails.
    pub async fn look_up(&self, registry: &str, repository: &str) -> Result<Option<Credential>, CredentialsError> {
        if let Some(given) = self.given.get(registry) {
            return Ok(Some(given.clone()));
        }
        for path in &self.files {
            let Some(config) = read(path)? else { continue };
            if let Some(entry) = Entry::find(&config, registry, repository)
                && let Some(credential) = entry.resolve(path).await?
            {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }
}

fn read(path: &Path) -> Result<Option<Value>, CredentialsError> {
    let failed = |cause| CredentialsError::File { path: path.to_owned(), cause };
    let text = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_SIZE => return Err(failed(io::Error::other("it is too large"))),
        Ok(_) => fs::read(path).map_err(failed)?,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    // serde_json's message names line and column, and quotes nothing of the file.
    serde_json::from_slice(&text).map(Some).map_err(|error| failed(io::Error::other(error.to_string())))
}

/// The part of a file that speaks of one registry.
///
/// `docker_credential` decodes entries and runs helpers. Which entry it is we choose: it knows neither the keys with a path of containers'
/// `auth.json`, nor that `credsStore` is asked for the registry alone.
struct Entry {
    /// A file with nothing else in it.
    config: Value,
    key: String,
    helper: Option<String>,
}

impl Entry {
    fn find(config: &Value, registry: &str, repository: &str) -> Option<Self> {
        for key in keys(registry, repository) {
            if let Some(helper) = text(config.get("credHelpers").and_then(|helpers| helpers.get(&key))) {
                return Some(Self::helped(key, helper));
            }
            if let Some((name, auth)) = find_auth(config, &key)
                && has_content(auth)
            {
                return Some(Entry { config: json!({"auths": {name: auth}}), key: name.clone(), helper: None });
            }
        }
        let helper = text(config.get("credsStore"))?;
        let key = if registry == DOCKER_HUB { DOCKER_HUB_KEY } else { registry };
        Some(Self::helped(key.to_owned(), helper))
    }

    fn helped(key: String, helper: &str) -> Self {
        Entry { config: json!({"credHelpers": {&key: helper}}), key, helper: Some(helper.to_owned()) }
    }

    async fn resolve(self, path: &Path) -> Result<Option<Credential>, CredentialsError> {
        let Entry { config, key, helper } = self;
        let (asked, helped) = (key.clone(), helper.is_some());
        let asking = tokio::task::spawn_blocking(move || get_credential_from_reader(config.to_string().as_bytes(), &asked));
        let failed = |reason| match &helper {
            Some(helper) => CredentialsError::Helper { path: path.to_owned(), key: key.clone(), helper: helper.clone(), reason },
            None => CredentialsError::Entry { path: path.to_owned(), key: key.clone(), reason },
        };
        let Ok(Ok(outcome)) = tokio::time::timeout(HELPER_TIMEOUT, asking).await else { return Err(failed("did not answer")) };
        match outcome {
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(Credential::Password { user, password: Secret::new(password) })),
            Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::IdentityToken(Secret::new(token)))),
            // The words of docker's own helpers for "I know nothing of it".
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => Ok(None),
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            Err(CredentialRetrievalError::HelperFailure { .. }) => Err(failed("failed")),
            Err(CredentialRetrievalError::HelperCommunicationError) => Err(failed("cannot be run")),
            Err(CredentialRetrievalError::CredentialMismatchError) => Err(failed("`auth` says something else than `username` and `password`")),
            Err(_) => Err(failed(if helped { "answered something that is no credential" } else { "`auth` is not base64 of `user:password`" })),
        }
    }
}

/// The keys under which a repository's credentials may stand, the most specific first.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = repository;
    loop {
        keys.push(format!("{registry}/{path}"));
        match path.rsplit_once('/') {
            Some((parent, _)) => path = parent,
            None => break,
        }
    }
    keys.push(registry.to_owned());
    if registry == DOCKER_HUB {
        keys.extend([DOCKER_HUB_KEY, "index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    keys
}

/// The entry of `auths` for a key: by its name, else as a URL of that host, which older docker versions wrote.
fn find_auth<'a>(config: &'a Value, key: &str) -> Option<(&'a String, &'a Value)> {
    let auths = config.get("auths")?.as_object()?;
    if let Some((name, auth)) = auths.get_key_value(key) {
        return Some((name, auth));
    }
    let host_of = |name: &str| {
        let rest = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://"))?;
        Some(rest.split('/').next().unwrap_or_default().to_owned())
    };
    auths.iter().find(|(name, _)| host_of(name).as_deref() == Some(key))
}

/// Docker writes `{}` for a registry whose credentials its store keeps.
fn has_content(auth: &Value) -> bool {
    ["auth", "identitytoken", "username"].iter().any(|name| text(auth.get(name)).is_some())
}

fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|text| !text.is_empty())
}
