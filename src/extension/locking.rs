//! The lock's entries of extensions: found, judged against the editor and against each other.

use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::find::{self, Fetched};
use super::judge::{Candidate, judge};
use super::local;
use super::manifest::Manifest;
use crate::description::{Description, Extension as Wanted, ExtensionOrigin};
use crate::digest::Digest;
use crate::error::{Error, Invalid, Problem};
use crate::inputs::Inputs;
use crate::lock::{Extension, Facts};
use crate::registry::http;
use crate::world::World;

/// Kind of the store's records of manifests by the digest of their VSIX.
const RECORD: &str = "vsix";
/// Extensions on their way at once.
const PARALLEL: usize = 4;

/// The lock's entries for the foreign extensions of a description. Those of `old` are kept where the description still asks for them.
/// All extensions, local ones too, are judged: platform, engine (where the editor's version is known), dependencies, doubles.
///
/// # Errors
/// All that is wrong, each with its place in the description; or the first failure of the world.
pub async fn lock_all(
    description: &Description,
    directory: &Path,
    old: &[Extension],
    editor: Option<&str>,
    facts: &Facts,
    world: &World<'_>,
) -> Result<Vec<Extension>, Error> {
    let mut outcomes: Vec<(usize, Result<Found, Error>)> = stream::iter(description.extensions.iter().enumerate())
        .map(|(index, wanted)| async move { (index, one(wanted, directory, old, world).await) })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    outcomes.sort_by_key(|(index, _)| *index);
    let mut problems = Vec::new();
    let mut all = Vec::new();
    for ((_, outcome), wanted) in outcomes.into_iter().zip(&description.extensions) {
        match outcome {
            Ok(found) => all.push((wanted, found)),
            Err(error) if http::speaks_of_the_world(&error) => {
                return Err(error.while_doing(format!("cannot lock the extension {}", wanted.origin.requirement())));
            }
            Err(error) => problems.push(problem(description, wanted, &error)),
        }
    }
    let candidates: Vec<_> = all
        .iter()
        .map(|(wanted, found)| {
            let manifest = &found.manifest;
            Candidate { wanted, id: &manifest.id, version: &manifest.version, manifest: Some(manifest) }
        })
        .collect();
    problems.extend(judge(description, &candidates, all.len() == description.extensions.len(), editor, facts));
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.place.as_ref().map(|(_, span)| span.start));
        return Err(Invalid { problems }.into());
    }
    let mut entries: Vec<Extension> = all.into_iter().filter_map(|(_, found)| found.entry).collect();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(entries)
}

/// Fetches those of the extensions that are needed and not in the store.
///
/// # Errors
/// Downloads that fail or bring other bytes than the lock says.
pub async fn fetch(entries: &[Extension], needed: &[Digest], world: &World<'_>) -> Result<(), Error> {
    let missing = entries.iter().filter(|entry| needed.contains(&entry.sha256) && world.store.blob(&entry.sha256).is_none());
    let mut downloads = stream::iter(missing.map(|entry| find::fetch_again(&entry.url, entry.sha256, entry.size, world))).buffer_unordered(PARALLEL);
    while let Some(outcome) = downloads.next().await {
        outcome?;
    }
    Ok(())
}

/// An extension, and its entry in the lock if it is a foreign one.
struct Found {
    manifest: Manifest,
    entry: Option<Extension>,
}

async fn one(wanted: &Wanted, directory: &Path, old: &[Extension], world: &World<'_>) -> Result<Found, Error> {
    if let ExtensionOrigin::Path(path) = &wanted.origin {
        let local = local::open(directory, path, world.store, world.cancelled)?;
        return Ok(Found { manifest: local.manifest, entry: None });
    }
    let requirement = wanted.origin.requirement();
    let kept = old.iter().find(|entry| entry.requirement == requirement && wanted.sha256.is_none_or(|sha256| sha256 == entry.sha256));
    if let Some(entry) = kept {
        let manifest = match world.store.record(RECORD, &entry.sha256) {
            Some(manifest) => manifest,
            None => {
                fetch(std::slice::from_ref(entry), &[entry.sha256], world).await?;
                read(&entry.sha256, world)?.0
            }
        };
        return Ok(Found { manifest, entry: Some(entry.clone()) });
    }
    let Fetched { url, sha256, size } = find::find(&wanted.origin, wanted.sha256, world).await?;
    let (manifest, timestamp) = read(&sha256, world)?;
    find::check_identity(&wanted.origin, &manifest.id, &manifest.version)?;
    let Manifest { id, version, engine, platform, .. } = manifest.clone();
    Ok(Found { manifest, entry: Some(Extension { requirement, id, version, url, sha256, size, engine, platform, timestamp }) })
}

/// Reads the manifest of a VSIX in the store, and remembers it.
fn read(sha256: &Digest, world: &World<'_>) -> Result<(Manifest, jiff::Timestamp), Error> {
    let vsix = super::vsix::Vsix::open(&Arc::new(world.store.open(sha256)?))?;
    world.store.put_record(RECORD, sha256, &vsix.manifest)?;
    Ok((vsix.manifest, vsix.timestamp))
}

/// An error about an extension, as a problem at its place.
pub(super) fn problem(description: &Description, wanted: &Wanted, error: &Error) -> Problem {
    let mut problem = Problem::of(error).at(&description.source, wanted.span.clone());
    problem.message = format!("{}: {}", wanted.origin.requirement(), problem.message);
    problem
}
