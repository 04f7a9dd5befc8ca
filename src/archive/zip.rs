//! Zip archives: the central directory alone says what is there (PKWARE's APPNOTE 4.3.12); contents are inflated from their offset when they are
//! asked for, and their size and CRC-32 checked.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::read::DeflateDecoder;
use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config, ZipFileEntry};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::{ArchiveError, Limits, read_small};
use crate::layer::{Content, FileRange, OpenContent};

/// Longest name of a member, in bytes.
const NAME_MAX: usize = 4095;
/// Longest target of a symbolic link, in bytes.
const TARGET_MAX: u64 = 4095;

const S_IFMT: u32 = 0o170_000;
const S_IFLNK: u32 = 0o120_000;

/// A member of a zip archive.
#[derive(Debug, Clone)]
pub struct ZipMember {
    /// Its name: relative, no `..`, no backslash; a directory's ends with `/`.
    pub name: String,
    /// Whether the name is ASCII or marked as UTF-8; others are read in a way that not every program shares.
    pub name_is_clear: bool,
    /// The Unix mode with the type's bits, where it was made by a program that knows one.
    pub mode: Option<u32>,
    /// Modification time in seconds since 1970: the extended timestamp; else the DOS time, which has no zone, taken as UTC.
    pub mtime: Option<i64>,
    /// Its bytes; none of a directory.
    pub content: Content,
}

impl ZipMember {
    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Whether this is a symbolic link; its content is then the target.
    pub fn is_symlink(&self) -> bool {
        self.mode.is_some_and(|mode| mode & S_IFMT == S_IFLNK)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// When it is damaged or too long.
    pub fn target(&self) -> Result<Vec<u8>, ArchiveError> {
        self.bytes(TARGET_MAX)
    }

    /// All bytes of a small member.
    ///
    /// # Errors
    /// When it is damaged or larger than `limit`.
    pub fn bytes(&self, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let read = || read_small(self.content.open()?, limit);
        read().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                ArchiveError::member(&self.name, format!("cannot be read: {error}"))
            }
            _ => ArchiveError::Read(error),
        })
    }
}

/// All members, in the order of the central directory.
///
/// # Errors
/// [`ArchiveError`]: no zip archive, over a limit, encrypted, packed by a method other than deflate, names that leave the archive's root, two
/// members that share bytes.
pub fn read_zip(file: &Arc<File>, limits: &Limits) -> Result<Vec<ZipMember>, ArchiveError> {
    let packed = file.metadata()?.len();
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let reader = BufReader::new(Positioned::between(file, 0, packed));
    let mut archive = ZipIterable::try_new(reader, config).map_err(unreadable)?;
    limits.judge_count(archive.len() as u64)?;

    let mut members = Vec::new();
    let mut ranges = Vec::new();
    let mut total = 0u64;
    for entry in archive.files().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        total = total.saturating_add(entry.size());
        limits.judge_size(packed, total)?;
        let (member, range) = member(file, &entry)?;
        ranges.push((range, members.len()));
        members.push(member);
    }
    refuse_overlaps(&mut ranges, &members, packed)?;
    Ok(members)
}

/// No byte may belong to two members: an archive could claim a few bytes a million times.
fn refuse_overlaps(ranges: &mut [(std::ops::Range<u64>, usize)], members: &[ZipMember], packed: u64) -> Result<(), ArchiveError> {
    ranges.sort_by_key(|(range, index)| (range.start, range.end, *index));
    for pair in ranges.windows(2) {
        let [(first, _), (second, index)] = pair else { continue };
        if first.end > second.start {
            return Err(ArchiveError::member(&members[*index].name, "shares bytes with another member"));
        }
    }
    match ranges.last() {
        Some((range, index)) if range.end > packed => Err(ArchiveError::member(&members[*index].name, "lies beyond the archive's end")),
        _ => Ok(()),
    }
}

