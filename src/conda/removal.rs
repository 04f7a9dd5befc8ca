//! What goes from the base's environment with packages that are replaced: their paths that nothing has in the end, and directories in which nothing
//! is left then.
//!
//! Paths of records and of packages are compared where they really lie, behind the base's links. A directory goes as rattler's and conda's installers
//! take it away: when packages that go had something in it, no package lists it, and nothing is left in it, from whomever; of `noarch: python`
//! packages also when bytecode alone is left, which whoever imported them made.

use std::collections::{BTreeMap, BTreeSet};

use super::existing::{ExistingPackage, RECORDS, UnreadableRecord};
use crate::base::Index;
use crate::base::index::{Entry, Node};
use crate::image_path::ImagePath;
use crate::lock::ReplacedPackage;

/// Where Python keeps bytecode.
const BYTECODE: &[u8] = b"__pycache__";

/// The environment of a base as it lies there, of which packages go.
pub struct Removal<'a> {
    index: &'a Index,
    prefix: ImagePath,
    packages: Vec<Leaving<'a>>,
    /// Links that the packages have.
    links: BTreeSet<ImagePath>,
}

/// A package that goes, and what of the base is its: real paths of files and links.
struct Leaving<'a> {
    package: &'a ExistingPackage,
    paths: BTreeSet<ImagePath>,
}

/// What goes, by the package; a path that two of them have is the first one's.
#[derive(Default)]
struct Going<'a> {
    paths: BTreeMap<ImagePath, &'a str>,
    /// Directories that hold such paths; true where a `noarch: python` package has something there.
    directories: BTreeMap<ImagePath, bool>,
}

/// Real paths that are in the environment in the end; true where a directory is.
pub type Staying = BTreeMap<ImagePath, bool>;

