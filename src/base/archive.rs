//! Members of a plain tar, read in place: an index of offsets, nothing is unpacked.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::BaseError;
use crate::error::{Error, FileError};
use crate::layer::FileRange;

/// Most members that an archive of an image may have.
const MAX_MEMBERS: usize = 100_000;
/// Links between members that are followed; `docker save` of older versions writes one.
const MAX_LINKS: usize = 4;
/// Most bytes of headers, long names and records that one member may have.
const MAX_HEADERS: u64 = 1 << 20;

enum Member {
    File { offset: u64, size: u64 },
    Link(String),
}

/// The members of an archive by name.
pub struct Members {
    image: String,
    path: PathBuf,
    file: Arc<File>,
    members: BTreeMap<String, Member>,
}

impl Members {
    /// Reads the headers of the tar at `path`. `image` is what the user called it.
    ///
    /// # Errors
    /// A file that is no plain tar.
    pub fn read(image: &str, path: &Path) -> Result<Self, Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BaseError::Absent { image: image.to_owned(), why: format!("there is no file {}", path.display()) }.into());
            }
            opened => opened.map_err(FileError::at("read", path))?,
        };
        if is_compressed(&file).map_err(FileError::at("read", path))? {
            return Err(BaseError::Compressed { image: image.to_owned() }.into());
        }
        let members =
            index(&file).map_err(|error| BaseError::Damaged { image: image.to_owned(), why: format!("its tar cannot be read: {error}") })?;
        Ok(Members { image: image.to_owned(), path: path.to_owned(), file: Arc::new(file), members })
    }

    /// The archive on this machine.
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// The bytes of a member.
    ///
    /// # Errors
    /// When there is no such member.
    pub fn member(&self, name: &str) -> Result<FileRange, Error> {
        let mut name = name.to_owned();
        for _ in 0..=MAX_LINKS {
            match self.members.get(&name) {
                Some(Member::File { offset, size }) => return Ok(FileRange { file: self.file.clone(), offset: *offset, size: *size }),
                Some(Member::Link(target)) => name.clone_from(target),
                None => break,
            }
        }
        Err(self.damaged(format!("the archive has no member `{name}`")).into())
    }

    /// A member as a whole.
    ///
    /// # Errors
    /// As [`Members::member`], and for a member of more than `limit` bytes.
    pub fn small(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let mut range = self.member(name)?;
        if range.size > limit {
            return Err(self.damaged(format!("its member `{name}` is larger than {limit} bytes")).into());
        }
        let mut bytes = Vec::new();
        range.read_to_end(&mut bytes).map_err(FileError::at("read", &self.path))?;
        Ok(bytes)
    }

    pub(super) fn damaged(&self, why: String) -> BaseError {
        BaseError::Damaged { image: self.image.clone(), why }
    }

    /// The bytes of a member, for async readers.
    ///
    /// # Errors
    /// As [`Members::member`].
    pub fn stream(&self, name: &str) -> Result<RangeStream, Error> {
        Ok(RangeStream(self.member(name)?))
    }
}

/// Whether the whole file is gzip, zstd, xz or bzip2.
fn is_compressed(file: &File) -> io::Result<bool> {
    let mut magic = Vec::new();
    FileRange { file: Arc::new(file.try_clone()?), offset: 0, size: 6 }.read_to_end(&mut magic)?;
    let known: [&[u8]; 4] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], b"\xfd7zXZ\0", b"BZh"];
    Ok(known.iter().any(|known| magic.starts_with(known)))
}

/// A reader that gives so many bytes and then fails: the tar reader takes long names and records of any size into memory.
struct Allowance<'a> {
    file: &'a File,
    left: &'a Cell<u64>,
}

impl Read for Allowance<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the headers of a member are too large"))?);
        Ok(count)
    }
}

impl Seek for Allowance<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn index(file: &File) -> io::Result<BTreeMap<String, Member>> {
    let mut members = BTreeMap::new();
    let left = Cell::new(MAX_HEADERS);
    let mut archive = tar::Archive::new(Allowance { file, left: &left });
    for entry in archive.entries_with_seek()? {
        left.set(MAX_HEADERS);
        let entry = entry?;
        let name = normal(&String::from_utf8_lossy(&entry.path_bytes()));
        let kind = entry.header().entry_type();
        if kind.is_file() {
            members.insert(name, Member::File { offset: entry.raw_file_position(), size: entry.size() });
        } else if let (true, Some(target)) = (kind.is_symlink() || kind.is_hard_link(), entry.link_name_bytes()) {
            let target = String::from_utf8_lossy(&target).into_owned();
            let target = if kind.is_hard_link() { target } else { beside(&name, &target) };
            members.insert(name, Member::Link(normal(&target)));
        }
        if members.len() > MAX_MEMBERS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {MAX_MEMBERS} members")));
        }
    }
    Ok(members)
}

/// A symlink's target as seen from the archive's root.
fn beside(name: &str, target: &str) -> String {
    match name.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{target}"),
        None => target.to_owned(),
    }
}

fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A range of a local file as an async reader. Reads of a local file do not wait long enough to be worth a thread each.
pub struct RangeStream(FileRange);

impl AsyncRead for RangeStream {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = self.0.read(buffer.initialize_unfilled())?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}
