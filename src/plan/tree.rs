//! From the entries of a layer's components to its tree: the base's links are followed, directories above come from the image's table,
//! and two things at one path are an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Component, DirectoryTable, MTIME, PlannedLayer};
use crate::error::{Error, Fault, Kind};
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Entry, Node, Tree};

/// Two parts of an image want one path.
#[derive(Debug, thiserror::Error)]
pub enum Conflict {
    /// Two components lay the same path.
    #[error("{path:?} is laid twice: by {first} and by {second}")]
    Twice {
        /// The path, after the base's links.
        path: ImagePath,
        /// The component that came first.
        first: String,
        /// The other.
        second: String,
    },
    /// A path leads through something that is no directory.
    #[error("{second} lays {path:?} below {above:?}, which is no directory but laid by {first}")]
    Through {
        /// The path.
        path: ImagePath,
        /// The part of it that is no directory.
        above: ImagePath,
        /// Who laid that.
        first: String,
        /// Who lays the path.
        second: String,
    },
    /// A file or link would replace a directory of the base, or a link of the base that leads to one.
    #[error("{component} lays a file or link at {path:?}, where the base has a directory{}", via(.path, .directory))]
    OverDirectory {
        /// The path as the component has it.
        path: ImagePath,
        /// The directory that stands there.
        directory: ImagePath,
        /// Who lays it.
        component: String,
    },
    /// Links of the base lead in a circle or out of the image.
    #[error("{component} lays {path:?}, where the base's links lead nowhere: {why}")]
    Links {
        /// The path.
        path: ImagePath,
        /// Who lays it.
        component: String,
        /// What is wrong with the links.
        why: String,
    },
}

fn via(path: &ImagePath, directory: &ImagePath) -> String {
    if path == directory { String::new() } else { format!(" (a link to {directory:?})") }
}

impl Fault for Conflict {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("give one of them another target, or leave one out (`exclude` leaves parts of a directory out)".to_owned())
    }
}

/// Checks, before any byte is read, that no two components of the whole image are known to lay the same path.
///
/// # Errors
/// [`Conflict`].
pub fn check_claims(layers: &[PlannedLayer], directories: &DirectoryTable) -> Result<(), Conflict> {
    let mut owners: BTreeMap<ImagePath, String> = BTreeMap::new();
    for component in layers.iter().flat_map(|layer| &layer.components) {
        for path in component.claims() {
            let resolved = resolved(directories, &path, component.as_ref())?;
            if directories.is_known_directory(&resolved) {
                return Err(Conflict::OverDirectory { directory: resolved.clone(), path, component: component.name() });
            }
            let above = resolved.ancestors().find(|above| owners.contains_key(above));
            if let Some(above) = above {
                let first = owners[&above].clone();
                return Err(Conflict::Through { path: resolved, above, first, second: component.name() });
            }
            if let Some(first) = owners.insert(resolved.clone(), component.name()) {
                return Err(Conflict::Twice { path: resolved, first, second: component.name() });
            }
        }
    }
    below_a_claim(&owners)
}

/// A path claimed after one below it is found here: the order of paths puts it just before.
fn below_a_claim(owners: &BTreeMap<ImagePath, String>) -> Result<(), Conflict> {
    for ((above, first), (path, second)) in owners.iter().zip(owners.iter().skip(1)) {
        if path.starts_with(above) {
            return Err(Conflict::Through { path: path.clone(), above: above.clone(), first: first.clone(), second: second.clone() });
        }
    }
    Ok(())
}

/// The tree of a layer.
///
/// # Errors
/// [`Conflict`], and what the components report.
pub fn build(layer: &PlannedLayer, directories: &DirectoryTable, inputs: &dyn Inputs) -> Result<Tree, Error> {
    let mut builder = Builder { directories, tree: Tree::new(), owners: BTreeMap::new() };
    for component in &layer.components {
        for (path, entry) in component.lay(inputs)? {
            if component.is_base() {
                builder.tree.insert(path, entry);
            } else {
                builder.lay(component, path, entry)?;
            }
        }
    }
    Ok(builder.tree)
}

