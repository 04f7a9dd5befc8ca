//! The language of `byoi.lock`: every foreign input by digest, beside the requirement that asked for it. Parse, compare, print; no I/O.

mod model;

pub use model::*;
