//! conda packages straight into layers: MatchSpecs are solved against channels and locked; each locked package's archive becomes entries of
//! a layer, with no prefix on disk. All of rattler is behind this room.

pub mod existing;
mod whiteouts;

pub use whiteouts::Whiteouts;