/// The member and the range of the archive's bytes that belong to it.
fn member(file: &Arc<File>, entry: &ZipFileEntry<'_>) -> Result<(ZipMember, std::ops::Range<u64>), ArchiveError> {
    let name = entry.name().map_err(unreadable)?.into_owned();
    let refuse = |reason: &str| Err(ArchiveError::member(&name, reason));
    if let Some(reason) = bad_name(&name) {
        return refuse(reason);
    }
    if entry.encrypted() {
        return refuse("is encrypted");
    }
    let deflated = match entry.compression() {
        CompressionMethod::Stored => false,
        CompressionMethod::Deflated => true,
        _ => return refuse("is packed by another method than deflate"),
    };
    if !deflated && entry.compressed_size() != entry.size() {
        return refuse("is not packed and has two different sizes");
    }
    let start = entry.header_start();
    let data = data_start(file, start).map_err(|reason| ArchiveError::member(&name, reason))?;
    let Some(end) = data.checked_add(entry.compressed_size()) else { return refuse("lies beyond the archive's end") };

    let range = FileRange { file: file.clone(), offset: data, size: entry.compressed_size() };
    let content = Content::new(entry.size(), Packed { name: name.clone(), range, deflated, size: entry.size(), crc: entry.crc32() });
    let mode = Some(entry.external_attributes() >> 16).filter(|mode| *mode != 0);
    let record = Record::read(file, entry.central_header_start())?;
    let name_is_clear = name.is_ascii() || record.is_utf8();
    let mtime = record.extended_timestamp().or_else(|| dos_time(entry));
    let member = ZipMember { name, name_is_clear, mode, mtime, content };
    if member.is_directory() && entry.size() != 0 {
        return Err(ArchiveError::member(&member.name, "is a directory with content"));
    }
    Ok((member, start..end))
}

/// What is wrong with a member's name, as the rest of a sentence.
fn bad_name(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    match bytes {
        [] => Some("has no name"),
        _ if bytes.len() > NAME_MAX => Some("has a name of more than 4095 bytes"),
        _ if bytes.contains(&0) => Some("has a NUL byte in its name"),
        _ if bytes.contains(&b'\\') => Some("has a backslash in its name"),
        [b'/', ..] => Some("has an absolute name"),
        [drive, b':', ..] if drive.is_ascii_alphabetic() => Some("has a name with a drive's letter"),
        _ if name.split('/').any(|part| part == "..") => Some("leaves the archive's root with `..`"),
        _ if name.split('/').any(|part| part.len() > 255) => Some("has a component of more than 255 bytes in its name"),
        _ => None,
    }
}

