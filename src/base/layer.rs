//! A layer as a tree of its own, until it is merged: what it deletes is kept in it, so that whiteouts and opaque marks act on the layers below
//! and never on entries of their own layer, wherever among them they stand (OCI image specification, "Whiteouts").

use std::io;

use super::index::Attributes;
use super::links::follow;
use super::members::damaged;
use super::tree::{Child, Directory, IMPLIED, Leaf, LeafNode};
use crate::image_path::ImagePath;

/// One layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layer {
    pub(super) root: Directory,
    /// Hard links to what the layer itself does not have.
    pub(super) loose: Vec<ImagePath>,
}

impl Layer {
    /// Puts a directory at `path`. What the layer has in it stays.
    pub(super) fn put_directory(&mut self, path: &ImagePath, attributes: Attributes) -> io::Result<()> {
        let Some((directory, name)) = self.place(path)? else {
            self.root.attributes = Some(attributes);
            return Ok(());
        };
        match directory.children.get_mut(name) {
            Some(Child::Directory(directory)) => directory.attributes = Some(attributes),
            // What stood here has hidden what the layers below have.
            Some(_) => drop(directory.children.insert(name.into(), Child::directory(Some(attributes), true))),
            None => drop(directory.children.insert(name.into(), Child::directory(Some(attributes), false))),
        }
        Ok(())
    }

    /// Puts what is no directory at `path`. What stood there goes, with all that lay below it.
    pub(super) fn put(&mut self, path: &ImagePath, leaf: Leaf) -> io::Result<()> {
        let (directory, name) = self.place(path)?.ok_or_else(|| damaged("its root is no directory"))?;
        directory.children.insert(name.into(), Child::Leaf(leaf));
        Ok(())
    }

    /// Makes `path` another name of what stands at `target`.
    pub(super) fn put_hard_link(&mut self, path: &ImagePath, target: &ImagePath, attributes: Attributes) -> io::Result<()> {
        let leaf = match self.root.leaf(target) {
            Some(leaf) => leaf.clone(),
            None => Leaf { attributes, node: LeafNode::HardLink(Box::new(target.clone())) },
        };
        if let LeafNode::HardLink(_) = leaf.node {
            self.loose.push(path.clone());
        }
        self.put(path, leaf)
    }

    /// Deletes what the layers below have at `path`.
    pub(super) fn put_whiteout(&mut self, path: &ImagePath) -> io::Result<()> {
        if self.has_file_above(path) {
            return Ok(());
        }
        let (directory, name) = self.place(path)?.ok_or_else(|| damaged("it deletes the root"))?;
        match directory.children.get_mut(name) {
            Some(Child::Directory(own)) => {
                own.opaque = true;
                own.attributes.get_or_insert(IMPLIED);
            }
            Some(Child::Leaf(_) | Child::Whiteout) => {}
            None => drop(directory.children.insert(name.into(), Child::Whiteout)),
        }
        Ok(())
    }

    /// Whether the layer has a file where `path` needs a directory. Then the layers below have nothing there any more, and umoci says so:
    /// where a directory became a file, it also deletes what the directory held.
    fn has_file_above(&self, path: &ImagePath) -> bool {
        let mut directory = &self.root;
        for name in path.parent().unwrap_or_default().components() {
            match directory.children.get(name) {
                Some(Child::Directory(next)) => directory = next,
                Some(Child::Leaf(leaf)) => return !matches!(leaf.node, LeafNode::Symlink(_)),
                Some(Child::Whiteout) | None => return false,
            }
        }
        false
    }

    /// Deletes all that the layers below have in the directory at `path`.
    pub(super) fn put_opaque(&mut self, path: &ImagePath) -> io::Result<()> {
        self.directory(path)?.opaque = true;
        Ok(())
    }

