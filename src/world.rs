//! What resolving and building need of the world.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::progress::Progress;
use crate::registry::Registry;
use crate::registry::http::Http;
use crate::store::Store;

/// What resolving and building need of the world.
pub struct World<'a> {
    /// The HTTP client, for downloads.
    pub http: &'a Http,
    /// Registries.
    pub registry: &'a Registry,
    /// The cache.
    pub store: &'a Store,
    /// Hears of work that takes time.
    pub progress: &'a dyn Progress,
    /// Set when the work is to end early.
    pub cancelled: &'a AtomicBool,
}

/// Fails when the work is to end early: for threads to ask between pieces of work.
///
/// # Errors
/// When `cancelled` is set.
pub fn go_on(cancelled: &AtomicBool) -> io::Result<()> {
    // Not `Interrupted`, which would be tried again.
    if cancelled.load(Ordering::Relaxed) { Err(io::Error::other("the work was interrupted")) } else { Ok(()) }
}
