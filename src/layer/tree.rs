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
    /// Another name of the file (or symbolic link, or hard link) at this path of the same tree; mode, owner, time and content are that file's.
    /// It need not come after it in the walk.
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

    /// Another name of the file at `to`.
    pub fn hard_link(to: ImagePath) -> Self {
        Entry { mode: 0, uid: 0, gid: 0, mtime: 0, capability: None, node: Node::HardLink(to) }
    }

    /// A deletion of what the layers below have at the entry's path.
    pub fn whiteout() -> Self {
        Entry { mode: 0, uid: 0, gid: 0, mtime: 0, capability: None, node: Node::Whiteout }
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

    /// The entry at `path`, and the path as the tree holds it.
    pub(super) fn get_key_value(&self, path: &ImagePath) -> Option<(&ImagePath, &Entry)> {
        self.entries.get_key_value(path)
    }

    /// All entries in the order of the walk, as they were put in; [`Tree::walk`] gives them as a sink needs them.
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

impl FromIterator<(ImagePath, Entry)> for Tree {
    fn from_iter<I: IntoIterator<Item = (ImagePath, Entry)>>(entries: I) -> Self {
        Tree { entries: entries.into_iter().collect() }
    }
}
