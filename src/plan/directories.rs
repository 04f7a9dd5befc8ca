//! The one table of an image's directories, so that no layer changes the mode or owner of one that another has.
//!
//! The base's part comes from the lock as rules: a directory without a rule is 0755 and owned as the nearest rule above says. Every path
//! that a layer holds is first led through the base's links, so that `/bin/x` on a merged-usr base lands in `usr/bin`.

use std::collections::BTreeMap;

use crate::image_path::ImagePath;
use crate::lock::{Directories, DirectoryRule};

/// Links followed in one path before it counts as a circle; Linux's own limit.
const MAX_LINKS: usize = 40;

/// Directories of every base that follows the filesystem hierarchy: they are the base's even where it has no rule for them.
const STANDARD: &[&str] = &[
    "",
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "etc/profile.d",
    "etc/ssl",
    "etc/ssl/certs",
    "usr/bin",
    "usr/include",
    "usr/lib",
    "usr/lib64",
    "usr/libexec",
    "usr/sbin",
    "usr/share",
    "usr/src",
    "usr/local",
    "usr/local/bin",
    "usr/local/etc",
    "usr/local/include",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/local/share",
    "usr/local/src",
    "usr/share/applications",
    "usr/share/doc",
    "usr/share/man",
    "var/cache",
    "var/lib",
    "var/log",
    "var/opt",
    "var/spool",
    "var/tmp",
];

/// Links of the base that a path leads through go nowhere.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    /// More than 40 links.
    #[error("{0:?} leads through too many links")]
    Circle(ImagePath),
    /// The link's target is no path.
    #[error("the link {0:?} leads to `{1}`, which is no path inside the image")]
    Target(ImagePath, String),
}

/// Mode and owner of every directory of an image, and the links that lead to directories.
#[derive(Debug, Clone)]
pub struct DirectoryTable {
    rules: BTreeMap<ImagePath, DirectoryRule>,
    links: BTreeMap<ImagePath, String>,
}

impl DirectoryTable {
    /// The table of a base. Without a rule for the root that is 0755 and root's.
    pub fn new(base: &Directories) -> Self {
        let mut table = DirectoryTable { rules: base.rules.clone(), links: base.links.clone() };
        for path in STANDARD {
            let path = ImagePath::literal(path);
            if !table.links.contains_key(&path) && !table.rules.contains_key(&path) {
                let rule = table.rule(&path);
                table.rules.insert(path, rule);
            }
        }
        table
    }

    /// Gives a new directory a mode and owner of its own. What the base or an earlier component says of it wins.
    pub fn add(&mut self, path: ImagePath, rule: DirectoryRule) {
        let path = self.resolve_directory(&path).unwrap_or(path);
        self.rules.entry(path).or_insert(rule);
    }

    /// Gives a directory another mode and owner than the base does.
    pub fn replace(&mut self, path: &ImagePath, rule: DirectoryRule) {
        let path = self.resolve_directory(path).unwrap_or_else(|_| path.clone());
        self.rules.insert(path, rule);
    }

    /// Takes out what the base has at and below `path`.
    pub fn forget(&mut self, path: &ImagePath) {
        let path = self.resolve(path).unwrap_or_else(|_| path.clone());
        self.rules.retain(|found, _| !found.starts_with(&path));
        self.links.retain(|found, _| !found.starts_with(&path));
    }

    /// Mode and owner of the directory at `path`, which holds no links.
    pub fn rule(&self, path: &ImagePath) -> DirectoryRule {
        if let Some(rule) = self.explicit(path) {
            return rule;
        }
        let above = path.ancestors().find_map(|above| self.explicit(&above));
        above.map_or(DirectoryRule { mode: 0o755, uid: 0, gid: 0 }, |above| DirectoryRule { mode: 0o755, ..above })
    }

    /// The rule that stands for exactly this path.
    pub fn explicit(&self, path: &ImagePath) -> Option<DirectoryRule> {
        self.rules.get(path).copied()
    }

    /// Whether a directory, or a link to one, is known to stand at `path`.
    pub fn is_known_directory(&self, path: &ImagePath) -> bool {
        path.is_root() || self.links.contains_key(path) || self.rules.contains_key(path) || self.is_above_something(path)
    }

    /// All rules.
    pub fn rules(&self) -> impl Iterator<Item = (&ImagePath, &DirectoryRule)> {
        self.rules.iter()
    }

    /// All links that lead to directories, with their targets as they stand.
    pub fn links(&self) -> impl Iterator<Item = (&ImagePath, &str)> {
        self.links.iter().map(|(path, target)| (path, target.as_str()))
    }

    /// `path` with every link on the way to its last component followed.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn resolve(&self, path: &ImagePath) -> Result<ImagePath, LinkError> {
        match path.parent() {
            None => Ok(ImagePath::root()),
            Some(parent) => Ok(self.resolve_directory(&parent)?.join(path.name()).unwrap_or_else(|_| path.clone())),
        }
    }

    /// `path` with every link followed, its last component too.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn resolve_directory(&self, path: &ImagePath) -> Result<ImagePath, LinkError> {
        let mut left: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut followed = 0;
        while let Some(name) = left.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(name),
            }
            let here = ImagePath::parse(done.join(&b'/')).map_err(|_| LinkError::Circle(path.clone()))?;
            let Some(target) = self.links.get(&here) else { continue };
            followed += 1;
            if followed > MAX_LINKS {
                return Err(LinkError::Circle(path.clone()));
            }
            let bytes = crate::image_path::unescape(target).ok_or_else(|| LinkError::Target(here.clone(), target.clone()))?;
            if bytes.starts_with(b"/") {
                done.clear();
            } else {
                done.pop();
            }
            left.extend(bytes.split(|c| *c == b'/').rev().map(<[u8]>::to_vec));
        }
        ImagePath::parse(done.join(&b'/')).map_err(|_| LinkError::Circle(path.clone()))
    }

    fn is_above_something(&self, path: &ImagePath) -> bool {
        let below = |found: Option<&ImagePath>| found.is_some_and(|found| found.starts_with(path));
        below(self.rules.range(path.clone()..).next().map(|(found, _)| found))
            || below(self.links.range(path.clone()..).next().map(|(found, _)| found))
    }
}

