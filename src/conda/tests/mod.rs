//! Locking against channels that are written here, served from a directory and over HTTP.

mod archives;
mod channel;
mod channels;
mod files;
mod solving;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::before::Before;
use super::credentials::Credentials;
use super::existing::ExistingPackage;
use super::locking::lock_with;
use crate::base::Index;
use crate::description::{self, Conda, CondaSource, Description, Existing, Spanned};
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::lock::{self, Base, Directories, Facts, Lock};
use crate::progress::Silent;
use crate::registry::http::{Http, HttpOptions, RetryPolicy};
use crate::registry::{Credentials as RegistryCredentials, Registry};
use crate::store::Store;
use crate::user_config::{Mirrors, UserConfig};
use crate::world::World;

pub(super) use channel::{TestChannel, TestPackage};

/// All that a lock is made with, in a directory of its own.
struct Bench {
    directory: tempfile::TempDir,
    http: Http,
    registry: Registry,
    store: Store,
    cancelled: AtomicBool,
    old: Option<Lock>,
    update: Vec<&'static str>,
    index: Index,
    existing: Vec<ExistingPackage>,
    glibc: Option<&'static str>,
    credentials: Credentials,
}

impl Bench {
    fn new() -> Self {
        Self::with_mirrors(Mirrors::none())
    }

    fn with_mirrors(mirrors: Mirrors) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let retry = RetryPolicy { attempts: 3, first_wait: Duration::from_millis(1), ..RetryPolicy::default() };
        let http = Http::new(HttpOptions { mirrors, retry, ..HttpOptions::default() }).unwrap();
        let registry = Registry::new(http.clone(), RegistryCredentials::none(), &UserConfig::default());
        let store = Store::open(directory.path().join("cache")).unwrap();
        Bench {
            directory,
            http,
            registry,
            store,
            cancelled: AtomicBool::new(false),
            old: None,
            update: Vec::new(),
            index: Index::default(),
            existing: Vec::new(),
            glibc: Some("2.36"),
            credentials: Credentials::none(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn world(&self) -> World<'_> {
        World { http: &self.http, registry: &self.registry, store: &self.store, progress: &Silent, cancelled: &self.cancelled }
    }

    fn base(&self) -> Base {
        let facts = Facts { glibc: self.glibc.map(str::to_owned), ..Facts::default() };
        Base {
            requirement: "scratch".to_owned(),
            digest: None,
            index: None,
            timestamp: jiff::Timestamp::UNIX_EPOCH,
            facts,
            directories: Directories::default(),
        }
    }

    async fn lock(&self, description: &Description) -> Result<lock::Conda, Error> {
        let base = self.base();
        let update = |name: &str| self.update.contains(&name) || self.update.contains(&"*");
        let before = Before { old: self.old.as_ref(), update: &update, base: &base, index: &self.index, existing: &self.existing };
        let credentials = self.credentials.clone();
        let world = self.world();
        Ok(lock_with(description, self.directory.path(), &before, &world, || Ok(credentials)).await?.unwrap())
    }

    /// Takes a lock for the one of before.
    fn keep(&mut self, conda: lock::Conda) {
        self.old = Some(Lock { base: self.base(), conda: Some(conda), extensions: Vec::new(), files: Vec::new() });
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
    }

    fn locked(&self, description: &Description) -> lock::Conda {
        self.block_on(self.lock(description)).unwrap_or_else(|error| panic!("{}", crate::cli::render::render(&error, Default::default())))
    }

    /// How the error is shown, without the paths of this test.
    fn refused(&self, description: &Description) -> String {
        let error = self.block_on(self.lock(description)).unwrap_err();
        self.shown(&error)
    }

    fn shown(&self, error: &Error) -> String {
        let text = crate::cli::render::render(error, crate::cli::render::Style { colour: false, width: 160 });
        text.replace(&self.directory.path().display().to_string(), "[directory]")
    }
}

/// A description with these channels and specs.
fn asking(channels: &[&str], specs: &[&str]) -> Description {
    of_source(channels, |text| CondaSource::Packages(specs.iter().map(|spec| spanned(text, spec)).collect()), specs)
}

/// A description that names a file.
fn naming(channels: &[&str], file: &str) -> Description {
    let source = |text: &str| {
        let Spanned { value, span } = spanned(text, file);
        let path = Spanned { value: PathBuf::from(value), span };
        if file.ends_with(".lock") { CondaSource::Lock(path) } else { CondaSource::Environment(path) }
    };
    of_source(channels, source, &[file])
}

fn of_source(channels: &[&str], source: impl FnOnce(&str) -> CondaSource, words: &[&str]) -> Description {
    let list = |words: &[&str]| words.iter().map(|word| format!("  \"{word}\",\n")).collect::<String>();
    let conda = format!("[conda]\nchannels = [\n{}]\npackages = [\n{}]\n", list(channels), list(words));
    let mut description = description::parse("byoi.toml", "schema = 1\nbase = \"scratch\"\n").unwrap();
    let text = format!("{}\n{conda}", description.source.text);
    description.conda = Some(Conda {
        span: text.find("[conda]").map(|at| at..at + "[conda]".len()).unwrap(),
        channels: channels.iter().map(|channel| spanned(&text, channel)).collect(),
        source: source(&text),
        prefix: ImagePath::literal("opt/conda"),
        existing: Existing::Keep,
        owner: (1000, 100),
        activate: Default::default(),
        allow_link_scripts: Vec::new(),
        cuda: None,
        compile_bytecode: false,
    });
    let source = crate::error::Source { name: "byoi.toml".to_owned(), text };
    Description { source: source.into(), ..description }
}

fn spanned(text: &str, word: &str) -> Spanned<String> {
    let at = text.find(&format!("\"{word}\"")).unwrap();
    Spanned { value: word.to_owned(), span: at..at + word.len() + 2 }
}

/// A part of a description's `[conda]` table changed.
fn with(mut description: Description, change: impl FnOnce(&mut Conda)) -> Description {
    change(description.conda.as_mut().unwrap());
    description
}

/// `NAME VERSION`, by name.
fn versions(conda: &lock::Conda) -> Vec<String> {
    conda.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

fn url_of(directory: &Path) -> String {
    url::Url::from_file_path(directory).unwrap().to_string()
}
