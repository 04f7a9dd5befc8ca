//! Tar archives, plain or compressed as a whole: their members as entries of a layer. Compressed ones are spooled once to an unnamed file.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{ArchiveError, Limits};
use crate::image_path::ImagePath;
use crate::layer::{Content, Entry, FileRange, Node};

/// A member of a tar archive: its path below the archive's root, and what it is.
pub type TarMember = (ImagePath, Entry);

/// Bits of the mode that survive: an archive's setuid programs are no business of an image whose user is fixed.
const MODE: u32 = 0o777;

/// How an archive is compressed as a whole, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
}

impl Packing {
    /// What the first bytes of `file` say.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(file: &File) -> io::Result<Self> {
        let mut magic = [0; 6];
        let count = file.read_at(&mut magic, 0)?;
        Ok(match &magic[..count] {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Packing::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            _ => Packing::Plain,
        })
    }

    /// A reader over the unpacked bytes.
    ///
    /// # Errors
    /// When the header of the compression is damaged.
    pub fn reader<'a>(self, file: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        let file = BufReader::with_capacity(1 << 18, file);
        Ok(match self {
            Packing::Plain => Box::new(file),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Packing::Xz => Box::new(lzma_rust2::XzReader::new(file, true)),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        })
    }
}

/// All members, in the archive's order. A name that occurs twice stands for its last member, as tar unpacks it.
///
/// # Errors
/// [`ArchiveError`]: no tar, over a limit, names that leave the archive's root, sparse files, devices, `.wh.` names.
pub fn read_tar(file: &Arc<File>, limits: &Limits) -> Result<Vec<TarMember>, ArchiveError> {
    let plain = match Packing::of(file)? {
        Packing::Plain => file.clone(),
        packing => Arc::new(spool(file, packing, limits)?),
    };
    index(&plain, limits)
}

fn spool(file: &File, packing: Packing, limits: &Limits) -> Result<File, ArchiveError> {
    let packed = file.metadata()?.len();
    let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile()?);
    let mut reader = packing.reader(FileRange { file: Arc::new(file.try_clone()?), offset: 0, size: packed })?;
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        total += count as u64;
        limits.judge_size(packed, total)?;
        out.write_all(&buffer[..count])?;
    }
    Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?)
}

fn index(file: &Arc<File>, limits: &Limits) -> Result<Vec<TarMember>, ArchiveError> {
    let mut reader: &File = file;
    reader.rewind()?;
    let mut members = Vec::new();
    let mut archive = ::tar::Archive::new(reader);
    let mut total = 0;
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        limits.judge_count(members.len() as u64)?;
        if let Some(member) = member(file, &entry)? {
            if let Node::File(content) = &member.1.node {
                total += content.size();
                limits.judge_size(u64::MAX, total)?;
            }
            members.push(member);
        }
    }
    if members.is_empty() && file.metadata()?.len() < 512 {
        return Err(ArchiveError::whole("it is no tar archive"));
    }
    Ok(members)
}

/// A member as an entry; none for what belongs to no file tree.
fn member(file: &Arc<File>, entry: &::tar::Entry<'_, &File>) -> Result<Option<TarMember>, ArchiveError> {
    let name = entry.path_bytes().into_owned();
    let refused = |reason: &str| ArchiveError::member(&name, reason);
    let path = ImagePath::parse(&name).map_err(|error| refused(error.reason))?;
    if name.starts_with(b"/") {
        return Err(refused("has an absolute name"));
    }
    if path.name().starts_with(b".wh.") {
        return Err(refused("has the name of a whiteout, which would delete another file of the image"));
    }
    let header = entry.header();
    let mode = (header.mode()? & MODE) as u16;
    let mtime = i64::try_from(header.mtime()?).unwrap_or(i64::MAX);
    let kind = header.entry_type();
    let link = || entry.link_name_bytes().map(|target| target.into_owned()).ok_or_else(|| refused("is a link to nowhere"));
    let laid = if kind.is_file() || kind.is_contiguous() {
        let range = FileRange { file: file.clone(), offset: entry.raw_file_position(), size: entry.size() };
        Entry::file(Content::new(entry.size(), range), mode, 0, 0, mtime)
    } else if kind.is_dir() {
        Entry::directory(mode, 0, 0, mtime)
    } else if kind.is_symlink() {
        Entry::symlink(link()?, 0, 0, mtime)
    } else if kind.is_hard_link() {
        let target = ImagePath::parse(link()?).map_err(|_| refused("is a hard link out of the archive"))?;
        Entry { mode, uid: 0, gid: 0, mtime, capability: None, node: Node::HardLink(target) }
    } else if kind.is_pax_global_extensions() {
        return Ok(None);
    } else {
        return Err(refused("is a sparse file, a device or another thing that an image cannot take"));
    };
    Ok((!path.is_root()).then_some((path, laid)))
}
