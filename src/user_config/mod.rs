//! The user's own settings, in `config.toml`: mirrors, registries that speak plain HTTP, certificate authorities, the cache's place.
//! They say how things are reached from here, never what an image is.
//!
//! ```toml
//! [mirrors]                                # tried in order, the original last
//! "public.ecr.aws" = "proxy.corp/ecr-public"
//! "docker.io/library" = ["hub1.corp/library", "hub2.corp/library"]
//! "https://github.com/" = { mirrors = ["https://proxy.corp/github/"], original = false }
//!
//! [registry]
//! plain-http = ["registry.lan:5000"]       # loopback registries speak plain HTTP anyway,
//! https = ["localhost:5001"]               # except these
//! ca-bundle = "corp-ca.pem"                # trusted besides the system's; relative to this file
//!
//! [cache]
//! directory = "/scratch/byoi"
//! ```

mod mirrors;

pub use mirrors::Mirrors;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::environment;
use crate::error::{Error, Fault, FileError, Invalid, Kind, Problem, Source};

/// Largest configuration file that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// What the user's `config.toml` says; the default is an empty file.
#[derive(Debug, Clone, Default)]
pub struct UserConfig {
    /// Other places for URLs and repositories.
    pub mirrors: Mirrors,
    /// Registries, `host[:port]`, that are reached by plain HTTP though they are not on this machine.
    pub plain_http: BTreeSet<String>,
    /// Registries on this machine that are reached by https.
    pub https: BTreeSet<String>,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The cache's directory.
    pub cache: Option<PathBuf>,
}

/// There is no directory for the user's files.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell where the cache belongs: neither {}, {} nor {} is set", environment::CACHE.name, environment::XDG_CACHE_HOME.name, environment::HOME.name)]
pub struct NoHome;

impl Fault for NoHome {
    fn kind(&self) -> Kind {
        Kind::World
    }

    fn help(&self) -> Option<String> {
        Some(format!("set {} to a directory", environment::CACHE.name))
    }
}

impl UserConfig {
    /// Reads the file that `BYOI_CONFIG` names, which must be there, else `byoi/config.toml` in the user's configuration directory, if it is there.
    ///
    /// # Errors
    /// When the file cannot be read, or says something that byoi does not know.
    pub fn load() -> Result<Self, Error> {
        if let Some(named) = environment::CONFIG.path() {
            return Self::read(&named);
        }
        match environment::config_home().map(|directory| directory.join("byoi/config.toml")) {
            Some(path) if path.exists() => Self::read(&path),
            _ => Ok(Self::default()),
        }
    }

    /// Reads one file.
    ///
    /// # Errors
    /// As [`UserConfig::load`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let size = fs::metadata(path).map_err(FileError::at("read", path))?.len();
        if size > MAX_SIZE {
            return Err(FileError::at("read", path)(io::Error::other(format!("it has {size} bytes, more than a configuration may have"))).into());
        }
        let text = fs::read_to_string(path).map_err(FileError::at("read", path))?;
        Self::parse(&path.display().to_string(), text, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads the text of a file called `name`; relative paths in it are relative to `directory`.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub fn parse(name: &str, text: String, directory: &Path) -> Result<Self, Error> {
        let source = Arc::new(Source { name: name.to_owned(), text });
        let mut reader = Reader { source: &source, directory, problems: Vec::new(), config: UserConfig::default() };
        match DeTable::parse(&source.text) {
            Ok(document) => reader.document(document.get_ref()),
            Err(error) => reader.problem(error.span().unwrap_or(0..0), error.message().to_owned()),
        }
        let Reader { mut problems, config, .. } = reader;
        problems.sort_by_key(|problem| problem.place.as_ref().map(|(_, span)| span.start));
        if problems.is_empty() { Ok(config) } else { Err(Invalid { problems }.into()) }
    }

    /// The cache's directory: `BYOI_CACHE`, else what the file says, else `byoi` in the user's cache directory.
    ///
    /// # Errors
    /// When none of them is known.
    pub fn cache_directory(&self) -> Result<PathBuf, NoHome> {
        let default = || environment::cache_home().map(|directory| directory.join("byoi"));
        environment::CACHE.path().or_else(|| self.cache.clone()).or_else(default).ok_or(NoHome)
    }
}

/// Walks the document, collecting what it says and what is wrong with it.
struct Reader<'a> {
    source: &'a Arc<Source>,
    directory: &'a Path,
    problems: Vec<Problem>,
    config: UserConfig,
}

