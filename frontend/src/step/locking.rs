//! Makes a lock: the one step that needs the network when a description has none.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use byoi::cli::render::{Style, render};
use byoi::description;
use byoi::error::{Error, FileError};
use byoi::lock;
use byoi::progress::Silent;
use byoi::resolve::{self, Update};
use byoi::store::Store;
use byoi::world::World;

use super::{DESCRIPTION, OLD_LOCK, OUT, TEMPORARY};
use crate::failure::{self, Failure};

/// Makes the lock of the description that is mounted, whose local files lie in `project`; or says in its place why it cannot, and in the build's log.
///
/// # Errors
/// A result that cannot be written.
pub fn lock(description_name: &str, lock_name: &str, project: &Path) -> Result<(), Error> {
    let out = Path::new(OUT);
    match made(description_name, lock_name, project) {
        Ok(text) => super::write(out, lock_name, text.as_bytes())?,
        Err(error) => {
            eprint!("{}", render(&error, Style::default()));
            super::write(out, failure::FILE, &Failure::of(&error, description_name).to_bytes())?;
        }
    }
    Ok(())
}

fn made(description_name: &str, lock_name: &str, project: &Path) -> Result<String, Error> {
    let read = |directory: &str, name: &str| {
        let place = Path::new(directory).join(name);
        match fs::read_to_string(&place) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::at("read", place)(error)),
        }
    };
    let description = description::parse(description_name, &read(DESCRIPTION, description_name)?.unwrap_or_default())?;
    let old = read(OLD_LOCK, lock_name)?.map(|text| lock::parse(lock_name, &text)).transpose()?;
    let (http, registry) = super::network()?;
    let store = Store::open(Path::new(TEMPORARY).join("store"))?;
    let cancelled = AtomicBool::new(false);
    let world = World { http: &http, registry: &registry, store: &store, progress: &Silent, cancelled: &cancelled };
    let new = super::runtime()?.block_on(resolve::resolve(&description, project, old.as_ref(), &Update::Nothing, None, &world))?;
    // The build's log shows what was found.
    let changes = lock::table(&lock::diff(old.as_ref(), &new));
    std::io::stderr().write_all(changes.as_bytes()).map_err(FileError::at("write to", "standard error"))?;
    Ok(new.to_toml())
}
