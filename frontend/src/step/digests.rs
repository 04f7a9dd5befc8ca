//! The step that hashes local files, for a frontend that plans with their digests alone.

use std::collections::BTreeMap;
use std::path::Path;

use byoi::error::Error;
use byoi::file;
use byoi::store::Store;

use super::{DIGESTS_FILE, OUT, TEMPORARY, write};

/// Hashes the files below `project`, and writes their sizes and digests by their paths in it.
///
/// # Errors
/// Files that cannot be read.
pub fn digests(project: &Path) -> Result<(), Error> {
    let store = Store::open(Path::new(TEMPORARY).join("store"))?;
    let found = file::digests_below(project, &store)?;
    // The frontend knows files by texts: what has another name is not asked for.
    let texts = found.iter().filter_map(|(path, known)| Some((std::str::from_utf8(path.as_bytes()).ok()?, known)));
    let bytes = byoi::json::canonical_of(&texts.collect::<BTreeMap<_, _>>());
    Ok(write(Path::new(OUT), DIGESTS_FILE, &bytes)?)
}
