//! Tar archives: a first pass over the raw headers holds counts and sizes against the limits, a second reads what the members are. Contents stay
//! where they are in the plain tar.

use std::fs::File;
use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ::tar::{Archive, EntryType, Header, PaxExtensions};

use super::packing::{self, Packing, PlainTar};
use super::zip::Positioned;
use super::{ArchiveError, Limits, Member};
use crate::image_path::ImagePath;
use crate::layer::{Content, Entry, FileRange};

type TarEntry<'a> = ::tar::Entry<'a, Positioned>;

/// Everything in a tar begins at a multiple of so many bytes.
const BLOCK: u64 = 512;
/// Largest extended header. GNU's and PAX's hold one path or a few short texts.
const HEADER_MAX: u64 = 1 << 20;

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
    check_headers(plain, limits)?;
    let mut members = Vec::new();
    for entry in Archive::new(Positioned::between(&plain.file, plain.start, plain.end)).entries_with_seek()? {
        members.extend(member(plain, entry?)?);
    }
    members.retain(|(path, _)| !path.is_root());
    Ok(members)
}

/// Walks over the headers as they stand, before the library reads them: it takes long names and sparse maps into memory, whatever their size.
fn check_headers(plain: &PlainTar, limits: &Limits) -> Result<(), ArchiveError> {
    let file = &*plain.file;
    let mut header = Header::new_old();
    // Counted from the tar's start, where its blocks are aligned.
    let (mut place, mut count) = (0u64, 0);
    // The size of the next member, where a PAX header has it.
    let mut stated = None;
    while plain.holds(plain.start.saturating_add(place), BLOCK) {
        file.read_exact_at(header.as_mut_bytes(), plain.start + place)?;
        place += BLOCK;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            break;
        }
        if !packing::is_tar(header.as_bytes()) {
            return Err(ArchiveError::whole("it is damaged: a header's checksum is wrong"));
        }
        count += 1;
        limits.judge_count(count)?;
        let mut size = header.entry_size()?;
        match header.entry_type() {
            EntryType::GNUSparse => return Err(ArchiveError::member(header.path_bytes(), "is a sparse file")),
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader if size > HEADER_MAX => {
                return Err(ArchiveError::whole("it has an extended header of more than 1 MiB"));
            }
            EntryType::XHeader => stated = pax_size(file, plain.start + place, size)?.or(stated),
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XGlobalHeader => {}
            _ => size = stated.take().unwrap_or(size),
        }
        place = place.saturating_add(size).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
    }
    Ok(())
}

/// The `size` of the PAX header in this range.
fn pax_size(file: &File, place: u64, size: u64) -> Result<Option<u64>, ArchiveError> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut bytes, place)?;
    let fields = PaxExtensions::new(&bytes).filter_map(Result::ok);
    let sizes = fields.filter(|field| field.key_bytes() == b"size").filter_map(|field| field.value().ok()?.parse().ok());
    Ok(sizes.last())
}

/// A member as an entry of a layer; none for what belongs to no file tree.
fn member(plain: &PlainTar, mut entry: TarEntry<'_>) -> Result<Option<Member>, ArchiveError> {
    let name = entry.path_bytes().into_owned();
    let refused = |reason: &str| ArchiveError::member(&name, reason);
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let extended = Extended::of(&mut entry).map_err(|reason| refused(&reason))?;
    let path = super::path(&name)?;
    let mode = entry.header().mode().map_err(|_| refused("has a mode that is no number"))?;
    let mode = u16::try_from(mode & MODE).unwrap_or(0);
    let mtime = extended.mtime.unwrap_or_else(|| header_time(entry.header()));
    let laid = match kind {
        EntryType::Directory => Entry::directory(mode, 0, 0, mtime),
        // Old archives mark directories by the name alone.
        EntryType::Regular if name.ends_with(b"/") => Entry::directory(mode, 0, 0, mtime),
        EntryType::Regular | EntryType::Continuous => {
            let (offset, size) = (plain.start.saturating_add(entry.raw_file_position()), entry.size());
            if !plain.holds(offset, size) {
                return Err(refused("ends after the archive's end"));
            }
            Entry::file(Content::new(size, FileRange { file: plain.file.clone(), offset, size }), mode, 0, 0, mtime)
        }
        EntryType::Symlink => Entry::symlink(link_target(&entry).ok_or_else(|| refused("is a symbolic link without a target"))?, 0, 0, mtime),
        EntryType::Link => Entry::hard_link(hard_link_target(&entry).map_err(|reason| refused(&reason))?),
        EntryType::Char | EntryType::Block => return Err(refused("is a device")),
        EntryType::Fifo => return Err(refused("is a named pipe")),
        other => return Err(refused(&format!("is of the unknown type `{}`", other.as_byte().escape_ascii()))),
    };
    Ok(Some((path, laid)))
}

fn hard_link_target(entry: &TarEntry<'_>) -> Result<ImagePath, String> {
    let target = link_target(entry).ok_or("is a hard link without a target")?;
    if target.starts_with(b"/") {
        return Err("is a hard link to an absolute path".to_owned());
    }
    ImagePath::parse(&target).map_err(|error| format!("is a hard link whose target {}", error.reason))
}

fn link_target(entry: &TarEntry<'_>) -> Option<Vec<u8>> {
    entry.link_name_bytes().map(|target| target.into_owned()).filter(|target| !target.is_empty())
}

/// The time of the header; GNU's negative binary numbers are read by the library as large ones.
fn header_time(header: &Header) -> i64 {
    header.mtime().map_or(0, |time| time.cast_signed())
}

/// What a PAX header adds.
struct Extended {
    mtime: Option<i64>,
}

impl Extended {
    fn of(entry: &mut TarEntry<'_>) -> Result<Self, String> {
        let mut extended = Extended { mtime: None };
        let unreadable = |error: std::io::Error| format!("has an extended header that cannot be read: {error}");
        let Some(fields) = entry.pax_extensions().map_err(unreadable)? else { return Ok(extended) };
        for field in fields {
            let field = field.map_err(unreadable)?;
            match field.key_bytes() {
                b"mtime" => extended.mtime = Some(seconds(field.value_bytes()).ok_or("has a time that is no number")?),
                key if key.starts_with(b"GNU.sparse.") => return Err("is a sparse file".to_owned()),
                _ => {}
            }
        }
        Ok(extended)
    }
}

/// The whole seconds at or before a time such as `1700000000.25` or `-1.5`.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let below = whole.starts_with('-') && fraction.bytes().any(|c| c != b'0');
    whole.parse::<i64>().ok()?.checked_sub(i64::from(below))
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
    fn whole_seconds_lie_at_or_before() {
        for (text, expected) in [("1.9", Some(1)), ("-1.5", Some(-2)), ("-1.0", Some(-1)), ("12", Some(12)), ("x", None), ("1.x", None), ("", None)] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
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
