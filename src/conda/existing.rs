//! The environment that a base already has: its packages, read out of the records that the base's index kept.

use std::io::Read;
use std::sync::Arc;

use rattler_conda_types::{PackageName, PrefixRecord, RepoDataRecord};
use serde::de::DeserializeOwned;

use crate::base::Index;
use crate::base::index::{Entry, Node};
use crate::error::{Fault, Kind};
use crate::image_path::ImagePath;

/// Directory of a prefix that holds the records of its packages.
pub const RECORDS: &str = "conda-meta";

/// Which files of a base are such records, wherever its environments lie: a pattern for the base's index.
pub const RECORD_PATTERN: &str = "**/conda-meta/*.json";

/// Where its history is: likewise.
pub const HISTORY_PATTERN: &str = "**/conda-meta/history";

/// Largest record that is read. That of a package with 100,000 files has about 30 MB.
pub const LARGEST_RECORD: u64 = 64 << 20;

/// A package that the base has in the environment.
#[derive(Debug, Clone)]
pub struct ExistingPackage {
    /// What the record says of the package.
    pub record: RepoDataRecord,
    /// The record's path, relative to the prefix.
    pub record_path: String,
    packed: Arc<[u8]>,
}

/// A record of the base cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the base's conda record {path:?} cannot be read: {why}")]
pub struct UnreadableRecord {
    path: ImagePath,
    why: String,
}

impl UnreadableRecord {
    /// Why, as the rest of a sentence.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl Fault for UnreadableRecord {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("the environment of the base is damaged: `conda list` would fail there too".to_owned())
    }
}

/// The packages of the environment in `prefix`, sorted by name; none where the base has no environment there.
///
/// # Errors
/// Records that are damaged.
pub fn packages(index: &Index, prefix: &ImagePath) -> Result<Vec<ExistingPackage>, UnreadableRecord> {
    let package = |(path, packed): &(ImagePath, Arc<[u8]>)| Ok(existing(path, parsed(path, packed)?, packed));
    let mut packages: Vec<_> = records(index, prefix).iter().map(package).collect::<Result<_, _>>()?;
    packages.sort_by(|a, b| a.record.package_record.name.as_normalized().cmp(b.record.package_record.name.as_normalized()));
    Ok(packages)
}

/// A package, and all its paths.
pub type Whole = (ExistingPackage, Vec<String>);

/// The records of the environment in `prefix`, each with its path: the package and all its paths, or why it is none.
pub fn whole(index: &Index, prefix: &ImagePath) -> impl Iterator<Item = (ImagePath, Result<Whole, UnreadableRecord>)> {
    records(index, prefix).into_iter().map(|(path, packed)| {
        let record: Result<PrefixRecord, _> = parsed(&path, &packed);
        let whole = record.map(|record| (existing(&path, record.repodata_record.clone(), &packed), paths(&record)));
        (path, whole)
    })
}

/// The records of the environment in `prefix`, each with its path.
fn records(index: &Index, prefix: &ImagePath) -> Vec<(ImagePath, Arc<[u8]>)> {
    let real = prefix.join(RECORDS).ok().and_then(|directory| index.resolve(&directory));
    let in_directory = |real: &ImagePath| -> Vec<(ImagePath, Arc<[u8]>)> {
        let records = index.below(real).filter(|(path, _)| path.parent().as_ref() == Some(real));
        records.filter_map(|(path, entry)| Some((path.clone(), packed(entry)?.clone()))).collect()
    };
    real.as_ref().map(in_directory).unwrap_or_default()
}

/// What the history of that environment says of requests, line by line: when something changed, the commands, and the specs that conda still
/// honours. Which packages came and went is left out.
pub fn history(index: &Index, prefix: &ImagePath) -> Vec<String> {
    let file = prefix.join(format!("{RECORDS}/history")).ok();
    let text = file.and_then(|file| index.content(&file)).map(String::from_utf8_lossy).unwrap_or_default();
    text.lines().filter(|line| line.starts_with(['=', '#'])).map(|line| line.trim_end().to_owned()).collect()
}

fn packed(entry: &Entry) -> Option<&Arc<[u8]>> {
    match &entry.node {
        Node::File(file) => file.packed.as_ref(),
        _ => None,
    }
}

fn existing(path: &ImagePath, record: RepoDataRecord, packed: &Arc<[u8]>) -> ExistingPackage {
    ExistingPackage { record, record_path: format!("{RECORDS}/{}", String::from_utf8_lossy(path.name())), packed: packed.clone() }
}

