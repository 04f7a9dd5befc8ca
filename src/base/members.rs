//! A tar as a stream of members, as the programs read it that unpack layers (they use Go's `archive/tar`). Header fields are the `tar` crate's to
//! read; its iterator is not used, since it takes long names and records of any size into memory and cuts PAX values at newlines.

use std::io::{self, Read};

use ::tar::{EntryType, Header};

use crate::archive::{Extensions, MAX_EXTENSION};
use crate::image_path::ImagePath;

const BLOCK: u64 = 512;
/// Longest target of a symbolic link, Linux's own limit.
const MAX_TARGET: usize = 4095;
/// Most members of one tar. Each takes about 100 bytes of memory while the layers are merged.
const MAX_MEMBERS: u64 = 2_000_000;
/// Deepest directory that is read.
const MAX_DEPTH: usize = 256;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Symlink(Box<[u8]>),
    HardLink(ImagePath),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// A member's header.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) path: ImagePath,
    pub(super) kind: Kind,
    /// Permission, setuid, setgid and sticky bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whole seconds since 1970.
    pub(super) mtime: i64,
    /// Bytes of content; 0 for all but files.
    pub(super) size: u64,
    /// The extended attribute `security.capability`.
    pub(super) capability: Option<Box<[u8]>>,
}

/// Reads members one after the other. Content that is not read is skipped.
pub(super) struct Members<R> {
    source: R,
    /// Headers that were read so far.
    count: u64,
    /// Bytes of the tar that were taken so far.
    position: u64,
    /// Bytes of the present member's content that were not read.
    content: u64,
    /// Bytes that fill the present member's content up to whole blocks.
    padding: u64,
    may_end_unpadded: bool,
}

impl<R: Read> Members<R> {
    pub(super) fn new(source: R) -> Self {
        Members { source, count: 0, position: 0, content: 0, padding: 0, may_end_unpadded: false }
    }

    /// The members of a layer, which may end with the last member's last byte: `umoci insert` writes such, and Go's reader, which all
    /// container tools use, takes that for an end. The layer's digest says whether something is missing.
    pub(super) fn of_layer(source: R) -> Self {
        Members { may_end_unpadded: true, ..Members::new(source) }
    }

