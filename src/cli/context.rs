//! What commands that need the world share: the user's configuration, the HTTP client, registries, the cache, and the printer.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::input;
use super::printer::Printer;
use crate::description::Description;
use crate::environment;
use crate::error::Error;
use crate::lock::{self, Lock};
use crate::registry::http::{Http, HttpOptions};
use crate::registry::{Credentials, Registry};
use crate::store::Store;
use crate::user_config::UserConfig;
use crate::world::World;

/// What commands that need the world share.
pub struct Context {
    /// All output.
    pub printer: Printer,
    /// The HTTP client.
    pub http: Http,
    /// Registries.
    pub registry: Registry,
    /// The cache.
    pub store: Store,
    /// Set when the command is to end before its work is done.
    pub cancelled: Arc<AtomicBool>,
}

impl Context {
    /// Reads the user's configuration and opens the cache; nothing is connected.
    ///
    /// # Errors
    /// A configuration that is wrong, a cache that cannot be made.
    pub fn new(printer: Printer) -> Result<Self, Error> {
        let config = UserConfig::load()?;
        let told = printer.clone();
        let on_retry = Arc::new(move |retrying: &crate::registry::http::Retrying| {
            told.detail(format!("attempt {} failed, waiting {:.1} s: {}", retrying.attempt, retrying.wait.as_secs_f64(), retrying.reason))
        });
        let http = Http::new(HttpOptions { on_retry: Some(on_retry), ..HttpOptions::from(&config) })?;
        let registry = Registry::new(http.clone(), Credentials::from_environment(), &config);
        let store = Store::open(config.cache_directory()?)?;
        Ok(Context { printer, http, registry, store, cancelled: Arc::default() })
    }

    /// The part of it that the library works with.
    pub fn world(&self) -> World<'_> {
        World { http: &self.http, registry: &self.registry, store: &self.store, progress: &self.printer, cancelled: &self.cancelled }
    }
}

/// A description with its lock, as they lie on disk.
pub struct Project {
    /// The description.
    pub description: Description,
    /// The directory of the description: its relative paths begin here.
    pub directory: PathBuf,
    /// Where the lock lies, or will.
    pub lock_path: PathBuf,
    /// The lock, if there is one.
    pub lock: Option<Lock>,
}

impl Project {
    /// Reads the description in `file`, warns of what it has to warn of, and reads the lock beside it.
    ///
    /// # Errors
    /// Files that cannot be read or are not valid.
    pub fn read(file: &Path, printer: &Printer) -> Result<Self, Error> {
        let description = input::read_description(file)?;
        description.warnings.iter().for_each(|problem| printer.warn(problem));
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let lock_path = lock::path_for(file);
        let lock = input::read_lock(&lock_path)?;
        Ok(Project { description, directory, lock_path, lock })
    }
}

/// Whether a stale or missing lock is an error when the command line does not say: in CI it is.
pub fn locked_by_default() -> bool {
    if environment::LOCKED.text().is_some() { environment::LOCKED.is_on() } else { environment::CI.is_on() }
}

/// Threads for compression: what this process may use.
pub fn threads() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
