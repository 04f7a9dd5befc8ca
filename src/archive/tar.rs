//! Tar archives: one walk over the headers, whose counts and sizes are held against the limits. Contents stay where they are in the plain tar.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ::tar::{EntryType, Header};

use super::packing::{self, Packing, PlainTar};
use super::{ArchiveError, Extensions, Limits, MAX_EXTENSION, Member};
use crate::image_path::ImagePath;
use crate::layer::{Content, Entry, FileRange};

/// Everything in a tar begins at a multiple of so many bytes.
const BLOCK: u64 = 512;

/// Bits of the mode that survive: an archive's setuid programs would be ways to root that no review has seen.
const MODE: u32 = 0o777;

/// All members but the root, in the archive's order, owned by root.
pub(super) fn read_tar(file: &Arc<File>, packing: Packing, limits: &Limits) -> Result<Vec<Member>, ArchiveError> {
    members(&packing::plain_tar(file, packing, limits)?, limits)
}

/// Unpacks a tar archive of `packed` bytes to the end of `spool`, and gives all members but the root, in the archive's order, owned by root;
/// their contents are ranges of the spool. Modes are the archive's permission bits, times the archive's.
///
/// # Errors
/// An archive that is damaged or refused.
pub fn spool_tar(source: impl BufRead, packed: u64, packing: Packing, spool: &Arc<File>, limits: &Limits) -> Result<Vec<Member>, ArchiveError> {
    members(&PlainTar::spooled(source, packed, packing, spool, limits)?, limits)
}

fn members(plain: &PlainTar, limits: &Limits) -> Result<Vec<Member>, ArchiveError> {
    let mut headers = Headers { plain, place: 0, count: 0 };
    let mut members = Vec::new();
    while let Some(header) = headers.next(limits)? {
        members.push(member(plain, &header)?);
    }
    members.retain(|(path, _)| !path.is_root());
    Ok(members)
}

/// Walks over the headers of a plain tar.
struct Headers<'a> {
    plain: &'a PlainTar,
    /// Where the next header begins, counted from the tar's start, where its blocks are aligned.
    place: u64,
    /// Headers so far.
    count: u64,
}

/// A member's header, with what describes it besides, and where its content lies.
struct Described {
    header: Header,
    extensions: Extensions,
    offset: u64,
    size: u64,
}

impl Headers<'_> {
    /// The next member; none at the end.
    fn next(&mut self, limits: &Limits) -> Result<Option<Described>, ArchiveError> {
        let (mut extensions, mut extent) = (Extensions::default(), 0_u64);
        while let Some(header) = self.header(limits)? {
            let kind = header.entry_type();
            if !Extensions::are_in(kind) {
                let size = extensions.number("size").map_err(|reason| ArchiveError::member(extensions.name_of(&header), reason))?;
                let size = size.map_or_else(|| header.entry_size(), Ok)?;
                let offset = self.content(size);
                return Ok(Some(Described { header, extensions, offset, size }));
            }
            let size = header.entry_size()?;
            extent = extent.saturating_add(size);
            if extent > MAX_EXTENSION {
                return Err(ArchiveError::whole("it has an extended header of more than 1 MiB"));
            }
            let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
            let offset = self.content(size);
            self.read(&mut text, offset)?;
            extensions.add(kind, text)?;
        }
        Ok(None)
    }

    /// The next header block; none where the archive ends: with a block of zeros, or with the file.
    fn header(&mut self, limits: &Limits) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        let offset = self.content(BLOCK);
        if !self.plain.holds(offset, 1) {
            return Ok(None);
        }
        self.read(header.as_mut_bytes(), offset)?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !packing::is_tar(header.as_bytes()) {
            return Err(ArchiveError::whole("it is damaged: a header's checksum is wrong"));
        }
        self.count += 1;
        limits.judge_count(self.count)?;
        Ok(Some(header))
    }

    /// Where the bytes begin that follow the last ones; the next header comes after them.
    fn content(&mut self, size: u64) -> u64 {
        let offset = self.plain.start.saturating_add(self.place);
        self.place = self.place.saturating_add(size).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        offset
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), ArchiveError> {
        if !self.plain.holds(offset, bytes.len() as u64) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(self.plain.file.read_exact_at(bytes, offset)?)
    }
}

