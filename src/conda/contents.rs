//! What the image has to know of the contents of packages: how the environment is activated, and the editor that it brings. Read out of the files
//! as they are laid; so packages that have such files are fetched when they are locked, the others are not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::activation::{self, Activation};
use super::download::{self, Promise};
use super::editor;
use super::error::FetchError;
use super::http::Transport;
use super::package::{Environment, PackageComponent};
use super::spool::LayerSpool;
use crate::digest::Digest;
use crate::error::{Error, FileError};
use crate::image_path::ImagePath;
use crate::json;
use crate::layer::Node;
use crate::lock::{CondaEditor, CondaPackage};
use crate::plan::Component;
use crate::store::Store;
use crate::world::World;

/// Kind of the store's records of such files, by the key of their package's component and their paths.
const RECORD: &str = "conda-contents";
/// Largest file that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// What the packages of an environment say of it.
#[derive(Debug, Default)]
pub struct Contents {
    /// How it is activated.
    pub activation: Activation,
    /// The editor.
    pub editor: Option<CondaEditor>,
}

/// Which of the paths that a package lays have to be read.
pub fn wanted<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> BTreeSet<String> {
    let brings_editor = editor::is_brought(paths.clone());
    paths.filter(|path| activation::wants(path) || (brings_editor && editor::wants(path))).map(str::to_owned).collect()
}

/// Reads the wanted files of packages: by package's name, its paths.
///
/// # Errors
/// Archives that cannot be fetched or laid; variables that no package may set.
pub async fn read(
    packages: &[CondaPackage],
    wanted: &BTreeMap<String, BTreeSet<String>>,
    environment: &Environment,
    transport: &Transport,
    world: &World<'_>,
) -> Result<Contents, Error> {
    let mut files = BTreeMap::new();
    for package in packages {
        let Some(paths) = wanted.get(&package.name).filter(|paths| !paths.is_empty()) else { continue };
        files.extend(of_package(package, paths, environment, transport, world).await?);
    }
    let activation = activation::read(&environment.prefix, &files);
    if let Some(refused) = activation.refused.first() {
        let package = wanted.iter().find(|(_, paths)| paths.contains(refused)).map_or("a package", |(name, _)| name.as_str());
        return Err(FetchError::Variables { package: package.to_owned(), file: refused.clone() }.into());
    }
    let editor = editor::read(&environment.prefix, &files);
    Ok(Contents { activation, editor })
}

type Files = BTreeMap<String, Vec<u8>>;

async fn of_package(
    package: &CondaPackage,
    paths: &BTreeSet<String>,
    environment: &Environment,
    transport: &Transport,
    world: &World<'_>,
) -> Result<Files, Error> {
    let component = PackageComponent::new(package, environment, &LayerSpool::new());
    let key = Digest::of(json::canonical(&serde_json::json!([component.key(), paths])));
    if let Some(files) = world.store.record(RECORD, &key) {
        return Ok(files);
    }
    if world.store.blob(&package.sha256).is_none() {
        let task = world.progress.begin(&format!("fetch {}", package.file_name()), Some(package.size));
        let promise = Promise { sha256: Some(package.sha256), md5: None, size: Some(package.size) };
        download::archive(&package.url, promise, &*task, transport, world).await?;
    }
    let (store, prefix, paths) = (world.store.clone(), environment.prefix.clone(), paths.clone());
    let laying = tokio::task::spawn_blocking(move || laid_files(&component, &prefix, &paths, &store)).await;
    let files = laying.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    world.store.put_record(RECORD, &key, &files)?;
    Ok(files)
}

/// The wanted files as they are laid. Links are left out: what they lead to is another package's or another path.
fn laid_files(component: &PackageComponent, prefix: &ImagePath, paths: &BTreeSet<String>, store: &Store) -> Result<Files, Error> {
    let mut files = Files::new();
    for (path, entry) in component.lay(store)? {
        let relative = path.as_bytes().strip_prefix(prefix.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        let Some(relative) = relative.and_then(|rest| std::str::from_utf8(rest).ok()).filter(|rest| paths.contains(*rest)) else { continue };
        let Node::File(content) = &entry.node else { continue };
        let mut bytes = Vec::new();
        if content.size() > MAX_SIZE {
            // Neither a script nor JSON that is understood: so it counts as one that is not.
            bytes.push(0);
        } else {
            content.open().and_then(|mut reader| reader.read_to_end(&mut bytes)).map_err(FileError::at("read", relative))?;
        }
        files.insert(relative.to_owned(), bytes);
    }
    Ok(files)
}
