//! A package's archive, read in one pass: `.conda` (a zip archive of two zstd tars, conda's package format 2) and `.tar.bz2`. What is in it lies
//! in a spool afterwards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use super::package_error::PackageError;
use crate::archive::{ArchiveError, Limits, Member, Packing, ZipMember, read_zip, spool_tar};
use crate::image_path::ImagePath;
use crate::layer::{Content, Entry, FileRange, Node};

/// What a package may come to. zstd packs sparse data to a few thousandths, and nothing real to less.
const LIMITS: Limits = Limits { members: 1_000_000, total: 64 << 30, ratio: 10_000 };
/// What the outer archive of a `.conda` may come to: it has three members, stored.
const OUTER: Limits = Limits { members: 100, total: 64 << 30, ratio: 1100 };
/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// Which of its two forms an archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `.conda`: the info section and the content are members of their own.
    Conda,
    /// `.tar.bz2`: all in one, the info section below `info/`.
    TarBz2,
}

impl Form {
    /// The form of an archive with this file name.
    pub(super) fn of(file_name: &str) -> Result<Self, PackageError> {
        match file_name {
            name if name.ends_with(".conda") => Ok(Form::Conda),
            name if name.ends_with(".tar.bz2") => Ok(Form::TarBz2),
            name => Err(PackageError::Form(name.chars().take(200).collect())),
        }
    }
}

/// All members of the info section; of a `.tar.bz2`, of the whole archive.
pub(super) fn info_members(file: &Arc<File>, form: Form, spool: &Arc<File>) -> Result<Vec<Member>, PackageError> {
    match form {
        Form::Conda => section(file, "info", spool),
        Form::TarBz2 => whole(file, spool),
    }
}

/// All members of the content section of a `.conda`; of a `.tar.bz2`, of the whole archive.
pub(super) fn content_members(file: &Arc<File>, form: Form, spool: &Arc<File>) -> Result<Vec<Member>, PackageError> {
    match form {
        Form::Conda => section(file, "pkg", spool),
        Form::TarBz2 => whole(file, spool),
    }
}

/// The members of a plain tar, be it as long as the limits allow.
pub(super) fn plain_members(tar: impl Read, spool: &Arc<File>) -> Result<Vec<Member>, PackageError> {
    // What it was packed from is not known, so nothing is said against its size but the total.
    let source = BufReader::with_capacity(BUFFER, tar);
    Ok(spool_tar(source, LIMITS.total, Packing::Plain, spool, &LIMITS)?)
}

fn whole(file: &Arc<File>, spool: &Arc<File>) -> Result<Vec<Member>, PackageError> {
    let size = file.metadata().map_err(ArchiveError::from)?.len();
    let source = BufReader::with_capacity(BUFFER, FileRange { file: file.clone(), offset: 0, size });
    Ok(spool_tar(source, size, Packing::Bzip2, spool, &LIMITS)?)
}

/// The members of the one tar in a `.conda` whose name begins with `KIND-`.
fn section(file: &Arc<File>, kind: &str, spool: &Arc<File>) -> Result<Vec<Member>, PackageError> {
    let members = read_zip(file, &OUTER)?;
    let is_section = |member: &&ZipMember| {
        let name = member.name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.strip_suffix(".tar.zst"));
        name.is_some_and(|name| !name.contains('/'))
    };
    let mut sections = members.iter().filter(is_section);
    let missing = || PackageError::from(ArchiveError::member(format!("{kind}-….tar.zst"), "is missing, or there are several"));
    let (Some(found), None) = (sections.next(), sections.next()) else { return Err(missing()) };
    let source = BufReader::with_capacity(BUFFER, found.content.open().map_err(ArchiveError::from)?);
    Ok(spool_tar(source, found.content.size(), Packing::Zstd, spool, &LIMITS)?)
}

/// What a member of a package is, hard links led to what they name.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) node: FoundNode,
    /// The permission bits.
    pub(super) mode: u16,
    /// Seconds since 1970, never negative.
    pub(super) mtime: i64,
}

/// The types of members that a package may have.
#[derive(Debug, Clone)]
pub(super) enum FoundNode {
    Directory,
    /// A regular file. Names of one file share its number.
    File {
        number: usize,
        content: Content,
    },
    Symlink(Box<[u8]>),
}

/// The members by path; of several with one name the last counts, as when they are unpacked one after another.
pub(super) fn by_path(members: Vec<Member>) -> Result<BTreeMap<ImagePath, Found>, PackageError> {
    let mut found: BTreeMap<ImagePath, Found> = BTreeMap::new();
    for (number, (path, entry)) in members.into_iter().enumerate() {
        let Entry { mode, mtime, node, .. } = entry;
        let node = match node {
            Node::Directory => FoundNode::Directory,
            Node::File(content) => FoundNode::File { number, content },
            Node::Symlink(target) => FoundNode::Symlink(target),
            Node::HardLink(to) => {
                let to = found.get(&to).filter(|to| !matches!(to.node, FoundNode::Directory));
                let to = to.ok_or_else(|| ArchiveError::member(path.as_bytes(), "is a hard link to a file that does not come before it"))?;
                let to = to.clone();
                found.insert(path, to);
                continue;
            }
            Node::Whiteout => continue,
        };
        // Tar keeps negative times; a package has none.
        found.insert(path, Found { node, mode, mtime: mtime.max(0) });
    }
    Ok(found)
}
