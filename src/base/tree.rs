//! The tree that layers are merged into: each laid over those below, with what it deletes.
//!
//! Directories that a layer leaves out, though it has something in them, are those of the layers below; where these have none, or a link or
//! file there, they are new ones. That is what overlay file systems make of such a layer, and so what a running container sees.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::index::Attributes;
use super::members::damaged;
use crate::image_path::ImagePath;
use crate::plan::MTIME;

/// What directories are that no layer describes.
pub(super) const IMPLIED: Attributes = Attributes { mode: 0o755, uid: 0, gid: 0, mtime: MTIME };

/// A directory of a layer, or of layers merged.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Directory {
    /// None where the layer has something in the directory but not the directory.
    pub(super) attributes: Option<Attributes>,
    /// Whether what the layers below have in it is deleted.
    pub(super) opaque: bool,
    pub(super) children: BTreeMap<Box<[u8]>, Child>,
}

/// What stands in a directory.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Child {
    Directory(Box<Directory>),
    Leaf(Leaf),
    /// The layers below have something here, which is deleted.
    Whiteout,
}

/// What is no directory.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) attributes: Attributes,
    pub(super) node: LeafNode,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum LeafNode {
    /// Hard links share what else is known of the file.
    File {
        size: u64,
        more: Option<Arc<super::index::File>>,
    },
    Symlink(Box<[u8]>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// A hard link to what is not in its own layer, until the layers are merged.
    HardLink(Box<ImagePath>),
}

impl Child {
    pub(super) fn directory(attributes: Option<Attributes>, opaque: bool) -> Self {
        Child::Directory(Box::new(Directory { attributes, opaque, children: BTreeMap::new() }))
    }
}

impl Directory {
    /// Lays the tree of a layer over this one, which is settled: all its directories have attributes, and nothing in it is deleted.
    pub(super) fn merge(&mut self, upper: Directory) {
        self.attributes = upper.attributes.or(self.attributes).or(Some(IMPLIED));
        if upper.opaque {
            self.children.clear();
        }
        for (name, child) in upper.children {
            match child {
                Child::Whiteout => drop(self.children.remove(&name)),
                Child::Leaf(_) => drop(self.children.insert(name, child)),
                Child::Directory(mut upper) => match self.children.get_mut(&name) {
                    Some(Child::Directory(lower)) => lower.merge(*upper),
                    _ => {
                        upper.settle();
                        self.children.insert(name, Child::Directory(upper));
                    }
                },
            }
        }
    }

    /// There is nothing below that could be deleted or show through.
    fn settle(&mut self) {
        self.attributes.get_or_insert(IMPLIED);
        self.opaque = false;
        self.children.retain(|_, child| !matches!(child, Child::Whiteout));
        for child in self.children.values_mut() {
            if let Child::Directory(directory) = child {
                directory.settle();
            }
        }
    }

    /// Makes the hard link at `path` one to what the layers below have.
    pub(super) fn tie(&mut self, path: &ImagePath) -> io::Result<()> {
        let target = match self.leaf(path) {
            Some(Leaf { node: LeafNode::HardLink(target), .. }) => (**target).clone(),
            // The layer itself put something else here later.
            _ => return Ok(()),
        };
        let found = match self.leaf(&target) {
            Some(Leaf { node: LeafNode::HardLink(_), .. }) | None => {
                return Err(damaged(format!("the hard link {path:?} leads to {target:?}, which is no file")));
            }
            Some(leaf) => leaf.clone(),
        };
        if let Some(leaf) = self.leaf_mut(path) {
            *leaf = found;
        }
        Ok(())
    }

    /// What stands at `path`, links not followed.
    pub(super) fn child(&self, path: &ImagePath) -> Option<&Child> {
        let mut components = path.components();
        let name = components.next_back()?;
        let mut directory = self;
        for name in components {
            match directory.children.get(name) {
                Some(Child::Directory(next)) => directory = next,
                _ => return None,
            }
        }
        directory.children.get(name)
    }

    pub(super) fn leaf(&self, path: &ImagePath) -> Option<&Leaf> {
        match self.child(path) {
            Some(Child::Leaf(leaf)) => Some(leaf),
            _ => None,
        }
    }

    fn leaf_mut(&mut self, path: &ImagePath) -> Option<&mut Leaf> {
        let mut components = path.components();
        let name = components.next_back()?;
        let mut directory = self;
        for name in components {
            match directory.children.get_mut(name) {
                Some(Child::Directory(next)) => directory = next,
                _ => return None,
            }
        }
        match directory.children.get_mut(name) {
            Some(Child::Leaf(leaf)) => Some(leaf),
            _ => None,
        }
    }

    /// The target of the symbolic link at `path`, if one stands there.
    pub(super) fn symlink(&self, path: &ImagePath) -> Option<&[u8]> {
        match self.leaf(path) {
            Some(Leaf { node: LeafNode::Symlink(target), .. }) => Some(target),
            _ => None,
        }
    }

    /// Whether a component of `path` is a link.
    pub(super) fn meets_link(&self, path: &ImagePath) -> bool {
        let mut directory = self;
        for name in path.components() {
            match directory.children.get(name) {
                Some(Child::Directory(next)) => directory = next,
                Some(Child::Leaf(Leaf { node: LeafNode::Symlink(_), .. })) => return true,
                _ => return false,
            }
        }
        false
    }
}
