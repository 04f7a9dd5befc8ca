//! Tree → tar, byte for byte as BuildKit (0.11 and newer) writes the tar of a layer: the walk's order, whole seconds, numbers for owners and
//! no names, the root left out, two empty blocks at the end.

use std::borrow::Cow;
use std::io::Write;

use super::content::copy_exactly;
use super::header::{self, BLOCK_SIZE, Header, padding};
use super::tree::{Node, Tree};
use super::walk::{Step, WHITEOUT_PREFIX};
use super::{Content, LayerError};
use crate::image_path::ImagePath;

/// Content is read in pieces of this size.
const PIECE: usize = 128 << 10;

/// Writes the tar of `tree` to `out` and says how many bytes that was.
///
/// # Errors
/// When the tree cannot be a layer (see [`Tree::walk`]), a content cannot be read or has not its size, or `out` fails.
pub fn write_tar(tree: &Tree, out: &mut dyn Write) -> Result<u64, LayerError> {
    let mut written = 0;
    let mut piece = vec![0; PIECE];
    let mut blocks = Vec::new();
    for step in tree.walk()? {
        blocks.clear();
        let content = encode(&step, &mut blocks);
        out.write_all(&blocks).map_err(LayerError::Write)?;
        written += blocks.len() as u64;
        if let Some(content) = content {
            copy_exactly(step.path, content, &mut piece, out)?;
            out.write_all(&[0; BLOCK_SIZE][..padding(content.size())]).map_err(LayerError::Write)?;
            written += filled(content.size());
        }
    }
    out.write_all(&[0; 2 * BLOCK_SIZE]).map_err(LayerError::Write)?;
    Ok(written + 2 * BLOCK_SIZE as u64)
}

/// How many bytes [`write_tar`] will write; no content is read.
///
/// # Errors
/// When the tree cannot be a layer (see [`Tree::walk`]).
pub fn tar_size(tree: &Tree) -> Result<u64, LayerError> {
    let mut size = 2 * BLOCK_SIZE as u64;
    let mut blocks = Vec::new();
    for step in tree.walk()? {
        blocks.clear();
        let content = encode(&step, &mut blocks);
        size += blocks.len() as u64 + content.map_or(0, |content| filled(content.size()));
    }
    Ok(size)
}

fn filled(size: u64) -> u64 {
    size + padding(size) as u64
}

/// Appends the header blocks of one entry and gives back the content that follows them.
fn encode<'a>(step: &Step<'a>, blocks: &mut Vec<u8>) -> Option<&'a Content> {
    let entry = step.entry;
    let mut header = Header {
        name: Cow::Borrowed(step.path.as_bytes()),
        kind: header::REGULAR,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        size: 0,
        mtime: entry.mtime,
        link: b"",
        capability: entry.capability.as_deref(),
    };
    let mut content = None;
    match &entry.node {
        Node::Directory => {
            header.kind = header::DIRECTORY;
            header.name.to_mut().push(b'/');
        }
        Node::File(bytes) if step.link_to.is_none() => {
            header.size = bytes.size();
            content = Some(bytes);
        }
        Node::Symlink(target) => {
            header.kind = header::SYMLINK;
            header.mode = 0o777;
            header.link = target;
        }
        Node::Whiteout => header = whiteout(step.path),
        // The walk gives the file's entry for its links.
        Node::File(_) | Node::HardLink(_) => {}
    }
    if let Some(first) = step.link_to {
        header.kind = header::LINK;
        header.link = first.as_bytes();
    }
    header.encode(blocks);
    content
}

