//! Trees of files, read from a directory or from tar archives laid one over the other, to be compared with each other.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use byoi::digest::Digest;
use tar::{Archive, EntryType};

/// What stands at a path. The times of directories are left out: who lays a file into one changes its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Directory { mode: u32, owner: (u64, u64) },
    File { mode: u32, owner: (u64, u64), time: i64, content: Digest },
    Symlink { owner: (u64, u64), time: i64, target: Vec<u8> },
}

/// A tree by path; the root itself is left out.
pub type FileTree = BTreeMap<PathBuf, Item>;

/// The tree below a directory.
pub fn of_directory(root: &Path) -> FileTree {
    let mut tree = FileTree::new();
    visit(root, root, &mut tree);
    tree
}

fn visit(root: &Path, directory: &Path, tree: &mut FileTree) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let (mode, owner, time) = (metadata.mode() & 0o7777, (metadata.uid().into(), metadata.gid().into()), metadata.mtime());
        let item = if metadata.is_dir() {
            visit(root, &path, tree);
            Item::Directory { mode, owner }
        } else if metadata.is_symlink() {
            Item::Symlink { owner, time, target: fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec() }
        } else {
            assert!(metadata.is_file(), "{}", path.display());
            Item::File { mode, owner, time, content: Digest::of(fs::read(&path).unwrap()) }
        };
        tree.insert(path.strip_prefix(root).unwrap().to_owned(), item);
    }
}

/// Lays a tar over a tree, as a layer: whiteouts take away.
pub fn apply(tree: &mut FileTree, tar: impl Read) {
    for entry in Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path: PathBuf = entry.path().unwrap().components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
        if path.as_os_str().is_empty() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = path.with_file_name(gone);
            tree.retain(|path, _| !path.starts_with(&gone));
            continue;
        }
        let header = entry.header();
        let (mode, owner) = (header.mode().unwrap() & 0o7777, (header.uid().unwrap(), header.gid().unwrap()));
        let time = i64::try_from(header.mtime().unwrap()).unwrap();
        let item = match header.entry_type() {
            EntryType::Directory => Item::Directory { mode, owner },
            EntryType::Symlink => Item::Symlink { owner, time, target: entry.link_name_bytes().unwrap().into_owned() },
            EntryType::Link => tree[&entry.link_name().unwrap().unwrap().into_owned()].clone(),
            EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                Item::File { mode, owner, time, content: Digest::of(content) }
            }
            // A container has others.
            EntryType::Char if path.starts_with("dev") => continue,
            other => panic!("{} is a {other:?}", path.display()),
        };
        tree.insert(path, item);
    }
}

/// Demands that two trees are equal; the message names the paths that are not.
#[track_caller]
pub fn assert_same(name: &str, left: &FileTree, right: &FileTree) {
    let paths = left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>();
    let differences: Vec<_> = paths
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path))
        .map(|path| format!("{}: {:?}, {name}: {:?}", path.display(), left.get(path), right.get(path)))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(!left.is_empty());
}
