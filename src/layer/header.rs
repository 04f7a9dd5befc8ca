//! One header of a tar as Go's `archive/tar` writes it, which is what BuildKit uses: plain ustar where everything fits, else an extended
//! header (PAX) with records for what does not (source: Go's `archive/tar`, `common.go` and `writer.go`; POSIX.1-2017, "pax").

use std::borrow::Cow;
use std::collections::BTreeMap;

use ::tar::{Header as Block, UstarHeader};

/// Size of a tar block in bytes. A file's content is filled up to whole blocks.
pub(super) const BLOCK_SIZE: usize = 512;

const NAME_SIZE: usize = 100;
const PREFIX_SIZE: usize = 155;
/// First number that eight, and twelve, bytes of octal digits with a NUL cannot hold.
const OCTAL_8: u64 = 1 << 21;
const OCTAL_12: u64 = 1 << 33;

/// Types of tar entries.
pub(super) const REGULAR: u8 = b'0';
pub(super) const LINK: u8 = b'1';
pub(super) const SYMLINK: u8 = b'2';
pub(super) const DIRECTORY: u8 = b'5';
const EXTENDED: u8 = b'x';

/// What one header says.
#[derive(Debug, Clone)]
pub(super) struct Header<'a> {
    /// Path without a leading `/`; directories end in `/`.
    pub(super) name: Cow<'a, [u8]>,
    pub(super) kind: u8,
    /// Permission, setuid, setgid and sticky bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Bytes of content.
    pub(super) size: u64,
    /// Whole seconds since 1970.
    pub(super) mtime: i64,
    /// Target of a link, else empty.
    pub(super) link: &'a [u8],
    /// The extended attribute `security.capability`.
    pub(super) capability: Option<&'a [u8]>,
}

impl Header<'_> {
    /// Appends the header's blocks to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let records = self.records();
        let only_the_name = records.len() == 1 && records.contains_key("path");
        match split(&self.name) {
            _ if records.is_empty() => out.extend_from_slice(&self.block(&self.name, b"")),
            Some((prefix, name)) if only_the_name => out.extend_from_slice(&self.block(name, prefix)),
            _ => {
                self.encode_extended(&records, out);
                out.extend_from_slice(&self.block(&self.name, b""));
            }
        }
    }

    /// What does not fit a ustar header, by its PAX keyword, in the order in which it is written.
    fn records(&self) -> BTreeMap<&'static str, Cow<'_, [u8]>> {
        let mut records = BTreeMap::new();
        let mut text = |key, value: &'_ [u8]| {
            if value.len() > NAME_SIZE || !value.is_ascii() {
                records.insert(key, Cow::Owned(value.to_vec()));
            }
        };
        text("path", &self.name);
        text("linkpath", self.link);
        for (key, number, end) in [("uid", self.uid.into(), OCTAL_8), ("gid", self.gid.into(), OCTAL_8), ("size", self.size, OCTAL_12)] {
            if number >= end {
                records.insert(key, Cow::Owned(number.to_string().into_bytes()));
            }
        }
        if u64::try_from(self.mtime).map_or(true, |seconds| seconds >= OCTAL_12) {
            records.insert("mtime", Cow::Owned(self.mtime.to_string().into_bytes()));
        }
        if let Some(capability) = self.capability {
            records.insert("SCHILY.xattr.security.capability", Cow::Borrowed(capability));
        }
        records
    }

    fn encode_extended(&self, records: &BTreeMap<&'static str, Cow<'_, [u8]>>, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        for (key, value) in records {
            append_record(&mut body, key, value);
        }
        let name = self.extended_name();
        let name = ascii(&name);
        let name = &name[..name.len().min(NAME_SIZE)];
        let end = name.iter().rposition(|&c| c != b'/').map_or(0, |last| last + 1);
        let block = fill(|header| {
            put_text(&mut header.name, &name[..end]);
            put_octal(&mut header.mode, 0);
            put_octal(&mut header.uid, 0);
            put_octal(&mut header.gid, 0);
            put_octal(&mut header.size, body.len() as u64);
            put_octal(&mut header.mtime, 0);
            header.typeflag = [EXTENDED];
        });
        out.extend_from_slice(&block);
        out.extend_from_slice(&body);
        out.resize(out.len() + padding(body.len() as u64), 0);
    }

    /// `PaxHeaders.0` stands between the directory and the last component; for a directory, whose name ends in `/`, that is at its end.
    fn extended_name(&self) -> Vec<u8> {
        let base = self.name.iter().rposition(|&c| c == b'/').map_or(0, |slash| slash + 1);
        let (directory, base) = self.name.split_at(base);
        let separator: &[u8] = if base.is_empty() { b"" } else { b"/" };
        [directory, b"PaxHeaders.0", separator, base].concat()
    }

    /// The header proper. Numbers that do not fit are 0, texts are cut: a record says them.
    fn block(&self, name: &[u8], prefix: &[u8]) -> [u8; BLOCK_SIZE] {
        fill(|header| {
            put_text(&mut header.name, &ascii(name));
            put_octal(&mut header.mode, (self.mode & 0o7777).into());
            put_octal(&mut header.uid, self.uid.into());
            put_octal(&mut header.gid, self.gid.into());
            put_octal(&mut header.size, self.size);
            put_octal(&mut header.mtime, u64::try_from(self.mtime).unwrap_or(0));
            header.typeflag = [self.kind];
            put_text(&mut header.linkname, &ascii(self.link));
            put_octal(&mut header.dev_major, 0);
            put_octal(&mut header.dev_minor, 0);
            put_text(&mut header.prefix, prefix);
        })
    }
}

