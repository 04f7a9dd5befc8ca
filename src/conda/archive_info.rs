//! The info section of a package's archive at locking: asked for in part where the channel allows that, else out of the whole archive; and
//! remembered, so that the next lock needs neither.
//!
//! Of a `.conda`, a zip whose members are not compressed by it, the info section mostly comes last: one request for the end brings the zip's
//! directory and it. Nothing vouches for a part of an archive: laying compares what was learned here with the whole, whose digest is proved.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rattler_conda_types::RepoDataRecord;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use url::Url;
use zip::{CompressionMethod, ZipArchive};

use super::download::{self, Promise};
use super::error::FetchError;
use super::http::{Transport, http_error};
use super::info::PackageInfo;
use crate::digest::Digest;
use crate::error::{Error, FileError};
use crate::progress::Task;
use crate::registry::http::{HttpError, Request, shown};
use crate::world::World;

/// Kind of the store's records of info sections: the digest of the blob with the `info-….tar.zst` of an archive, by the archive's digest.
const RECORD: &str = "conda-info";
/// How much of an archive's end is asked for at first, in bytes.
const END: u64 = 128 << 10;
/// Largest part of an archive that is asked for, in bytes: with an info section that is larger the whole archive is fetched.
const MAX_PART: u64 = 32 << 20;
/// Largest window of zstd as a power of two, as for every foreign archive.
const ZSTD_WINDOW: u32 = 27;
/// Most requests for parts of one archive: the end, the local header, the rest.
const MAX_REQUESTS: usize = 4;

/// What locking learns of an archive.
pub struct Looked {
    /// Its info section.
    pub info: PackageInfo,
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether md5 alone vouched for it.
    pub md5_only: bool,
}

/// Looks at a package's archive.
///
/// # Errors
/// An archive that is not there, not what the channel promises, or damaged.
pub async fn look(record: &RepoDataRecord, task: &dyn Task, transport: &Transport, world: &World<'_>) -> Result<Looked, Error> {
    let promise = Promise::of(record)?;
    let name = record.identifier.to_file_name();
    let looked = |info, sha256, size| Looked { info, sha256, size, md5_only: promise.sha256.is_none() };
    if let Promise { sha256: Some(sha256), size: Some(size), .. } = promise {
        if let Some(info) = known(&name, &sha256, world).await? {
            return Ok(looked(info, sha256, size));
        }
        if record.url.scheme() != "file"
            && name.ends_with(".conda")
            && let Some(info) = by_parts(&record.url, size, &sha256, task, transport, world).await?
        {
            return Ok(looked(info, sha256, size));
        }
    }
    let (sha256, size) = download::archive(&record.url, promise, task, transport, world).await?;
    Ok(looked(of_archive(&name, &sha256, world).await?, sha256, size))
}

/// From the cache: an info section of before, or the archive itself.
async fn known(name: &str, sha256: &Digest, world: &World<'_>) -> Result<Option<PackageInfo>, Error> {
    if world.store.blob(sha256).is_some() {
        return of_archive(name, sha256, world).await.map(Some);
    }
    let Some(blob) = world.store.record::<Digest>(RECORD, sha256) else { return Ok(None) };
    let Some(file) = world.store.open_blob(&blob)? else { return Ok(None) };
    in_background(move || PackageInfo::from_info_tar(unpacked(file)?)).await
}

