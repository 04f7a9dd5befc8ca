//! What several end-to-end tests start or make: real registries, certificates, a proxy, child processes with another environment.

pub mod certificates;
pub mod child;
pub mod docker_registry;
pub mod proxy;
