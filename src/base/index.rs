//! The base index: what is known of a base's file tree after one pass over its layers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::links::follow;
use super::program::Program;
use crate::digest::Digest;
use crate::image_path::ImagePath;

/// The merged tree of an image's layers: all directories and symbolic links, and the files that the [`super::Interest`] asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Row>", into = "Vec<Row>")]
pub struct Index {
    entries: BTreeMap<ImagePath, Entry>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Mode, owner, time.
    pub attributes: Attributes,
    /// Type and content.
    pub node: Node,
}

/// What every type of entry has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission, setuid, setgid and sticky bits; of symbolic links as it stands in the layer.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in whole seconds since 1970.
    pub mtime: i64,
}

/// Types of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(File),
    /// A symbolic link; its target as it stands.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// What is known of a regular file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// Its size in bytes.
    pub size: u64,
    /// Equal for hard links to one file, where the index keeps everything.
    pub inode: Option<u32>,
    /// The extended attribute `security.capability`.
    pub capability: Option<Box<[u8]>>,
    /// The sha256 of its content, where the interest asked for it.
    pub digest: Option<Digest>,
    /// Its content, where the interest asked for it and its size was within the limit.
    pub content: Option<Arc<[u8]>>,
    /// How it is started, where the interest asked for it.
    pub program: Option<Program>,
    /// Its content as zstd packs it, where the interest asked for it so.
    pub packed: Option<Arc<[u8]>>,
}

impl Index {
    /// The entry at `path`; links are not followed.
    pub fn get(&self, path: &ImagePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries that are known, the root directory first.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Entry)> {
        self.entries.iter()
    }

    /// What lies in the directory at `path`, links not followed; the whole tree below it.
    pub fn below<'a>(&'a self, path: &'a ImagePath) -> impl Iterator<Item = (&'a ImagePath, &'a Entry)> {
        self.entries.range(path.clone()..).skip_while(move |(found, _)| *found == path).take_while(move |(found, _)| found.starts_with(path))
    }

    /// `path` with every link followed, its last component too, as the kernel would in a container; none for links that lead in a circle.
    /// Whether something stands there is another question.
    pub fn resolve(&self, path: &ImagePath) -> Option<ImagePath> {
        follow(path, |at| match self.entries.get(at) {
            Some(Entry { node: Node::Symlink(target), .. }) => Some(target),
            _ => None,
        })
    }

    /// As [`Index::resolve`], as if nothing stood at the paths in `without`.
    pub fn resolve_without(&self, path: &ImagePath, without: &BTreeSet<ImagePath>) -> Option<ImagePath> {
        follow(path, |at| match self.entries.get(at) {
            Some(Entry { node: Node::Symlink(target), .. }) if !without.contains(at) => Some(target),
            _ => None,
        })
    }

    /// The entry that opening `path` gives, and its real path.
    pub fn find(&self, path: &ImagePath) -> Option<(ImagePath, &Entry)> {
        let real = self.resolve(path)?;
        let entry = self.entries.get(&real)?;
        Some((real, entry))
    }

    /// The regular file that opening `path` gives.
    pub fn file(&self, path: &ImagePath) -> Option<(&Attributes, &File)> {
        match self.find(path)? {
            (_, Entry { attributes, node: Node::File(file) }) => Some((attributes, file)),
            _ => None,
        }
    }

    /// The content of the regular file that opening `path` gives, where it was kept.
    pub fn content(&self, path: &ImagePath) -> Option<&[u8]> {
        self.file(path)?.1.content.as_deref()
    }
}

impl FromIterator<(ImagePath, Entry)> for Index {
    fn from_iter<I: IntoIterator<Item = (ImagePath, Entry)>>(entries: I) -> Self {
        Index { entries: entries.into_iter().collect() }
    }
}

/// An entry as it is kept: path, attributes, node. How programs are started is not kept: surveys are kept by layer, in another form.
#[derive(Serialize, Deserialize)]
struct Row(ImagePath, u16, u32, u32, i64, RowNode);

#[derive(Serialize, Deserialize)]
enum RowNode {
    #[serde(rename = "d")]
    Directory,
    #[serde(rename = "f")]
    File(u64, Option<u32>, Option<Base64>, Option<Digest>, Option<Base64>, Option<Base64>),
    /// A file of which nothing but the size is known.
    #[serde(rename = "s")]
    Presence(u64),
    #[serde(rename = "l")]
    Symlink(Base64),
    #[serde(rename = "c")]
    CharDevice(u32, u32),
    #[serde(rename = "b")]
    BlockDevice(u32, u32),
    #[serde(rename = "p")]
    Fifo,
}

