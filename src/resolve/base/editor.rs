//! The base's editor, and its extensions. Layout of the conda package `sagemaker-code-editor`: the launcher is `PREFIX/bin/…`, the server
//! `PREFIX/share/sagemaker-code-editor`.

use std::collections::{BTreeMap, BTreeSet};

use super::programs::Program;
use crate::base::Index;
use crate::conda::editor::{MANIFEST, Manifest, SHARE};
use crate::contract;
use crate::image_path::ImagePath;
use crate::lock::BaseExtension;

/// Manifests of the editor and of its built-in extensions, in whatever prefix. Those of conda's package cache are among them: where the cache
/// came first into a layer, the prefix has but hard links to it.
pub(super) const CONTENT: &[&str] = &["**/share/sagemaker-code-editor/package.json", "**/share/sagemaker-code-editor/extensions/*/package.json"];

/// Manifests of the extensions in the image's own directory.
pub(super) fn image_manifests() -> [String; 1] {
    [format!("{}/*/{MANIFEST}", contract::IMAGE_EXTENSIONS.trim_start_matches('/'))]
}

fn manifest(index: &Index, path: &ImagePath) -> Option<Manifest> {
    Manifest::read(index.content(path)?)
}

/// The server's directory, found from its launcher.
pub(super) fn home(index: &Index, launcher: &Program) -> Option<ImagePath> {
    [&launcher.real, &launcher.found].into_iter().find_map(|launcher| {
        let prefix = index.resolve(&launcher.parent()?)?.parent()?;
        let home = index.resolve(&prefix.join(SHARE).ok()?)?;
        index.file(&home.join(MANIFEST).ok()?).is_some().then_some(home)
    })
}

/// The Code-OSS version of the server in this directory.
pub(super) fn version(index: &Index, home: &ImagePath) -> Option<String> {
    let version = manifest(index, &home.join(MANIFEST).ok()?)?.version;
    (!version.is_empty()).then_some(version)
}

/// Ids of the extensions that the server in this directory brings.
pub(super) fn builtin_extensions(index: &Index, home: &ImagePath) -> Vec<String> {
    let Ok(directory) = home.join("extensions") else { return Vec::new() };
    let ids: BTreeSet<String> = manifests(index, &directory).into_iter().filter_map(|(_, manifest)| manifest.id()).collect();
    ids.into_iter().collect()
}

/// Extensions in the image's own directory, by the name of their directory.
pub(super) fn image_extensions(index: &Index) -> BTreeMap<String, BaseExtension> {
    let directory = ImagePath::literal(contract::IMAGE_EXTENSIONS);
    let found = manifests(index, &directory).into_iter();
    // The editor's own scan passes over names that begin with a dot: extensions that are being installed.
    let found = found.filter(|(name, manifest)| !name.starts_with('.') && !manifest.version.is_empty());
    found.filter_map(|(name, manifest)| Some((name, BaseExtension { id: manifest.id()?, version: manifest.version }))).collect()
}

/// Manifests of the extensions in a directory, by the name of theirs.
fn manifests(index: &Index, directory: &ImagePath) -> Vec<(String, Manifest)> {
    let Some(directory) = index.resolve(directory) else { return Vec::new() };
    let paths = index.below(&directory).map(|(path, _)| path).filter(|path| path.name() == MANIFEST.as_bytes());
    let found = paths.filter_map(|path| {
        let extension = path.parent()?;
        let name = std::str::from_utf8(extension.name()).ok()?.to_owned();
        (extension.parent()? == directory).then_some(())?;
        Some((name, manifest(index, path)?))
    });
    found.collect()
}