/// Where a member's bytes begin, after its local header (APPNOTE 4.3.7); the reason why not is the rest of a sentence.
fn data_start(file: &File, header: u64) -> Result<u64, String> {
    let mut fixed = [0; 30];
    file.read_exact_at(&mut fixed, header).map_err(|error| format!("has no header: {error}"))?;
    if fixed[..4] != *b"PK\x03\x04" {
        return Err("has no header where the archive says that it begins".to_owned());
    }
    Ok(header + 30 + u64::from(u16_at(&fixed, 26)) + u64::from(u16_at(&fixed, 28)))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// What the central directory's record of a member says beside that which the library hands out.
struct Record {
    flags: u16,
    extra: Vec<u8>,
}

impl Record {
    fn read(file: &File, start: u64) -> Result<Self, ArchiveError> {
        let mut fixed = [0; 46];
        file.read_exact_at(&mut fixed, start)?;
        let mut extra = vec![0; usize::from(u16_at(&fixed, 30))];
        file.read_exact_at(&mut extra, start + 46 + u64::from(u16_at(&fixed, 28)))?;
        Ok(Record { flags: u16_at(&fixed, 8), extra })
    }

    /// General purpose bit 11 (APPNOTE 4.4.4).
    fn is_utf8(&self) -> bool {
        self.flags & (1 << 11) != 0
    }

    /// The modification time of an extra field 0x5455 (Info-ZIP's `proginfo/extrafld.txt`).
    fn extended_timestamp(&self) -> Option<i64> {
        let mut rest = self.extra.as_slice();
        while let [id0, id1, size0, size1, tail @ ..] = rest {
            let field = tail.get(..usize::from(u16::from_le_bytes([*size0, *size1])))?;
            if (*id0, *id1) == (0x55, 0x54) {
                let [flags, a, b, c, d, ..] = *field else { return None };
                return (flags & 1 == 1).then(|| i64::from(i32::from_le_bytes([a, b, c, d])));
            }
            rest = &tail[field.len()..];
        }
        None
    }
}

fn dos_time(entry: &ZipFileEntry<'_>) -> Option<i64> {
    let time = entry.last_modified()?;
    let small = |value: u8| i8::try_from(value).ok();
    let civil = jiff::civil::DateTime::new(
        i16::try_from(time.year()).ok()?,
        small(time.month())?,
        small(time.day())?,
        small(time.hour())?,
        small(time.minute())?,
        small(time.second())?,
        0,
    );
    Some(jiff::tz::Offset::UTC.to_timestamp(civil.ok()?).ok()?.as_second())
}

fn unreadable(error: ZipError) -> ArchiveError {
    match error {
        ZipError::Io(error) => error.into(),
        ZipError::InvalidArchive(reason) => ArchiveError::whole(format!("it is no zip archive, or a damaged one: {reason}")),
        error => ArchiveError::whole(format!("it is a zip archive of an unsupported kind: {error}")),
    }
}

/// A part of a file as something that reads and seeks with a position of its own.
pub(super) struct Positioned {
    file: Arc<File>,
    start: u64,
    size: u64,
    position: u64,
}

impl Positioned {
    /// The bytes from `start` up to `end`.
    pub(super) fn between(file: &Arc<File>, start: u64, end: u64) -> Self {
        Positioned { file: file.clone(), start, size: end.saturating_sub(start), position: 0 }
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..wanted], self.start.saturating_add(self.position))?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
        };
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// The packed bytes of a member, and what must come of them.
struct Packed {
    name: String,
    range: FileRange,
    deflated: bool,
    size: u64,
    crc: u32,
}

impl OpenContent for Packed {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let plain: Box<dyn Read + Send> =
            if self.deflated { Box::new(DeflateDecoder::new(self.range.clone())) } else { Box::new(self.range.clone()) };
        let name = self.name.clone();
        Ok(Box::new(Checked { plain, name, hasher: crc32fast::Hasher::new(), left: self.size, crc: self.crc }))
    }
}

