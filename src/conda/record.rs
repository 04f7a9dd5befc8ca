//! The record of a laid package in `conda-meta`, from which conda, mamba and pip know it. It names no path, time, user or secret of this machine.

use std::sync::Arc;

use rattler_conda_types::package::DistArchiveIdentifier;
use rattler_conda_types::{PackageRecord, PrefixRecord, RepoDataRecord};
use serde_json::{Value, json};

use super::installed::Installed;
use super::package::{Package, PackageComponent};
use super::package_error::PackageError;
use crate::digest::Digest;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::json;
use crate::layer::{Content, Entry};
use crate::lock::DirectoryRule;
use crate::plan::{Component, Laid, MTIME, recipe};

/// Where the records lie, relative to the prefix.
pub const CONDA_META: &str = "conda-meta";

/// The component of a package's record, in the same layer as the package's files.
pub struct RecordComponent(Arc<Package>);

impl RecordComponent {
    /// The record of `package`. It belongs after the package's own component: else the archive is read twice.
    pub fn new(package: &PackageComponent) -> Self {
        RecordComponent(package.0.clone())
    }

    fn place(&self) -> Result<ImagePath, PackageError> {
        let name = format!("{CONDA_META}/{}.json", self.0.locked.record_name());
        self.0.prefix.join(&name).map_err(|error| PackageError::path(&name, error.reason))
    }
}

impl Component for RecordComponent {
    fn name(&self) -> String {
        format!("record of {}", self.0.name())
    }

    fn key(&self) -> Value {
        let locked = &self.0.locked;
        json!({
            "record": self.0.key(),
            "url": locked.url.as_str(),
            "channel": locked.channel,
            "subdir": locked.subdir,
            "size": locked.size,
            "depends": locked.depends,
            "constrains": locked.constrains,
        })
    }

    fn inputs(&self) -> Vec<Digest> {
        vec![self.0.locked.sha256]
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        vec![self.0.root()]
    }

    fn claims(&self) -> Vec<ImagePath> {
        self.place().into_iter().collect()
    }

    fn recipe(&self) -> Option<Value> {
        // The package stands before it in the layer.
        recipe("conda-record", &self.0.locked.record_name())
    }

    fn lay(&self, inputs: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let installed = self.0.installed(inputs)?;
        let doing = || format!("cannot write the record of the conda package {}", self.0.locked.record_name());
        let text = record(&self.0, installed).map_err(|error| Error::from(error).while_doing(doing()))?;
        let (uid, gid) = self.0.owner;
        Ok(vec![(self.place()?, Entry::file(Content::inline(text), 0o644, uid, gid, MTIME))])
    }
}

/// The text of the record.
fn record(package: &Package, installed: Installed) -> Result<Vec<u8>, PackageError> {
    let locked = &package.locked;
    let index = |error: String| PackageError::info("index.json", error);
    let sha256 = (*locked.sha256.as_bytes()).into();
    let mut record = PackageRecord::from_index_json(installed.index, Some(locked.size), Some(sha256), None)
        .map_err(|error| index(format!("has no platform: {error}")))?;
    record.subdir.clone_from(&locked.subdir);
    record.depends = locked.depends.clone().unwrap_or(record.depends);
    record.constrains = locked.constrains.clone().unwrap_or(record.constrains);
    let identifier: DistArchiveIdentifier =
        locked.file_name().parse().map_err(|error| index(format!("is of an archive whose name cannot be read: {error}")))?;
    let record = RepoDataRecord { package_record: record, identifier, url: locked.url.clone(), channel: Some(locked.channel.clone()) };
    let mut paths = installed.paths;
    paths.sort_by(|a, b| a.relative_path.cmp(&b.relative_path));
    let record = PrefixRecord::from_repodata_record(record, paths);
    let value = serde_json::to_value(&record).map_err(|error| index(format!("cannot be written again: {error}")))?;
    Ok(json::pretty(value).into_bytes())
}
