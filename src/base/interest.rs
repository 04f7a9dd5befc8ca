//! What a reader of a base's layers wants to keep of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::tree::Child;
use crate::digest::Digest;
use crate::json;

/// Which entries an index keeps. Directories and symbolic links are always kept.
///
/// Patterns are paths relative to the root: `*` stands for anything within a component, `**` as a whole component for any number of
/// components, none too. They are held against paths as they stand in the layers, before links are followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "keep", rename_all = "lowercase")]
pub enum Interest {
    /// What patterns ask for.
    Patterns {
        /// Files whose content is kept.
        content: Vec<String>,
        /// Files whose type and mode are kept.
        presence: Vec<String>,
        /// Files whose content is kept compressed: larger ones, and many.
        packed: Vec<String>,
        /// Names of directories that mark the one they lie in: of all files below that one presence is kept.
        marks: Vec<String>,
        /// Largest content that is kept, in bytes; of larger files presence is kept.
        largest: u64,
        /// Likewise of those that are kept compressed.
        largest_packed: u64,
        /// Most bytes of content that are kept of one layer and of the image; more is an error.
        total: u64,
    },
    /// Every entry, how programs are started, the texts of shell scripts, and what patterns ask for: what is needed to judge an image.
    Survey {
        /// Files whose content is kept.
        content: Vec<String>,
        /// Files whose content is kept compressed.
        packed: Vec<String>,
        /// Largest content that is kept, in bytes.
        largest: u64,
        /// Likewise of those that are kept compressed.
        largest_packed: u64,
        /// Largest shell script whose text is kept.
        largest_script: u64,
        /// Most bytes of content that are kept of one layer and of the image; more is an error.
        total: u64,
    },
    /// Every entry, without content.
    Everything {
        /// Whether files are hashed.
        digests: bool,
    },
}

impl Interest {
    /// The key under which an index of this interest is remembered, for a base of this digest.
    pub fn key(&self, base: &Digest) -> Digest {
        let interest = serde_json::to_value(self).unwrap_or_default();
        Digest::of(json::canonical(&serde_json::json!({"base": base, "form": FORM, "interest": interest})))
    }
}

/// Counts up when the form of an index or the way layers are read changes, so that remembered indexes are made anew.
const FORM: u32 = 3;

/// What becomes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Presence,
    Content,
    Packed,
}

/// An interest made ready to be asked often.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    interest: Interest,
    content: GlobSet,
    presence: GlobSet,
    packed: GlobSet,
}

impl Filter {
    pub(super) fn new(interest: &Interest) -> Result<Self, globset::Error> {
        let none: &[String] = &[];
        let (content, presence, packed) = match interest {
            Interest::Patterns { content, presence, packed, .. } => (content.as_slice(), presence.as_slice(), packed.as_slice()),
            Interest::Survey { content, packed, .. } => (content.as_slice(), none, packed.as_slice()),
            Interest::Everything { .. } => (none, none, none),
        };
        Ok(Filter { interest: interest.clone(), content: set(content)?, presence: set(presence)?, packed: set(packed)? })
    }

    /// What becomes of the file at `path`, the bytes of a path relative to the root.
    pub(super) fn file(&self, path: &[u8]) -> Wanted {
        let path = OsStr::from_bytes(path);
        match &self.interest {
            Interest::Everything { .. } => Wanted::Presence,
            _ if self.content.is_match(path) => Wanted::Content,
            _ if self.packed.is_match(path) => Wanted::Packed,
            Interest::Survey { .. } => Wanted::Presence,
            Interest::Patterns { .. } if self.presence.is_match(path) => Wanted::Presence,
            Interest::Patterns { .. } => Wanted::Nothing,
        }
    }

    pub(super) fn keeps_everything(&self) -> bool {
        matches!(self.interest, Interest::Everything { .. })
    }

    /// Whether all files below a directory with these children are kept.
    pub(super) fn is_marked(&self, children: &BTreeMap<Box<[u8]>, Child>) -> bool {
        match &self.interest {
            Interest::Patterns { marks, .. } => marks.iter().any(|mark| matches!(children.get(mark.as_bytes()), Some(Child::Directory(_)))),
            Interest::Everything { .. } | Interest::Survey { .. } => true,
        }
    }

    pub(super) fn hashes(&self) -> bool {
        matches!(self.interest, Interest::Everything { digests: true })
    }

    /// Largest shell script whose text is kept, where files are looked at for how they are started.
    pub(super) fn largest_script(&self) -> Option<u64> {
        match self.interest {
            Interest::Survey { largest_script, .. } => Some(largest_script),
            _ => None,
        }
    }

    /// Largest content of one file that is kept like this.
    pub(super) fn largest(&self, wanted: Wanted) -> u64 {
        match (&self.interest, wanted) {
            (Interest::Patterns { largest, .. } | Interest::Survey { largest, .. }, Wanted::Content) => *largest,
            (Interest::Patterns { largest_packed, .. } | Interest::Survey { largest_packed, .. }, Wanted::Packed) => *largest_packed,
            _ => 0,
        }
    }

    /// Most bytes that are kept of contents altogether.
    pub(super) fn total(&self) -> u64 {
        match self.interest {
            Interest::Patterns { total, .. } | Interest::Survey { total, .. } => total,
            Interest::Everything { .. } => 0,
        }
    }
}

fn set(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()?);
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_component_and_two_cross_any_number() {
        let content = ["etc/passwd", "**/bin/tool", "opt/x/*/package.json"].map(str::to_owned).to_vec();
        let (presence, packed) = (vec!["**/bin/*".to_owned()], vec!["**/meta/*.json".to_owned()]);
        let interest = Interest::Patterns { content, presence, packed, marks: Vec::new(), largest: 1, largest_packed: 1, total: 1 };
        let filter = Filter::new(&interest).unwrap();
        for (path, wanted) in [
            ("etc/passwd", Wanted::Content),
            ("a/etc/passwd", Wanted::Nothing),
            ("bin/tool", Wanted::Content),
            ("opt/conda/bin/tool", Wanted::Content),
            ("usr/bin/other", Wanted::Presence),
            ("opt/x/one/package.json", Wanted::Content),
            ("opt/conda/meta/a.json", Wanted::Packed),
            ("opt/x/one/two/package.json", Wanted::Nothing),
        ] {
            assert_eq!(filter.file(path.as_bytes()), wanted, "{path}");
        }
    }

    #[test]
    fn the_key_follows_from_base_and_interest() {
        let everything = |digests| Interest::Everything { digests };
        let key = everything(true).key(&Digest::of("a"));
        assert_eq!(key, everything(true).key(&Digest::of("a")));
        assert_ne!(key, everything(false).key(&Digest::of("a")));
        assert_ne!(key, everything(true).key(&Digest::of("b")));
    }
}