    /// The directory that `path` lies in, and its name there; none for the root.
    fn place<'a>(&mut self, path: &'a ImagePath) -> io::Result<Option<(&mut Directory, &'a [u8])>> {
        match path.parent() {
            Some(parent) => Ok(Some((self.directory(&parent)?, path.name()))),
            None => Ok(None),
        }
    }

    /// The directory at `path`, made where it is not there. Links of this layer on the way are followed.
    fn directory(&mut self, path: &ImagePath) -> io::Result<&mut Directory> {
        let real;
        let path = if self.root.meets_link(path) {
            real = follow(path, |at| self.root.symlink(at)).ok_or_else(|| damaged(format!("{path:?} leads through too many links")))?;
            &real
        } else {
            path
        };
        let mut directory = &mut self.root;
        for name in path.components() {
            let child = directory.children.entry(name.into()).or_insert_with(|| Child::directory(None, false));
            if let Child::Whiteout = child {
                *child = Child::directory(Some(IMPLIED), true);
            }
            directory = match child {
                Child::Directory(next) => next,
                _ => return Err(damaged(format!("{path:?} leads through `{}`, which is no directory", name.escape_ascii()))),
            };
        }
        Ok(directory)
    }
    /// Lays the layer over a tree, which is settled.
    ///
    /// # Errors
    /// A hard link that leads to no file.
    pub(super) fn lay_over(self, tree: &mut Directory) -> io::Result<()> {
        tree.merge(self.root);
        for path in self.loose {
            tree.tie(&path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    /// One member of a layer; a number tells two entries at one path apart.
    #[derive(Debug, Clone)]
    enum Step {
        Directory(String, u32),
        File(String, u32),
        Whiteout(String),
        Opaque(String),
    }

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    fn attributes(uid: u32) -> Attributes {
        Attributes { mode: 0o700, uid, gid: 0, mtime: 5 }
    }

    fn file(uid: u32) -> Leaf {
        Leaf { attributes: attributes(uid), node: LeafNode::File { size: 1, more: None } }
    }

    fn link(target: &str) -> Leaf {
        Leaf { attributes: attributes(0), node: LeafNode::Symlink(target.as_bytes().into()) }
    }

    fn layer(steps: &[Step]) -> io::Result<Layer> {
        let mut layer = Layer::default();
        for step in steps {
            match step {
                Step::Directory(at, uid) => layer.put_directory(&path(at), attributes(*uid))?,
                Step::File(at, uid) => layer.put(&path(at), file(*uid))?,
                Step::Whiteout(at) => layer.put_whiteout(&path(at))?,
                Step::Opaque(at) => layer.put_opaque(&path(at))?,
            }
        }
        Ok(layer)
    }

    fn merged(layers: Vec<Layer>) -> io::Result<Directory> {
        let mut tree = Directory::default();
        for layer in layers {
            layer.lay_over(&mut tree)?;
        }
        Ok(tree)
    }

    /// `PATH/ UID` of directories, `PATH UID` of files, sorted.
    fn listed(tree: &Directory) -> Vec<String> {
        fn walk(directory: &Directory, above: &str, lines: &mut Vec<String>) {
            for (name, child) in &directory.children {
                let at = format!("{above}{}", String::from_utf8_lossy(name));
                match child {
                    Child::Directory(below) => {
                        lines.push(format!("{at}/ {}", below.attributes.unwrap().uid));
                        walk(below, &format!("{at}/"), lines);
                    }
                    Child::Leaf(leaf) => lines.push(format!("{at} {}", leaf.attributes.uid)),
                    Child::Whiteout => lines.push(format!("{at} deleted")),
                }
            }
        }
        let mut lines = Vec::new();
        walk(tree, "", &mut lines);
        lines.sort();
        lines
    }

    /// What stands at each path: whether it is a directory, its number, and the layer that put it there.
    type Model = BTreeMap<String, (bool, u32, usize)>;

    fn remove(model: &mut Model, at: &str, itself: bool) {
        model.retain(|found, _| !(found.starts_with(&format!("{at}/")) || itself && found == at));
    }

    fn make_directory(model: &mut Model, at: &str, number: usize) -> Result<(), ()> {
        for end in at.match_indices('/').map(|(end, _)| end).chain([at.len()]) {
            match model.get(&at[..end]) {
                Some((true, ..)) => {}
                Some((false, _, own)) if *own == number => return Err(()),
                _ => drop(model.insert(at[..end].to_owned(), (true, 0, number))),
            }
        }
        Ok(())
    }

    /// The words of the specification, on whole paths: first all deletions, of the layers below alone, then the entries one by one.
    fn apply(model: &mut Model, steps: &[Step], number: usize) -> Result<(), ()> {
        for step in steps {
            match step {
                Step::Whiteout(at) => remove(model, at, true),
                Step::Opaque(at) => remove(model, at, false),
                _ => {}
            }
        }
        for step in steps {
            let (Step::Directory(at, _) | Step::File(at, _) | Step::Whiteout(at) | Step::Opaque(at)) = step;
            let is_own_file = |above: &str| matches!(model.get(above), Some((false, _, own)) if *own == number);
            if matches!(step, Step::Whiteout(_)) && at.match_indices('/').any(|(end, _)| is_own_file(&at[..end])) {
                continue;
            }
            if let Some((parent, _)) = at.rsplit_once('/') {
                make_directory(model, parent, number)?;
            }
            match step {
                Step::Directory(at, uid) => {
                    if !matches!(model.get(at), Some((true, ..))) {
                        remove(model, at, true);
                    }
                    model.insert(at.clone(), (true, *uid, number));
                }
                Step::File(at, uid) => {
                    remove(model, at, true);
                    model.insert(at.clone(), (false, *uid, number));
                }
                Step::Opaque(at) => make_directory(model, at, number)?,
                Step::Whiteout(_) => {}
            }
        }
        Ok(())
    }

    fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
        let step = ("[abc](/[abc]){0,3}", 0..6, 1u32..1000).prop_map(|(at, kind, uid)| match kind {
            0 => Step::Whiteout(at),
            1 => Step::Opaque(at),
            2 | 3 => Step::File(at, uid),
            _ => Step::Directory(at, uid),
        });
        proptest::collection::vec(proptest::collection::vec(step, 0..8), 0..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn merging_is_what_the_specification_says(layers in steps()) {
            let mut model = Model::new();
            let expected = layers.iter().enumerate().try_for_each(|(number, steps)| apply(&mut model, steps, number));
            let got = layers.iter().map(|steps| layer(steps)).collect::<io::Result<Vec<_>>>().and_then(merged);
            prop_assert_eq!(expected.is_ok(), got.is_ok());
            if let Ok(tree) = got {
                let lines: Vec<_> = model.iter().map(|(at, (directory, uid, _))| format!("{at}{} {uid}", if *directory { "/" } else { "" })).collect();
                let mut sorted = lines;
                sorted.sort();
                prop_assert_eq!(listed(&tree), sorted);
            }
        }
    }

    #[test]
    fn links_of_the_own_layer_are_followed_and_those_below_replaced() {
        let mut lower = Layer::default();
        lower.put(&path("bin"), link("usr/bin")).unwrap();
        lower.put(&path("bin/sh"), file(1)).unwrap();
        let mut upper = Layer::default();
        upper.put(&path("bin/x"), file(2)).unwrap();
        assert_eq!(listed(&merged(vec![lower.clone()]).unwrap()), ["bin 0", "usr/ 0", "usr/bin/ 0", "usr/bin/sh 1"]);
        assert_eq!(listed(&merged(vec![lower, upper]).unwrap()), ["bin/ 0", "bin/x 2", "usr/ 0", "usr/bin/ 0", "usr/bin/sh 1"]);
        let mut circle = Layer::default();
        circle.put(&path("a"), link("a")).unwrap();
        assert!(circle.put(&path("a/x"), file(1)).is_err());
    }

    #[test]
    fn a_deletion_below_a_file_of_the_own_layer_has_no_effect() {
        let lower = layer(&[Step::File("a/x".to_owned(), 1)]).unwrap();
        let upper = layer(&[Step::File("a".to_owned(), 2), Step::Whiteout("a/x".to_owned()), Step::Whiteout("a/b/c".to_owned())]).unwrap();
        assert_eq!(listed(&merged(vec![lower, upper]).unwrap()), ["a 2"]);
    }

    #[test]
    fn hard_links_lead_to_their_own_layer_or_to_those_below() {
        let mut lower = Layer::default();
        lower.put(&path("a"), file(1)).unwrap();
        let mut upper = Layer::default();
        upper.put_hard_link(&path("b"), &path("a"), attributes(9)).unwrap();
        upper.put_hard_link(&path("c"), &path("b"), attributes(9)).unwrap();
        assert_eq!(listed(&merged(vec![lower.clone(), upper.clone()]).unwrap()), ["a 1", "b 1", "c 1"]);
        assert!(merged(vec![upper]).unwrap_err().to_string().contains("no file"));
        lower.put_hard_link(&path("d"), &path("a"), attributes(9)).unwrap();
        assert_eq!(listed(&merged(vec![lower]).unwrap()), ["a 1", "d 1"]);
    }

    #[test]
    fn the_root_is_a_directory_and_stays() {
        let mut layer = Layer::default();
        layer.put_directory(&path(""), attributes(3)).unwrap();
        assert!(layer.put(&path(""), file(1)).is_err());
        assert!(layer.put_whiteout(&path("")).is_err());
        assert_eq!(merged(vec![layer]).unwrap().attributes, Some(attributes(3)));
    }
}
