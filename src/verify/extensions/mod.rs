//! The image's extensions as the editor's server would find them: directories of extensions, what their `extensions.json` lists, and where the server of
//! the image's command looks.

mod fault;
mod folder;
mod list;

use std::collections::BTreeMap;

use super::programs::{Lookup, is_hidden};
use super::start::{Start, Value};
use crate::base::Index;
use crate::base::index::{Entry, Node};
use crate::conda::editor::{MANIFEST, Manifest as BuiltIn, SHARE};
use crate::contract::IMAGE_EXTENSIONS;
use crate::entrypoint;
use crate::image_path::ImagePath;

pub use fault::{Fault, Kind};
pub use folder::{Folder, Manifest};
pub use list::{List, Listed, Place};

/// Name of a directory of extensions.
const EXTENSIONS: &str = "extensions";
/// What every server's own directory has, beside its built-in extensions.
const PRODUCT: &str = "product.json";

/// All extensions of an image.
#[derive(Debug)]
pub struct Extensions {
    /// The directories that hold extensions, and those where a server looks, as far as they are there.
    pub directories: Vec<Directory>,
    /// The editor's version, where one was found.
    pub editor: Option<String>,
    /// Ids of the extensions that the editor brings, lower case.
    pub built_in: Vec<String>,
    /// Where the server of the image's command looks, links followed; none where only a running shell knows.
    pub read: Option<ImagePath>,
    /// Whether a start script links the image's extensions into the volume.
    pub are_linked: bool,
}

/// How a directory of extensions comes to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The server reads it.
    Read,
    /// It is the image's own, which start scripts link into the volume.
    Image,
    /// The volume hides it.
    Hidden,
    /// No way that is known.
    Elsewhere,
}

/// A directory of extensions.
#[derive(Debug)]
pub struct Directory {
    /// Where it lies, links followed.
    pub path: ImagePath,
    /// How it comes to the server.
    pub purpose: Use,
    /// The directories in it that have a manifest, by name; none of a name that begins with a dot.
    pub folders: BTreeMap<String, Folder>,
    /// `extensions.json`, where it is there and was read.
    pub list: Option<List>,
    /// Names that `.obsolete` marks.
    pub obsolete: Vec<String>,
    /// What an interrupted installation left: names.
    pub leftovers: Vec<String>,
}

impl Extensions {
    /// Of an image that starts so.
    pub fn of(index: &Index, start: &Start) -> Self {
        let server = server_home(index, start);
        let read = read_directory(start).and_then(|path| index.resolve(&path));
        let mut found: Vec<ImagePath> = [read.clone(), index.resolve(&ImagePath::literal(IMAGE_EXTENSIONS))].into_iter().flatten().collect();
        found.extend(homes_of_extensions(index));
        found.sort_unstable();
        found.dedup();
        let image = index.resolve(&ImagePath::literal(IMAGE_EXTENSIONS));
        let purpose = |path: &ImagePath| match path {
            path if is_hidden(path) => Use::Hidden,
            path if Some(path) == read.as_ref() => Use::Read,
            path if Some(path) == image.as_ref() => Use::Image,
            _ => Use::Elsewhere,
        };
        let is_directory = |path: &ImagePath| matches!(index.get(path), Some(Entry { node: Node::Directory, .. }));
        Extensions {
            directories: found.iter().filter(|path| is_directory(path)).map(|path| Directory::read(index, path, purpose(path))).collect(),
            editor: server.as_ref().and_then(|home| editor_version(index, home)),
            built_in: server.as_ref().map(|home| built_in(index, home)).unwrap_or_default(),
            are_linked: are_linked(index, start),
            read,
        }
    }

    /// The directories that come to the server, of which the image's user sees something.
    pub fn in_use(&self) -> impl Iterator<Item = &Directory> {
        self.directories.iter().filter(|directory| matches!(directory.purpose, Use::Read | Use::Image))
    }

    /// The directories that the server itself reads, with their lists.
    pub fn read_by_server(&self) -> impl Iterator<Item = &Directory> {
        self.directories.iter().filter(|directory| directory.purpose == Use::Read)
    }
}

