//! The step that hashes large local files, for a frontend that plans with their digests alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use byoi::digest::{Digest, Digester};
use byoi::error::{Error, FileError};

use super::{DIGESTS_FILE, LARGE, OUT, write};

/// Hashes the large files below `project`, and writes their sizes and digests by their paths in it.
///
/// # Errors
/// Files that cannot be read.
pub fn digests(project: &Path) -> Result<(), Error> {
    let mut found = BTreeMap::new();
    let mut open = vec![project.to_owned()];
    while let Some(place) = open.pop() {
        let metadata = fs::symlink_metadata(&place).map_err(FileError::at("read", &place))?;
        if metadata.is_dir() {
            for child in fs::read_dir(&place).map_err(FileError::at("read", &place))? {
                open.push(child.map_err(FileError::at("read", &place))?.path());
            }
        } else if metadata.is_file() && metadata.len() >= LARGE {
            let (size, digest) = hash(&place).map_err(FileError::at("read", &place))?;
            // The frontend knows files by texts: what has another name is not asked for.
            if let Some(path) = place.strip_prefix(project).ok().and_then(Path::to_str) {
                found.insert(path.to_owned(), (size, digest));
            }
        }
    }
    Ok(write(Path::new(OUT), DIGESTS_FILE, &byoi::json::canonical(&serde_json::json!(found)))?)
}

fn hash(place: &Path) -> io::Result<(u64, Digest)> {
    let mut digester = Digester::new();
    io::copy(&mut io::BufReader::with_capacity(256 << 10, File::open(place)?), &mut digester)?;
    Ok((digester.size(), digester.finish()))
}
