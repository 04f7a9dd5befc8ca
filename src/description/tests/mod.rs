//! What a description can say, and what it is told when it cannot.

mod accepted;
mod arbitrary;

use crate::description::{Description, parse};

/// A description that is as short as one can be.
const SHORTEST: &str = "schema = 1\nbase = \"scratch\"\n";

fn read(text: &str) -> Description {
    parse("byoi.toml", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The shortest description with more text.
fn with(more: &str) -> String {
    format!("{SHORTEST}{more}")
}
