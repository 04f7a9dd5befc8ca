//! conda packages straight into layers: MatchSpecs are solved against channels and locked; each locked package's archive becomes entries of
//! a layer, with no prefix on disk. All of rattler is behind this room.

mod channel;
mod credentials;
mod download;
mod environment;
mod error;
pub mod existing;
mod explain;
mod http;
mod locking;
mod pixi;
mod place;
mod repodata;
mod request;
mod solve;
#[cfg(test)]
mod tests;
mod virtual_packages;
mod whiteouts;
mod yaml;

pub use download::fetch;
pub use locking::{Before, lock};
pub use request::{check, requirement};
pub use whiteouts::Whiteouts;
