//! The lock's entry for the base: opened, read once, remembered by its digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Map;

use super::base::{facts, interest};
use crate::base::{self, Index, Interest, OpenedImage, RootFs, Surveys};
use crate::description::Description;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::lock::{Base, Directories, DirectoryRule, Facts};
use crate::reference::ImageSource;
use crate::world::World;

/// Kind of the store's records of base indexes.
const RECORD: &str = "base-index";

/// Looks the base up and reads its layers, once for each digest: what the pass found is kept in the store, and what `survey` asks for of each layer.
///
/// # Errors
/// A base that is not there, not for the platform, or damaged.
pub async fn lock_base(description: &Description, directory: &Path, survey: Option<&Interest>, world: &World<'_>) -> Result<Base, Error> {
    let requirement = description.base_requirement.clone();
    match &description.base.value {
        ImageSource::Scratch => Ok(scratch(requirement)),
        ImageSource::RootFs { file } => root_filesystem(requirement, directory.join(file), world).await,
        source => match base::open(source, directory, None, world.registry).await? {
            Some(image) => of_image(requirement, &image, survey, world).await,
            None => Ok(scratch(requirement)),
        },
    }
}

fn scratch(requirement: String) -> Base {
    let root = (ImagePath::root(), DirectoryRule { mode: 0o755, uid: 0, gid: 0 });
    let directories = Directories { rules: BTreeMap::from([root]), links: BTreeMap::new() };
    Base { requirement, digest: None, index: None, timestamp: Timestamp::UNIX_EPOCH, facts: Facts::default(), directories }
}

/// The index of a base that is locked: out of the store, else read again.
///
/// # Errors
/// A base that is not there any more, or damaged.
pub async fn index(description: &Description, directory: &Path, base: &Base, world: &World<'_>) -> Result<Index, Error> {
    if let Some(index) = base.digest.and_then(|digest| world.store.record(RECORD, &interest().key(&digest))) {
        return Ok(index);
    }
    match &description.base.value {
        ImageSource::Scratch => Ok(Index::default()),
        ImageSource::RootFs { file } => Ok(inspect(directory.join(file), world).await?.index),
        source => match base::open(source, directory, base.digest, world.registry).await? {
            Some(image) => index_of(&image, None, world).await,
            None => Ok(Index::default()),
        },
    }
}

async fn index_of(image: &OpenedImage, survey: Option<&Interest>, world: &World<'_>) -> Result<Index, Error> {
    let interest = interest();
    let key = interest.key(&image.digest);
    if let Some(index) = world.store.record(RECORD, &key) {
        return Ok(index);
    }
    let surveys = survey.map(|interest| Surveys { interest: interest.clone(), store: world.store.clone() });
    let index = base::read(&image.manifest.layers, &image.diff_ids, &*image.blobs, &interest, surveys.as_ref(), world.progress).await?;
    world.store.put_record(RECORD, &key, &index)?;
    Ok(index)
}

async fn of_image(requirement: String, image: &OpenedImage, survey: Option<&Interest>, world: &World<'_>) -> Result<Base, Error> {
    let index = index_of(image, survey, world).await?;
    let (facts, directories) = facts(&index, &image.config)?;
    let timestamp = image.created().unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Base { requirement, digest: Some(image.digest), index: image.index, timestamp, facts, directories })
}

async fn root_filesystem(requirement: String, file: PathBuf, world: &World<'_>) -> Result<Base, Error> {
    let rootfs = inspect(file, world).await?;
    let (facts, directories) = facts(&rootfs.index, &Map::new())?;
    Ok(Base { requirement, digest: Some(rootfs.digest), index: None, timestamp: rootfs.timestamp, facts, directories })
}

async fn inspect(file: PathBuf, world: &World<'_>) -> Result<RootFs, Error> {
    let size = file.metadata().ok().map(|metadata| metadata.len());
    let task = world.progress.begin("read the root filesystem", size);
    let inspected = tokio::task::spawn_blocking(move || base::inspect(&file, &interest(), &*task)).await;
    inspected.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