impl<'a> Removal<'a> {
    /// Of these packages of the environment in `prefix` of the base with this index.
    ///
    /// # Errors
    /// Damaged records.
    pub fn new(index: &'a Index, prefix: &ImagePath, packages: &[&'a ExistingPackage]) -> Result<Self, UnreadableRecord> {
        let prefix = index.resolve(prefix).unwrap_or_else(|| prefix.clone());
        let mut removal = Removal { index, prefix, packages: Vec::with_capacity(packages.len()), links: BTreeSet::new() };
        for package in packages {
            let listed = package.paths()?.into_iter().chain([package.record_path.clone()]);
            let paths: BTreeSet<_> = listed.filter_map(|path| removal.real(path)).filter(|path| removal.is_file(path)).collect();
            let links: Vec<_> = paths.iter().filter(|path| matches!(removal.node(path), Some(Node::Symlink(_)))).cloned().collect();
            removal.links.extend(links);
            removal.packages.push(Leaving { package, paths });
        }
        Ok(removal)
    }

    /// Where a path of the environment lies in the base, links on the way followed.
    pub fn real(&self, path: impl AsRef<[u8]>) -> Option<ImagePath> {
        self.led(path, |directory| self.index.resolve(directory))
    }

    /// Where a path that is laid comes to lie: links that go lead nowhere any more.
    pub fn place(&self, path: impl AsRef<[u8]>) -> Option<ImagePath> {
        self.led(path, |directory| self.index.resolve_without(directory, &self.links))
    }

    /// Whether the base has a directory at a path of the environment.
    pub fn is_directory(&self, path: &str) -> bool {
        self.real(path).is_some_and(|path| matches!(self.node(&path), Some(Node::Directory)))
    }

    fn led(&self, path: impl AsRef<[u8]>, lead: impl FnOnce(&ImagePath) -> Option<ImagePath>) -> Option<ImagePath> {
        let path = self.prefix.join(path).ok()?;
        lead(&path.parent()?)?.join(path.name()).ok()
    }

    fn node(&self, path: &ImagePath) -> Option<&Node> {
        self.index.get(path).map(|Entry { node, .. }| node)
    }

    /// Whether something of the environment stands at a real path, and no directory.
    fn is_file(&self, path: &ImagePath) -> bool {
        path.starts_with(&self.prefix) && self.node(path).is_some_and(|node| !matches!(node, Node::Directory))
    }

    /// What goes with the packages.
    pub fn replaced(&self, staying: &Staying) -> Vec<ReplacedPackage> {
        let going = self.going(staying);
        let emptied = self.emptied(&going, staying);
        let is_topmost = |path: &ImagePath| !path.ancestors().any(|above| emptied.contains(&above));
        let mut removes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut makes_way: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for directory in emptied.iter().filter(|path| is_topmost(path)) {
            let owner = going.paths.range(directory.clone()..).next().map(|(_, owner)| *owner).unwrap_or_default();
            match staying.contains_key(directory) {
                true => makes_way.entry(owner).or_default().push(self.relative(directory)),
                false => removes.entry(owner).or_default().push(format!("{}/", self.relative(directory))),
            }
        }
        for (path, owner) in going.paths.iter().filter(|(path, _)| is_topmost(path)) {
            removes.entry(owner).or_default().push(self.relative(path));
        }
        let replaced = self.packages.iter().map(|leaving| {
            let package = &leaving.package.record.package_record;
            let name = package.name.as_normalized().to_owned();
            let links = leaving.paths.iter().filter(|path| staying.contains_key(*path) && self.leads_to_directory(path));
            let mut removes = removes.remove(name.as_str()).unwrap_or_default();
            let mut makes_way = makes_way.remove(name.as_str()).unwrap_or_default();
            makes_way.extend(links.map(|path| self.relative(path)));
            removes.sort_unstable();
            makes_way.sort_unstable();
            ReplacedPackage { name, version: package.version.to_string(), build: package.build.to_string(), removes, makes_way }
        });
        replaced.collect()
    }

    fn leads_to_directory(&self, path: &ImagePath) -> bool {
        self.links.contains(path) && matches!(self.index.find(path), Some((_, Entry { node: Node::Directory, .. })))
    }

    fn going(&self, staying: &Staying) -> Going<'_> {
        let mut going = Going::default();
        for Leaving { package, paths } in &self.packages {
            let is_python = package.record.package_record.noarch.is_python();
            for path in paths.iter().filter(|path| !staying.contains_key(*path)) {
                for above in path.ancestors().take_while(|above| *above != self.prefix && above.name() != RECORDS.as_bytes()) {
                    *going.directories.entry(above).or_default() |= is_python;
                }
                going.paths.entry(path.clone()).or_insert(package.name().as_normalized());
            }
        }
        going
    }

    /// The directories in which nothing is left, all of them.
    fn emptied(&self, going: &Going<'_>, staying: &Staying) -> BTreeSet<ImagePath> {
        let mut emptied = BTreeSet::new();
        // In the order of paths a directory comes before what is in it.
        for (directory, of_python) in going.directories.iter().rev() {
            // Where a file is laid in its place, the directory is not needed.
            let is_needed = staying.range(directory.clone()..).next().is_some_and(|(next, is_directory)| match next == directory {
                true => *is_directory,
                false => next.starts_with(directory),
            });
            if !is_needed && self.is_emptied(directory, *of_python, going, &emptied) {
                emptied.insert(directory.clone());
            }
        }
        emptied
    }

    /// Whether nothing is left in a directory. `emptied` are all such directories below it.
    fn is_emptied(&self, directory: &ImagePath, of_python: bool, going: &Going<'_>, emptied: &BTreeSet<ImagePath>) -> bool {
        let bytecode = directory.join(BYTECODE).ok().filter(|_| of_python);
        let mut gone: Option<&ImagePath> = None;
        let mut goes = |path: &ImagePath| {
            gone = emptied.get(path).or(gone);
            let with_directory = [gone, bytecode.as_ref()].into_iter().flatten().any(|directory| path.starts_with(directory));
            with_directory || going.paths.contains_key(path)
        };
        self.index.below(directory).all(|(path, _)| goes(path))
    }

    /// As the lock has it.
    fn relative(&self, path: &ImagePath) -> String {
        path.strip_prefix(&self.prefix).unwrap_or_default().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::index::{Attributes, File};
    use crate::conda::existing;

    /// An environment of packages with these files, of which some are `noarch: python`, and with what else lies in it.
    fn environment(packages: &[(&str, bool, &[&str])], others: &[&str]) -> Index {
        let attributes = Attributes { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        for (name, is_python, files) in packages {
            let record = serde_json::json!({
                "name": name, "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "depends": [], "files": files,
                "noarch": if *is_python { "python" } else { "generic" }, "fn": format!("{name}-1.0-0.conda"),
                "url": format!("https://conda.example/noarch/{name}-1.0-0.conda"), "channel": "https://conda.example",
            });
            let packed = zstd::encode_all(record.to_string().as_bytes(), 3).unwrap();
            nodes.insert(format!("conda-meta/{name}-1.0-0.json"), Node::File(File { packed: Some(packed.into()), ..File::default() }));
            nodes.extend(files.iter().filter(|file| !file.starts_with("lost/")).map(|file| ((*file).to_owned(), Node::File(File::default()))));
        }
        for other in others {
            let node = match other.split_once(" -> ") {
                Some((_, target)) => Node::Symlink(target.as_bytes().into()),
                None if other.ends_with('/') => Node::Directory,
                None => Node::File(File::default()),
            };
            nodes.insert(other.split(" -> ").next().unwrap().trim_end_matches('/').to_owned(), node);
        }
        let prefix = ImagePath::literal("opt/conda");
        let entry = |(path, node): (String, Node)| (prefix.join(path).unwrap(), Entry { attributes, node });
        let directories: Vec<_> = nodes.keys().flat_map(|path| ImagePath::parse(path).unwrap().ancestors().collect::<Vec<_>>()).collect();
        let directories = directories.into_iter().map(|path| (prefix.join(path.as_bytes()).unwrap(), Entry { attributes, node: Node::Directory }));
        directories.chain(nodes.into_iter().map(entry)).collect()
    }

    /// What of `index` goes with the packages of these names, while `staying` is laid; directories have `/` at their end.
    fn replaced(index: &Index, names: &[&str], staying: &[&str]) -> Vec<ReplacedPackage> {
        let prefix = ImagePath::literal("opt/conda");
        let packages = existing::packages(index, &prefix).unwrap();
        let (going, kept): (Vec<_>, Vec<_>) = packages.iter().partition(|package| names.contains(&package.name().as_normalized()));
        let removal = Removal::new(index, &prefix, &going).unwrap();
        let kept = kept.iter().flat_map(|package| package.paths().unwrap().into_iter().chain([package.record_path.clone()]));
        let kept = kept.filter_map(|path| Some((removal.real(path)?, false)));
        let laid = staying.iter().filter_map(|path| Some((removal.place(path.trim_end_matches('/'))?, path.ends_with('/'))));
        removal.replaced(&kept.chain(laid).collect())
    }

    /// What is taken away, by the package.
    fn removed(index: &Index, names: &[&str], staying: &[&str]) -> Vec<(String, Vec<String>)> {
        replaced(index, names, staying).into_iter().map(|package| (package.name, package.removes)).collect()
    }

    fn of(name: &str, removes: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), removes.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn a_directory_goes_with_the_last_that_it_held() {
        let index = environment(
            &[
                ("a", false, &["share/a/deep/er/x", "share/both/a", "share/kept/a", "share/users/a", "share/new/a", "lost/a"]),
                ("b", false, &["share/both/b", "share/b"]),
                ("c", false, &["share/kept/c"]),
            ],
            &["share/users/mine", "share/hollow/empty/"],
        );
        let a_alone = of("a", &["conda-meta/a-1.0-0.json", "share/a/", "share/both/a", "share/kept/a", "share/new/a", "share/users/a"]);
        assert_eq!(removed(&index, &["a"], &["share/new/laid"]), [a_alone]);
        let both = [
            of("a", &["conda-meta/a-1.0-0.json", "share/a/", "share/both/", "share/kept/a", "share/new/", "share/users/a"]),
            of("b", &["conda-meta/b-1.0-0.json", "share/b"]),
        ];
        assert_eq!(removed(&index, &["a", "b"], &[]), both);
    }

    #[test]
    fn a_directory_in_which_a_stranger_is_left_stays() {
        let index = environment(&[("a", false, &["x/a", "y/a"])], &["x/hollow/", "y/link -> nowhere"]);
        assert_eq!(removed(&index, &["a"], &[]), [of("a", &["conda-meta/a-1.0-0.json", "x/a", "y/a"])]);
        // So does the directory that a package lists.
        let index = environment(&[("a", false, &["x/a"])], &[]);
        assert_eq!(removed(&index, &["a"], &["x/"]), [of("a", &["conda-meta/a-1.0-0.json", "x/a"])]);
    }

    #[test]
    fn bytecode_goes_with_the_modules_of_python_packages_alone() {
        let modules = &["lib/python3.11/site-packages/m/__init__.py", "lib/python3.11/site-packages/m/n/x.py"][..];
        let bytecode = [
            "lib/python3.11/site-packages/m/__pycache__/__init__.cpython-311.pyc",
            "lib/python3.11/site-packages/m/n/__pycache__/x.cpython-311.pyc",
            "lib/python3.11/site-packages/other.py",
        ];
        let index = environment(&[("m", true, modules)], &bytecode);
        assert_eq!(removed(&index, &["m"], &[]), [of("m", &["conda-meta/m-1.0-0.json", "lib/python3.11/site-packages/m/"])]);
        let index = environment(&[("m", false, modules)], &bytecode);
        assert_eq!(removed(&index, &["m"], &[])[0].1[1..], modules.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn paths_are_compared_where_they_lie() {
        let index = environment(&[("a", false, &["lib64/x/a", "lib64/y"])], &["lib64 -> lib", "lib/x/a", "lib/y"]);
        assert_eq!(removed(&index, &["a"], &["lib/y"]), [of("a", &["conda-meta/a-1.0-0.json", "lib/x/"])]);
    }

    #[test]
    fn links_and_directories_make_way_for_what_is_laid_there() {
        let index = environment(&[("a", false, &["data/x", "folder/y", "kept/z"])], &["data/", "share/", "file", "kept/mine"]);
        let links = environment(&[("a", false, &[])], &[]);
        assert!(replaced(&links, &["a"], &[])[0].makes_way.is_empty());
        let found = replaced(&index, &["a"], &["folder", "kept"]);
        assert_eq!(found[0].makes_way, ["folder"]);
        assert_eq!(found[0].removes, ["conda-meta/a-1.0-0.json", "data/", "kept/z"]);
    }

    #[test]
    fn links_that_go_lead_nowhere_any_more() {
        let attributes = Attributes { mode: 0o777, uid: 0, gid: 0, mtime: 0 };
        let with_links = |laid: &[&str]| {
            let files = &["link", "folder/link", "lib/x"];
            let mut entries: Vec<(ImagePath, Entry)> =
                environment(&[("a", false, files)], &["lib/mine"]).iter().map(|(path, entry)| (path.clone(), entry.clone())).collect();
            for (path, target) in [("opt/conda/link", "lib"), ("opt/conda/folder/link", "../lib")] {
                entries.retain(|(found, _)| *found != ImagePath::literal(path));
                entries.push((ImagePath::literal(path), Entry { attributes, node: Node::Symlink(target.as_bytes().into()) }));
            }
            replaced(&entries.into_iter().collect(), &["a"], laid).remove(0)
        };
        // A directory is laid where one was, and what is laid in it does not land behind it.
        let found = with_links(&["link/", "link/x"]);
        assert_eq!(found.removes, ["conda-meta/a-1.0-0.json", "folder/", "lib/x"]);
        assert_eq!(found.makes_way, ["link"]);
    }
}
