//! Paths inside an image. They are not paths of this machine, so they are not `PathBuf`s.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path inside an image, relative to its root: no leading or trailing `/`, no empty, `.` or `..` component, no NUL byte.
/// The root itself is the empty path. Bytes, not necessarily UTF-8.
///
/// Paths are ordered as BuildKit walks a tree: by bytes inside each directory, a directory just before its children
/// (so `a`, `a/x`, `a-b`: component by component, not as whole strings).
///
/// As text, bytes that are not UTF-8 and the backslash are written `\xNN`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ImagePath(Box<[u8]>);

/// Why a text is not a path inside an image.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("the path `{path}` {reason}")]
pub struct InvalidPath {
    /// The path as given, with odd bytes escaped.
    pub path: String,
    /// What is wrong, as the rest of a sentence.
    pub reason: &'static str,
}

/// Longest path and longest component that Linux can hold, in bytes.
const PATH_MAX: usize = 4095;
const NAME_MAX: usize = 255;

impl ImagePath {
    /// The root directory of the image.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path as it stands in an archive or a description. Leading `/` and `./`, repeated and trailing `/` and `.` components are dropped.
    ///
    /// # Errors
    /// `..` components, NUL bytes, components over 255 and paths over 4095 bytes.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidPath> {
        let bytes = bytes.as_ref();
        let invalid = |reason| InvalidPath { path: escape(&bytes[..bytes.len().min(300)]), reason };
        if bytes.contains(&0) {
            return Err(invalid("holds a NUL byte"));
        }
        let mut path = Vec::with_capacity(bytes.len());
        for name in bytes.split(|&c| c == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(invalid("leaves its root with `..`")),
                _ if name.len() > NAME_MAX => return Err(invalid("has a component of more than 255 bytes")),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        if path.len() > PATH_MAX {
            return Err(invalid("is longer than 4095 bytes"));
        }
        Ok(ImagePath(path.into()))
    }

    /// A path that stands in this program's text.
    ///
    /// # Panics
    /// When `text` is not a path: that is a mistake in this program.
    pub fn literal(text: &'static str) -> Self {
        Self::parse(text).expect("a literal path is valid")
    }

    /// The path's bytes, without a leading `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&c| c == b'/').next().unwrap_or_default()
    }

    /// The directory that holds this path; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&c| c == b'/').unwrap_or(0);
        Some(ImagePath(self.0[..end].into()))
    }

    /// All directories above this path, the nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = ImagePath> {
        std::iter::successors(self.parent(), ImagePath::parent)
    }

    /// The components, from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&c| c == b'/').filter(|name| !name.is_empty())
    }

    /// This path with `tail` (one or several components, read as by [`ImagePath::parse`]) below it.
    ///
    /// # Errors
    /// As [`ImagePath::parse`].
    pub fn join(&self, tail: impl AsRef<[u8]>) -> Result<Self, InvalidPath> {
        Self::parse([&self.0, tail.as_ref()].join(&b'/'))
    }

    /// Whether this path is `above` or lies below it.
    pub fn starts_with(&self, above: &ImagePath) -> bool {
        above.is_root() || (self.0.starts_with(&above.0) && matches!(self.0.get(above.0.len()), None | Some(b'/')))
    }

    /// The rest of this path below `above`; none when it does not lie there.
    pub fn strip_prefix(&self, above: &ImagePath) -> Option<ImagePath> {
        if !self.starts_with(above) {
            return None;
        }
        let rest = &self.0[above.0.len()..];
        Some(ImagePath(rest.strip_prefix(b"/").unwrap_or(rest).into()))
    }

    /// The path as an absolute one, `/` for the root.
    pub fn absolute(&self) -> String {
        format!("/{self}")
    }
}

impl Ord for ImagePath {
    fn cmp(&self, other: &Self) -> Ordering {
        // `/` sorts before every byte that a name may hold (NUL cannot occur), so that components are compared one by one.
        let key = |c: &u8| if *c == b'/' { 0 } else { *c };
        self.0.iter().map(key).cmp(other.0.iter().map(key))
    }
}

impl PartialOrd for ImagePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\x5c"),
                c if c.is_control() => c.to_string().bytes().for_each(|b| text.push_str(&format!("\\x{b:02x}"))),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| text.push_str(&format!("\\x{b:02x}")));
    }
    text
}

pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&c, tail)) = rest.split_first() {
        rest = tail;
        if c != b'\\' {
            bytes.push(c);
            continue;
        }
        let hex = std::str::from_utf8(tail.strip_prefix(b"x")?.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &tail[3..];
    }
    Some(bytes)
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{self}")
    }
}

impl std::str::FromStr for ImagePath {
    type Err = InvalidPath;

    /// Reads the text form that [`fmt::Display`] writes, with `\xNN` for odd bytes.
    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let bytes = unescape(text).ok_or_else(|| InvalidPath { path: text.to_owned(), reason: "has a `\\` that does not begin `\\xNN`" })?;
        Self::parse(bytes)
    }
}

impl Serialize for ImagePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImagePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    #[test]
    fn reads_the_forms_that_archives_hold() {
        for text in ["a/b", "/a/b", "./a/b", "a//b/", "a/./b/."] {
            assert_eq!(path(text).as_bytes(), b"a/b", "{text}");
        }
        assert!(path("/").is_root() && path("").is_root() && path("./").is_root());
    }

    #[test]
    fn refuses_what_leaves_the_root_or_cannot_exist() {
        for bytes in [&b"../a"[..], b"a/../b", b"a/..", b"a\0b", &[b'a'; 256], &b"a/".repeat(2100)] {
            assert!(ImagePath::parse(bytes).is_err());
        }
    }

    #[test]
    fn walks_like_buildkit() {
        let mut paths = ["a-b", "a/x", "a", "a/x/y", "B", "a.b"].map(path);
        paths.sort();
        assert_eq!(paths.map(|p| p.to_string()), ["B", "a", "a/x", "a/x/y", "a-b", "a.b"]);
    }

    #[test]
    fn parents_and_prefixes() {
        assert_eq!(path("a/b/c").ancestors().map(|p| p.absolute()).collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert!(path("a/b").starts_with(&path("a")) && !path("ab").starts_with(&path("a")) && path("a").starts_with(&path("")));
        assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some(path("b/c")));
        assert_eq!(path("a").name(), b"a");
    }

    proptest! {
        #[test]
        fn text_form_is_lossless(bytes in proptest::collection::vec(1u8.., 0..40)) {
            if let Ok(path) = ImagePath::parse(&bytes) {
                prop_assert_eq!(path.to_string().parse::<ImagePath>().unwrap(), path);
            }
        }

        #[test]
        fn order_is_that_of_components(a in "[a-c/.-]{0,9}", b in "[a-c/.-]{0,9}") {
            if let (Ok(a), Ok(b)) = (ImagePath::parse(&a), ImagePath::parse(&b)) {
                prop_assert_eq!(a.cmp(&b), a.components().cmp(b.components()));
            }
        }
    }
}
