//! The language of `byoi.toml`: what a description can say. Parsing reports every error of a file at once, each with its place. No I/O.

mod model;

pub use model::*;
