//! The lock's entries of extensions: found, judged against the editor and against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::find::{self, Fetched};
use super::manifest::Manifest;
use super::{engine, local};
use crate::contract;
use crate::description::{Description, Extension as Wanted, ExtensionOrigin};
use crate::digest::Digest;
use crate::error::{Error, Invalid, Problem};
use crate::inputs::Inputs;
use crate::lock::{Extension, Facts};
use crate::world::World;

/// Kind of the store's records of manifests by the digest of their VSIX.
const RECORD: &str = "vsix";
/// Extensions on their way at once.
const PARALLEL: usize = 4;

/// The lock's entries for the foreign extensions of a description. Those of `old` are kept where the description still asks for them.
/// All extensions, local ones too, are judged: platform, engine, dependencies, doubles.
///
/// # Errors
/// All that is wrong, each with its place in the description.
pub async fn lock_all(
    description: &Description,
    directory: &Path,
    old: &[Extension],
    facts: &Facts,
    world: &World<'_>,
) -> Result<Vec<Extension>, Error> {
    let found: Vec<(usize, Result<Found, Error>)> = stream::iter(description.extensions.iter().enumerate())
        .map(|(index, wanted)| async move { (index, one(wanted, directory, old, world).await) })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let mut problems = Vec::new();
    let mut all: BTreeMap<usize, Found> = BTreeMap::new();
    for (index, outcome) in found {
        match outcome {
            Ok(found) => drop(all.insert(index, found)),
            Err(error) => problems.push((index, problem(description, &description.extensions[index], &error))),
        }
    }
    problems.extend(judge(description, &all, facts));
    if !problems.is_empty() {
        problems.sort_by_key(|(index, _)| *index);
        return Err(Invalid { problems: problems.into_iter().map(|(_, problem)| problem).collect() }.into());
    }
    let mut entries: Vec<Extension> = all.into_values().filter_map(|found| found.entry).collect();
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
        let local = local::open(directory, path, world.store)?;
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
    let Manifest { id, version, engine, platform, .. } = manifest.clone();
    Ok(Found { manifest, entry: Some(Extension { requirement, id, version, url, sha256, size, engine, platform, timestamp }) })
}

/// Reads the manifest of a VSIX in the store, and remembers it.
fn read(sha256: &Digest, world: &World<'_>) -> Result<(Manifest, jiff::Timestamp), Error> {
    let vsix = super::vsix::Vsix::open(&Arc::new(world.store.open(sha256)?))?;
    world.store.put_record(RECORD, sha256, &vsix.manifest)?;
    Ok((vsix.manifest, vsix.timestamp))
}

fn problem(description: &Description, wanted: &Wanted, error: &Error) -> Problem {
    let mut message = format!("{}: {error}", wanted.origin.requirement());
    let mut cause = std::error::Error::source(error.fault());
    while let Some(why) = cause {
        message = format!("{message}: {why}");
        cause = why.source();
    }
    let problem = Problem::new(message).at(&description.source, wanted.span.clone());
    match error.fault().help() {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// What is wrong with the extensions on this base and beside each other.
fn judge(description: &Description, all: &BTreeMap<usize, Found>, facts: &Facts) -> Vec<(usize, Problem)> {
    let builtin = facts.builtin_extensions.iter().map(String::as_str);
    let present: BTreeSet<&str> =
        all.values().map(|found| found.manifest.id.as_str()).chain(builtin).chain(facts.extensions.values().map(|one| one.id.as_str())).collect();
    // Without them not every member is known: what is missing would be named twice.
    let complete = all.len() == description.extensions.len();
    let mut problems = Vec::new();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, found) in all {
        let manifest = &found.manifest;
        let name = format!("{} {}", manifest.id, manifest.version);
        let at = |message: String| Problem::new(message).at(&description.source, description.extensions[*index].span.clone());
        if first.insert(&manifest.id, *index).is_some() {
            let problem = at(format!("{name} is here twice: the editor loads one of them")).label("the second one");
            problems.push((*index, problem.help("take one of the two out")));
        }
        if let Some(platform) = manifest.platform.as_deref().filter(|platform| !contract::EXTENSION_PLATFORMS.contains(platform)) {
            let problem = at(format!("{name} is for {platform}, and SageMaker Studio runs linux-x64")).label("for another platform");
            problems.push((*index, problem.help("name the release for linux-x64, or the universal one")));
        }
        if let Some(editor) = &facts.editor
            && let Err(error) = engine::satisfies(&manifest.engine, manifest.has_code, editor)
        {
            let problem = at(format!("{name} does not run on the base's editor, Code-OSS {editor}: {error}")).label("needs another editor");
            problems.push((*index, problem.help("name an older version of the extension, or a newer base")));
        }
        let missing: Vec<&str> =
            manifest.dependencies.iter().chain(&manifest.pack).map(String::as_str).filter(|id| complete && !present.contains(id)).collect();
        if !missing.is_empty() {
            let problem = at(format!("{name} needs extensions that are neither in the description nor in the base: {}", missing.join(", ")));
            problems.push((
                *index,
                problem.label("needs more").help("add an [[extension]] for each; the editor would look for them on the network at run time"),
            ));
        }
    }
    problems
}
