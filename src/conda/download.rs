//! Archives of packages: from their channel into the store, several at once, each proved by the digest that vouches for it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};
use rattler_conda_types::RepoDataRecord;
use rattler_digest::digest::Digest as _;
use rattler_digest::{Md5, Md5Hash};
use url::Url;

use super::credentials::{Credentials, CredentialsError};
use super::error::FetchError;
use super::http::{Transport, http_error};
use crate::digest::Digest;
use crate::error::{Error, Fault, FileError};
use crate::lock::CondaPackage;
use crate::progress::Task;
use crate::registry::http::{Expected, HttpError, shown};
use crate::store::BlobWriter;
use crate::world::World;

/// Largest archive, in bytes.
const MAX_SIZE: u64 = 64 << 30;
/// Archives on their way at once.
pub const PARALLEL: usize = 8;
/// Piece of a local archive that is copied at once.
const PIECE: usize = 1 << 20;

/// What is known of an archive's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Its sha256.
    pub sha256: Option<Digest>,
    /// Its md5, which counts only where there is no sha256.
    pub md5: Option<Md5Hash>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

impl Promise {
    /// What a channel's index says.
    ///
    /// # Errors
    /// [`FetchError::NoDigest`].
    pub fn of(record: &RepoDataRecord) -> Result<Self, FetchError> {
        let package = &record.package_record;
        let sha256 = package.sha256.as_ref().map(|sha256| Digest::from_bytes((*sha256).into()));
        if sha256.is_none() && package.md5.is_none() {
            return Err(FetchError::NoDigest { file: record.identifier.to_file_name() });
        }
        Ok(Promise { sha256, md5: package.md5.filter(|_| sha256.is_none()), size: package.size.filter(|size| *size > 0) })
    }
}

/// Fetches those of the packages' archives that are needed and not in the store.
///
/// # Errors
/// Downloads that fail or bring other bytes than the lock says.
pub async fn fetch(packages: &[CondaPackage], needed: &[Digest], world: &World<'_>) -> Result<(), Error> {
    fetch_with(packages, needed, world, Credentials::from_environment).await
}

/// As [`fetch`], with credentials from elsewhere, which are looked up when something is to be fetched.
pub(super) async fn fetch_with(
    packages: &[CondaPackage],
    needed: &[Digest],
    world: &World<'_>,
    credentials: impl FnOnce() -> Result<Credentials, CredentialsError>,
) -> Result<(), Error> {
    let missing: Vec<_> = packages.iter().filter(|package| needed.contains(&package.sha256) && world.store.blob(&package.sha256).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let transport = &Transport::new(world.http, credentials()?);
    let total = missing.iter().map(|package| package.size).sum();
    let task = &world.progress.begin(&format!("fetch {} conda packages", missing.len()), Some(total));
    let downloads = missing.into_iter().map(|package| async move {
        let promise = Promise { sha256: Some(package.sha256), md5: None, size: Some(package.size) };
        archive(&package.url, promise, &**task, transport, world).await
    });
    let mut downloads = stream::iter(downloads).buffer_unordered(PARALLEL);
    while downloads.try_next().await?.is_some() {}
    Ok(())
}

/// Fetches an archive into the store, and gives its digest and size.
///
/// # Errors
/// A download that fails or brings other bytes than promised.
pub async fn archive(url: &Url, promise: Promise, task: &dyn Task, transport: &Transport, world: &World<'_>) -> Result<(Digest, u64), Error> {
    let writer = match promise.sha256 {
        Some(sha256) if url.scheme() != "file" => world.store.resume(&sha256)?,
        _ => world.store.writer()?,
    };
    let mut sink = Sink { writer, md5: promise.md5.map(|_| Md5::new()), task };
    match url.scheme() {
        "file" => copy(url, &mut sink)?,
        "https" | "http" => download(url, &promise, &mut sink, transport).await?,
        _ => return Err(FetchError::Scheme { url: url.to_string() }.into()),
    }
    sink.commit(url, &promise)
}

/// The file of a `file:` URL.
///
/// # Errors
/// A URL that names a file of another machine.
pub fn local(url: &Url) -> Result<PathBuf, FetchError> {
    url.to_file_path().map_err(|()| FetchError::Scheme { url: url.to_string() })
}

/// Downloads what the sink does not have yet. What it has from an earlier download is given up where nothing good follows it.
async fn download(url: &Url, promise: &Promise, sink: &mut Sink<'_>, transport: &Transport) -> Result<(), Error> {
    if promise.size.is_some_and(|size| sink.writer.size() >= size) {
        if promise.sha256 == Some(sink.writer.seen().finish()) {
            return Ok(());
        }
        sink.writer.clear()?;
    }
    let had = sink.writer.size();
    sink.task.advance(had);
    let mut outcome = rest(url, promise, sink, transport).await?;
    if had > 0 && is_final(&outcome) {
        sink.writer.clear()?;
        outcome = rest(url, promise, sink, transport).await?;
    }
    if is_final(&outcome) {
        sink.writer.clear()?;
    }
    outcome.map_err(http_error)
}

fn is_final(outcome: &Result<(), HttpError>) -> bool {
    outcome.as_ref().is_err_and(|error| !error.is_temporary())
}

async fn rest(url: &Url, promise: &Promise, sink: &mut Sink<'_>, transport: &Transport) -> Result<Result<(), HttpError>, Error> {
    let expected = Expected { digest: promise.sha256, size: promise.size, limit: promise.size.unwrap_or(MAX_SIZE) };
    let mut stream = match transport.download(url, expected, sink.writer.seen()).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error)),
    };
    while let Some(bytes) = stream.next().await {
        match bytes {
            Ok(bytes) => sink.write_all(&bytes)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

/// Copies a local archive: in the store it is out of reach of changes, and proved.
fn copy(url: &Url, sink: &mut Sink<'_>) -> Result<(), Error> {
    let path = local(url)?;
    let mut file = File::open(&path).map_err(FileError::at("read", &path))?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).map_err(FileError::at("read", &path))? {
            0 => return Ok(()),
            count => sink.write_all(&piece[..count])?,
        }
    }
}

/// An archive on its way into the store.
struct Sink<'t> {
    writer: BlobWriter,
    md5: Option<Md5>,
    task: &'t dyn Task,
}

impl Sink<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.write_all(bytes).map_err(FileError::at("write", "the cache"))?;
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.task.advance(bytes.len() as u64);
        Ok(())
    }

    /// Makes the archive visible, if it is what was promised.
    fn commit(self, url: &Url, promise: &Promise) -> Result<(Digest, u64), Error> {
        let doing = || format!("cannot fetch {}", shown(url));
        let size = self.writer.size();
        if let Some(expected) = promise.size.filter(|expected| *expected != size) {
            return Err(FetchError::Size { url: shown(url), expected, found: size }.into());
        }
        if let (Some(expected), Some(md5)) = (promise.md5, self.md5) {
            let found = md5.finalize();
            if found != expected {
                let (expected, found) = (hex(&expected), hex(&found));
                return Err(FetchError::Md5 { url: shown(url), expected, found }.into());
            }
        }
        match promise.sha256 {
            Some(sha256) => Ok((sha256, self.writer.commit_as(&sha256).map_err(|error| Error::from(error).while_doing(doing()))?)),
            None => Ok(self.writer.commit()?),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