/// A member as an entry of a layer.
fn member(plain: &PlainTar, described: &Described) -> Result<Member, ArchiveError> {
    let Described { header, extensions, offset, size } = described;
    let name = extensions.name_of(header);
    let refused = |reason: &str| ArchiveError::member(&name, reason);
    if extensions.make_sparse(header) {
        return Err(refused("is a sparse file"));
    }
    let path = super::path(&name)?;
    let mode = header.mode().map_err(|_| refused("has a mode that is no number"))?;
    let mode = u16::try_from(mode & MODE).unwrap_or(0);
    let mtime = extensions.mtime().map_err(|reason| refused(&reason))?.unwrap_or_else(|| header_time(header));
    let target = extensions.target_of(header);
    let laid = match header.entry_type() {
        EntryType::Directory => Entry::directory(mode, 0, 0, mtime),
        // Old archives mark directories by the name alone.
        EntryType::Regular if name.ends_with(b"/") => Entry::directory(mode, 0, 0, mtime),
        EntryType::Regular | EntryType::Continuous => {
            let (offset, size) = (*offset, *size);
            if !plain.holds(offset, size) {
                return Err(refused("ends after the archive's end"));
            }
            Entry::file(Content::new(size, FileRange { file: plain.file.clone(), offset, size }), mode, 0, 0, mtime)
        }
        EntryType::Symlink if target.is_empty() => return Err(refused("is a symbolic link without a target")),
        EntryType::Symlink => Entry::symlink(target, 0, 0, mtime),
        EntryType::Link => Entry::hard_link(hard_link_target(&target).map_err(|reason| refused(&reason))?),
        EntryType::Char | EntryType::Block => return Err(refused("is a device")),
        EntryType::Fifo => return Err(refused("is a named pipe")),
        other => return Err(refused(&format!("is of the unknown type `{}`", other.as_byte().escape_ascii()))),
    };
    Ok((path, laid))
}

fn hard_link_target(target: &[u8]) -> Result<ImagePath, String> {
    if target.is_empty() {
        return Err("is a hard link without a target".to_owned());
    }
    if target.starts_with(b"/") {
        return Err("is a hard link to an absolute path".to_owned());
    }
    ImagePath::parse(target).map_err(|error| format!("is a hard link whose target {}", error.reason))
}

