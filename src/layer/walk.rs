//! The walk over a tree that every sink follows: checks that the tree can be a layer and settles its hard links.

use std::collections::BTreeMap;

use super::LayerError;
use super::tree::{Entry, Node, Tree};
use crate::image_path::ImagePath;

/// Names that begin so are deletions in a layer's tar (OCI image specification, "Whiteouts").
pub(super) const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// Longest target of a symbolic link that Linux can hold, in bytes.
const TARGET_MAX: usize = 4095;

/// One entry on the walk.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Where it stands.
    pub path: &'a ImagePath,
    /// What stands there. Of a group of hard links, for each of them, the entry that has the content.
    pub entry: &'a Entry,
    /// For all but the first of a group of hard links: the path of the first, where the file was made.
    pub link_to: Option<&'a ImagePath>,
}

impl Tree {
    /// All entries in the order of the walk. The first path of each group of hard links carries the file, whichever path of the tree holds it.
    ///
    /// # Errors
    /// When the tree cannot be a layer: an entry whose parent is not a directory of the tree, a hard link that leads to no file, a name that
    /// means a deletion, a symbolic link without a valid target.
    pub fn walk(&self) -> Result<impl Iterator<Item = Step<'_>>, LayerError> {
        self.check()?;
        let links = HardLinks::of(self)?;
        Ok(self.iter().map(move |(path, entry)| links.step(path, entry)))
    }

    fn check(&self) -> Result<(), LayerError> {
        let mut open: Vec<&ImagePath> = Vec::new();
        for (path, entry) in self.iter() {
            let refuse = |reason| Err(LayerError::Entry { path: path.clone(), reason });
            while open.last().is_some_and(|directory| !path.starts_with(directory)) {
                open.pop();
            }
            let below = open.last().map_or(0, |directory| directory.as_bytes().len() + 1);
            if path.is_root() {
                return refuse("the root directory is not an entry");
            }
            if path.as_bytes()[below..].contains(&b'/') {
                return refuse("the directory that holds it is not part of the layer");
            }
            if path.name().starts_with(WHITEOUT_PREFIX) {
                return refuse("names that begin with `.wh.` mean deletions");
            }
            match &entry.node {
                Node::Directory => open.push(path),
                Node::Symlink(target) if target.is_empty() => return refuse("the symbolic link has no target"),
                Node::Symlink(target) if target.len() > TARGET_MAX => return refuse("the symbolic link's target is longer than 4095 bytes"),
                Node::Symlink(target) if target.contains(&0) => return refuse("the symbolic link's target holds a NUL byte"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The hard links of a tree, by group.
struct HardLinks<'a> {
    /// From each link to the path whose entry has the content.
    holder: BTreeMap<&'a ImagePath, &'a ImagePath>,
    /// From each such path to its entry and the first path of its group.
    group: BTreeMap<&'a ImagePath, (&'a Entry, &'a ImagePath)>,
}

impl<'a> HardLinks<'a> {
    fn of(tree: &'a Tree) -> Result<Self, LayerError> {
        let mut links = HardLinks { holder: BTreeMap::new(), group: BTreeMap::new() };
        for (path, entry) in tree.iter() {
            if let Node::HardLink(to) = &entry.node {
                links.add(tree, path, to)?;
            }
        }
        for (link, holder) in &links.holder {
            if let Some((_, first)) = links.group.get_mut(holder) {
                *first = (*first).min(link);
            }
        }
        Ok(links)
    }

    /// Follows links to links until the file, and remembers it for each link on the way, so that long chains cost no more than short ones.
    fn add(&mut self, tree: &'a Tree, path: &'a ImagePath, to: &'a ImagePath) -> Result<(), LayerError> {
        let refuse = |reason| LayerError::HardLink { path: path.clone(), to: to.clone(), reason };
        let mut chain = vec![path];
        let mut next = to;
        let holder = loop {
            if let Some(holder) = self.holder.get(next) {
                break *holder;
            }
            // The key of the map, not the link's own copy of the path.
            let (at, entry) = tree.get_key_value(next).ok_or_else(|| refuse("which is not part of the layer"))?;
            match &entry.node {
                Node::File(_) | Node::Symlink(_) => {
                    self.group.entry(at).or_insert((entry, at));
                    break at;
                }
                Node::HardLink(_) if chain.len() > tree.len() => return Err(refuse("which leads back to the link itself")),
                Node::HardLink(to) => {
                    chain.push(at);
                    next = to;
                }
                Node::Directory => return Err(refuse("which is a directory")),
                Node::Whiteout => return Err(refuse("which is deleted")),
            }
        };
        self.holder.extend(chain.into_iter().map(|link| (link, holder)));
        Ok(())
    }

    fn step(&self, path: &'a ImagePath, entry: &'a Entry) -> Step<'a> {
        let holder = self.holder.get(path).copied().unwrap_or(path);
        match self.group.get(holder) {
            Some((entry, first)) => Step { path, entry, link_to: (*first != path).then_some(first) },
            None => Step { path, entry, link_to: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Content;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    fn tree<const N: usize>(entries: [(&str, Entry); N]) -> Tree {
        entries.into_iter().map(|(at, entry)| (path(at), entry)).collect()
    }

    fn file() -> Entry {
        Entry::file(Content::inline(*b"x"), 0o644, 0, 0, 0)
    }

    fn directory() -> Entry {
        Entry::directory(0o755, 0, 0, 0)
    }

    fn reason(tree: &Tree) -> String {
        tree.walk().err().expect("an error").to_string()
    }

    #[test]
    fn the_first_path_carries_the_file_whoever_holds_it() {
        let tree = tree([
            ("a", directory()),
            ("a/x", Entry::hard_link(path("b"))),
            ("a-b", Entry::hard_link(path("a/x"))),
            ("b", Entry::hard_link(path("z"))),
            ("z", file()),
            ("zz", file()),
        ]);
        let steps: Vec<_> = tree.walk().unwrap().map(|step| (step.path.to_string(), step.link_to.map(ToString::to_string))).collect();
        let expected = [("a", None), ("a/x", None), ("a-b", Some("a/x")), ("b", Some("a/x")), ("z", Some("a/x")), ("zz", None)];
        assert_eq!(steps, expected.map(|(at, to)| (at.to_owned(), to.map(str::to_owned))));
        assert!(matches!(tree.walk().unwrap().nth(1).unwrap().entry.node, Node::File(_)));
    }

    #[test]
    fn hard_links_lead_to_files() {
        for (to, expected) in [("d", "a directory"), ("gone", "deleted"), ("none", "not part of the layer"), ("b", "leads back")] {
            let tree = tree([("a", Entry::hard_link(path(to))), ("b", Entry::hard_link(path("a"))), ("d", directory()), ("gone", Entry::whiteout())]);
            assert!(reason(&tree).contains(expected), "{}", reason(&tree));
        }
        assert!(tree([("a", Entry::hard_link(path("a")))]).walk().is_err());
    }

    #[test]
    fn a_long_chain_of_links_is_cheap() {
        let mut tree: Tree = (1..20_000).map(|n| (path(&format!("{n:06}")), Entry::hard_link(path(&format!("{:06}", n - 1))))).collect();
        tree.insert(path("000000"), file());
        assert_eq!(tree.walk().unwrap().filter(|step| step.link_to == Some(&path("000000"))).count(), 19_999);
        let backwards: Tree = (0..20_000).map(|n| (path(&format!("{n:06}")), Entry::hard_link(path(&format!("{:06}", n + 1))))).collect();
        assert!(reason(&backwards).contains("not part of the layer"));
    }

    #[test]
    fn every_parent_is_a_directory_of_the_tree() {
        assert!(reason(&tree([("a/b", file())])).contains("/a/b"));
        assert!(reason(&tree([("a", file()), ("a/b", file())])).contains("/a/b"));
        assert!(reason(&tree([("a", directory()), ("ab/c", file())])).contains("/ab/c"));
        assert!(reason(&tree([("a", directory()), ("a/b/c", file())])).contains("/a/b/c"));
        assert!(reason(&tree([("a", Entry::symlink(*b"b", 0, 0, 0)), ("a/c", file())])).contains("/a/c"));
        assert!(tree([("a", directory()), ("a/b", directory()), ("a/b/c", file()), ("a-b", file())]).walk().is_ok());
    }

    #[test]
    fn names_and_targets_that_a_tar_cannot_say() {
        assert!(reason(&tree([(".wh.a", file())])).contains("deletions"));
        assert!(reason(&tree([("", directory())])).contains("root"));
        for target in [&b""[..], b"a\0b", &[b'a'; 4096]] {
            assert!(reason(&tree([("a", Entry::symlink(target, 0, 0, 0))])).contains("symbolic link"));
        }
    }
}
