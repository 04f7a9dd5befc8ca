//! Conda environments from archives on this machine: laid by byoi, and installed by rattler.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use byoi::conda::testing::Specimen;
use byoi::conda::{Compiler, Environment, LayerSpool, PackageComponent, PackageInfo, RecordComponent, history, owners};
use byoi::digest::{Digest, Digesting};
use byoi::error::Error;
use byoi::image_path::ImagePath;
use byoi::inputs::Inputs;
use byoi::layer::{Tree, write_tar};
use byoi::lock::{self, CondaPackage, CondaRequirement, Directories, Python};
use byoi::plan::{Component, Components, DirectoryTable, Plan, build_tree};
use rattler::install::{Installer, LinkOptions};
use rattler::package_cache::PackageCache;
use rattler_conda_types::{Channel, ChannelConfig, PackageRecord, RepoData, RepoDataRecord, Subdir};

use super::file_tree::{FileTree, Item, apply, of_directory};

/// Where environments are laid.
pub const PREFIX: &str = "opt/conda";
/// Who owns them.
pub const OWNER: (u32, u32) = (1000, 100);

/// Packages that make an environment, in topological order.
pub struct Packages {
    pub records: Vec<RepoDataRecord>,
    infos: Vec<PackageInfo>,
    archives: BTreeMap<Digest, PathBuf>,
}

impl Inputs for Packages {
    fn open(&self, digest: &Digest) -> Result<File, Error> {
        Ok(File::open(&self.archives[digest]).unwrap())
    }
}

impl Packages {
    fn new(records: Vec<RepoDataRecord>) -> Self {
        let records = PackageRecord::sort_topologically(records);
        let path = |record: &RepoDataRecord| record.url.to_file_path().unwrap();
        let info = |record: &RepoDataRecord| PackageInfo::of_archive(&File::open(path(record)).unwrap(), record.url.path()).unwrap();
        let infos = records.iter().map(info).collect();
        let archives = records.iter().map(|record| (sha256(record), path(record))).collect();
        Packages { records, infos, archives }
    }

    /// The packages of these specimens, each with the form of its archive, written below `directory`.
    pub fn of_specimens(directory: &Path, specimens: &[(Specimen, &str)]) -> Self {
        let write = |(specimen, extension): &(Specimen, &str)| {
            let bytes = if *extension == "conda" { specimen.to_conda() } else { specimen.to_tar_bz2() };
            let subdir = directory.join(specimen.index["subdir"].as_str().unwrap());
            fs::create_dir_all(&subdir).unwrap();
            let path = subdir.join(format!("{}.{extension}", specimen.record_name()));
            fs::write(&path, &bytes).unwrap();
            path
        };
        Self::of_archives(specimens.iter().map(write))
    }

