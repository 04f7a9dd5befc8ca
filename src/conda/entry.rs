//! From the packages of an environment to its entry in the lock: each archive is looked at, who lays what is decided, and what the image has to
//! know of their contents is read.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rattler_conda_types::RepoDataRecord;
use url::Url;

use super::archive_info::{Looked, look};
use super::download::PARALLEL;
use super::error::FetchError;
use super::existing::ExistingPackage;
use super::http::Transport;
use super::info::PackageInfo;
use super::placement::{self, Claims, Placement};
use super::record::CONDA_META;
use super::removal::{Removal, Staying};
use super::{channel, contents};
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::lock::{CondaPackage, Python, ReplacedPackage};
use crate::world::World;

/// What is laid, and what of the base goes.
pub struct Laid {
    /// The packages, sorted by name.
    pub packages: Vec<CondaPackage>,
    /// Packages of the base that are replaced or removed, sorted by name.
    pub replaced: Vec<ReplacedPackage>,
    /// Files that have to be read, by package.
    pub wanted: BTreeMap<String, BTreeSet<String>>,
}

/// Looks at the archives of `records`, which come in topological order, and decides who lays what beside the packages that the base keeps.
///
/// # Errors
/// Archives that cannot be used; a file against a directory.
pub async fn laid(
    records: &[&RepoDataRecord],
    python: Option<&Python>,
    kept: &[&ExistingPackage],
    removal: &Removal<'_>,
    transport: &Transport,
    world: &World<'_>,
) -> Result<Laid, Error> {
    let looked = look_at_all(records, transport, world).await?;
    let mut placements = Vec::with_capacity(records.len());
    for (record, looked) in records.iter().zip(&looked) {
        let name = record.package_record.name.as_normalized();
        let placement = placement::placement(&looked.info, python);
        placements.push((name, placement.map_err(|error| Error::from(error).while_doing(format!("cannot lay the conda package {name}")))?));
    }
    let kept = kept.iter().map(|existing| Ok((existing.name().as_normalized(), existing.paths()?))).collect::<Result<Vec<_>, Error>>()?;
    let clobbered = clobbered(&placements, &kept)?;
    let replaced = removal.replaced(&staying(records, &placements, &kept, removal));
    let mut packages = Vec::with_capacity(records.len());
    let mut wanted = BTreeMap::new();
    for ((record, looked), (name, placement)) in records.iter().zip(&looked).zip(&placements) {
        let clobbered = clobbered.get(*name).cloned().unwrap_or_default();
        let laid_size = placement::laid_size(placement, Some(clobbered.as_slice()));
        let paths = placement.keys().filter(|path| clobbered.is_empty() || clobbered.binary_search(&path.to_string()).is_err());
        wanted.insert((*name).to_owned(), contents::wanted(paths.filter_map(|path| std::str::from_utf8(path.as_bytes()).ok())));
        packages.push(CondaPackage { clobbered, laid_size, ..described(record, looked) });
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Laid { packages, replaced, wanted })
}

async fn look_at_all(records: &[&RepoDataRecord], transport: &Transport, world: &World<'_>) -> Result<Vec<Looked>, Error> {
    let task = &world.progress.begin(&format!("look at {} conda packages", records.len()), None);
    let looking = records.iter().enumerate().map(|(index, record)| async move {
        let name = || format!("cannot look at the conda package {}", record.package_record.name.as_normalized());
        let looked = look(record, &**task, transport, world).await.and_then(|looked| same_package(record, looked));
        looked.map(|looked| (index, looked)).map_err(|error| error.while_doing(name()))
    });
    let mut looked: Vec<(usize, Looked)> = stream::iter(looking).buffer_unordered(PARALLEL).try_collect().await?;
    looked.sort_by_key(|(index, _)| *index);
    Ok(looked.into_iter().map(|(_, looked)| looked).collect())
}

/// Checks that an archive holds the package that the index says it holds.
fn same_package(record: &RepoDataRecord, looked: Looked) -> Result<Looked, Error> {
    let (index, package) = (&looked.info.index, &record.package_record);
    if index.name == package.name && index.version == package.version && index.build == package.build {
        return Ok(looked);
    }
    let found = format!("{} {} {}", index.name.as_normalized(), index.version, index.build);
    let expected = format!("{} {} {}", package.name.as_normalized(), package.version, package.build);
    Err(FetchError::OtherPackage { file: record.identifier.to_file_name(), expected, found }.into())
}

/// A package that the base keeps, and its paths.
type Kept<'a> = (&'a str, Vec<String>);

/// By package, the paths that it leaves to another. Those of packages that the base keeps stay theirs.
fn clobbered(placements: &[(&str, Placement<'_>)], kept: &[Kept<'_>]) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut claims: Vec<(&str, Claims)> = placements.iter().map(|(name, placement)| (*name, placement::claims(placement))).collect();
    let ours: BTreeSet<ImagePath> = claims.iter().flat_map(|(_, claims)| claims.keys().cloned()).collect();
    for (name, paths) in kept {
        // The base's own packages get along: only what concerns ours matters.
        let shared: Claims =
            paths.iter().filter_map(|path| ImagePath::parse(path).ok()).filter(|path| ours.contains(path)).map(|path| (path, false)).collect();
        if !shared.is_empty() {
            claims.push((name, shared));
        }
    }
    Ok(placement::clobbered(&claims)?)
}

/// What is in the environment in the end: laid, records included, or of packages that the base keeps.
fn staying(records: &[&RepoDataRecord], placements: &[(&str, Placement<'_>)], kept: &[Kept<'_>], removal: &Removal<'_>) -> Staying {
    let kept = kept.iter().flat_map(|(_, paths)| paths).filter_map(|path| Some((removal.real(path)?, removal.is_directory(path))));
    let laid = placements.iter().flat_map(|(_, placement)| placement);
    let laid = laid.filter_map(|(path, placed)| Some((removal.place(path.as_bytes())?, placed.is_directory())));
    let records = records.iter().filter_map(|record| {
        let package = &record.package_record;
        let name = format!("{CONDA_META}/{}-{}-{}.json", package.name.as_normalized(), package.version, package.build);
        Some((removal.place(name)?, false))
    });
    kept.chain(laid).chain(records).collect()
}

/// What the lock says of a package.
fn described(record: &RepoDataRecord, looked: &Looked) -> CondaPackage {
    let package = &record.package_record;
    let info: &PackageInfo = &looked.info;
    let url = channel::without_credentials(&record.url);
    CondaPackage {
        name: package.name.as_normalized().to_owned(),
        version: package.version.to_string(),
        build: package.build.to_string(),
        channel: channel_of(&url, &package.subdir),
        subdir: package.subdir.clone(),
        url,
        sha256: looked.sha256,
        md5_only: looked.md5_only,
        size: looked.size,
        timestamp: package.timestamp.and_then(|time| Timestamp::from_millisecond(time.timestamp_millis()).ok()),
        noarch: info.noarch(),
        depends: (package.depends != info.index.depends).then(|| package.depends.clone()),
        constrains: (package.constrains != info.index.constrains).then(|| package.constrains.clone()),
        laid_size: 0,
        clobbered: Vec::new(),
        link_scripts: info.link_scripts(),
    }
}

/// The channel of an archive: its URL up to the subdirectory.
fn channel_of(url: &Url, subdir: &str) -> String {
    let text = url.as_str();
    let parent = text.rsplit_once('/').map_or(text, |(parent, _)| parent);
    parent.strip_suffix(subdir).unwrap_or(parent).trim_end_matches('/').to_owned()
}
