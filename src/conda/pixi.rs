//! `pixi.lock`, taken as it is: the packages of its environment `default` for linux-64.

use std::collections::BTreeSet;
use std::path::Path;

use rattler_conda_types::{RepoDataRecord, Subdir};
use rattler_lock::{CondaPackageData, Environment, LockFile};
use url::Url;

use super::channel;
use crate::error::Problem;

/// Largest pixi.lock that is read, in bytes.
pub const MAX_SIZE: u64 = 64 << 20;

/// What a pixi.lock holds for an image.
#[derive(Debug)]
pub struct Pixi {
    /// The environment's channels, without credentials.
    pub channels: Vec<String>,
    /// Its packages, sorted by name.
    pub records: Vec<RepoDataRecord>,
}

/// Reads the text of a pixi.lock that lies in `directory`.
///
/// # Errors
/// What is wrong with it, without a place.
pub fn parse(text: &str, directory: &Path) -> Result<Pixi, Problem> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let file = LockFile::from_str_with_base_directory(text, Some(&directory));
    let file = file.map_err(|error| Problem::new(format!("this is not a pixi.lock: {error}")).help("make it anew with `pixi lock`"))?;
    let Some(environment) = file.default_environment() else {
        let names: Vec<_> = file.environments().map(|(name, _)| name.to_owned()).collect();
        return Err(Problem::new(format!("this pixi.lock has no environment `default`, only {}", names.join(", "))));
    };
    let of_platform = environment.platforms().filter(|platform| platform.subdir() == Subdir::Linux64);
    // One of the plain name goes before those that pixi knows by names of their own.
    let Some(platform) = of_platform.min_by_key(|platform| platform.name().as_str() != Subdir::Linux64.as_str()) else {
        let names: Vec<_> = environment.platforms().map(|platform| platform.name().to_string()).collect();
        let message = format!("the environment `default` of this pixi.lock is not for linux-64, only for {}", names.join(", "));
        return Err(Problem::new(message).help("add the platform: `pixi workspace platform add linux-64`"));
    };
    refuse_others(&environment, platform)?;
    let records = environment.conda_repodata_records(platform).map_err(|error| Problem::new(format!("this pixi.lock cannot be taken: {error}")))?;
    let mut records = records.unwrap_or_default();
    records.sort_by(|a, b| a.package_record.name.as_normalized().cmp(b.package_record.name.as_normalized()));
    let mut seen = BTreeSet::new();
    if let Some(double) = records.iter().find(|record| !seen.insert(record.package_record.name.as_normalized().to_owned())) {
        return Err(Problem::new(format!("this pixi.lock has the package {} twice", double.package_record.name.as_normalized())));
    }
    for record in &mut records {
        record.url = channel::without_credentials(&record.url);
    }
    let channels = environment.channels().iter().map(|channel| plain(&channel.url)).collect();
    Ok(Pixi { channels, records })
}

fn plain(text: &str) -> String {
    match text.parse::<Url>() {
        Ok(url) => channel::without_credentials(&url).as_str().trim_end_matches('/').to_owned(),
        Err(_) => text.to_owned(),
    }
}

/// What is not a conda package of a channel would be lost.
fn refuse_others<'lock>(environment: &Environment<'lock>, platform: rattler_lock::Platform<'lock>) -> Result<(), Problem> {
    let mut pypi: Vec<_> = environment.pypi_packages(platform).into_iter().flatten().map(|package| package.name().to_string()).collect();
    if !pypi.is_empty() {
        pypi.sort_unstable();
        let message = format!("the environment `default` of this pixi.lock has PyPI packages, which are not laid: {}", pypi.join(", "));
        let help = "take them out of `[pypi-dependencies]` in pixi.toml, and name the conda packages of the same projects";
        return Err(Problem::new(message).label("has PyPI packages").help(help));
    }
    let packages = environment.conda_packages(platform).into_iter().flatten();
    let mut sources: Vec<_> =
        packages.filter(|package| matches!(package, CondaPackageData::Source(_))).map(|package| package.name().as_normalized().to_owned()).collect();
    if !sources.is_empty() {
        sources.sort_unstable();
        let message = format!("the environment `default` of this pixi.lock has packages that pixi builds from source: {}", sources.join(", "));
        return Err(Problem::new(message).label("has source packages").help("build them, and name the channel that holds them"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "version: 6\nenvironments:\n  default:\n    channels:\n    - url: https://u:hunter2@conda.anaconda.org/conda-forge/\n    packages:\n      linux-64:\n";
    const ZLIB: &str = "https://conda.anaconda.org/conda-forge/linux-64/zlib-1.3.1-hb9d3cd8_2.conda";

    fn locked(more_refs: &str, more_packages: &str) -> String {
        let sha256 = "5a".repeat(32);
        let package = format!(
            "- conda: {ZLIB}\n  sha256: {sha256}\n  md5: c9f075ab2f33b3bbee9e62d4ad0a6cd8\n  depends:\n  - __glibc >=2.17,<3.0.a0\n  size: 92286\n  timestamp: 1727963153079\n"
        );
        format!("{HEAD}      - conda: {ZLIB}\n{more_refs}packages:\n{package}{more_packages}")
    }

    #[test]
    fn packages_are_taken_with_their_digests() {
        let pixi = parse(&locked("", ""), Path::new("/x")).unwrap();
        assert_eq!(pixi.channels, ["https://conda.anaconda.org/conda-forge"]);
        let record = &pixi.records[0];
        assert_eq!((record.package_record.name.as_normalized(), record.package_record.size), ("zlib", Some(92286)));
        assert_eq!(record.package_record.sha256.unwrap()[0], 0x5a);
        assert_eq!(record.url.as_str(), ZLIB);
    }

    #[test]
    fn what_would_be_lost_is_an_error() {
        let wheel = "https://files.pythonhosted.org/packages/aa/bb/six-1.17.0-py2.py3-none-any.whl";
        let package = format!("- pypi: {wheel}\n  name: six\n  version: 1.17.0\n  sha256: {}\n", "4a".repeat(32));
        let problem = parse(&locked(&format!("      - pypi: {wheel}\n"), &package), Path::new("/x")).unwrap_err();
        assert!(problem.message.ends_with("not laid: six"), "{}", problem.message);
        for text in ["", "version: 6", "version: 6\nenvironments: {}\npackages: []\n", "x: ["] {
            assert!(parse(text, Path::new("/x")).is_err(), "{text}");
        }
        let other = locked("", "").replace("linux-64:", "osx-64:");
        assert!(parse(&other, Path::new("/x")).unwrap_err().message.contains("only for osx-64"));
    }
}