    /// The packages of archives that lie in the subdirectories of a channel.
    pub fn of_archives(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let record = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let file = File::open(&path).unwrap();
            let index = PackageInfo::of_archive(&file, name).unwrap().index;
            let mut digesting = Digesting::new(file);
            let size = io::copy(&mut digesting, &mut io::sink()).unwrap();
            let sha256 = (*digesting.finish().1.as_bytes()).into();
            RepoDataRecord {
                package_record: PackageRecord::from_index_json(index, Some(size), Some(sha256), None).unwrap(),
                identifier: name.parse().unwrap(),
                url: url::Url::from_file_path(&path).unwrap(),
                channel: Some(url::Url::from_directory_path(path.parent().unwrap().parent().unwrap()).unwrap().to_string()),
            }
        };
        Self::new(paths.into_iter().map(record).collect())
    }

    /// `names` and all that they depend on, out of a channel that has one version of each.
    pub fn of_channel(channel: &Path, names: &[&str]) -> Self {
        let url = url::Url::from_directory_path(channel.canonicalize().unwrap()).unwrap();
        let named = Channel::from_str(url.as_str(), &ChannelConfig::default_with_root_dir(PathBuf::from("/"))).unwrap();
        let all: BTreeMap<String, RepoDataRecord> = ["linux-64", "noarch"]
            .iter()
            .flat_map(|subdir| RepoData::from_path(channel.join(subdir).join("repodata.json")).unwrap().into_repo_data_records(&named))
            .map(|record| (record.package_record.name.as_normalized().to_owned(), record))
            .collect();
        let mut wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut taken = BTreeMap::new();
        while let Some(name) = wanted.pop() {
            if name.starts_with("__") || taken.contains_key(&name) {
                continue;
            }
            let record = all.get(&name).unwrap_or_else(|| panic!("the channel has no {name}"));
            wanted.extend(record.package_record.depends.iter().map(|spec| spec.split([' ', '=', '<', '>']).next().unwrap().to_owned()));
            taken.insert(name, record.clone());
        }
        Self::new(taken.into_values().collect())
    }

    /// The Python of the environment.
    pub fn python(&self) -> Option<Python> {
        let record = &self.records.iter().find(|record| record.package_record.name.as_normalized() == "python")?.package_record;
        let version = record.version.as_str().into_owned();
        let minor = version.split('.').take(2).collect::<Vec<_>>().join(".");
        let site_packages = record.python_site_packages_path.clone().unwrap_or_else(|| format!("lib/python{minor}/site-packages"));
        Some(Python { version, site_packages })
    }

    /// The packages as a lock has them.
    pub fn locked(&self) -> lock::Conda {
        let python = self.python();
        let named: Vec<_> = self.infos.iter().map(|info| (info.index.name.as_normalized(), info)).collect();
        let owned = owners(&named, python.as_ref()).unwrap();
        let package = |(record, info): (&RepoDataRecord, &PackageInfo)| {
            let name = record.package_record.name.as_normalized().to_owned();
            CondaPackage {
                version: record.package_record.version.to_string(),
                build: record.package_record.build.as_str().to_owned(),
                channel: record.channel.clone().unwrap(),
                subdir: record.package_record.subdir.clone(),
                url: record.url.clone(),
                sha256: sha256(record),
                md5_only: false,
                size: record.package_record.size.unwrap(),
                timestamp: None,
                noarch: info.noarch(),
                depends: Some(record.package_record.depends.clone()).filter(|depends| *depends != info.index.depends),
                constrains: Some(record.package_record.constrains.clone()).filter(|constrains| *constrains != info.index.constrains),
                laid_size: owned.laid_sizes[&name],
                clobbered: owned.clobbered.get(&name).cloned().unwrap_or_default(),
                link_scripts: info.link_scripts(),
                name,
            }
        };
        let mut packages: Vec<_> = self.records.iter().zip(&self.infos).map(package).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        let requirement = CondaRequirement {
            channels: Vec::new(),
            specs: vec!["scrapy >=2.11".to_owned(), "pip".to_owned()],
            pixi_lock: None,
            prefix: ImagePath::literal(PREFIX),
            update_existing: false,
            cuda: None,
        };
        lock::Conda {
            requirement,
            python,
            editor: None,
            variables: BTreeMap::new(),
            activation_scripts: Vec::new(),
            packages,
            replaced: Vec::new(),
            history: Vec::new(),
        }
    }

    /// The tar of one layer with all packages, their records and the history.
    pub fn laid(&self, compiler: Option<Compiler>) -> Vec<u8> {
        let mut tar = Vec::new();
        write_tar(&self.tree(compiler), &mut tar).unwrap();
        tar
    }

    /// One layer with all packages, their records and the history.
    pub fn tree(&self, compiler: Option<Compiler>) -> Tree {
        let locked = self.locked();
        let environment = Environment { prefix: ImagePath::literal(PREFIX), owner: OWNER, python: locked.python.clone(), compiler };
        let spool = LayerSpool::new();
        let mut components: Vec<Arc<dyn Component>> = Vec::new();
        for package in &locked.packages {
            let files = PackageComponent::new(package, &environment, &spool);
            let record = RecordComponent::new(&files);
            components.push(Arc::new(files));
            components.push(Arc::new(record));
        }
        components.push(Arc::new(history(&locked, OWNER, "").unwrap()));
        let components = Components { packages: vec![("conda".to_owned(), components)], ..Components::default() };
        let plan = Plan::new(components, DirectoryTable::new(&Directories::default()), 40);
        build_tree(&plan.layers[0], &plan.directories, self).unwrap()
    }

    /// Installs the packages with rattler into `directory`, as if it were the prefix of an image.
    pub fn install(&self, directory: &Path, cache: &Path) {
        let link = LinkOptions { allow_symbolic_links: Some(true), allow_hard_links: Some(false), allow_ref_links: Some(false) };
        let installer = Installer::new()
            .with_target_platform(Subdir::Linux64)
            .with_package_cache(PackageCache::new(cache.to_owned()))
            .with_execute_link_scripts(false)
            .with_alternative_target_prefix(format!("/{PREFIX}"))
            .with_link_options(link);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(installer.install(directory, self.records.clone())).unwrap();
    }
}

fn sha256(record: &RepoDataRecord) -> Digest {
    Digest::from_bytes(record.package_record.sha256.unwrap().into())
}

/// What byoi laid at the prefix.
pub fn below_prefix(tar: &[u8]) -> FileTree {
    let mut tree = FileTree::new();
    apply(&mut tree, tar);
    let prefix = Path::new(PREFIX);
    tree.into_iter()
        .filter_map(|(path, item)| Some((path.strip_prefix(prefix).ok().filter(|rest| !rest.as_os_str().is_empty())?.to_owned(), item)))
        .collect()
}

/// What rattler installed, with modes, owners and times by byoi's rules. `patched` are paths whose times rattler makes.
pub fn by_our_rules(directory: &Path) -> FileTree {
    let rattlers_own = |path: &Path| ["conda-meta", "__clobbers__", "CACHEDIR.TAG"].iter().any(|own| path.starts_with(own));
    let owner = (OWNER.0.into(), OWNER.1.into());
    let rule = |item| match item {
        Item::Directory { .. } => Item::Directory { mode: 0o755, owner },
        Item::File { mode, time, content, .. } => Item::File { mode: if mode & 0o111 == 0 { 0o644 } else { 0o755 }, owner, time, content },
        Item::Symlink { time, target, .. } => Item::Symlink { owner, time, target },
    };
    of_directory(directory).into_iter().filter(|(path, _)| !rattlers_own(path)).map(|(path, item)| (path, rule(item))).collect()
}

/// Both trees without what is only in one by intention: records, and times of links and of `retimed` paths.
pub fn comparable(mut tree: FileTree, retimed: &BTreeSet<PathBuf>) -> FileTree {
    tree.retain(|path, _| !path.starts_with("conda-meta"));
    for (path, item) in &mut tree {
        match item {
            Item::Symlink { time, .. } => *time = 0,
            Item::File { time, .. } if retimed.contains(path) => *time = 0,
            _ => {}
        }
    }
    tree
}
