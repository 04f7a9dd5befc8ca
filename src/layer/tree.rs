//! A layer as a tree: a set of paths with type, mode, owner, time and content.

use std::collections::BTreeMap;

use super::Content;
use crate::image_path::ImagePath;

/// What stands at a path of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Permission, setuid, setgid and sticky bits: 12 bits, no type.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in whole seconds since 1970.
    pub mtime: i64,
    /// The extended attribute `security.capability`, raw; no other attribute survives a layer.
    pub capability: Option<Box<[u8]>>,
    /// Type and content.
    pub node: Node,
}

/// The types of entries that a layer may hold.
#[derive(Debug, Clone)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link; its target as it stands, never followed. Mode is 0777.
    Symlink(Box<[u8]>),
    /// Another name of the regular file at this path of the same tree; mode, owner, time and content are that file's.
    HardLink(ImagePath),
    /// The path of the layers below is deleted.
    Whiteout,
}

impl Entry {
    /// A directory.
    pub fn directory(mode: u16, uid: u32, gid: u32, mtime: i64) -> Self {
        Entry { mode, uid, gid, mtime, capability: None, node: Node::Directory }
    }

    /// A regular file.
    pub fn file(content: Content, mode: u16, uid: u32, gid: u32, mtime: i64) -> Self {
        Entry { mode, uid, gid, mtime, capability: None, node: Node::File(content) }
    }

    /// A symbolic link to `target`.
    pub fn symlink(target: impl Into<Box<[u8]>>, uid: u32, gid: u32, mtime: i64) -> Self {
        Entry { mode: 0o777, uid, gid, mtime, capability: None, node: Node::Symlink(target.into()) }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory)
    }
}

/// All entries of a layer, in the order of the walk (see [`ImagePath`]). The root directory is not an entry.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: BTreeMap<ImagePath, Entry>,
}

impl Tree {
    /// A tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `entry` at `path` and gives back what stood there.
    pub fn insert(&mut self, path: ImagePath, entry: Entry) -> Option<Entry> {
        self.entries.insert(path, entry)
    }

    /// The entry at `path`.
    pub fn get(&self, path: &ImagePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries in the order of the walk.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Entry)> {
        self.entries.iter()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