fn parsed<T: DeserializeOwned>(path: &ImagePath, packed: &[u8]) -> Result<T, UnreadableRecord> {
    let unreadable = |why: String| UnreadableRecord { path: path.clone(), why };
    let text = unpack(packed).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
}

/// All paths of a record, sorted.
fn paths(record: &PrefixRecord) -> Vec<String> {
    let listed = record.paths_data.paths.iter().map(|entry| &entry.relative_path);
    // Records of old have the plain list alone; newer ones list compiled files only there.
    let mut paths: Vec<_> = listed.chain(&record.files).map(|path| path.to_string_lossy().into_owned()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    zstd::stream::read::Decoder::new(packed)?.take(LARGEST_RECORD).read_to_end(&mut text)?;
    Ok(text)
}

impl ExistingPackage {
    /// The package's name.
    pub fn name(&self) -> &PackageName {
        &self.record.package_record.name
    }

    /// All paths that the package has in the environment, relative to the prefix, as its record lists them.
    ///
    /// # Errors
    /// A record whose list of files is damaged.
    pub fn paths(&self) -> Result<Vec<String>, UnreadableRecord> {
        let path = ImagePath::parse(&self.record_path).unwrap_or_default();
        Ok(paths(&parsed(&path, &self.packed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::index::{Attributes, File};

    fn record(name: &str, more: &str) -> Node {
        let text = format!(
            r#"{{"name": "{name}", "version": "1.2", "build": "h1_0", "build_number": 0, "subdir": "linux-64", "depends": ["python >=3"],
                "fn": "{name}-1.2-h1_0.conda", "url": "https://conda.anaconda.org/conda-forge/linux-64/{name}-1.2-h1_0.conda",
                "channel": "https://conda.anaconda.org/conda-forge/linux-64", "requested_spec": "None"{more}}}"#
        );
        let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
        Node::File(File { size: text.len() as u64, packed: Some(packed.into()), ..File::default() })
    }

    fn index(entries: Vec<(&'static str, Node)>) -> Index {
        let attributes = Attributes { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
        entries.into_iter().map(|(path, node)| (ImagePath::literal(path), Entry { attributes, node })).collect()
    }

    #[test]
    fn records_are_read_behind_links_and_in_the_prefix_alone() {
        let files = r#", "files": ["lib/a", "lib/__pycache__/a.pyc"], "paths_data": {"paths_version": 1, "paths": [
            {"_path": "lib/a", "path_type": "hardlink", "sha256": null}, {"_path": "lib/b", "path_type": "softlink"}]}"#;
        let index = index(vec![
            ("opt/conda", Node::Symlink(b"/usr/lib/miniconda".as_slice().into())),
            ("usr/lib/miniconda/conda-meta/zlib-1.2-h1_0.json", record("zlib", files)),
            ("usr/lib/miniconda/conda-meta/Attrs-1.2-h1_0.json", record("attrs", "")),
            ("usr/lib/miniconda/conda-meta/history", Node::File(File::default())),
            ("usr/lib/miniconda/conda-meta/old/x-1.2-h1_0.json", record("x", "")),
            ("usr/lib/miniconda/envs/other/conda-meta/y-1.2-h1_0.json", record("y", "")),
        ]);
        let found = packages(&index, &ImagePath::literal("opt/conda")).unwrap();
        let names: Vec<_> = found.iter().map(|package| (package.record.package_record.name.as_normalized(), package.record_path.as_str())).collect();
        assert_eq!(names, [("attrs", "conda-meta/Attrs-1.2-h1_0.json"), ("zlib", "conda-meta/zlib-1.2-h1_0.json")]);
        assert_eq!(found[1].paths().unwrap(), ["lib/__pycache__/a.pyc", "lib/a", "lib/b"]);
        assert!(packages(&index, &ImagePath::literal("opt/none")).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_record_is_named() {
        let damaged = Node::File(File { packed: Some(zstd::encode_all(&b"{\"name\": 1}"[..], 3).unwrap().into()), ..File::default() });
        let index = index(vec![("opt/conda/conda-meta/x-1-0.json", damaged)]);
        let error = packages(&index, &ImagePath::literal("opt/conda")).unwrap_err();
        assert!(error.to_string().contains("/opt/conda/conda-meta/x-1-0.json"), "{error}");
    }
}
