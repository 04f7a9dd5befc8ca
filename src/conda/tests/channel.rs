//! A channel, and packages for it, written by rattler's own writers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rattler_conda_types::compression_level::CompressionLevel;
use rattler_digest::{Md5, Sha256, compute_bytes_digest};
use rattler_package_streaming::write::{write_conda_package, write_tar_bz2_package};
use serde_json::{Map, Value, json};

use crate::registry::testing::TestRegistry;

/// A package to be written.
#[derive(Clone)]
pub struct TestPackage {
    pub name: String,
    pub version: String,
    pub build: String,
    pub build_number: u64,
    pub noarch: Option<&'static str>,
    pub depends: Vec<String>,
    pub constrains: Vec<String>,
    pub files: Vec<(String, Vec<u8>)>,
    pub tar_bz2: bool,
}

impl TestPackage {
    pub fn new(name: &str, version: &str) -> Self {
        TestPackage {
            name: name.to_owned(),
            version: version.to_owned(),
            build: "h1_0".to_owned(),
            build_number: 0,
            noarch: None,
            depends: Vec::new(),
            constrains: Vec::new(),
            files: vec![(format!("share/{name}.txt"), format!("{name} {version}\n").into_bytes())],
            tar_bz2: false,
        }
    }

    pub fn depends(mut self, depends: &[&str]) -> Self {
        self.depends = depends.iter().map(|depend| (*depend).to_owned()).collect();
        self
    }

    pub fn noarch(mut self, kind: &'static str) -> Self {
        self.noarch = Some(kind);
        self
    }

    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    pub fn tar_bz2(mut self) -> Self {
        self.tar_bz2 = true;
        self
    }

    fn subdir(&self) -> &'static str {
        if self.noarch.is_some() { "noarch" } else { "linux-64" }
    }

    fn stem(&self) -> String {
        format!("{}-{}-{}", self.name, self.version, self.build)
    }

    fn index(&self) -> Value {
        let mut index = json!({
            "name": self.name, "version": self.version, "build": self.build, "build_number": self.build_number, "subdir": self.subdir(),
            "depends": self.depends, "constrains": self.constrains, "timestamp": 1_700_000_000_000_i64,
        });
        if let Some(noarch) = self.noarch {
            index["noarch"] = json!(noarch);
        }
        index
    }

    /// Writes the archive into `directory`, and gives its file name.
    fn write(&self, directory: &Path) -> String {
        let tree = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        let mut entries = Vec::new();
        for (path, content) in &self.files {
            put(tree.path(), path, content);
            paths.push(tree.path().join(path));
            let sha256 = compute_bytes_digest::<Sha256>(content);
            entries.push(json!({"_path": path, "path_type": "hardlink", "sha256": hex(&sha256), "size_in_bytes": content.len()}));
        }
        let list: String = self.files.iter().map(|(path, _)| format!("{path}\n")).collect();
        let mut info = vec![
            ("info/index.json", self.index().to_string()),
            ("info/paths.json", json!({"paths_version": 1, "paths": entries}).to_string()),
            ("info/files", list),
        ];
        if self.noarch == Some("python") {
            info.push(("info/link.json", json!({"noarch": {"type": "python"}, "package_metadata_version": 1}).to_string()));
        }
        for (path, content) in &info {
            put(tree.path(), path, content.as_bytes());
            paths.push(tree.path().join(path));
        }
        let name = format!("{}.{}", self.stem(), if self.tar_bz2 { "tar.bz2" } else { "conda" });
        let file = File::create(directory.join(&name)).unwrap();
        if self.tar_bz2 {
            write_tar_bz2_package(file, tree.path(), &paths, CompressionLevel::Default, None, None).unwrap();
        } else {
            write_conda_package(file, tree.path(), &paths, CompressionLevel::Default, None, &self.stem(), None, None).unwrap();
        }
        name
    }
}

fn put(root: &Path, path: &str, content: &[u8]) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A channel in a directory.
pub struct TestChannel {
    pub directory: PathBuf,
    indexes: [Value; 2],
}

const SUBDIRS: [&str; 2] = ["linux-64", "noarch"];