struct Builder<'a> {
    directories: &'a DirectoryTable,
    tree: Tree,
    /// Who laid what is no directory.
    owners: BTreeMap<ImagePath, Arc<dyn Component>>,
}

impl Builder<'_> {
    fn lay(&mut self, component: &Arc<dyn Component>, path: ImagePath, mut entry: Entry) -> Result<(), Conflict> {
        let mut place = resolved(self.directories, &path, component.as_ref())?;
        if entry.is_directory() {
            place = self.directories.resolve_directory(&place).map_err(|error| nowhere(&path, component.as_ref(), &error))?;
            if place.is_root() {
                return Ok(());
            }
            if let Some(rule) = self.directories.explicit(&place) {
                (entry.mode, entry.uid, entry.gid) = (rule.mode, rule.uid, rule.gid);
            }
        } else if !matches!(entry.node, Node::Whiteout) && self.directories.is_known_directory(&place) {
            let directory = self.directories.resolve_directory(&place).unwrap_or_else(|_| place.clone());
            return Err(Conflict::OverDirectory { path, directory, component: component.name() });
        }
        if let Node::HardLink(to) = &entry.node {
            entry.node = Node::HardLink(resolved(self.directories, to, component.as_ref())?);
        }
        self.lay_parents(component, &place)?;
        self.put(component, place, entry)
    }

    fn lay_parents(&mut self, component: &Arc<dyn Component>, place: &ImagePath) -> Result<(), Conflict> {
        for above in place.ancestors().filter(|above| !above.is_root()) {
            match self.tree.get(&above) {
                Some(entry) if entry.is_directory() => return Ok(()),
                Some(_) => {
                    let first = self.owners[&above].name();
                    return Err(Conflict::Through { path: place.clone(), above, first, second: component.name() });
                }
                None => {
                    let rule = self.directories.rule(&above);
                    self.tree.insert(above, Entry::directory(rule.mode, rule.uid, rule.gid, MTIME));
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, component: &Arc<dyn Component>, place: ImagePath, entry: Entry) -> Result<(), Conflict> {
        match self.tree.get(&place) {
            // Laid as a parent before: the component's own entry knows its time.
            Some(old) if old.is_directory() && entry.is_directory() => {}
            Some(_) => {
                let first = self.owners.get(&place).map_or_else(|| "another part of the layer".to_owned(), |owner| owner.name());
                return Err(Conflict::Twice { path: place, first, second: component.name() });
            }
            None => {}
        }
        if !entry.is_directory() {
            self.owners.insert(place.clone(), component.clone());
        }
        self.tree.insert(place, entry);
        Ok(())
    }
}

fn resolved(directories: &DirectoryTable, path: &ImagePath, component: &dyn Component) -> Result<ImagePath, Conflict> {
    directories.resolve(path).map_err(|error| nowhere(path, component, &error))
}

fn nowhere(path: &ImagePath, component: &dyn Component, error: &dyn std::fmt::Display) -> Conflict {
    Conflict::Links { path: path.clone(), component: component.name(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Content;
    use crate::lock::{Directories, DirectoryRule};
    use crate::plan::{Components, Laid, Plan};
    use serde_json::{Value, json};

    /// A component with these entries, each a path and `d` (directory), `l` (link) or anything else (file).
    struct Parts(&'static str, Vec<(&'static str, char)>);

    impl Component for Parts {
        fn name(&self) -> String {
            self.0.to_owned()
        }

        fn key(&self) -> Value {
            json!(self.0)
        }

        fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
            Vec::new()
        }

        fn claims(&self) -> Vec<ImagePath> {
            self.1.iter().filter(|(_, kind)| *kind != 'd').map(|(path, _)| ImagePath::parse(path).unwrap()).collect()
        }

        fn lay(&self, _: &dyn Inputs) -> Result<Vec<Laid>, Error> {
            let entry = |kind| match kind {
                'd' => Entry::directory(0o755, 7, 7, MTIME),
                'l' => Entry::symlink(*b"x", 0, 0, MTIME),
                _ => Entry::file(Content::inline(*b"x"), 0o644, 0, 0, MTIME),
            };
            Ok(self.1.iter().map(|(path, kind)| (ImagePath::parse(path).unwrap(), entry(*kind))).collect())
        }
    }

    struct NoInputs;

    impl Inputs for NoInputs {
        fn open(&self, _: &crate::digest::Digest) -> Result<std::fs::File, Error> {
            unreachable!("these components need none")
        }
    }

    fn plan(parts: Vec<Parts>) -> Plan {
        let base = Directories {
            rules: BTreeMap::from([(ImagePath::literal("var/private"), DirectoryRule { mode: 0o700, uid: 3, gid: 3 })]),
            links: BTreeMap::from([(ImagePath::literal("bin"), "usr/bin".to_owned())]),
        };
        let files = parts.into_iter().map(|part| Arc::new(part) as Arc<dyn Component>).collect();
        Plan::new(Components { files, ..Components::default() }, DirectoryTable::new(&base), 40)
    }

    fn tree(parts: Vec<Parts>) -> Result<Vec<String>, String> {
        let plan = plan(parts);
        check_claims(&plan.layers, &plan.directories).map_err(|error| error.to_string())?;
        let tree = build(&plan.layers[0], &plan.directories, &NoInputs).map_err(|error| error.to_string())?;
        Ok(tree.iter().map(|(path, entry)| format!("{path} {:o} {}", entry.mode, entry.uid)).collect())
    }

    #[test]
    fn parents_come_from_the_table_and_links_are_followed() {
        let laid = tree(vec![Parts("a", vec![("bin/x", 'f'), ("var/private/y", 'f'), ("opt/new", 'd'), ("etc", 'd')])]).unwrap();
        assert_eq!(
            laid,
            [
                "etc 755 0",
                "opt 755 0",
                "opt/new 755 7",
                "usr 755 0",
                "usr/bin 755 0",
                "usr/bin/x 644 0",
                "var 755 0",
                "var/private 700 3",
                "var/private/y 644 0"
            ]
        );
    }

    #[test]
    fn conflicts_name_both_sides() {
        for (parts, expected) in [
            (vec![Parts("a", vec![("bin/x", 'f')]), Parts("b", vec![("usr/bin/x", 'f')])], "/usr/bin/x is laid twice: by a and by b"),
            (
                vec![Parts("a", vec![("opt/x", 'l')]), Parts("b", vec![("opt/x/y", 'f')])],
                "b lays /opt/x/y below /opt/x, which is no directory but laid by a",
            ),
            (
                vec![Parts("b", vec![("opt/x/y", 'f')]), Parts("a", vec![("opt/x", 'f')])],
                "b lays /opt/x/y below /opt/x, which is no directory but laid by a",
            ),
            (vec![Parts("a", vec![("bin", 'f')])], "a lays a file or link at /bin, where the base has a directory"),
            (vec![Parts("a", vec![("etc", 'f')])], "a lays a file or link at /etc, where the base has a directory"),
            (vec![Parts("a", vec![("opt/x", 'f')]), Parts("b", vec![("opt/x", 'd')])], "/opt/x is laid twice: by a and by b"),
        ] {
            assert_eq!(tree(parts).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_key_knows_the_directories_that_matter() {
        let key = |rule: Option<&'static str>| {
            let mut base = Directories::default();
            if let Some(path) = rule {
                base.rules.insert(ImagePath::literal(path), DirectoryRule { mode: 0o700, uid: 1, gid: 1 });
            }
            let part = Arc::new(Parts("a", vec![("opt/x/y", 'f')])) as Arc<dyn Component>;
            Plan::new(Components { files: vec![part], ..Components::default() }, DirectoryTable::new(&base), 40).layers[0].key
        };
        assert_eq!(key(None), key(Some("var/other")));
        assert_ne!(key(None), key(Some("opt/x")));
    }
}