    /// The next member; none at the end of the tar.
    ///
    /// # Errors
    /// A damaged tar, a path that leaves its root, a sparse file, an unknown type, anything over a limit.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let (mut extensions, mut extent) = (Extensions::default(), 0_u64);
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            if !Extensions::are_in(kind) {
                return self.member(&header, &extensions).map(Some);
            }
            self.begin_content(header.entry_size()?);
            extent = extent.saturating_add(self.content);
            if extent > MAX_EXTENSION {
                return Err(damaged("a long name or extended header has more than 1 MiB"));
            }
            let mut text = Vec::new();
            self.read_to_end(&mut text)?;
            extensions.add(kind, text)?;
        }
    }

    /// Offset in the tar of the next byte of the present member's content.
    pub(super) fn offset(&self) -> u64 {
        self.position
    }

    /// What follows the last member.
    pub(super) fn into_inner(self) -> R {
        self.source
    }

    /// The next header block; none at the end of the tar, which is a block of zeros, or the end of the file.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < block.len() {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += BLOCK;
        if header.as_bytes().iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        check_sum(&header)?;
        self.count += 1;
        if self.count > MAX_MEMBERS {
            return Err(damaged(format!("it has more than {MAX_MEMBERS} members")));
        }
        Ok(Some(header))
    }

    fn member(&mut self, header: &Header, extensions: &Extensions) -> io::Result<Member> {
        let name = extensions.name_of(header);
        if extensions.make_sparse(header) {
            return Err(damaged(format!("`{}` is a sparse file", name.escape_ascii())));
        }
        let path = path(&name)?;
        let at = |what: &str| damaged(format!("{path:?} has {what}"));
        let of_record = |reason: String| damaged(format!("{path:?} {reason}"));
        let target = extensions.target_of(header);
        let number = |key: &str, own: io::Result<u64>| match extensions.number(key).map_err(of_record)? {
            Some(number) => Ok(number),
            None => own,
        };
        let id = |key: &str, own| number(key, own).and_then(|id| u32::try_from(id).map_err(|_| at(&format!("a {key} that is too large"))));
        let device = |field: &[u8], part: io::Result<Option<u32>>| or_zero(field, part.map(Option::unwrap_or_default));
        let fields = header.as_old();
        let device_fields = header.as_ustar().map(|fields| (&fields.dev_major, &fields.dev_minor));
        let device_fields =
            device_fields.or_else(|| header.as_gnu().map(|fields| (&fields.dev_major, &fields.dev_minor))).unwrap_or((&[0; 8], &[0; 8]));
        let devices = || Ok::<_, io::Error>((device(device_fields.0, header.device_major())?, device(device_fields.1, header.device_minor())?));
        let kind = match header.entry_type() {
            // A regular file of the oldest form is a directory when its name says so.
            EntryType::Regular if header.as_bytes()[156] == 0 && name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) => {
                return Err(at("a target that is no path"));
            }
            EntryType::Symlink => Kind::Symlink(target.into()),
            EntryType::Link => Kind::HardLink(self::path(&target)?),
            EntryType::Char => devices().map(|(major, minor)| Kind::CharDevice { major, minor })?,
            EntryType::Block => devices().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
            EntryType::Fifo => Kind::Fifo,
            other => return Err(at(&format!("the unknown type `{}`", other.as_byte().escape_ascii()))),
        };
        let size = if kind == Kind::File { number("size", or_zero(&fields.size, header.entry_size()))? } else { 0 };
        let mtime = match extensions.mtime().map_err(of_record)? {
            Some(mtime) => mtime,
            // Numbers below zero are two's complement here.
            None => or_zero(&fields.mtime, header.mtime())? as i64,
        };
        let member = Member {
            mode: (or_zero(&fields.mode, header.mode())? & 0o7777) as u16,
            uid: id("uid", or_zero(&fields.uid, header.uid()))?,
            gid: id("gid", or_zero(&fields.gid, header.gid()))?,
            mtime,
            size,
            capability: extensions.record("SCHILY.xattr.security.capability").filter(|value| !value.is_empty()).map(Into::into),
            kind,
            path: path.clone(),
        };
        self.begin_content(size);
        Ok(member)
    }

    fn begin_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK;
    }

    fn skip_content(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        let padding = io::copy(&mut self.source.by_ref().take(self.padding), &mut io::sink())?;
        if padding < self.padding && !self.may_end_unpadded {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += padding;
        self.padding = 0;
        Ok(())
    }
}

/// Reads the present member's content.
impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.content -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

pub(super) fn damaged(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

fn path(name: &[u8]) -> io::Result<ImagePath> {
    let path = ImagePath::parse(name).map_err(|error| damaged(error.to_string()))?;
    if path.components().count() > MAX_DEPTH {
        return Err(damaged(format!("`{}` lies deeper than {MAX_DEPTH} directories", path.name().escape_ascii())));
    }
    Ok(path)
}

/// A number of the header. Fields that are blank are 0, as Go's reader has it; the crate refuses them.
fn or_zero<T: Default>(field: &[u8], number: io::Result<T>) -> io::Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(T::default()) } else { number }
}

/// Sums of signed bytes were written too, long ago; Go's reader takes both.
fn check_sum(header: &Header) -> io::Result<()> {
    let stated = header.cksum()?;
    let bytes = header.as_bytes();
    let counted = || bytes[..148].iter().chain(b"        ").chain(&bytes[156..]);
    let unsigned: u32 = counted().map(|&byte| u32::from(byte)).sum();
    let signed: i32 = counted().map(|&byte| i32::from(byte as i8)).sum();
    if stated == unsigned || i32::try_from(stated) == Ok(signed) {
        return Ok(());
    }
    Err(damaged("it is no tar, or a header of it is damaged: its checksum is wrong"))
}