fn whiteout(path: &ImagePath) -> Header<'_> {
    let bytes = path.as_bytes();
    let (directory, name) = bytes.split_at(bytes.len() - path.name().len());
    let name = [directory, WHITEOUT_PREFIX, name].concat();
    Header { name: name.into(), kind: header::REGULAR, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, link: b"", capability: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{self, Read};

    use super::*;
    use crate::layer::Entry;
    use ::tar::{Archive, EntryType};
    use proptest::collection::{btree_map, vec};
    use proptest::option::weighted;
    use proptest::prelude::*;

    fn written(tree: &Tree) -> Vec<u8> {
        let mut out = Vec::new();
        let size = write_tar(tree, &mut out).unwrap();
        assert_eq!((size, tar_size(tree).unwrap()), (out.len() as u64, out.len() as u64));
        out
    }

    /// What a reader finds at a path: type, mode, owner, time, link, capability, content.
    #[derive(Debug, PartialEq)]
    struct Found {
        kind: EntryType,
        mode: u32,
        owner: (u64, u64),
        mtime: i64,
        link: Option<Vec<u8>>,
        capability: Option<Vec<u8>>,
        content: Vec<u8>,
    }

    /// Reads with the `tar` crate; of the PAX records it applies path and link itself, the others are applied here.
    fn read(bytes: &[u8]) -> Vec<(Vec<u8>, Found)> {
        let mut archive = Archive::new(bytes);
        archive.entries().unwrap().map(|entry| found(entry.unwrap())).collect()
    }

    fn found(mut entry: ::tar::Entry<'_, &[u8]>) -> (Vec<u8>, Found) {
        let records: BTreeMap<String, Vec<u8>> = match entry.pax_extensions().unwrap() {
            Some(records) => {
                records.map(|record| record.unwrap()).map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec())).collect()
            }
            None => BTreeMap::new(),
        };
        let number = |key: &str| records.get(key).map(|value| String::from_utf8(value.clone()).unwrap().parse::<i64>().unwrap());
        let header = entry.header();
        let mut found = Found {
            kind: header.entry_type(),
            mode: header.mode().unwrap(),
            owner: (number("uid").map_or(header.uid().unwrap(), |id| id as u64), number("gid").map_or(header.gid().unwrap(), |id| id as u64)),
            mtime: number("mtime").unwrap_or(header.mtime().unwrap() as i64),
            link: entry.link_name_bytes().map(|link| link.into_owned()),
            capability: records.get("SCHILY.xattr.security.capability").cloned(),
            content: Vec::new(),
        };
        let path = entry.path_bytes().into_owned();
        entry.read_to_end(&mut found.content).unwrap();
        (path, found)
    }

    /// What a reader must find, said without the writer.
    fn expected(step: &Step<'_>) -> (Vec<u8>, Found) {
        let entry = step.entry;
        let mut path = step.path.as_bytes().to_vec();
        let (kind, link, content) = match (&entry.node, step.link_to) {
            (_, Some(first)) => (EntryType::Link, Some(first.as_bytes().to_vec()), Vec::new()),
            (Node::Directory, _) => (EntryType::Directory, None, Vec::new()),
            (Node::Symlink(target), _) => (EntryType::Symlink, Some(target.to_vec()), Vec::new()),
            (Node::File(content), _) => {
                let mut bytes = Vec::new();
                content.open().unwrap().read_to_end(&mut bytes).unwrap();
                (EntryType::Regular, None, bytes)
            }
            (Node::Whiteout, _) => (EntryType::Regular, None, Vec::new()),
            (Node::HardLink(_), _) => unreachable!("the walk gives the file"),
        };
        let name = path.len() - step.path.name().len();
        match entry.node {
            Node::Directory => path.push(b'/'),
            Node::Whiteout => drop(path.splice(name..name, *b".wh.")),
            _ => {}
        }
        let mode = if let Node::Symlink(_) = entry.node { 0o777 } else { entry.mode.into() };
        let capability = entry.capability.as_deref().map(<[u8]>::to_vec);
        (path, Found { kind, mode, owner: (entry.uid.into(), entry.gid.into()), mtime: entry.mtime, link, capability, content })
    }

    // No newlines: the reader of the `tar` crate (0.4) cuts PAX values at them. BuildKit's own layers have them, see `tests/buildkit_tar.rs`.
    fn byte() -> impl Strategy<Value = u8> {
        (1u8..).prop_filter("a newline", |&byte| byte != b'\n')
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![6 => b'a'..=b'c', 1 => prop::sample::select(&b" -.~\t\xc3\xa9\xff"[..])];
        prop_oneof![4 => vec(byte.clone(), 1..4), 1 => vec(byte, 90..160)].prop_filter("a name", |name| name != b"." && name != b"..")
    }

    fn number(edge: i64) -> impl Strategy<Value = i64> {
        prop_oneof![0..1000i64, edge - 2..edge + 2]
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let node = prop_oneof![
            3 => Just(Node::Directory),
            3 => prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 500..1100)].prop_map(|bytes| Node::File(Content::inline(bytes))),
            1 => vec(byte(), 1..200).prop_map(|target| Node::Symlink(target.into())),
            1 => Just(Node::Whiteout),
        ];
        let times = prop_oneof![number(1 << 33), -5..5i64, Just(i64::MIN), Just(i64::MAX)];
        let capability = weighted(0.1, vec(byte(), 1..30));
        (node, 0..0o10000u16, number(1 << 21), number(i64::from(u32::MAX) - 2), times, capability).prop_map(
            |(node, mode, uid, gid, mtime, capability)| match node {
                Node::Whiteout => Entry::whiteout(),
                node => Entry { mode, uid: uid as u32, gid: gid as u32, mtime, capability: capability.map(Into::into), node },
            },
        )
    }

    /// Any tree: paths, with directories where others lie below, and hard links to some of the files.
    fn tree() -> impl Strategy<Value = Tree> {
        let paths = btree_map(vec(name(), 1..5).prop_map(|names| ImagePath::parse(names.join(&b'/')).unwrap()), entry(), 0..12);
        (paths, vec((name(), any::<prop::sample::Index>()), 0..4)).prop_map(|(entries, links)| {
            let mut tree = Tree::new();
            let files: Vec<_> = entries.iter().filter(|(_, entry)| matches!(entry.node, Node::File(_))).map(|(path, _)| path.clone()).collect();
            for (path, entry) in entries {
                for above in path.ancestors().filter(|above| !above.is_root()) {
                    tree.insert(above, Entry::directory(0o755, 0, 0, 0));
                }
                if tree.get(&path).is_none() {
                    tree.insert(path, entry);
                }
            }
            for (name, file) in links {
                let path = ImagePath::parse(&name).unwrap();
                let target =
                    (!files.is_empty()).then(|| file.get(&files)).filter(|to| matches!(tree.get(to).map(|entry| &entry.node), Some(Node::File(_))));
                if let (Some(to), None) = (target, tree.get(&path)) {
                    tree.insert(path, Entry::hard_link(to.clone()));
                }
            }
            tree
        })
    }

    proptest! {
        #[test]
        fn a_reader_finds_the_tree(tree in tree()) {
            let expected: Vec<_> = tree.walk().unwrap().map(|step| expected(&step)).collect();
            prop_assert_eq!(read(&written(&tree)), expected);
        }
    }

    #[test]
    fn a_tree_without_entries_is_two_empty_blocks() {
        assert_eq!(written(&Tree::new()), [0; 1024]);
    }

    #[test]
    fn content_must_have_its_size() {
        struct Bytes(&'static [u8]);
        impl super::super::OpenContent for Bytes {
            fn open(&self) -> io::Result<Box<dyn Read + Send>> {
                Ok(Box::new(self.0))
            }
        }
        for (size, bytes, expected) in [(3, &b"ab"[..], "fewer than the 3 bytes"), (3, b"abcd", "more than the 3 bytes"), (0, b"a", "more")] {
            let file = Entry::file(Content::new(size, Bytes(bytes)), 0o644, 0, 0, 0);
            let tree: Tree = [(ImagePath::literal("etc"), file)].into_iter().collect();
            let error = write_tar(&tree, &mut io::sink()).unwrap_err().to_string();
            assert!(error.contains("/etc") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_source_that_cannot_be_read_is_named() {
        let file = Entry::file(Content::file("/nowhere/at/all", 3), 0o644, 0, 0, 0);
        let tree: Tree = [(ImagePath::literal("etc"), file)].into_iter().collect();
        match write_tar(&tree, &mut io::sink()) {
            Err(LayerError::Read { path, cause }) => assert!(path == ImagePath::literal("etc") && cause.to_string().contains("/nowhere/at/all")),
            other => panic!("{other:?}"),
        }
    }
}
