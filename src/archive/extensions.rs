//! Long names and PAX records, which describe the member of a tar that follows them: ustar, GNU and PAX forms, as Go's `archive/tar` reads them,
//! which the programs that unpack layers use. Header fields are the `tar` crate's to read. Its own reading of PAX records is not used: it cuts
//! values at newlines, which names and capabilities may hold.

use std::io;

use ::tar::{EntryType, Header};

/// Most bytes that the long names and records of one member may take; Go's reader has the same limit.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// What is known of the next member beside its header.
#[derive(Debug, Default)]
pub struct Extensions {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    records: Vec<Record>,
}

type Record = (String, Vec<u8>);

impl Extensions {
    /// Whether a header of this type has no member of its own but describes one that follows.
    pub fn are_in(kind: EntryType) -> bool {
        kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions() || kind.is_pax_global_extensions()
    }

    /// Adds the content of a header of such a type.
    ///
    /// # Errors
    /// Damaged records.
    pub fn add(&mut self, kind: EntryType, content: Vec<u8>) -> io::Result<()> {
        match kind {
            EntryType::GNULongName => self.name = Some(until_nul(content)),
            EntryType::GNULongLink => self.target = Some(until_nul(content)),
            EntryType::XHeader => self.records = records(&content)?,
            // Global records hold comments alone in practice; the programs that unpack layers skip them.
            _ => {}
        }
        Ok(())
    }

    /// The last record with this key.
    pub fn record(&self, key: &str) -> Option<&[u8]> {
        self.records.iter().rev().find(|(found, _)| found == key).map(|(_, value)| value.as_slice())
    }

    /// The record with this key as a number; none where there is no such record.
    ///
    /// # Errors
    /// A record that is no number, as the rest of a sentence that begins with the member.
    pub fn number(&self, key: &str) -> Result<Option<u64>, String> {
        self.record(key).map(|value| decimal(value).ok_or_else(|| format!("has an extended header whose {key} is no number"))).transpose()
    }

    /// The whole seconds of the record `mtime`; none where there is no such record.
    ///
    /// # Errors
    /// A record that is no time, as the rest of a sentence that begins with the member.
    pub fn mtime(&self) -> Result<Option<i64>, String> {
        self.record("mtime").map(|value| seconds(value).ok_or_else(|| "has an extended header whose mtime is no time".to_owned())).transpose()
    }

    /// The member's name as it stands.
    pub fn name_of(&self, header: &Header) -> Vec<u8> {
        let name = self.name.as_deref().or_else(|| self.record("path"));
        name.map_or_else(|| header.path_bytes().into_owned(), <[u8]>::to_vec)
    }

    /// The target of a link as it stands; empty where there is none.
    pub fn target_of(&self, header: &Header) -> Vec<u8> {
        let target = self.target.as_deref().or_else(|| self.record("linkpath"));
        target.map_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned(), <[u8]>::to_vec)
    }

    /// Whether the member is a sparse file, in any of GNU's forms.
    pub fn make_sparse(&self, header: &Header) -> bool {
        header.entry_type().is_gnu_sparse() || self.records.iter().any(|(key, _)| key.starts_with("GNU.sparse."))
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an extended header of it is damaged")
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    text.truncate(end);
    text
}

/// Records are `LENGTH KEY=VALUE` and a newline; the length counts all of it (POSIX.1-2017, "pax Extended Header").
fn records(mut text: &[u8]) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    while !text.is_empty() && text[0] != 0 {
        let (record, rest) = first_record(text).ok_or_else(damaged)?;
        records.push(record);
        text = rest;
    }
    Ok(records)
}

fn first_record(text: &[u8]) -> Option<(Record, &[u8])> {
    let space = text.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&text[..space])?).ok()?;
    let record = text.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    let key = String::from_utf8(record[..equals].to_vec()).ok()?;
    Some(((key, record[equals + 1..].to_vec()), &text[length..]))
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whole seconds of a PAX time, which may have a fraction: as Go counts them, downward.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let below = whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0');
    whole.parse::<i64>().ok()?.checked_sub(i64::from(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_lie_at_or_before() {
        for (text, expected) in [("1.9", Some(1)), ("-1.5", Some(-2)), ("-1.0", Some(-1)), ("12", Some(12)), ("x", None), ("1.x", None), ("", None)] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn values_are_as_long_as_they_say() {
        let mut extensions = Extensions::default();
        extensions.add(EntryType::XHeader, b"12 path=a\nb\n11 size=12\n12 path=x\ny\n".to_vec()).unwrap();
        assert_eq!((extensions.record("path"), extensions.number("size")), (Some(&b"x\ny"[..]), Ok(Some(12))));
        for bytes in [&b"99 path=a\n"[..], b"9 path=ab\n", b"path=a\n", b"7 path\n", b"0 \n", b"-1 a=b\n"] {
            assert!(Extensions::default().add(EntryType::XHeader, bytes.to_vec()).is_err(), "{bytes:?}");
        }
    }
}
