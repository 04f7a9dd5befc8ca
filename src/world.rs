//! What resolving and building need of the world.

use std::sync::atomic::AtomicBool;

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
