//! A conda package as a part of an image: its archive's files at their final paths, with the prefix replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::archive::{self, Form, Found, FoundNode};
use super::bytecode::Compiler;
use super::info::{PackageInfo, PackagePath, PathKind, Placeholder};
use super::installed::{Digests, Installed};
use super::package_error::PackageError;
use super::placement::{self, Placed, Placement};
use super::spool::{LayerSpool, Spool};
use super::{entry_points, patch};
use crate::digest::{Digest, Digesting};
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Content, Entry, Node};
use crate::lock::{CondaPackage, DirectoryRule, Noarch, Python};
use crate::plan::{Component, Laid, MTIME, recipe};

/// The environment that packages are laid in.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Where it lies.
    pub prefix: ImagePath,
    /// Owner and group of all that is laid.
    pub owner: (u32, u32),
    /// Its Python, where it has one.
    pub python: Option<Python>,
    /// What makes bytecode of `noarch: python` packages, where that is asked for.
    pub compiler: Option<Compiler>,
}

/// The component of a package's files.
pub struct PackageComponent(pub(super) Arc<Package>);

/// A locked package and all that decides how it is laid.
pub(super) struct Package {
    pub(super) locked: CondaPackage,
    pub(super) prefix: ImagePath,
    pub(super) owner: (u32, u32),
    /// Only of packages whose bytes depend on it.
    python: Option<Python>,
    compiler: Option<Compiler>,
    spool: Arc<LayerSpool>,
    /// What the record says of the files, from when they were laid until the record takes it.
    installed: Mutex<Option<Installed>>,
}

impl PackageComponent {
    /// What its record is called.
    pub fn record_name(&self) -> String {
        self.0.locked.record_name()
    }

    /// The files of `package` in `environment`. `spool` is shared by the packages of one layer.
    pub fn new(package: &CondaPackage, environment: &Environment, spool: &Arc<LayerSpool>) -> Self {
        let is_noarch = package.noarch == Noarch::Python;
        PackageComponent(Arc::new(Package {
            locked: package.clone(),
            prefix: environment.prefix.clone(),
            owner: environment.owner,
            python: environment.python.clone().filter(|_| is_noarch),
            compiler: environment.compiler.clone().filter(|_| is_noarch),
            spool: spool.clone(),
            installed: Mutex::new(None),
        }))
    }
}

/// A package's component as data.
#[derive(Serialize, Deserialize)]
pub struct PackageRecipe {
    locked: CondaPackage,
    prefix: ImagePath,
    owner: (u32, u32),
    python: Option<Python>,
}

impl PackageRecipe {
    /// The component, which shares `spool` with the others of its layer.
    pub fn restored(self, spool: &Arc<LayerSpool>) -> PackageComponent {
        let PackageRecipe { locked, prefix, owner, python } = self;
        PackageComponent::new(&locked, &Environment { prefix, owner, python, compiler: None }, spool)
    }
}

impl Component for PackageComponent {
    fn name(&self) -> String {
        self.0.name()
    }

    fn key(&self) -> Value {
        self.0.key()
    }

    fn inputs(&self) -> Vec<Digest> {
        vec![self.0.locked.sha256]
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        vec![self.0.root()]
    }

    fn claims(&self) -> Vec<ImagePath> {
        // They are in the archive; that no two packages lay one path was settled when they were locked.
        Vec::new()
    }

    fn recipe(&self) -> Option<Value> {
        let Package { locked, prefix, owner, python, compiler, .. } = &*self.0;
        // The interpreter that makes bytecode does not travel.
        compiler
            .is_none()
            .then(|| PackageRecipe { locked: locked.clone(), prefix: prefix.clone(), owner: *owner, python: python.clone() })
            .and_then(|data| recipe("conda-package", &data))
    }

    fn lay(&self, inputs: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let (entries, installed) = self.0.lay(inputs)?;
        *self.0.installed.lock().unwrap_or_else(PoisonError::into_inner) = Some(installed);
        Ok(entries)
    }
}

