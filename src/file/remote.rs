//! Files at URLs: found once for the lock, fetched into the store when a layer needs them.

use std::io::Write;

use futures_util::{StreamExt, TryStreamExt, stream};
use url::Url;

use crate::description::{Description, FileOrigin};
use crate::digest::Digest;
use crate::error::{Error, Invalid};
use crate::lock::File;
use crate::registry::http::{self, Expected, Request};
use crate::world::World;

/// Largest file at a URL, in bytes.
const MAX_SIZE: u64 = 64 << 30;
/// Files on their way at once.
const PARALLEL: usize = 4;

/// The lock's entries for the files at URLs. Those of `old` are kept where the description still asks for them.
///
/// # Errors
/// Downloads that fail or have another digest than the description demands, each with its place.
pub async fn lock_all(description: &Description, old: &[File], world: &World<'_>) -> Result<Vec<File>, Error> {
    let mut files: Vec<File> = Vec::new();
    let mut problems = Vec::new();
    for item in &description.files {
        let FileOrigin::Url { url, sha256 } = &item.origin else { continue };
        if files.iter().any(|file| file.requirement == *url) {
            continue;
        }
        let kept = old.iter().find(|file| file.requirement == *url && sha256.is_none_or(|sha256| sha256 == file.sha256));
        let found = match kept {
            Some(file) => Ok(file.clone()),
            None => download(url, Expected { digest: *sha256, size: None, limit: MAX_SIZE }, world).await,
        };
        match found {
            Ok(file) => files.push(file),
            Err(error) if http::speaks_of_the_world(&error) => return Err(error.while_doing(format!("cannot lock the file {url}"))),
            Err(error) => problems.push(super::problem(description, item, &error)),
        }
    }
    if !problems.is_empty() {
        return Err(Invalid { problems }.into());
    }
    files.sort_by(|a, b| a.requirement.as_str().cmp(b.requirement.as_str()));
    Ok(files)
}

/// Fetches those of the files that are needed and not in the store.
///
/// # Errors
/// Downloads that fail or bring other bytes than the lock says.
pub async fn fetch(files: &[File], needed: &[Digest], world: &World<'_>) -> Result<(), Error> {
    let missing = files.iter().filter(|file| needed.contains(&file.sha256) && world.store.blob(&file.sha256).is_none());
    let downloads = missing.map(|file| download(&file.requirement, Expected::exactly(file.sha256, file.size), world));
    let mut downloads = stream::iter(downloads).buffer_unordered(PARALLEL);
    while downloads.try_next().await?.is_some() {}
    Ok(())
}

/// The error inside an I/O error of a download's stream.
fn carried(url: &Url, error: std::io::Error) -> Error {
    Error::carried_by(error).unwrap_or_else(|error| crate::error::FileError::at("read", url.as_str())(error).into())
}

async fn download(url: &Url, expected: Expected, world: &World<'_>) -> Result<File, Error> {
    let download = world.http.download(&Request::get(url.clone()), expected).await?;
    let task = world.progress.begin(&format!("fetch {}", url.path_segments().and_then(Iterator::last).unwrap_or_default()), download.size());
    let mut writer = world.store.writer()?;
    let mut stream = download.into_byte_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| carried(url, error))?;
        writer.write_all(&bytes).map_err(crate::error::FileError::at("write", world.store.root()))?;
        task.advance(bytes.len() as u64);
    }
    let (sha256, size) = writer.commit()?;
    Ok(File { requirement: url.clone(), sha256, size })
}