/// Lets exactly the promised bytes pass; the end is reported only if size and CRC-32 were right.
struct Checked {
    plain: Box<dyn Read + Send>,
    name: String,
    hasher: crc32fast::Hasher,
    left: u64,
    crc: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the archive's member {} {what}", self.name));
        let count = self.plain.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => damaged("is damaged"),
            _ => error,
        })?;
        let Some(left) = self.left.checked_sub(count as u64) else { return Err(damaged("is larger than the archive says")) };
        if count == 0 && left > 0 {
            return Err(damaged("is smaller than the archive says"));
        }
        self.hasher.update(&buffer[..count]);
        if count == 0 && self.hasher.clone().finalize() != self.crc {
            return Err(damaged("has another CRC-32 than the archive says"));
        }
        self.left = left;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::write::{SimpleFileOptions, ZipWriter};

    const LIMITS: Limits = Limits { members: 100, total: 1 << 30, ratio: 200 };

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
            let options = if bytes.len() < 100 { stored } else { stored.compression_method(CompressionMethod::Deflated) };
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn refusal(bytes: &[u8]) -> String {
        read_zip(&file(bytes), &LIMITS).unwrap_err().to_string()
    }

    /// Every place where `from` stands becomes `to`.
    fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut bytes = bytes.to_vec();
        let places: Vec<_> = bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from).map(|(at, _)| at).collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        bytes
    }

    #[test]
    fn members_come_with_mode_and_content() {
        let long = b"0123456789".repeat(1000);
        let members = read_zip(&file(&archive(&[("a/b", b"x"), ("c", &long)])), &LIMITS).unwrap();
        assert_eq!(members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["a/b", "c"]);
        assert_eq!(members[0].mode, Some(0o100_755));
        assert_eq!(members[0].bytes(1).unwrap(), b"x");
        assert_eq!(members[1].bytes(10_000).unwrap(), long);
        assert!(members[1].bytes(9_999).is_err());
    }

    #[test]
    fn names_that_leave_the_root_are_refused() {
        let plain = archive(&[("aa/bb", b"x")]);
        for (name, expected) in [
            (&b"../bb"[..], "leaves the archive's root with `..`"),
            (b"aa/..", "leaves the archive's root with `..`"),
            (b"/a/bb", "has an absolute name"),
            (b"C:/bb", "has a name with a drive's letter"),
            (b"aa\\bb", "has a backslash in its name"),
            (b"aa\0bb", "has a NUL byte in its name"),
        ] {
            let message = refusal(&patched(&plain, b"aa/bb", name));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [&b""[..], b"PK", b"<html>not found</html>", &[0; 100]] {
            assert!(refusal(bytes).contains("no zip archive"), "{}", refusal(bytes));
        }
        let whole = archive(&[("a", b"x")]);
        assert!(read_zip(&file(&whole[..whole.len() - 10]), &LIMITS).is_err());
    }

    #[test]
    fn limits_hold() {
        let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert_eq!(refusal(&archive(&many)), "it has more than 100 members");
        assert!(refusal(&archive(&[("zeros", &vec![0; 20 << 20])])).contains("more than 200 times its size"));
    }

    #[test]
    fn one_range_for_two_members_is_refused() {
        // Two records of the directory that name one local header.
        let bytes = archive(&[("aa", b"x"), ("ab", b"x")]);
        let directory = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        let mut overlapping = bytes.clone();
        overlapping[directory + 42..directory + 46].copy_from_slice(&[0; 4]);
        assert!(refusal(&overlapping).contains("shares bytes with another member"));
    }

    #[test]
    fn encryption_and_odd_methods_are_refused() {
        let bytes = archive(&[("aa", b"x")]);
        let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        for (at, value, expected) in [(8, 1, "is encrypted"), (10, 12, "packed by another method"), (24, 9, "two different sizes")] {
            let mut odd = bytes.clone();
            odd[directory + at] |= value;
            assert!(refusal(&odd).contains(expected), "{}", refusal(&odd));
        }
    }

    #[test]
    fn changed_bytes_are_noticed_when_they_are_read() {
        let changed = patched(&archive(&[("aa", b"hello")]), b"hello", b"hellO");
        let message = read_zip(&file(&changed), &LIMITS).unwrap()[0].bytes(10).unwrap_err().to_string();
        assert!(message.contains("another CRC-32"), "{message}");
        // A size that is not true: what is inflated is more than was promised.
        let long = b"0123456789".repeat(1000);
        let lying = patched(&archive(&[("aa", &long)]), &10_000u32.to_le_bytes(), &9_000u32.to_le_bytes());
        let message = read_zip(&file(&lying), &LIMITS).unwrap()[0].bytes(1 << 20).unwrap_err().to_string();
        assert!(message.contains("larger than the archive says"), "{message}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut at in proptest::collection::vec((0usize..200, 0u8..), 1..8)) {
            let mut bytes = archive(&[("aa", b"hello"), ("b/", b""), ("cc", &[7; 300])]);
            for (place, value) in at.drain(..) {
                let place = place % bytes.len();
                bytes[place] = value;
            }
            if let Ok(members) = read_zip(&file(&bytes), &LIMITS) {
                for member in members {
                    let _ = member.bytes(1 << 20);
                }
            }
        }
    }
}
