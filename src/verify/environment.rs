//! The conda environments of an image: what their records say, held against what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::programs::is_hidden;
use crate::base::Index;
use crate::base::index::Node;
use crate::conda::existing::{self, RECORDS, Whole};
use crate::image_path::ImagePath;

/// Where an environment may have others below it.
const ENVIRONMENTS: &[u8] = b"envs";
/// What makes a directory an environment for conda.
const HISTORY: &str = "history";
/// Where an environment's own archives lie after an installation.
const CACHE: &str = "pkgs";
/// Bytecode, which Python makes anew where it is missing.
const BYTECODE: &str = ".pyc";

/// A conda environment.
#[derive(Debug)]
pub struct Environment {
    /// Its prefix, links followed.
    pub prefix: ImagePath,
    /// Its packages, by the record's path.
    pub packages: Vec<(ImagePath, Package)>,
    /// Records that are none: path, and why.
    pub unreadable: Vec<(ImagePath, String)>,
    /// Whether it has a history, without which conda takes it for no environment.
    pub has_history: bool,
    /// Archives of packages that lie in it, and how many bytes they are.
    pub archives: (usize, u64),
}

/// A package of an environment.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How many paths its record lists, without bytecode.
    pub paths: usize,
    /// Those that are not there.
    pub missing: Vec<String>,
    /// Where its modules are: the first directory `lib/pythonX.Y/site-packages` that a path lies in.
    pub site_packages: Option<String>,
}

impl Environment {
    /// All environments of an image.
    pub fn all(index: &Index) -> Vec<Self> {
        let records = index.iter().filter(|(path, entry)| path.name() == RECORDS.as_bytes() && entry.node == Node::Directory);
        let prefixes = records.filter_map(|(path, _)| path.parent());
        prefixes.map(|prefix| Environment::read(index, prefix)).filter(|environment| !environment.is_empty()).collect()
    }

    fn read(index: &Index, prefix: ImagePath) -> Self {
        let (mut packages, mut unreadable) = (Vec::new(), Vec::new());
        for (path, record) in existing::whole(index, &prefix) {
            match record {
                Ok(whole) => packages.push((path, Package::of(index, &prefix, whole))),
                Err(error) => unreadable.push((path, error.why().to_owned())),
            }
        }
        let history = prefix.join(RECORDS).and_then(|records| records.join(HISTORY));
        let has_history = history.is_ok_and(|history| index.get(&history).is_some());
        Environment { packages, unreadable, has_history, archives: archives(index, &prefix), prefix }
    }

    fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.unreadable.is_empty() && !self.has_history
    }

    /// Whether it belongs to another one: `PREFIX/envs/NAME`.
    pub fn is_named(&self) -> bool {
        self.prefix.parent().is_some_and(|parent| parent.name() == ENVIRONMENTS)
    }

    /// Whether the volume hides it.
    pub fn is_hidden(&self) -> bool {
        is_hidden(&self.prefix)
    }

    /// Its directory of programs.
    pub fn programs(&self) -> ImagePath {
        self.prefix.join("bin").unwrap_or_else(|_| self.prefix.clone())
    }

    /// The package of this name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().map(|(_, package)| package).find(|package| package.name == name)
    }

    /// Names of packages that have several records, with the records' paths.
    pub fn doubles(&self) -> BTreeMap<&str, Vec<&ImagePath>> {
        let mut by_name: BTreeMap<&str, Vec<&ImagePath>> = BTreeMap::new();
        for (path, package) in &self.packages {
            by_name.entry(&package.name).or_default().push(path);
        }
        by_name.retain(|_, paths| paths.len() > 1);
        by_name
    }
}

impl Package {
    fn of(index: &Index, prefix: &ImagePath, (existing, paths): Whole) -> Self {
        let listed: BTreeSet<String> = paths.into_iter().filter(|path| !path.ends_with(BYTECODE)).collect();
        let is_there = |path: &String| {
            let Ok(path) = prefix.join(path) else { return true };
            let real = || index.resolve(&path.parent()?)?.join(path.name()).ok();
            index.get(&path).is_some() || real().is_some_and(|real| index.get(&real).is_some())
        };
        let package = &existing.record.package_record;
        Package {
            name: package.name.as_normalized().to_owned(),
            version: package.version.to_string(),
            site_packages: listed.iter().find_map(|path| site_packages(path)),
            paths: listed.len(),
            missing: listed.into_iter().filter(|path| !is_there(path)).collect(),
        }
    }
}

/// `lib/python3.12/site-packages` of a path in it.
fn site_packages(path: &str) -> Option<String> {
    const END: &str = "/site-packages";
    let end = path.find(&format!("{END}/"))? + END.len();
    Some(path[..end].to_owned()).filter(|directory| directory.starts_with("lib/python"))
}

/// How many archives lie in the environment's cache, and how many bytes they are.
fn archives(index: &Index, prefix: &ImagePath) -> (usize, u64) {
    let Ok(cache) = prefix.join(CACHE) else { return (0, 0) };
    let is_archive = |path: &ImagePath| path.name().ends_with(b".conda") || path.name().ends_with(b".tar.bz2");
    let archives = index.below(&cache).filter(|(path, _)| is_archive(path) && path.parent().as_ref() == Some(&cache));
    let sizes = archives.filter_map(|(_, entry)| if let Node::File(file) = &entry.node { Some(file.size) } else { None });
    sizes.fold((0, 0), |(count, all), size| (count + 1, all + size))
}