impl TestChannel {
    /// A channel of these packages.
    pub fn write(directory: PathBuf, packages: &[TestPackage]) -> Self {
        let indexes = SUBDIRS.map(|subdir| {
            fs::create_dir_all(directory.join(subdir)).unwrap();
            json!({"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "repodata_version": 1})
        });
        let mut channel = TestChannel { directory, indexes };
        packages.iter().for_each(|package| channel.add(package));
        channel.write_indexes();
        channel
    }

    fn add(&mut self, package: &TestPackage) {
        let directory = self.directory.join(package.subdir());
        let name = package.write(&directory);
        let bytes = fs::read(directory.join(&name)).unwrap();
        let mut record = package.index();
        record["md5"] = json!(hex(&compute_bytes_digest::<Md5>(&bytes)));
        record["sha256"] = json!(hex(&compute_bytes_digest::<Sha256>(&bytes)));
        record["size"] = json!(bytes.len());
        let key = if package.tar_bz2 { "packages" } else { "packages.conda" };
        self.indexes[usize::from(package.noarch.is_some())][key][name] = record;
    }

    /// Changes the index's entries of a package, and writes the index again.
    pub fn patch(&mut self, name: &str, change: impl Fn(&mut Map<String, Value>)) {
        for index in &mut self.indexes {
            for key in ["packages", "packages.conda"] {
                let records = index[key].as_object_mut().unwrap();
                records.values_mut().filter(|record| record["name"] == name).for_each(|record| change(record.as_object_mut().unwrap()));
            }
        }
        self.write_indexes();
    }

    /// Takes a package out of the index.
    pub fn remove(&mut self, name: &str, version: &str) {
        for index in &mut self.indexes {
            for key in ["packages", "packages.conda"] {
                index[key].as_object_mut().unwrap().retain(|_, record| record["name"] != name || record["version"] != version);
            }
        }
        self.write_indexes();
    }

    fn write_indexes(&self) {
        for (subdir, index) in SUBDIRS.iter().zip(&self.indexes) {
            fs::write(self.directory.join(subdir).join("repodata.json"), index.to_string()).unwrap();
        }
    }

    pub fn url(&self) -> String {
        super::url_of(&self.directory)
    }

    /// Puts all files of the channel on a server below `path`, and gives the channel's URL.
    pub fn serve(&self, server: &TestRegistry, path: &str) -> String {
        for subdir in SUBDIRS {
            for entry in fs::read_dir(self.directory.join(subdir)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                server.put_file(&format!("{path}/{subdir}/{name}"), "application/octet-stream", fs::read(entry.path()).unwrap());
            }
        }
        server.url(path)
    }

    /// Writes the indexes compressed, and takes the plain ones away.
    pub fn compress(&self) {
        for subdir in SUBDIRS {
            let plain = self.directory.join(subdir).join("repodata.json");
            let packed = zstd::encode_all(fs::read(&plain).unwrap().as_slice(), 3).unwrap();
            fs::write(self.directory.join(subdir).join("repodata.json.zst"), packed).unwrap();
            fs::remove_file(plain).unwrap();
        }
    }

    /// Puts the archives and a sharded index (CEP 16) on a server, no other index, and gives the channel's URL.
    pub fn serve_shards(&self, server: &TestRegistry, path: &str) -> String {
        for (subdir, index) in SUBDIRS.iter().zip(&self.indexes) {
            let mut shards: BTreeMap<String, Value> = BTreeMap::new();
            for key in ["packages", "packages.conda"] {
                for (file, record) in index[key].as_object().unwrap() {
                    let name = record["name"].as_str().unwrap().to_owned();
                    let shard = shards.entry(name).or_insert_with(|| json!({"packages": {}, "packages.conda": {}, "removed": []}));
                    shard[key][file] = record.clone();
                    let bytes = fs::read(self.directory.join(subdir).join(file)).unwrap();
                    server.put_file(&format!("{path}/{subdir}/{file}"), "application/octet-stream", bytes);
                }
            }
            let mut digests = Map::new();
            for (name, shard) in shards {
                let packed = packed(&shard);
                let digest = hex(&compute_bytes_digest::<Sha256>(&packed));
                server.put_file(&format!("{path}/{subdir}/shards/{digest}.msgpack.zst"), "application/octet-stream", packed);
                digests.insert(name, json!(digest));
            }
            let url = server.url(&format!("{path}/{subdir}/"));
            let index = json!({"info": {"subdir": subdir, "base_url": url, "shards_base_url": format!("{url}shards/")}, "shards": digests});
            server.put_file(&format!("{path}/{subdir}/repodata_shards.msgpack.zst"), "application/octet-stream", packed(&index));
        }
        server.url(path)
    }
}

fn packed(value: &Value) -> Vec<u8> {
    zstd::encode_all(rmp_serde::to_vec_named(value).unwrap().as_slice(), 3).unwrap()
}