async fn of_archive(name: &str, sha256: &Digest, world: &World<'_>) -> Result<PackageInfo, Error> {
    let file = world.store.open_blob(sha256)?.ok_or(FetchError::Gone { digest: *sha256 })?;
    let name = name.to_owned();
    in_background(move || PackageInfo::of_archive(&file, &name)).await
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn unpacked(packed: impl Read) -> Result<impl Read, Error> {
    let mut reader = zstd::Decoder::new(packed).map_err(FileError::at("unpack", "info"))?;
    reader.window_log_max(ZSTD_WINDOW).map_err(FileError::at("unpack", "info"))?;
    Ok(reader)
}

/// The info section, by requests for parts of a `.conda` of `size` bytes. None where the server sends no parts, where the section is too large for
/// that, or where it does not tell how the package is laid.
async fn by_parts(
    url: &Url,
    size: u64,
    sha256: &Digest,
    task: &dyn Task,
    transport: &Transport,
    world: &World<'_>,
) -> Result<Option<PackageInfo>, Error> {
    let mut end = End::new(size);
    let mut wanted = size.saturating_sub(END);
    for _ in 0..MAX_REQUESTS {
        if size - wanted > MAX_PART {
            return Ok(None);
        }
        let Some(part) = part(url, wanted, end.start, size, transport).await.map_err(http_error)? else { return Ok(None) };
        task.advance(part.len() as u64);
        end.prepend(part);
        match packed_info(end.clone()) {
            Ok(packed) => return remembered(packed, sha256, world).await,
            Err(error) => match end.missing() {
                Some(missing) if missing < end.start => wanted = missing,
                _ => return Err(FetchError::NotConda { url: shown(url), reason: error.to_string() }.into()),
            },
        }
    }
    Ok(None)
}

/// Bytes `start..end` of a URL; none where the server sends the whole.
async fn part(url: &Url, start: u64, end: u64, size: u64, transport: &Transport) -> Result<Option<Vec<u8>>, HttpError> {
    let range = HeaderValue::from_str(&format!("bytes={start}-{}", end - 1)).map_err(|error| HttpError::Client(error.to_string()))?;
    let mut response = transport.send(&Request::get(url.clone()).header(RANGE, range)).await?;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return if response.status().is_success() { Ok(None) } else { Err(response.into_error().await) };
    }
    let expected = format!("bytes {start}-{}/{size}", end - 1);
    let stated = response.header(CONTENT_RANGE).map(str::to_owned);
    if stated.as_deref() != Some(expected.as_str()) {
        let found = stated.and_then(|range| range.rsplit_once('/').and_then(|(_, total)| total.parse().ok()));
        return Err(HttpError::Size { url: shown(url), expected: size, found: found.unwrap_or_default() });
    }
    let bytes = response.bytes(end - start).await?;
    if bytes.len() as u64 != end - start {
        return Err(HttpError::Changed { url: shown(url) });
    }
    Ok(Some(bytes.into()))
}

/// Keeps an info section in the store, and reads it.
async fn remembered(packed: Vec<u8>, sha256: &Digest, world: &World<'_>) -> Result<Option<PackageInfo>, Error> {
    let mut writer = world.store.writer()?;
    io::Write::write_all(&mut writer, &packed).map_err(FileError::at("write", world.store.root()))?;
    let (blob, _) = writer.commit()?;
    world.store.put_record(RECORD, sha256, &blob)?;
    in_background(move || PackageInfo::from_info_tar(unpacked(Cursor::new(packed))?)).await
}

/// The `info-….tar.zst` of a `.conda`.
fn packed_info(mut archive: End) -> Result<Vec<u8>, String> {
    let range = {
        let mut zip = ZipArchive::new(archive.clone()).map_err(|error| error.to_string())?;
        let is_info = |name: &str| name.starts_with("info-") && name.ends_with(".tar.zst");
        let index = zip.file_names().position(|name| name.is_ok_and(|name| is_info(&name))).ok_or("it has no info section")?;
        let member = zip.by_index_raw(index).map_err(|error| error.to_string())?;
        if member.compression() != CompressionMethod::Stored {
            return Err("its info section is compressed twice".to_owned());
        }
        (member.data_start(), member.size())
    };
    let (Some(start), size) = range else { return Err("its info section has no place".to_owned()) };
    let length = usize::try_from(size).ok().filter(|length| *length as u64 <= MAX_PART).ok_or("its info section is too large")?;
    let mut packed = vec![0; length];
    archive.seek(SeekFrom::Start(start)).and_then(|_| archive.read_exact(&mut packed)).map_err(|error| error.to_string())?;
    Ok(packed)
}

/// An archive of which only the end is here. What is read before that fails, and says what was missing.
#[derive(Clone)]
struct End {
    start: u64,
    bytes: Arc<Vec<u8>>,
    size: u64,
    position: u64,
    missing: Arc<AtomicU64>,
}

impl End {
    fn new(size: u64) -> Self {
        End { start: size, bytes: Arc::default(), size, position: 0, missing: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Adds the bytes that come just before.
    fn prepend(&mut self, mut before: Vec<u8>) {
        self.start -= before.len() as u64;
        before.extend_from_slice(&self.bytes);
        self.bytes = Arc::new(before);
        self.missing.store(u64::MAX, Ordering::Relaxed);
    }

    /// From where on something was read that is not here.
    fn missing(&self) -> Option<u64> {
        Some(self.missing.load(Ordering::Relaxed)).filter(|missing| *missing != u64::MAX)
    }
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position < self.start && self.position < self.size && !buffer.is_empty() {
            self.missing.fetch_min(self.position, Ordering::Relaxed);
            return Err(io::Error::other("this part of the archive is not here"));
        }
        let here = usize::try_from(self.position.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len());
        let count = buffer.len().min(self.bytes.len() - here);
        buffer[..count].copy_from_slice(&self.bytes[here..here + count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for End {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