/// The fewest rules from which every one of `directories` follows. The root always has one.
pub fn compress(directories: &BTreeMap<ImagePath, DirectoryRule>) -> BTreeMap<ImagePath, DirectoryRule> {
    let mut table = DirectoryTable { rules: BTreeMap::new(), links: BTreeMap::new() };
    let root = directories.get(&ImagePath::root()).copied().unwrap_or(DirectoryRule { mode: 0o755, uid: 0, gid: 0 });
    table.rules.insert(ImagePath::root(), root);
    // In the order of the walk each directory comes after those above it, so its rule depends on rules that are final.
    for (path, rule) in directories {
        if table.rule(path) != *rule {
            table.rules.insert(path.clone(), *rule);
        }
    }
    table.rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    fn rule(mode: u16, uid: u32, gid: u32) -> DirectoryRule {
        DirectoryRule { mode, uid, gid }
    }

    fn table(rules: &[(&str, DirectoryRule)], links: &[(&str, &str)]) -> DirectoryTable {
        DirectoryTable::new(&Directories {
            rules: rules.iter().map(|(at, rule)| (path(at), *rule)).collect(),
            links: links.iter().map(|(at, target)| (path(at), (*target).to_owned())).collect(),
        })
    }

    #[test]
    fn new_directories_are_owned_like_the_nearest_rule_above() {
        let table = table(&[("", rule(0o755, 0, 0)), ("tmp", rule(0o1777, 0, 0)), ("srv/data", rule(0o700, 5, 6))], &[]);
        assert_eq!(table.rule(&path("tmp")), rule(0o1777, 0, 0));
        assert_eq!(table.rule(&path("tmp/new")), rule(0o755, 0, 0));
        assert_eq!(table.rule(&path("srv/data/a/b")), rule(0o755, 5, 6));
    }

    #[test]
    fn what_the_base_has_stays() {
        let mut table = table(&[("", rule(0o755, 0, 0))], &[("bin", "usr/bin")]);
        table.add(path("etc"), rule(0o755, 1000, 100));
        table.add(path("bin"), rule(0o755, 1000, 100));
        table.add(path("opt/tool"), rule(0o755, 1000, 100));
        assert_eq!(table.rule(&path("etc")), rule(0o755, 0, 0));
        assert_eq!(table.rule(&path("usr/bin")), rule(0o755, 0, 0));
        assert_eq!(table.rule(&path("opt/tool/x")), rule(0o755, 1000, 100));
    }

    #[test]
    fn a_replaced_rule_stands_where_links_lead() {
        let mut table = table(&[("var/tmp", rule(0o755, 5, 6))], &[("tmp", "var/tmp")]);
        table.replace(&path("tmp"), rule(0o1777, 0, 0));
        assert_eq!(table.rule(&path("var/tmp")), rule(0o1777, 0, 0));
        assert_eq!(table.explicit(&path("tmp")), None);
    }

    #[test]
    fn what_is_gone_counts_for_nothing() {
        let mut table = table(&[("", rule(0o755, 0, 0)), ("opt/a/b", rule(0o700, 5, 6))], &[("lib", "usr/lib"), ("usr/lib/x", "../../opt/a")]);
        table.forget(&path("lib/x"));
        assert_eq!(table.resolve(&path("lib/x/b")).unwrap(), path("usr/lib/x/b"));
        assert!(table.is_known_directory(&path("opt/a")));
        table.forget(&path("opt/a"));
        assert!(!table.is_known_directory(&path("opt/a")) && table.is_known_directory(&path("lib")));
    }

    #[test]
    fn links_are_followed_as_the_kernel_would() {
        let table = table(
            &[],
            &[("bin", "usr/bin"), ("lib", "/usr/lib"), ("usr/lib/x", "../../opt/x"), ("opt/x", "y/."), ("loop", "loop"), ("up", "../../../etc")],
        );
        for (given, resolved) in [("bin/sh", "usr/bin/sh"), ("lib/x/a/b", "opt/y/a/b"), ("bin", "bin"), ("up/passwd", "etc/passwd"), ("a/b", "a/b")] {
            assert_eq!(table.resolve(&path(given)).unwrap(), path(resolved), "{given}");
        }
        assert_eq!(table.resolve_directory(&path("bin")).unwrap(), path("usr/bin"));
        assert!(table.resolve(&path("loop/a")).is_err());
    }

    proptest! {
        #[test]
        fn every_directory_follows_from_the_rules(directories in proptest::collection::btree_map("[ab](/[ab]){0,3}", (0u16..3, 0u32..2, 0u32..2), 0..20)) {
            let directories: BTreeMap<_, _> =
                directories.into_iter().map(|(at, (mode, uid, gid))| (path(&at), rule([0o755, 0o700, 0o1777][mode as usize], uid, gid))).collect();
            let rules = compress(&directories);
            let table = DirectoryTable { rules, links: BTreeMap::new() };
            for (at, rule) in &directories {
                prop_assert_eq!(table.rule(at), *rule);
            }
        }
    }
}