/// Number of NUL bytes that fill `size` bytes up to whole blocks.
pub(super) fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK_SIZE as u64) as usize
}

/// Splits a long name for the fields `prefix` and `name` of ustar, where that can be done.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME_SIZE || !name.is_ascii() {
        return None;
    }
    let end = match name.len() {
        length if length > PREFIX_SIZE + 1 => PREFIX_SIZE + 1,
        length if name.ends_with(b"/") => length - 1,
        length => length,
    };
    let slash = name[..end].iter().rposition(|&c| c == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    let fits = !prefix.is_empty() && prefix.len() <= PREFIX_SIZE && !rest.is_empty() && rest.len() <= NAME_SIZE;
    fits.then_some((prefix, rest))
}

/// A record is `LENGTH KEY=VALUE` and a newline; the length counts itself.
fn append_record(body: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    length = rest + digits(length);
    body.extend_from_slice(format!("{length} {key}=").as_bytes());
    body.extend_from_slice(value);
    body.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Bytes beyond ASCII are dropped.
fn ascii(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() { Cow::Borrowed(text) } else { text.iter().copied().filter(u8::is_ascii).collect() }
}

/// Makes a block with magic and version, lets `put` fill it, and adds the checksum.
fn fill(put: impl FnOnce(&mut UstarHeader)) -> [u8; BLOCK_SIZE] {
    let mut block = Block::new_ustar();
    let header = block.as_ustar_mut().expect("a ustar header was made");
    put(header);
    header.cksum = *b"        ";
    let sum: u64 = block.as_bytes().iter().map(|&byte| u64::from(byte)).sum();
    // Seven bytes as every number; the eighth stays a space.
    let header = block.as_ustar_mut().expect("a ustar header was made");
    put_octal(&mut header.cksum[..7], sum);
    *block.as_bytes()
}

/// Cut to the field. Where the cut would make a file's name end in `/`, its trailing slashes are ended by a NUL, else readers see a directory.
fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    if text.len() > field.len() && field.ends_with(b"/") {
        let end = field.iter().rposition(|&c| c != b'/').map_or(0, |last| last + 1);
        field[end] = 0;
    }
}

/// Octal digits that fill the field but for a NUL at its end; 0 when the number does not fit.
fn put_octal(field: &mut [u8], number: u64) {
    let width = field.len() - 1;
    let number = if number >> (3 * width) == 0 { number } else { 0 };
    field[..width].copy_from_slice(format!("{number:0width$o}").as_bytes());
    field[width] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_itself() {
        for size in 0..1100 {
            let mut record = Vec::new();
            append_record(&mut record, "path", &vec![b'v'; size]);
            let space = record.iter().position(|&c| c == b' ').unwrap();
            assert_eq!(std::str::from_utf8(&record[..space]).unwrap(), record.len().to_string());
        }
    }

    #[test]
    fn a_name_splits_only_where_both_parts_fit() {
        let split_at = |prefix: usize, name: usize| split(&[vec![b'p'; prefix], vec![b'n'; name]].join(&b'/')).map(|(a, b)| (a.len(), b.len()));
        assert_eq!(split_at(1, 98), None, "fits as it is");
        assert_eq!(split_at(1, 100), Some((1, 100)));
        assert_eq!(split_at(1, 101), None);
        assert_eq!(split_at(155, 100), Some((155, 100)));
        assert_eq!(split_at(156, 100), None);
        assert_eq!(split_at(0, 100), None, "no empty prefix");
        assert_eq!(split(&[&[b'd'; 120][..], b"/"].concat()), None, "a directory's last slash does not count");
    }

    #[test]
    fn numbers_fill_their_field_or_are_zero() {
        for (number, expected) in [(0, b"0000000\0"), (0o7_777_777, b"7777777\0"), (1 << 21, b"0000000\0")] {
            let mut field = [b'x'; 8];
            put_octal(&mut field, number);
            assert_eq!(&field, expected);
        }
    }

    #[test]
    fn a_cut_text_does_not_end_in_a_slash() {
        for (text, expected) in [(&b"abc"[..], *b"abc\0"), (b"abcd", *b"abcd"), (b"abc/", *b"abc/"), (b"abc/d", *b"abc\0"), (b"a///d", *b"a\0//")] {
            let mut field = [0; 4];
            put_text(&mut field, text);
            assert_eq!(field, expected);
        }
    }
}
