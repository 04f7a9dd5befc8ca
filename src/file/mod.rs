//! `[[file]]`: single files, directories, inline texts, files at URLs, and archives to unpack: how each resolves, and how it lays its entries.

mod component;
mod editor;
mod error;
mod exclude;
mod local;
mod local_tree;
mod part;
mod parts;
mod programs;
mod remote;

pub use editor::editor_version;
pub use error::FileProblem;
pub use local::{digests_below, place, remember};
pub use programs::demand_programs;
pub use remote::{fetch, lock_all};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::description::{Description, FileItem, FileOrigin};
use crate::error::{Error, Invalid, Kind, Problem};
use crate::lock::File;
use crate::plan::Component;
use crate::store::Store;
pub use component::FileComponent;
use component::Origin;
use local_tree::LocalTree;
use part::Part;

/// The files of an image.
#[derive(Default)]
pub struct Files {
    /// Large parts that are layers, each with its name.
    pub parts: Vec<(String, Arc<dyn Component>)>,
    /// The others, in the description's order.
    pub others: Vec<Arc<dyn Component>>,
}

/// The components of all `[[file]]`s, at most `most` of them large parts. Local files are read and hashed here.
///
/// # Errors
/// All items that cannot be used, each with its place in the description.
pub fn components(
    description: &Description,
    directory: &Path,
    locked: &[File],
    most: usize,
    store: &Store,
    cancelled: &AtomicBool,
) -> Result<Files, Error> {
    let mut components = Vec::new();
    let mut problems = Vec::new();
    for item in &description.files {
        match component(item, directory, locked, store, cancelled) {
            Ok(component) => components.push(component),
            Err(error) if error.fault().kind() == Kind::World => return Err(error),
            Err(error) => problems.push(problem(description, item, &error)),
        }
    }
    if problems.is_empty() { Ok(divided(components, most)) } else { Err(Invalid { problems }.into()) }
}

/// Large parts apart from the others. What an archive holds comes up only when it is laid, so what it could collide with stays in its layer, where
/// that is noticed.
fn divided(components: Vec<FileComponent>, most: usize) -> Files {
    let parts_of = |component: &FileComponent| match component.local() {
        Some(tree) if !components.iter().any(|other| other.may_unpack_to(&component.target)) => parts::parts(&tree.entries),
        _ => Vec::new(),
    };
    let parts = parts::largest(components.iter().map(parts_of).collect(), most);
    let mut files = Files::default();
    for (component, parts) in components.into_iter().zip(parts) {
        let (taken, rest) = component.divided(parts);
        files.parts.extend(taken.into_iter().map(|(name, component)| (name, Arc::new(component) as Arc<dyn Component>)));
        if !rest.is_used_up() {
            files.others.push(Arc::new(rest));
        }
    }
    files
}

/// An error about an item, as a problem at its place.
fn problem(description: &Description, item: &FileItem, error: &Error) -> Problem {
    Problem::of(error).at(&description.source, item.span.clone())
}

fn component(item: &FileItem, directory: &Path, locked: &[File], store: &Store, cancelled: &AtomicBool) -> Result<FileComponent, Error> {
    let origin = match &item.origin {
        FileOrigin::Content(text) => Origin::Inline(text.clone()),
        FileOrigin::Url { url, .. } => {
            let entry = locked.iter().find(|entry| entry.requirement == *url).ok_or_else(|| FileProblem::NotLocked(url.to_string()))?;
            match item.unpack {
                Some(unpack) => {
                    Origin::Archive { name: url.path().to_owned(), digest: entry.sha256, foreign: true, place: None, strip: unpack.strip }
                }
                None => Origin::Foreign { digest: entry.sha256, size: entry.size },
            }
        }
        FileOrigin::Source(source) => local_origin(item, &local::place(directory, source)?, source, store, cancelled)?,
    };
    Ok(FileComponent { target: item.target.clone(), owner: item.owner, mode: item.mode, origin })
}

fn local_origin(item: &FileItem, place: &Path, source: &Path, store: &Store, cancelled: &AtomicBool) -> Result<Origin, Error> {
    let tree = LocalTree::scan(place.to_owned(), Part::whole(), item.exclude.clone(), store, cancelled)?;
    let entries = &tree.entries;
    let single = entries.first().is_some_and(|entry| entry.path.is_root() && !matches!(entry.kind, local::LocalKind::Directory));
    match (item.unpack, single) {
        (Some(unpack), true) => {
            let Some(local::LocalEntry { kind: local::LocalKind::File { digest, .. }, .. }) = entries.first() else {
                return Err(FileProblem::NoArchive(source.to_owned()).into());
            };
            let name = source.display().to_string();
            Ok(Origin::Archive { name, digest: *digest, foreign: false, place: Some(place.to_owned()), strip: unpack.strip })
        }
        (Some(_), false) => Err(FileProblem::NoArchive(source.to_owned()).into()),
        (None, true) if !item.exclude.is_empty() => Err(FileProblem::ExcludeOfFile(source.to_owned()).into()),
        (None, false) if item.mode.is_some() => Err(FileProblem::ModeOfDirectory(source.to_owned()).into()),
        (None, _) => Ok(Origin::Local(tree)),
    }
}
