//! From the merged tree to the index: directories, links, and what else was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::{Attributes, Entry, File, Index, Node};
use super::interest::{Filter, Wanted};
use super::links::follow;
use super::tree::{Child, Directory, IMPLIED, Leaf, LeafNode};
use crate::image_path::ImagePath;

/// The index of a settled tree.
///
/// # Errors
/// More content than the interest allows, as the rest of a sentence.
pub(super) fn index(root: Directory, filter: &Filter) -> Result<Index, String> {
    let mut extractor = Extractor { root: &root, filter, entries: Vec::new(), inodes: BTreeMap::new(), captured: 0, path: Vec::new(), whole: false };
    extractor.entries.push((ImagePath::root(), directory(root.attributes)));
    extractor.walk(&root);
    let total = filter.total();
    if extractor.captured > total {
        return Err(format!("the files in it that byoi has to know have more than {total} bytes"));
    }
    Ok(extractor.entries.into_iter().collect())
}

struct Extractor<'a> {
    root: &'a Directory,
    filter: &'a Filter,
    entries: Vec<(ImagePath, Entry)>,
    /// Numbers of files that hard links share, by the address of what they share.
    inodes: BTreeMap<*const File, u32>,
    /// Bytes of content kept so far.
    captured: u64,
    /// The directory that is walked, with a `/` at its end.
    path: Vec<u8>,
    /// Whether it lies below a marked one.
    whole: bool,
}

impl<'a> Extractor<'a> {
    fn walk(&mut self, here: &'a Directory) {
        let above = self.whole;
        self.whole = above || self.filter.is_marked(&here.children);
        for (name, child) in &here.children {
            let length = self.path.len();
            self.path.extend_from_slice(name);
            match child {
                Child::Directory(below) => {
                    self.push(directory(below.attributes));
                    self.path.push(b'/');
                    self.walk(below);
                }
                Child::Leaf(leaf) => self.leaf(leaf),
                // A settled tree has none.
                Child::Whiteout => {}
            }
            self.path.truncate(length);
        }
        self.whole = above;
    }

    fn leaf(&mut self, leaf: &'a Leaf) {
        let wanted = self.filter.file(&self.path) != Wanted::Nothing;
        match &leaf.node {
            LeafNode::File { more, .. } if wanted || self.whole || more.is_some() => {
                let entry = self.entry(leaf);
                self.push(entry);
            }
            LeafNode::File { .. } => {}
            LeafNode::Symlink(_) => {
                self.push(self.plain(leaf));
                if wanted {
                    self.target();
                }
            }
            _ if wanted || self.whole => self.push(self.plain(leaf)),
            _ => {}
        }
    }

    /// Keeps the file that the wanted link at the present path leads to.
    fn target(&mut self) {
        let root = self.root;
        let Ok(path) = ImagePath::parse(&self.path) else { return };
        let Some(real) = follow(&path, |at| symlink(root, at)) else { return };
        if let Some(leaf) = root.leaf(&real) {
            let entry = self.entry(leaf);
            self.entries.push((real, entry));
        }
    }

    fn push(&mut self, entry: Entry) {
        // Paths of the tree are valid, except that links of a layer may have led beyond the longest.
        if let Ok(path) = ImagePath::parse(&self.path) {
            self.entries.push((path, entry));
        }
    }

    fn entry(&mut self, leaf: &Leaf) -> Entry {
        let mut entry = self.plain(leaf);
        let LeafNode::File { more: Some(more), .. } = &leaf.node else { return entry };
        self.captured += [&more.content, &more.packed].into_iter().flatten().map(|content| content.len() as u64).sum::<u64>();
        if let (true, Node::File(file)) = (self.filter.keeps_everything(), &mut entry.node) {
            let next = self.inodes.len() as u32;
            file.inode = Some(*self.inodes.entry(Arc::as_ptr(more)).or_insert(next));
        }
        entry
    }

    fn plain(&self, leaf: &Leaf) -> Entry {
        let node = match &leaf.node {
            LeafNode::File { size, more: None } => Node::File(File { size: *size, ..File::default() }),
            LeafNode::File { more: Some(more), .. } => Node::File((**more).clone()),
            LeafNode::Symlink(target) => Node::Symlink(target.clone()),
            LeafNode::CharDevice { major, minor } => Node::CharDevice { major: *major, minor: *minor },
            LeafNode::BlockDevice { major, minor } => Node::BlockDevice { major: *major, minor: *minor },
            LeafNode::Fifo => Node::Fifo,
            LeafNode::HardLink(_) => Node::File(File::default()),
        };
        Entry { attributes: leaf.attributes, node }
    }
}

fn symlink<'a>(root: &'a Directory, path: &ImagePath) -> Option<&'a [u8]> {
    root.symlink(path)
}

fn directory(attributes: Option<Attributes>) -> Entry {
    Entry { attributes: attributes.unwrap_or(IMPLIED), node: Node::Directory }
}