impl Directory {
    fn read(index: &Index, path: &ImagePath, purpose: Use) -> Self {
        let mut folders = BTreeMap::new();
        let mut leftovers = Vec::new();
        for (child, entry) in children(index, path) {
            let Ok(name) = std::str::from_utf8(child.name()) else { continue };
            let is_folder = matches!(index.find(child), Some((_, Entry { node: Node::Directory, .. })));
            // The server unpacks into `.UUID` and renames that; it moves away what it deletes.
            if (name.starts_with('.') && is_folder) || name.ends_with(".vsctmp") {
                leftovers.push(name.to_owned());
            } else if let Some(folder) = Folder::read(index, child, entry).filter(|_| is_folder) {
                folders.insert(name.to_owned(), folder);
            }
        }
        let text = |name: &str| path.join(name).ok().and_then(|file| index.content(&file));
        Directory {
            path: path.clone(),
            purpose,
            folders,
            list: text(list::NAME).map(List::read),
            obsolete: list::obsolete(text(list::OBSOLETE).unwrap_or_default()),
            leftovers,
        }
    }

    /// The path of something in it.
    pub fn at(&self, name: &str) -> ImagePath {
        self.path.join(name).unwrap_or_else(|_| self.path.clone())
    }
}

fn children<'a>(index: &'a Index, path: &'a ImagePath) -> impl Iterator<Item = (&'a ImagePath, &'a Entry)> {
    let depth = path.components().count() + 1;
    index.below(path).filter(move |(child, _)| child.components().count() == depth)
}

/// Where the server of the command looks for extensions, as far as its words say.
fn read_directory(start: &Start) -> Option<ImagePath> {
    let server = start.server()?;
    let path = match (server.value("extensions-dir"), server.value("server-data-dir")) {
        (Value::Text(path), _) => path,
        (Value::Absent, Value::Text(data)) => format!("{data}/{EXTENSIONS}"),
        _ => return None,
    };
    path.starts_with('/').then(|| ImagePath::parse(path).ok())?
}

/// Whether a script on the way to the server links extensions into the volume, as those of sagemaker-distribution and byoi do.
fn are_linked(index: &Index, start: &Start) -> bool {
    let scripts = start.hops.iter().filter_map(|hop| match &hop.lookup {
        Lookup::Found(found) => index.content(&found.real),
        _ => None,
    });
    let mut texts = scripts.map(String::from_utf8_lossy);
    texts.any(|text| (text.contains("ln -s") && text.contains(EXTENSIONS)) || entrypoint::read(&text).is_some())
}

/// The directory of the editor's server: that of the launcher on the way, else the only one in the image.
fn server_home(index: &Index, start: &Start) -> Option<ImagePath> {
    let has_manifest = |home: &ImagePath| home.join(MANIFEST).is_ok_and(|file| index.file(&file).is_some());
    let of_launcher = start.hops.iter().rev().find_map(|hop| match &hop.lookup {
        Lookup::Found(found) => index.resolve(&found.real.parent()?.parent()?.join(SHARE).ok()?).filter(has_manifest),
        _ => None,
    });
    of_launcher.or_else(|| {
        let share = SHARE.rsplit('/').next().unwrap_or(SHARE);
        let homes = index.iter().filter(|(path, entry)| path.name() == share.as_bytes() && entry.node == Node::Directory);
        homes.map(|(path, _)| path.clone()).find(has_manifest)
    })
}

fn editor_version(index: &Index, home: &ImagePath) -> Option<String> {
    let version = BuiltIn::read(index.content(&home.join(MANIFEST).ok()?)?)?.version;
    (!version.is_empty()).then_some(version)
}

fn built_in(index: &Index, home: &ImagePath) -> Vec<String> {
    let Some(directory) = home.join(EXTENSIONS).ok() else { return Vec::new() };
    let manifests = children(index, &directory).filter_map(|(folder, _)| index.content(&folder.join(MANIFEST).ok()?));
    manifests.filter_map(|text| BuiltIn::read(text)?.id()).collect()
}

/// Directories named `extensions` that hold extensions of an editor, none of those that come with one.
fn homes_of_extensions(index: &Index) -> Vec<ImagePath> {
    let is_built_in = |directory: &ImagePath| {
        let server = directory.parent().and_then(|parent| parent.join(PRODUCT).ok());
        server.is_some_and(|product| index.get(&product).is_some()) || directory.to_string().ends_with(&format!("{SHARE}/{EXTENSIONS}"))
    };
    let mut found: Vec<ImagePath> = Vec::new();
    for (path, _) in index.iter().filter(|(path, _)| path.name() == MANIFEST.as_bytes()) {
        let Some(directory) = path.parent().and_then(|folder| folder.parent()) else { continue };
        // Extensions bring test data that looks like extensions.
        let is_below = |known: &ImagePath| directory.starts_with(known);
        if directory.name() != EXTENSIONS.as_bytes() || found.last().is_some_and(is_below) || is_built_in(&directory) {
            continue;
        }
        if index.content(path).and_then(Manifest::read).is_some_and(|manifest| manifest.engine.is_some()) {
            found.push(directory);
        }
    }
    found
}