/// Bytes as text.
struct Base64(Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?).map(Base64).map_err(serde::de::Error::custom)
    }
}

impl From<Index> for Vec<Row> {
    fn from(index: Index) -> Self {
        let rows = index.entries.into_iter().map(|(path, entry)| {
            let Attributes { mode, uid, gid, mtime } = entry.attributes;
            let bytes = |bytes: Box<[u8]>| Base64(bytes.into_vec());
            let node = match entry.node {
                Node::Directory => RowNode::Directory,
                Node::File(file) if file == (File { size: file.size, ..File::default() }) => RowNode::Presence(file.size),
                Node::File(file) => {
                    let content = file.content.map(|content| Base64(content.to_vec()));
                    let packed = file.packed.map(|packed| Base64(packed.to_vec()));
                    RowNode::File(file.size, file.inode, file.capability.map(bytes), file.digest, content, packed)
                }
                Node::Symlink(target) => RowNode::Symlink(bytes(target)),
                Node::CharDevice { major, minor } => RowNode::CharDevice(major, minor),
                Node::BlockDevice { major, minor } => RowNode::BlockDevice(major, minor),
                Node::Fifo => RowNode::Fifo,
            };
            Row(path, mode, uid, gid, mtime, node)
        });
        rows.collect()
    }
}

impl From<Vec<Row>> for Index {
    fn from(rows: Vec<Row>) -> Self {
        let entries = rows.into_iter().map(|Row(path, mode, uid, gid, mtime, node)| {
            let node = match node {
                RowNode::Directory => Node::Directory,
                RowNode::Presence(size) => Node::File(File { size, ..File::default() }),
                RowNode::File(size, inode, capability, digest, content, packed) => {
                    let capability = capability.map(|bytes| bytes.0.into());
                    let (content, packed) = (content.map(|bytes| bytes.0.into()), packed.map(|bytes| bytes.0.into()));
                    Node::File(File { size, inode, capability, digest, content, packed, program: None })
                }
                RowNode::Symlink(target) => Node::Symlink(target.0.into()),
                RowNode::CharDevice(major, minor) => Node::CharDevice { major, minor },
                RowNode::BlockDevice(major, minor) => Node::BlockDevice { major, minor },
                RowNode::Fifo => Node::Fifo,
            };
            (path, Entry { attributes: Attributes { mode, uid, gid, mtime }, node })
        });
        entries.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    fn index(entries: &[(&str, Node)]) -> Index {
        let attributes = Attributes { mode: 0o755, uid: 1, gid: 2, mtime: -3 };
        entries.iter().map(|(at, node)| (path(at), Entry { attributes, node: node.clone() })).collect()
    }

    fn link(target: &str) -> Node {
        Node::Symlink(target.as_bytes().into())
    }

    #[test]
    fn links_are_followed_as_the_kernel_would() {
        let index = index(&[("bin", link("usr/bin")), ("usr/bin/x", link("../../../opt/y/.")), ("opt", link("/srv")), ("loop", link("loop"))]);
        for (given, real) in [("bin/sh", "usr/bin/sh"), ("bin/x", "srv/y"), ("opt", "srv"), ("a/b", "a/b"), ("", "")] {
            assert_eq!(index.resolve(&path(given)), Some(path(real)), "{given}");
        }
        assert_eq!(index.resolve(&path("loop/a")), None);
    }

    #[test]
    fn what_is_kept_comes_back() {
        let file = File {
            size: 5,
            inode: Some(7),
            capability: Some([1, 10].into()),
            digest: Some(Digest::of("x")),
            content: Some(Arc::from(&b"\xffhello"[..])),
            program: None,
            packed: Some(Arc::from(&b"\xfe"[..])),
        };
        let index = index(&[
            ("", Node::Directory),
            ("a", Node::File(file)),
            ("b", Node::File(File::default())),
            ("c", link("\u{e9}")),
            ("d", Node::CharDevice { major: 1, minor: 2 }),
            ("e", Node::BlockDevice { major: 3, minor: 4 }),
            ("f", Node::Fifo),
        ]);
        let kept = serde_json::to_vec(&index).unwrap();
        assert_eq!(serde_json::from_slice::<Index>(&kept).unwrap(), index);
    }

    #[test]
    fn below_is_the_tree_without_its_root() {
        let index = index(&[("a", Node::Directory), ("a/b", Node::Fifo), ("a/b/c", Node::Fifo), ("a-b", Node::Fifo)]);
        assert_eq!(index.below(&path("a")).map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["a/b", "a/b/c"]);
    }
}
