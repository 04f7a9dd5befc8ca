//! What conda channels are shown of who asks: rattler's file of credentials, then netrc. Looked up by host, and sent to that host alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rattler_networking::authentication_storage::backends::file::{FileStorage, FileStorageError};
use rattler_networking::{Authentication, AuthenticationStorage};
use url::Url;

use crate::environment;
use crate::error::{Fault, Kind};
use crate::registry::Secret;

/// Largest netrc that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// A file of credentials that is there cannot be used. What it holds is not shown.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the credentials in {}: {reason}", path.display())]
pub struct CredentialsError {
    path: PathBuf,
    reason: String,
}

impl Fault for CredentialsError {
    fn kind(&self) -> Kind {
        Kind::World
    }

    fn help(&self) -> Option<String> {
        Some(format!(
            "repair {}, or name another file in {} or {}",
            self.path.display(),
            environment::RATTLER_AUTH_FILE.name,
            environment::NETRC.name
        ))
    }
}

/// Where credentials are looked up.
#[derive(Clone)]
pub struct Credentials {
    rattler: AuthenticationStorage,
    netrc: BTreeMap<String, (String, Secret)>,
}

/// How a URL is asked for by who has credentials.
pub struct Access {
    /// The URL: with the token, where the host wants one in the path.
    pub url: Url,
    /// The value of `Authorization`.
    pub authorization: Option<Secret>,
    /// Whether something secret is sent.
    pub secret: bool,
}

impl Credentials {
    /// No credentials.
    pub fn none() -> Self {
        Credentials { rattler: AuthenticationStorage::empty(), netrc: BTreeMap::new() }
    }

    /// The files that the environment names, else those in the user's home directory.
    ///
    /// # Errors
    /// A file that is named and not there, or that is there and makes no sense.
    pub fn from_environment() -> Result<Self, CredentialsError> {
        let home = environment::HOME.path();
        let at_home = |named: Option<PathBuf>, name: &str| match (named, &home) {
            (Some(named), _) => Some((named, true)),
            (None, Some(home)) => Some((home.join(name), false)),
            (None, None) => None,
        };
        let mut credentials = Credentials::none();
        if let Some((path, named)) = at_home(environment::RATTLER_AUTH_FILE.path(), ".rattler/credentials.json") {
            credentials.add_rattler(&path, named)?;
        }
        if let Some((path, named)) = at_home(environment::NETRC.path(), ".netrc") {
            credentials.add_netrc(&path, named)?;
        }
        Ok(credentials)
    }

    /// Adds rattler's file; one that is not `named` may be absent.
    fn add_rattler(&mut self, path: &Path, named: bool) -> Result<(), CredentialsError> {
        let fail = |reason: String| CredentialsError { path: path.to_owned(), reason };
        if named && !path.is_file() {
            return Err(fail(format!("{} names it, and it is not there", environment::RATTLER_AUTH_FILE.name)));
        }
        let storage = FileStorage::from_path(path.to_owned()).map_err(|error| match error {
            FileStorageError::IOError(error) => fail(error.to_string()),
            FileStorageError::JSONError(_, error) => {
                fail(format!("it is not what rattler writes (line {}, column {})", error.line(), error.column()))
            }
        })?;
        self.rattler.add_backend(Arc::new(storage));
        Ok(())
    }

    fn add_netrc(&mut self, path: &Path, named: bool) -> Result<(), CredentialsError> {
        let fail = |reason: String| CredentialsError { path: path.to_owned(), reason };
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(()),
            Err(error) => return Err(fail(error.to_string())),
        };
        let netrc = netrc_rs::Netrc::parse(text, false).map_err(|_| fail("it is not a netrc".to_owned()))?;
        for machine in netrc.machines {
            if let netrc_rs::Machine { name: Some(name), login: Some(login), password: Some(password), .. } = machine {
                self.netrc.entry(name).or_insert((login, Secret::new(password)));
            }
        }
        Ok(())
    }

    /// How to ask for `url`.
    pub fn access(&self, url: &Url) -> Access {
        let open = Access { url: url.clone(), authorization: None, secret: false };
        let known = self.rattler.get_by_url(url.clone()).ok().and_then(|(_, found)| found);
        let authorization = match known {
            Some(Authentication::BasicHTTP { username, password }) => basic(&username, &password),
            Some(Authentication::BearerToken(token)) | Some(Authentication::OAuth { access_token: token, .. }) => {
                Secret::new(format!("Bearer {token}"))
            }
            Some(Authentication::CondaToken(token)) => {
                return with_token(url, &token).map_or(open, |url| Access { url, authorization: None, secret: true });
            }
            Some(Authentication::S3Credentials { .. }) => return open,
            None => match url.host_str().and_then(|host| self.netrc.get(host)) {
                Some((login, password)) => basic(login, password.reveal()),
                None => return open,
            },
        };
        Access { authorization: Some(authorization), secret: true, ..open }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > MAX_SIZE { Err(io::Error::other(format!("it has {size} bytes, more than such a file may have"))) } else { fs::read_to_string(path) }
}

fn basic(user: &str, password: &str) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// The URL with a token as anaconda.org takes it, in front of the path: `/t/TOKEN/…`.
fn with_token(url: &Url, token: &str) -> Option<Url> {
    let plain = !token.is_empty() && token.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.~".contains(&c));
    plain.then(|| {
        let mut with = url.clone();
        with.set_path(&format!("/t/{token}{}", url.path()));
        with
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Credentials out of files with these texts.
    pub(in crate::conda) fn of_files(rattler: Option<&str>, netrc: Option<&str>) -> Result<Credentials, CredentialsError> {
        let directory = tempfile::tempdir().unwrap();
        let mut credentials = Credentials::none();
        if let Some(text) = rattler {
            fs::write(directory.path().join("auth.json"), text).unwrap();
            credentials.add_rattler(&directory.path().join("auth.json"), true)?;
        }
        if let Some(text) = netrc {
            fs::write(directory.path().join("netrc"), text).unwrap();
            credentials.add_netrc(&directory.path().join("netrc"), true)?;
        }
        Ok(credentials)
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn each_form_is_sent_to_its_host_alone() {
        let rattler =
            r#"{"a.org": {"BasicHTTP": {"username": "u", "password": "p"}}, "*.b.org": {"BearerToken": "tk"}, "c.org": {"CondaToken": "tk-1"}}"#;
        let credentials = of_files(Some(rattler), Some("machine a.org login no password no\nmachine d.org login u password p\n")).unwrap();
        let shown = |text: &str| {
            let access = credentials.access(&url(text));
            (access.url.to_string(), access.authorization.map(|secret| secret.reveal().to_owned()))
        };
        assert_eq!(shown("https://a.org/x").1.unwrap(), format!("Basic {}", STANDARD.encode("u:p")));
        assert_eq!(shown("https://x.b.org/x").1.unwrap(), "Bearer tk");
        assert_eq!(shown("https://c.org/channel/noarch/x"), ("https://c.org/t/tk-1/channel/noarch/x".to_owned(), None));
        assert_eq!(shown("https://d.org/x").1.unwrap(), format!("Basic {}", STANDARD.encode("u:p")));
        assert_eq!(shown("https://e.org/x"), ("https://e.org/x".to_owned(), None));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_shows_nothing_of_it() {
        let error = of_files(Some(r#"{"a.org": {"BearerToken": ["hunter2"]}}"#), None).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(Credentials::none().add_netrc(Path::new("/nonexistent"), true).is_err());
        assert!(Credentials::none().add_netrc(Path::new("/nonexistent"), false).is_ok());
    }
}