impl Package {
    pub(super) fn name(&self) -> String {
        format!("conda package {}", self.locked.record_name())
    }

    pub(super) fn root(&self) -> (ImagePath, DirectoryRule) {
        (self.prefix.clone(), DirectoryRule { mode: 0o755, uid: self.owner.0, gid: self.owner.1 })
    }

    /// All that decides the bytes of the package's files.
    pub(super) fn key(&self) -> Value {
        let python = self.python.as_ref().map(|python| json!([minor(&python.version), python.site_packages]));
        json!({
            "conda": self.locked.record_name(),
            "sha256": self.locked.sha256,
            "archive": if self.locked.file_name().ends_with(".conda") { "conda" } else { "tar.bz2" },
            "prefix": self.prefix.absolute(),
            "owner": [self.owner.0, self.owner.1],
            "python": python,
            "bytecode": self.compiler.as_ref().map(Compiler::key),
            "clobbered": self.locked.clobbered,
        })
    }

    /// What the record says of the files: left by their component, else found by laying them once more.
    pub(super) fn installed(&self, inputs: &dyn Inputs) -> Result<Installed, Error> {
        let left = self.installed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match left {
            Some(installed) => Ok(installed),
            None => Ok(self.lay(inputs)?.1),
        }
    }

    fn lay(&self, inputs: &dyn Inputs) -> Result<(Vec<Laid>, Installed), Error> {
        let file = Arc::new(inputs.open(&self.locked.sha256)?);
        let doing = || format!("cannot lay the conda package {}", self.locked.record_name());
        self.lay_archive(&file).map_err(|error| Error::from(error).while_doing(doing()))
    }

    fn lay_archive(&self, file: &Arc<std::fs::File>) -> Result<(Vec<Laid>, Installed), PackageError> {
        let prefix = String::from_utf8(self.prefix.as_bytes().to_vec()).map_err(|_| PackageError::Prefix(self.prefix.absolute()))?;
        let form = Form::of(self.locked.file_name())?;
        let spool = self.spool.open().map_err(PackageError::Spool)?;
        let (info, members) = read(file, form, &spool)?;
        self.check(&info)?;
        let placement = placement::placement(&info, self.python.as_ref())?;
        let left_out = self.left_out(&placement)?;
        self.check_size(&placement)?;
        let mut laying = Laying {
            package: self,
            prefix: format!("/{prefix}"),
            members: &members,
            spool: &spool,
            files: BTreeMap::new(),
            digests: BTreeMap::new(),
        };
        let (mut entries, mut installed) = (Vec::new(), Installed::new(info.index.clone()));
        for (path, placed) in placement.iter().filter(|(path, _)| !left_out.contains(*path)) {
            let place = self.place(path)?;
            let (entry, content) = match placed {
                Placed::Path(source) => laying.path(source, &place)?,
                Placed::EntryPoint(point) => laying.entry_point(point)?,
            };
            installed.add(path, placed, content);
            entries.push((place, entry));
        }
        if let Some(compiler) = &self.compiler {
            for (path, text) in self.compile(compiler, &placement, &entries)? {
                installed.add_bytecode(&path, &text);
                entries.push((self.place(&path)?, self.made(text)));
            }
        }
        Ok((entries, installed))
    }

    /// A path below the prefix as one of the image.
    fn place(&self, path: &ImagePath) -> Result<ImagePath, PackageError> {
        self.prefix.join(path.as_bytes()).map_err(|error| PackageError::path(path.as_bytes(), error.reason))
    }

    /// A file that is made here.
    fn made(&self, text: Vec<u8>) -> Entry {
        Entry::file(Content::inline(text), 0o644, self.owner.0, self.owner.1, MTIME)
    }