/// The time of the header; GNU's negative binary numbers are read by the library as large ones.
fn header_time(header: &Header) -> i64 {
    header.mtime().map_or(0, |time| time.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Node;
    use ::tar::Builder;
    use std::io::Write;

    const LIMITS: Limits = Limits { members: 100, total: 1 << 30, ratio: 2000 };

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(7);
        header
    }

    /// A tar whose names are written as they are.
    fn raw(members: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, content) in members {
            let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
            let mut header = header(*kind, if is_link { 0 } else { content.len() as u64 });
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            if is_link {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
            }
            header.set_cksum();
            builder.append(&header, if is_link { &b""[..] } else { content }).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn members(bytes: &[u8]) -> Result<Vec<Member>, ArchiveError> {
        let file = file(bytes);
        read_tar(&file, Packing::of(&file)?, &LIMITS)
    }

    fn text(bytes: &[u8]) -> Result<Vec<String>, String> {
        let members = members(bytes).map_err(|error| error.to_string())?;
        let line = |(path, entry): &Member| match &entry.node {
            Node::File(content) => {
                format!("{path} {:o} {} {}", entry.mode, entry.mtime, std::io::read_to_string(content.open().unwrap()).unwrap())
            }
            Node::Symlink(target) => format!("{path} {} -> {}", entry.mtime, String::from_utf8_lossy(target)),
            Node::HardLink(target) => format!("{path} = {target}"),
            _ => format!("{path}/ {:o} {}", entry.mode, entry.mtime),
        };
        Ok(members.iter().map(line).collect())
    }

    #[test]
    fn reads_members_of_every_packing() {
        let mut builder = Builder::new(Vec::new());
        let long = format!("{}/x", "d".repeat(150));
        builder.append_data(&mut header(EntryType::Regular, 5), &long, &b"hello"[..]).unwrap();
        builder.append_pax_extensions([("mtime", &b"-1.5"[..])]).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 2), "./b", &b"hi"[..]).unwrap();
        builder.append_link(&mut header(EntryType::Symlink, 0), "s", "../x").unwrap();
        builder.append_link(&mut header(EntryType::Link, 0), "h", "b").unwrap();
        let plain = builder.into_inner().unwrap();
        let expected = vec![format!("{long} 644 7 hello"), "b 644 -2 hi".into(), "s 7 -> ../x".into(), "h = b".into()];
        let mut source = tempfile::tempfile().unwrap();
        source.write_all(&plain).unwrap();
        // The programs that make such archives; zstd's is its library.
        let packed = |program: &str| {
            std::io::Seek::rewind(&mut &source).unwrap();
            std::process::Command::new(program).arg("-c").stdin(source.try_clone().unwrap()).output().unwrap().stdout
        };
        let packings = [packed("gzip"), packed("xz"), zstd::encode_all(&plain[..], 1).unwrap(), plain.clone()];
        for bytes in packings {
            assert_eq!(text(&bytes).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [&b""[..], b"hello", &[1; 600], b"BZh91AY&SY"] {
            assert!(text(bytes).unwrap_err().starts_with("it is neither a tar archive"), "{bytes:?}");
        }
        assert!(text(&[0x1f, 0x8b, 8, 0, 1, 2, 3, 4]).unwrap_err().starts_with("it is damaged"));
        assert_eq!(text(&[0; 1024]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn hostile_members_are_refused() {
        for (member, expected) in [
            ((&b"../x"[..], EntryType::Regular, &b""[..]), "leaves its root"),
            ((b"/etc/passwd", EntryType::Regular, b""), "has an absolute name"),
            ((b"h", EntryType::Link, b"../../etc/shadow"), "is a hard link whose target leaves its root"),
            ((b"h", EntryType::Link, b"/etc/shadow"), "is a hard link to an absolute path"),
            ((b"h", EntryType::Link, b""), "is a hard link without a target"),
            ((b"d", EntryType::Char, b""), "is a device"),
            ((b"d", EntryType::Block, b""), "is a device"),
            ((b"d", EntryType::Fifo, b""), "is a named pipe"),
            ((b"d", EntryType::GNUSparse, b""), "is a sparse file"),
            ((b"a/.wh.passwd", EntryType::Regular, b""), "means a deletion"),
            ((b"a/.wh.d/x", EntryType::Regular, b""), "means a deletion"),
            ((b"d", EntryType::new(b'Z'), b""), "is of the unknown type `Z`"),
        ] {
            let message = text(&raw(&[member])).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let mut builder = Builder::new(Vec::new());
        builder.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 0), "x", &b""[..]).unwrap();
        assert!(text(&builder.into_inner().unwrap()).unwrap_err().contains("is a sparse file"));
    }

    #[test]
    fn limits_hold() {
        let many: Vec<_> = (0..101).map(|_| (&b"x"[..], EntryType::Regular, &b""[..])).collect();
        assert_eq!(text(&raw(&many)).unwrap_err(), "it has more than 100 members");
        let large = vec![b'a'; (1 << 20) + 1];
        assert_eq!(text(&raw(&[(b"././@LongLink", EntryType::GNULongName, &large)])).unwrap_err(), "it has an extended header of more than 1 MiB");
        let zeros = raw(&[(b"x", EntryType::Regular, &vec![0; 64 << 20])]);
        let packed = zstd::encode_all(&zeros[..], 3).unwrap();
        assert!(text(&packed).unwrap_err().contains("more than 2000 times its size"));
    }

    #[test]
    fn a_size_in_an_extended_header_counts() {
        let mut builder = Builder::new(Vec::new());
        builder.append_pax_extensions([("size", &b"3"[..])]).unwrap();
        let mut head = header(EntryType::Regular, 0);
        head.set_path("x").unwrap();
        head.set_cksum();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(1024);
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(b"abc");
        bytes.resize(2048, 0);
        let large = vec![b'a'; (1 << 20) + 1];
        bytes.extend(raw(&[(b"././@LongLink", EntryType::GNULongName, &large)]));
        assert_eq!(text(&bytes).unwrap_err(), "it has an extended header of more than 1 MiB");
        assert_eq!(text(&bytes[..2048]).unwrap(), ["x 644 7 abc"]);
    }

    #[test]
    fn a_cut_archive_is_noticed() {
        let whole = raw(&[(b"x", EntryType::Regular, &[b'a'; 3000])]);
        assert!(text(&whole[..2000]).is_err());
    }

    #[test]
    fn names_and_records_may_hold_newlines() {
        let mut builder = Builder::new(Vec::new());
        let capability = &[1, 0, 0, 2, 10, 4, 10, 0][..];
        let records = [("path", &b"new\nline"[..]), ("SCHILY.xattr.security.capability", capability), ("linkpath", b"to\nthere"), ("mtime", b"5")];
        builder.append_pax_extensions(records).unwrap();
        builder.append(&with_sum(header(EntryType::Regular, 2)), &b"hi"[..]).unwrap();
        builder.append_pax_extensions([("comment", &b"30 path=evil\n30 path=evil\n"[..]), ("linkpath", b"to\nthere")]).unwrap();
        let mut link = header(EntryType::Symlink, 0);
        link.set_path("link").unwrap();
        builder.append(&with_sum(link), &b""[..]).unwrap();
        assert_eq!(text(&builder.into_inner().unwrap()).unwrap(), ["new\\x0aline 644 5 hi", "link 7 -> to\nthere"]);
    }

    fn with_sum(mut header: Header) -> Header {
        header.set_cksum();
        header
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(changes in proptest::collection::vec((0usize..1600, 0u8..), 1..8)) {
            let mut bytes = raw(&[(b"a", EntryType::Regular, b"hello"), (b"l", EntryType::Symlink, b"a")]);
            for (place, value) in changes {
                let place = place % bytes.len();
                bytes[place] = value;
            }
            for (_, entry) in members(&bytes).unwrap_or_default() {
                if let Node::File(content) = entry.node {
                    std::io::copy(&mut content.open().unwrap(), &mut std::io::sink()).unwrap();
                }
            }
        }
    }
}
