//! The components that a description's extensions come to.

use std::path::Path;
use std::sync::Arc;

use super::ExtensionList;
use super::judge::{Candidate, judge};
use super::lay::{Extension, Form};
use super::local::{self, Local};
use super::locking::problem;
use super::manifest::Manifest;
use crate::description::{Description, Extension as Wanted, ExtensionOrigin};
use crate::error::{Error, Invalid, Kind, Problem};
use crate::lock::{self, Facts};
use crate::plan::Component;
use crate::world::World;

/// The components that a description's extensions come to.
pub struct Extensions {
    /// One for each extension, sorted by id.
    pub each: Vec<Arc<dyn Component>>,
    /// `extensions.json`, where there are extensions.
    pub list: Option<Arc<dyn Component>>,
}

/// The components of a description's extensions, laid as the editor of this version does it. Local ones are read and judged here, since they may
/// have changed under a current lock; foreign ones are known by their entries in the lock, and were judged when they were locked.
///
/// # Errors
/// Local extensions that cannot be read or used, each with its place; a list of the base that is none.
pub fn components(
    description: &Description,
    directory: &Path,
    locked: &[lock::Extension],
    editor: Option<&str>,
    facts: &Facts,
    world: &World<'_>,
) -> Result<Extensions, Error> {
    let form = Form::of(editor);
    let mut all: Vec<(&Wanted, Extension, Option<Manifest>)> = Vec::new();
    let mut problems = Vec::new();
    for wanted in &description.extensions {
        match one(wanted, directory, locked, form, world) {
            Ok((extension, manifest)) => all.push((wanted, extension, manifest)),
            Err(error) if error.fault().kind() == Kind::World => return Err(error),
            Err(error) => problems.push(problem(description, wanted, &error)),
        }
    }
    let candidates: Vec<_> = all
        .iter()
        .map(|(wanted, extension, manifest)| Candidate { wanted, id: &extension.id, version: &extension.version, manifest: manifest.as_ref() })
        .collect();
    problems.extend(judge(description, &candidates, all.len() == description.extensions.len(), editor, facts));
    if !problems.is_empty() {
        return Err(Invalid { problems }.into());
    }
    let mut extensions: Vec<Extension> = all.into_iter().map(|(_, extension, _)| extension).collect();
    extensions.sort_by(|a, b| a.id.cmp(&b.id));
    let list: Option<Arc<dyn Component>> = match extensions.is_empty() {
        true => None,
        false => Some(Arc::new(ExtensionList::new(&extensions, facts)?)),
    };
    Ok(Extensions { each: extensions.into_iter().map(|extension| Arc::new(extension) as Arc<dyn Component>).collect(), list })
}

fn one(wanted: &Wanted, directory: &Path, locked: &[lock::Extension], form: Form, world: &World<'_>) -> Result<(Extension, Option<Manifest>), Error> {
    if let ExtensionOrigin::Path(path) = &wanted.origin {
        let Local { manifest, sha256, timestamp } = local::open(directory, path, world.store, world.cancelled)?;
        let extension = Extension { id: manifest.id.clone(), version: manifest.version.clone(), sha256, timestamp, form };
        return Ok((extension, Some(manifest)));
    }
    let requirement = wanted.origin.requirement();
    let entry = locked.iter().find(|entry| entry.requirement == requirement);
    let entry = entry.ok_or_else(|| Error::input(Problem::new("the lock has no entry for it").help("run `byoi lock`")))?;
    let lock::Extension { id, version, sha256, timestamp, .. } = entry.clone();
    Ok((Extension { id, version, sha256, timestamp, form }, None))
}