    /// The bytecode of the package's modules, by final path relative to the prefix.
    fn compile(&self, compiler: &Compiler, placement: &Placement<'_>, entries: &[Laid]) -> Result<Vec<(ImagePath, Vec<u8>)>, PackageError> {
        let mut compiling = compiler.start()?;
        let mut compiled = Vec::new();
        for (place, entry) in entries {
            let Some(path) = place.strip_prefix(&self.prefix) else { continue };
            let is_module = matches!(placement.get(&path), Some(Placed::Path(source)) if source.path.as_bytes().starts_with(b"site-packages/"));
            let Some(target) = compiler.target(&path).filter(|target| is_module && !placement.contains_key(target)) else { continue };
            let Node::File(content) = &entry.node else { continue };
            if let Some(bytecode) = compiling.compile(place, content)? {
                compiled.push((target, bytecode));
            }
        }
        Ok(compiled)
    }

    /// Refuses an archive that is not what the lock says.
    fn check(&self, info: &PackageInfo) -> Result<(), PackageError> {
        let noarch = |noarch: Noarch| if noarch == Noarch::Python { "python" } else { "none or generic" };
        for (what, locked, found) in [
            ("name", self.locked.name.as_str(), info.index.name.as_normalized()),
            ("version", self.locked.version.as_str(), &info.index.version.as_str()),
            ("build", self.locked.build.as_str(), info.index.build.as_str()),
            ("noarch", noarch(self.locked.noarch), noarch(info.noarch())),
        ] {
            if locked != found {
                return Err(PackageError::Differs { what, locked: locked.to_owned(), found: found.to_owned() });
            }
        }
        Ok(())
    }

    fn check_size(&self, placement: &Placement<'_>) -> Result<(), PackageError> {
        let found = placement::laid_size(placement, Some(&self.locked.clobbered));
        if found != self.locked.laid_size {
            let (locked, found) = (self.locked.laid_size.to_string(), found.to_string());
            return Err(PackageError::Differs { what: "size when it is laid", locked, found });
        }
        Ok(())
    }

    /// The paths that another package lays.
    fn left_out(&self, placement: &Placement<'_>) -> Result<BTreeSet<ImagePath>, PackageError> {
        let path = |text: &String| {
            let path = text.parse::<ImagePath>().ok().filter(|path| placement.get(path).is_some_and(|placed| !placed.is_directory()));
            path.ok_or_else(|| PackageError::Differs { what: "clobbered path", locked: text.clone(), found: "that it has none there".to_owned() })
        };
        self.locked.clobbered.iter().map(path).collect()
    }
}

/// `3.12` of `3.12.11`: what the bytes depend on.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// The info section and the members of the content.
fn read(file: &Arc<std::fs::File>, form: Form, spool: &Spool<'_>) -> Result<(PackageInfo, BTreeMap<ImagePath, Found>), PackageError> {
    let info = archive::info_members(file, form, spool.file())?;
    let content = match form {
        Form::Conda => archive::content_members(file, form, spool.file())?,
        Form::TarBz2 => info.clone(),
    };
    let content = archive::by_path(content)?;
    Ok((PackageInfo::of_members(&info, &content)?, content))
}

/// A package that is being laid.
struct Laying<'a> {
    package: &'a Package,
    prefix: String,
    members: &'a BTreeMap<ImagePath, Found>,
    spool: &'a Spool<'a>,
    /// Where each file already stands, by its number and what is replaced in it: other names of it become hard links.
    files: BTreeMap<(usize, Option<Placeholder>), (ImagePath, Digests)>,
    /// The digest of each file in the archive, by its number.
    digests: BTreeMap<usize, Digest>,
}

