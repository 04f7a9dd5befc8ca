//! Finds programs in the merged tree as the container's user would: 1000:100, with the volume mounted over the home.

use crate::base::index::{Attributes, Entry, Node};
use crate::base::{Index, Program};
use crate::contract::{self, HOME};
use crate::image_path::ImagePath;

/// Finds programs in the merged tree.
#[derive(Debug, Clone, Copy)]
pub struct Programs<'a> {
    index: &'a Index,
}

/// What stands where a program should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It can be started.
    Found(Found),
    /// It is there, but the volume hides it.
    Hidden(ImagePath),
    /// It is there, but the user cannot start it; why, as the rest of a sentence that begins with the path.
    Refused(ImagePath, &'static str),
    /// There is nothing of this name.
    Absent,
}

/// A program that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it was found.
    pub path: ImagePath,
    /// Where it really lies, links followed.
    pub real: ImagePath,
    /// How it is started, where that is known.
    pub program: Option<Program>,
}

impl<'a> Programs<'a> {
    /// In this tree.
    pub fn new(index: &'a Index) -> Self {
        Programs { index }
    }

    /// The program that a word names: a path, or a name in the first of these directories that has it. Relative paths begin at `here`.
    pub fn find(&self, word: &str, path: &[String], here: &str) -> Lookup {
        if word.contains('/') {
            return self.at(&absolute(word, here));
        }
        let mut first = Lookup::Absent;
        for directory in path {
            match self.at(&absolute(&format!("{directory}/{word}"), here)) {
                Lookup::Absent => {}
                found @ Lookup::Found(_) => return found,
                worse if first == Lookup::Absent => first = worse,
                _ => {}
            }
        }
        first
    }

    /// What stands at an absolute path.
    pub fn at(&self, path: &str) -> Lookup {
        let Ok(path) = ImagePath::parse(path) else { return Lookup::Absent };
        let Some((real, entry)) = self.index.find(&path) else { return Lookup::Absent };
        let Node::File(file) = &entry.node else { return Lookup::Absent };
        if is_hidden(&path) || is_hidden(&real) {
            return Lookup::Hidden(path);
        }
        if !self.is_reachable(&real) {
            return Lookup::Refused(path, "lies in a directory that user 1000 cannot enter");
        }
        if !may(&entry.attributes, 1) {
            return Lookup::Refused(path, "is not executable by user 1000");
        }
        Lookup::Found(Found { path, real, program: file.program.clone() })
    }

    /// Whether the user can enter all directories above `real`, a path without links.
    pub fn is_reachable(&self, real: &ImagePath) -> bool {
        real.ancestors().all(|above| match self.index.get(&above) {
            Some(Entry { attributes, node: Node::Directory }) => may(attributes, 1),
            _ => true,
        })
    }
}

/// Whether user 1000:100 has this permission (4 read, 2 write, 1 execute or enter).
pub fn may(attributes: &Attributes, permission: u16) -> bool {
    contract::may(attributes.mode, (attributes.uid, attributes.gid), permission)
}

/// Whether the space's volume hides the path.
pub fn is_hidden(path: &ImagePath) -> bool {
    let home = ImagePath::literal(HOME);
    path.starts_with(&home) && *path != home
}

/// A path of a config or script as an absolute one, without `.` and `..`.
pub fn absolute(path: &str, here: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{here}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_those_of_the_nearest_class() {
        let of = |mode, uid, gid| Attributes { mode, uid, gid, mtime: 0 };
        assert!(may(&of(0o500, 1000, 0), 1) && !may(&of(0o055, 1000, 100), 1));
        assert!(may(&of(0o010, 0, 100), 1) && !may(&of(0o001, 0, 100), 1));
        assert!(may(&of(0o001, 0, 0), 1) && !may(&of(0o750, 0, 0), 1));
    }

    #[test]
    fn paths_are_made_absolute() {
        for (path, whole) in [("a/../b", "/w/b"), ("./x", "/w/x"), ("/a//b/.", "/a/b"), ("../../x", "/x")] {
            assert_eq!(absolute(path, "/w"), whole);
        }
    }
}
