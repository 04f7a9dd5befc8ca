//! The language of `byoi.lock`: every foreign input by digest, beside the requirement that asked for it. Parse, compare, print; no I/O.

mod compare;
mod conda;
mod model;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use compare::{Change, ChangeKind, Stale, diff, kept, reasons, table};
pub use conda::*;
pub use model::*;
pub use read::parse;

use std::path::{Path, PathBuf};

/// Where the lock of a description lies: `NAME.lock` beside `NAME.toml`.
pub fn path_for(description: &Path) -> PathBuf {
    match description.extension() {
        Some(extension) if extension == "toml" => description.with_extension("lock"),
        _ => {
            let mut name = description.as_os_str().to_owned();
            name.push(".lock");
            PathBuf::from(name)
        }
    }
}
