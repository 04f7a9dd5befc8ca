//! Every environment variable that byoi reads, with its meaning: as data, so that help and documentation cannot miss one.
//!
//! Nothing else in the library reads the environment; a test below holds that.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// A variable and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
}

impl Variable {
    /// Its value; none where it is not set or empty.
    pub fn value(&self) -> Option<OsString> {
        env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// Its value as text; none where it is not UTF-8 either.
    pub fn text(&self) -> Option<String> {
        self.value()?.into_string().ok()
    }

    /// Its value as a path.
    pub fn path(&self) -> Option<PathBuf> {
        self.value().map(PathBuf::from)
    }

    /// Whether it is set to something else than `0` or `false`.
    pub fn is_on(&self) -> bool {
        self.value().is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

macro_rules! variables {
    ($($constant:ident = $name:literal: $doc:literal;)*) => {
        $(#[doc = $doc] pub const $constant: Variable = Variable { name: $name, doc: $doc };)*

        /// All of them, in the order in which help shows them.
        pub const ALL: &[Variable] = &[$($constant),*];
    };
}

variables! {
    CONFIG = "BYOI_CONFIG": "The user's configuration file, instead of `byoi/config.toml` in the user's configuration directory.";
    CACHE = "BYOI_CACHE": "The cache's directory, instead of the one that the configuration names or `byoi` in the user's cache directory.";
    LOCKED = "BYOI_LOCKED": "`1` fails where the lock is not current, `0` brings it up to date even in CI.";
    CI = "CI": "Set by CI services: a lock that is not current is then an error.";
    SOURCE_DATE_EPOCH = "SOURCE_DATE_EPOCH": "Seconds since 1970: the image's `created` and the times of its history; it changes no layer.";
    GITHUB_TOKEN = "GITHUB_TOKEN": "Reaches private release assets through GitHub's API, and raises its rate limit; sent to GitHub alone.";
    DOCKER_CONFIG = "DOCKER_CONFIG": "The directory of docker's `config.json`, where registry credentials are looked up, instead of `~/.docker`.";
    REGISTRY_AUTH_FILE = "REGISTRY_AUTH_FILE": "A file in the form of containers' `auth.json`, asked for registry credentials before all others.";
    RATTLER_AUTH_FILE = "RATTLER_AUTH_FILE": "Rattler's file of credentials for conda channels, instead of `~/.rattler/credentials.json`.";
    NETRC = "NETRC": "The file of credentials for conda channels that rattler's does not know, instead of `~/.netrc`.";
    SSL_CERT_FILE = "SSL_CERT_FILE": "A PEM file of trusted certificate authorities, instead of the system's; those of the configuration are trusted besides.";
    SSL_CERT_DIR = "SSL_CERT_DIR": "A directory of such files, instead of the system's.";
    HTTPS_PROXY = "HTTPS_PROXY": "The proxy for https URLs; loopback addresses are always reached directly.";
    HTTP_PROXY = "HTTP_PROXY": "The proxy for http URLs.";
    ALL_PROXY = "ALL_PROXY": "The proxy for URLs that have no other.";
    NO_PROXY = "NO_PROXY": "Hosts that are reached without a proxy, separated by commas.";
    HOME = "HOME": "The user's home directory.";
    XDG_CONFIG_HOME = "XDG_CONFIG_HOME": "The user's configuration directory, instead of `~/.config`.";
    XDG_CACHE_HOME = "XDG_CACHE_HOME": "The user's cache directory, instead of `~/.cache`.";
    XDG_RUNTIME_DIR = "XDG_RUNTIME_DIR": "The user's run-time directory, where containers' `auth.json` may lie.";
    NO_COLOR = "NO_COLOR": "Any value: no colour, whatever the terminal can.";
    TERM = "TERM": "`dumb`: no progress bars.";
    DOCKER_HOST = "DOCKER_HOST": "The docker daemon's address, for `docker-daemon:` destinations; docker's own command reads it too.";
}

/// The user's configuration directory: `$XDG_CONFIG_HOME`, else `~/.config`.
pub fn config_home() -> Option<PathBuf> {
    XDG_CONFIG_HOME.path().filter(|path| path.is_absolute()).or_else(|| Some(HOME.path()?.join(".config")))
}

/// The user's cache directory: `$XDG_CACHE_HOME`, else `~/.cache`.
pub fn cache_home() -> Option<PathBuf> {
    XDG_CACHE_HOME.path().filter(|path| path.is_absolute()).or_else(|| Some(HOME.path()?.join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn each_variable_stands_once_with_a_full_sentence() {
        let names: BTreeSet<_> = ALL.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|variable| variable.doc.ends_with('.')));
    }

    #[test]
    fn nothing_else_reads_the_environment() {
        fn visit(directory: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    visit(&path, found);
                } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("src/environment.rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    if text.contains("env::var") {
                        found.push(path.display().to_string());
                    }
                }
            }
        }
        let mut found = Vec::new();
        visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert_eq!(found, Vec::<String>::new(), "these read variables without `environment`");
    }
}