type Value<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn problem(&mut self, span: Range<usize>, message: String) {
        self.problems.push(Problem::new(message).at(self.source, span));
    }

    fn unknown(&mut self, span: Range<usize>, key: &str, known: &str) {
        self.problems.push(Problem::new(format!("unknown key `{key}`")).at(self.source, span).help(format!("known here: {known}")));
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let name = key.get_ref().as_ref();
            if !["mirrors", "registry", "cache"].contains(&name) {
                self.unknown(key.span(), name, "`[mirrors]`, `[registry]`, `[cache]`");
                continue;
            }
            let Some(table) = value.get_ref().as_table() else {
                self.problem(value.span(), format!("`{name}` must be a table"));
                continue;
            };
            for (key, value) in table {
                match (name, key.get_ref().as_ref()) {
                    ("mirrors", prefix) => self.mirror(prefix, key.span(), value),
                    ("registry", "plain-http") => self.config.plain_http = self.hosts(value),
                    ("registry", "https") => self.config.https = self.hosts(value),
                    ("registry", "ca-bundle") => self.config.ca_bundle = self.path(value),
                    ("cache", "directory") => self.config.cache = self.path(value),
                    ("registry", other) => self.unknown(key.span(), other, "`plain-http`, `https`, `ca-bundle`"),
                    (_, other) => self.unknown(key.span(), other, "`directory`"),
                }
            }
        }
    }

    fn mirror(&mut self, prefix: &str, span: Range<usize>, value: &Value<'_>) {
        let (list, original) = match value.get_ref() {
            DeValue::Table(table) => {
                let mut original = true;
                let mut list = None;
                for (key, value) in table {
                    match key.get_ref().as_ref() {
                        "mirrors" => list = Some(value),
                        "original" => match value.get_ref() {
                            DeValue::Boolean(truth) => original = *truth,
                            _ => self.problem(value.span(), "`original` must be true or false".to_owned()),
                        },
                        other => self.unknown(key.span(), other, "`mirrors`, `original`"),
                    }
                }
                (list.map(|list| self.texts(list)).unwrap_or_default(), original)
            }
            _ => (self.texts(value), true),
        };
        if list.is_empty() {
            return self.problem(value.span(), format!("`{prefix}` has no mirror"));
        }
        let mirrors: Vec<&str> = list.iter().map(|(text, _)| text.as_str()).collect();
        // Each alone first, so that the mark stands under the one that is wrong.
        let wrong = list.iter().find_map(|(text, span)| Mirrors::none().add(prefix, &[text], true).err().map(|message| (message, span.clone())));
        match wrong {
            Some((message, _)) if Mirrors::none().add(prefix, &[], true).is_err() => self.problem(span, message),
            Some((message, span)) => self.problem(span, message),
            None => self.config.mirrors.add(prefix, &mirrors, original).unwrap_or_else(|message| self.problem(span, message)),
        }
    }

    fn hosts(&mut self, value: &Value<'_>) -> BTreeSet<String> {
        let mut hosts = BTreeSet::new();
        for (text, span) in self.texts(value) {
            let probe: Result<crate::reference::Reference, _> = format!("{text}/x").parse();
            if probe.is_ok_and(|reference| reference.registry() == text) {
                hosts.insert(text);
            } else {
                self.problem(span, format!("`{text}` is not a registry's `host` or `host:port`"));
            }
        }
        hosts
    }

    fn path(&mut self, value: &Value<'_>) -> Option<PathBuf> {
        match value.get_ref().as_str() {
            Some(text) if !text.is_empty() => Some(self.directory.join(text)),
            _ => {
                self.problem(value.span(), "a path in quotes is expected".to_owned());
                None
            }
        }
    }

    /// One text, or a list of them, each with its place.
    fn texts(&mut self, value: &Value<'_>) -> Vec<(String, Range<usize>)> {
        let items: Vec<&Value<'_>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), item.span())),
                None => self.problem(item.span(), "a text in quotes, or a list of them, is expected".to_owned()),
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UserConfig, Error> {
        UserConfig::parse("config.toml", text.to_owned(), Path::new("/etc/byoi"))
    }

    #[test]
    fn reads_the_example_of_the_documentation() {
        let example: String = include_str!("mod.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! "))
            .skip_while(|line| *line != "```toml")
            .skip(1)
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        let config = parse(&example).unwrap();
        assert_eq!(config.mirrors.of_repository("public.ecr.aws", "a/b")[0], ("proxy.corp".to_owned(), "ecr-public/a/b".to_owned()));
        assert_eq!(config.mirrors.of_repository("docker.io", "library/x").len(), 3);
        assert_eq!(config.mirrors.of_url(&"https://github.com/x".parse().unwrap()).len(), 1);
        assert!(config.plain_http.contains("registry.lan:5000") && config.https.contains("localhost:5001"));
        assert_eq!(config.ca_bundle.as_deref(), Some(Path::new("/etc/byoi/corp-ca.pem")));
        assert_eq!(config.cache.as_deref(), Some(Path::new("/scratch/byoi")));
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert!(parse("").unwrap().plain_http.is_empty());
    }

    #[test]
    fn says_all_that_is_wrong_and_where() {
        for (text, marks) in [
            ("[mirrors", &["\n"][..]),
            ("[mirror]\nx = 1\n", &["mirror"]),
            ("mirrors = 1\n", &["1"]),
            ("[registry]\nplain-htp = []\nca-bundle = 3\n", &["plain-htp", "3"]),
            ("[registry]\nplain-http = ['https://a.b', 'a.b', 7]\n", &["'https://a.b'", "7"]),
            ("[mirrors]\n'a.b' = ['c.d', 'https://e.f']\n", &["'https://e.f'"]),
            ("[mirrors]\n'nonsense' = 'c.d'\n", &["'nonsense'"]),
            ("[mirrors]\n'a.b' = { mirrors = [], orginal = true }\n", &["{ mirrors = [], orginal = true }", "orginal"]),
            ("[mirrors]\n'a.b' = { mirrors = 'c.d', original = 'no' }\n", &["'no'"]),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.fault().kind(), Kind::Input);
            let found: Vec<_> = error
                .fault()
                .problems()
                .iter()
                .map(|problem| problem.place.as_ref().map(|(source, span)| source.text[span.clone()].to_owned()).unwrap())
                .collect();
            if text != "[mirrors" {
                assert_eq!(found, marks, "{text}");
            }
        }
    }

    #[test]
    fn a_missing_named_file_is_an_error() {
        assert!(UserConfig::read(Path::new("/nonexistent/config.toml")).is_err());
    }
}