impl Laying<'_> {
    /// The entry of a path of the package at its place in the image, and the content where it is a file.
    fn path(&mut self, path: &PackagePath, place: &ImagePath) -> Result<(Entry, Option<Digests>), PackageError> {
        let (uid, gid) = self.package.owner;
        let found = self.members.get(&path.path);
        if path.kind == PathKind::Directory {
            // Archives need not have a member for it.
            if found.is_some_and(|found| !matches!(found.node, FoundNode::Directory)) {
                return Err(PackageError::path(path.path.as_bytes(), "is a directory in `info/paths.json`, and none in the archive"));
            }
            return Ok((Entry::directory(0o755, uid, gid, MTIME), None));
        }
        let found = found.ok_or_else(|| PackageError::path(path.path.as_bytes(), "is listed, and the archive does not have it"))?;
        match (&found.node, path.kind) {
            (FoundNode::Symlink(target), PathKind::Symlink) => Ok((Entry::symlink(target.clone(), uid, gid, found.mtime), None)),
            (FoundNode::File { number, content }, PathKind::File) => {
                let (entry, digests) = self.file(path, place, found, *number, content)?;
                Ok((entry, Some(digests)))
            }
            _ => Err(PackageError::path(path.path.as_bytes(), "is of another type in `info/paths.json` than in the archive")),
        }
    }

    fn file(
        &mut self,
        path: &PackagePath,
        place: &ImagePath,
        found: &Found,
        number: usize,
        content: &Content,
    ) -> Result<(Entry, Digests), PackageError> {
        let archive = self.archive_digest(number, content)?;
        let differs = |what: &str| PackageError::path(path.path.as_bytes(), format!("has another {what} in the archive than in `info/paths.json`"));
        if path.size.is_some_and(|size| size != content.size()) {
            return Err(differs("size"));
        }
        if path.sha256.is_some_and(|sha256| sha256 != archive) {
            return Err(differs("sha256"));
        }
        let key = (number, path.placeholder.clone());
        if let Some((first, digests)) = self.files.get(&key).filter(|_| !path.no_link) {
            return Ok((Entry::hard_link(first.clone()), *digests));
        }
        let (content, digests) = match &path.placeholder {
            Some(placeholder) => self.patched(path, content, placeholder, archive)?,
            None => (content.clone(), Digests { archive, laid: archive, size: content.size() }),
        };
        if !path.no_link {
            self.files.insert(key, (place.clone(), digests));
        }
        let (uid, gid) = self.package.owner;
        let mode = if found.mode & 0o111 == 0 { 0o644 } else { 0o755 };
        Ok((Entry::file(content, mode, uid, gid, found.mtime), digests))
    }

    fn archive_digest(&mut self, number: usize, content: &Content) -> Result<Digest, PackageError> {
        if let Some(digest) = self.digests.get(&number) {
            return Ok(*digest);
        }
        let read = || -> io::Result<Digest> {
            let mut reader = Digesting::new(content.open()?);
            io::copy(&mut reader, &mut io::sink())?;
            Ok(reader.finish().1)
        };
        let digest = read().map_err(PackageError::Spool)?;
        self.digests.insert(number, digest);
        Ok(digest)
    }

    fn patched(&self, path: &PackagePath, content: &Content, placeholder: &Placeholder, archive: Digest) -> Result<(Content, Digests), PackageError> {
        let mut laid = None;
        let write = |out: &mut dyn io::Write| {
            let mut out = Digesting::new(out);
            patch::copy_patched(content.open()?, content.size(), placeholder, &self.prefix, &mut out)?;
            laid = Some(out.finish().1);
            Ok(())
        };
        let patched = self.spool.append(write).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => PackageError::path(path.path.as_bytes(), format!("cannot get the prefix {}: {error}", self.prefix)),
            _ => PackageError::Spool(error),
        })?;
        let size = patched.size();
        Ok((patched, Digests { archive, laid: laid.unwrap_or(archive), size }))
    }

    fn entry_point(&self, point: &rattler_conda_types::package::EntryPoint) -> Result<(Entry, Option<Digests>), PackageError> {
        let python = placement::python_info(self.package.python.as_ref().ok_or(PackageError::NoPython)?)?;
        let text = entry_points::script(point, &self.prefix, &python);
        let (digest, size) = (Digest::of(&text), text.len() as u64);
        let (uid, gid) = self.package.owner;
        let entry = Entry::file(Content::inline(text.into_bytes()), 0o755, uid, gid, MTIME);
        Ok((entry, Some(Digests { archive: digest, laid: digest, size })))
    }
}
