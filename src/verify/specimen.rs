//! Images for tests, from a short description: a good one, and changes to it. They are made with the library and read as any other image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Subject};
use super::report::{Report, judge};
use crate::base::{BlobReader, Blobs, SurveyedLayer, Verified};
use crate::contract::{BASE_PATH, ENTRYPOINT, GID, IMAGE_EXTENSIONS, UID, server_command};
use crate::description;
use crate::digest::Digest;
use crate::entrypoint::Entrypoint;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::layer::{self, Content, Entry, Tree};
use crate::lock::Facts;
use crate::manifest::{Compression, Descriptor, Family, IndexEntry, Manifest};
use crate::plan::MTIME;
use crate::progress::Silent;
use crate::store::Store;

/// An image in the making. Changes act on the top layer.
#[derive(Debug, Clone)]
pub struct Specimen {
    os: String,
    architecture: String,
    config: Map<String, Value>,
    layers: Vec<Tree>,
    family: Family,
    compression: Compression,
    index_entries: Vec<IndexEntry>,
    adjustment: Option<fn(&mut Evidence)>,
}

/// Header of an ELF file for this machine: no program, but told from one only by running it.
pub fn elf(machine: u16) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(64, 0);
    header[16] = 2;
    header[18..20].copy_from_slice(&machine.to_le_bytes());
    header
}

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).expect("a path of a test")
}

impl Specimen {
    /// An image without layers that says nothing.
    pub fn empty() -> Self {
        Specimen {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            config: Map::new(),
            layers: vec![Tree::new()],
            family: Family::Oci,
            compression: Compression::Gzip,
            index_entries: Vec::new(),
            adjustment: None,
        }
    }

    /// An image that breaks no rule: an account, a shell, the editor in a conda environment, one extension.
    pub fn good() -> Self {
        let launcher =
            "#!/bin/bash\nPREFIX=$(dirname \"$(dirname \"$0\")\")\nnode \"$PREFIX/share/sagemaker-code-editor/out/server-main.js\" \"$@\"\n";
        let mut image = Specimen::empty();
        for directory in
            ["etc", "usr", "usr/bin", "home", "opt", "opt/conda", "opt/conda/bin", "opt/conda/conda-meta", "opt/amazon", "var", "var/log"]
        {
            image = image.directory(directory, 0o755, (0, 0));
        }
        let extensions = &IMAGE_EXTENSIONS[1..];
        let extension = json!({"publisher": "acme", "name": "hello", "version": "1.2.3", "engines": {"vscode": "^1.90.0"}}).to_string();
        image
            .directory("tmp", 0o1777, (0, 0))
            .directory("home/sagemaker-user", 0o755, (UID, GID))
            .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nsagemaker-user:x:1000:100::/home/sagemaker-user:/bin/bash\n")
            .file("etc/group", 0o644, "root:x:0:\nusers:x:100:\n")
            .link("bin", "usr/bin")
            .file("usr/bin/sh", 0o755, elf(62))
            .file("usr/bin/bash", 0o755, elf(62))
            .file("usr/bin/env", 0o755, elf(62))
            .file("opt/conda/bin/node", 0o755, elf(62))
            .file("opt/conda/bin/sagemaker-code-editor", 0o755, launcher)
            .file(&ENTRYPOINT[1..], 0o755, entrypoint())
            .file("opt/conda/conda-meta/history", 0o644, "")
            .file("opt/conda/share/sagemaker-code-editor/out/server-main.js", 0o644, "")
            .file("opt/conda/share/sagemaker-code-editor/package.json", 0o644, r#"{"name":"code-editor","version":"1.101.2"}"#)
            .owned(&format!("{extensions}/acme.hello-1.2.3/package.json"), 0o644, (UID, GID), extension)
            .owned(&format!("{extensions}/extensions.json"), 0o644, (UID, GID), listed(&[("acme.hello", "1.2.3")]))
            .set("User", "1000:100")
            .set("WorkingDir", "/home/sagemaker-user")
            .set("ExposedPorts", json!({"8888/tcp": {}}))
            .set("Env", json!(["PATH=/opt/conda/bin:/usr/local/bin:/usr/bin:/bin", "HOME=/home/sagemaker-user", "USER=sagemaker-user"]))
            .set("Entrypoint", json!([ENTRYPOINT]))
            .set("Cmd", json!(server_command(BASE_PATH, &[])))
    }

    /// With another architecture in its config.
    pub fn architecture(self, architecture: &str) -> Self {
        Specimen { architecture: architecture.to_owned(), ..self }
    }

    /// With media types of this family.
    pub fn family(self, family: Family) -> Self {
        Specimen { family, ..self }
    }

    /// With layers packed so.
    pub fn compression(self, compression: Compression) -> Self {
        Specimen { compression, ..self }
    }

    /// Reached through an index that lists these.
    pub fn in_index(self, index_entries: Vec<IndexEntry>) -> Self {
        Specimen { index_entries, ..self }
    }

    /// With a change to what the rules look at, for what cannot be made in a test, such as an image of 40 GB.
    pub fn adjusted(self, adjustment: fn(&mut Evidence)) -> Self {
        Specimen { adjustment: Some(adjustment), ..self }
    }

    /// With a key of `config`; null takes it away.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => drop(self.config.remove(key)),
            value => drop(self.config.insert(key.to_owned(), value)),
        }
        self
    }

    /// With a variable, in place of one of this name.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let variables = self.config.entry("Env").or_insert_with(|| json!([]));
        if let Value::Array(variables) = variables {
            variables.retain(|variable| variable.as_str().is_none_or(|variable| variable.split('=').next() != Some(name)));
            variables.push(json!(format!("{name}={value}")));
        }
        self
    }

    /// With one more layer.
    pub fn layer(mut self) -> Self {
        self.layers.push(Tree::new());
        self
    }

    /// On top of another image: its layers, and nothing else of it, come below.
    pub fn over(mut self, below: &Specimen) -> Self {
        self.layers.splice(0..0, below.layers.iter().cloned());
        self
    }

    /// With a file of root's.
    pub fn file(self, at: &str, mode: u16, content: impl AsRef<[u8]>) -> Self {
        self.owned(at, mode, (0, 0), content)
    }

    /// With a file.
    pub fn owned(self, at: &str, mode: u16, (uid, gid): (u32, u32), content: impl AsRef<[u8]>) -> Self {
        self.put(at, Entry::file(Content::inline(content.as_ref()), mode, uid, gid, MTIME))
    }

    /// With a directory.
    pub fn directory(self, at: &str, mode: u16, (uid, gid): (u32, u32)) -> Self {
        self.put(at, Entry::directory(mode, uid, gid, MTIME))
    }

    /// With a symbolic link.
    pub fn link(self, at: &str, target: &str) -> Self {
        self.put(at, Entry::symlink(target.as_bytes(), 0, 0, MTIME))
    }

    /// With a deletion of what the layers below have.
    pub fn whiteout(self, at: &str) -> Self {
        self.put(at, Entry::whiteout())
    }

    /// Without what it has here and below, in whatever layer.
    pub fn without(mut self, at: &str) -> Self {
        let gone = path(at);
        for tree in &mut self.layers {
            *tree = tree.iter().filter(|(path, _)| !path.starts_with(&gone)).map(|(path, entry)| (path.clone(), entry.clone())).collect();
        }
        self
    }

    fn put(mut self, at: &str, entry: Entry) -> Self {
        let place = path(at);
        let tree = self.layers.last_mut().expect("there is always a layer");
        // Directories above are in the tree, as every archiver writes them.
        for above in place.ancestors().filter(|above| !above.is_root()) {
            if tree.get(&above).is_none() {
                let (uid, gid) = (entry.uid, entry.gid);
                let (uid, gid) = if uid == UID { (uid, gid) } else { (0, 0) };
                tree.insert(above, Entry::directory(0o755, uid, gid, MTIME));
            }
        }
        tree.insert(place, entry);
        self
    }

    /// The image's documents and blobs.
    pub fn made(&self) -> Made {
        let mut blobs = BTreeMap::new();
        let mut put = |bytes: Vec<u8>| {
            let digest = Digest::of(&bytes);
            let size = bytes.len() as u64;
            blobs.insert(digest, Bytes::from(bytes));
            (digest, size)
        };
        let media_type = self.family.layer(self.compression).expect("the family has such layers");
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for tree in &self.layers {
            let (bytes, diff_id) = packed(tree, self.compression);
            let (digest, size) = put(bytes);
            layers.push(Descriptor::new(media_type, digest, size));
            diff_ids.push(diff_id);
        }
        let config = json!({
            "os": self.os, "architecture": self.architecture, "config": self.config, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let (digest, size) = put(config.to_string().into_bytes());
        let manifest =
            Manifest { family: self.family, config: Descriptor::new(self.family.config(), digest, size), layers, annotations: BTreeMap::new() };
        let (digest, _) = put(manifest.to_bytes());
        let Value::Object(config) = config else { unreachable!() };
        Made { digest, manifest, config, diff_ids, blobs: Arc::new(Memory(blobs)), index_entries: self.index_entries.clone() }
    }

    /// What the rules say of it.
    pub fn judged(&self) -> Report {
        judge(&self.evidence(), &BTreeSet::new())
    }

    /// What the rules look at.
    pub fn evidence(&self) -> Evidence {
        let gathered = in_new_store(async |store| Evidence::gather(&self.made().subject(), &store, &Silent).await);
        self.adjusted_evidence(gathered.expect("a good image"))
    }

    /// What the rules look at where so many of its uppermost layers were read before, and none is read now.
    pub fn known_evidence(&self, layers: usize) -> Evidence {
        self.adjusted_evidence(in_new_store(async |store| {
            let subject = self.made().subject();
            let mut upper = self.made().subject();
            upper.layers.drain(..subject.layers.len() - layers);
            Evidence::gather(&upper, &store, &Silent).await.expect("a good image");
            Evidence::known(&subject, &store).await
        }))
    }

    fn adjusted_evidence(&self, mut evidence: Evidence) -> Evidence {
        if let Some(adjust) = self.adjustment {
            adjust(&mut evidence);
        }
        evidence
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// The ids of the rules that it breaks, in order.
    pub fn broken(&self) -> Vec<String> {
        let ids: BTreeSet<String> = self.judged().findings.iter().map(|finding| finding.rule.id.to_owned()).collect();
        ids.into_iter().collect()
    }

    /// All that was found, for the messages of tests.
    pub fn shown(&self) -> String {
        let findings = self.judged().findings.into_iter();
        findings.map(|finding| format!("{} {}: {}", finding.rule.id, finding.subject, finding.what)).collect::<Vec<_>>().join("; ")
    }

    /// What the rule with this id found.
    pub fn found(&self, id: &str) -> Vec<String> {
        let findings = self.judged().findings.into_iter().filter(|finding| finding.rule.id == id);
        findings.map(|finding| format!("{}: {}", finding.subject, finding.what)).collect()
    }
}

fn in_new_store<T>(work: impl AsyncFnOnce(Store) -> T) -> T {
    let cache = tempfile::tempdir().expect("a directory");
    let store = Store::open(cache.path()).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work(store))
}

/// An image that is made.
pub struct Made {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    config: Map<String, Value>,
    diff_ids: Vec<Digest>,
    blobs: Arc<Memory>,
    index_entries: Vec<IndexEntry>,
}

impl Made {
    /// The image for the judge.
    pub fn subject(&self) -> Subject {
        let layers = self.manifest.layers.iter().zip(&self.diff_ids);
        let layers = layers.map(|(layer, diff_id)| SurveyedLayer { descriptor: layer.clone(), diff_id: *diff_id, blobs: self.blobs.clone() });
        Subject {
            name: "specimen".to_owned(),
            digest: self.digest,
            index_entries: self.index_entries.clone(),
            manifest: self.manifest.clone(),
            config: self.config.clone(),
            layers: layers.collect(),
        }
    }

    /// Writes the image as an OCI image layout.
    pub fn write_layout(&self, directory: &Path) {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a directory");
        for (digest, bytes) in &self.blobs.0 {
            fs::write(blobs.join(digest.hex()), bytes).expect("a file");
        }
        let size = self.blobs.0[&self.digest].len();
        let entry = json!({"mediaType": self.manifest.family.manifest(), "digest": self.digest, "size": size});
        fs::write(directory.join("index.json"), json!({"schemaVersion": 2, "manifests": [entry]}).to_string()).expect("a file");
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
    }
}

/// byoi's own start script, which links extensions into the space's volume.
fn entrypoint() -> String {
    let description = description::parse("byoi.toml", "schema = 1\nbase = \"scratch\"\n").expect("a description");
    Entrypoint::new(&description, &Facts::default()).expect("an entrypoint").script()
}

/// `extensions.json` that lists these ids and versions as the editor writes it.
pub fn listed(extensions: &[(&str, &str)]) -> String {
    let entry = |(id, version): &(&str, &str)| {
        let name = format!("{id}-{version}");
        json!({"identifier": {"id": id}, "version": version,
            "location": {"$mid": 1, "path": format!("{IMAGE_EXTENSIONS}/{name}"), "scheme": "file"}, "relativeLocation": name})
    };
    Value::from(extensions.iter().map(entry).collect::<Vec<_>>()).to_string()
}

fn packed(tree: &Tree, compression: Compression) -> (Vec<u8>, Digest) {
    let mut bytes = Vec::new();
    match compression {
        Compression::Gzip => {
            let packed = layer::pack(tree, NonZeroUsize::MIN, &mut bytes, &|_| {}).expect("a layer");
            (bytes, packed.diff_id)
        }
        Compression::None | Compression::Zstd => {
            layer::write_tar(tree, &mut bytes).expect("a layer");
            let diff_id = Digest::of(&bytes);
            let bytes = if compression == Compression::Zstd { zstd::encode_all(bytes.as_slice(), 1).expect("memory takes all") } else { bytes };
            (bytes, diff_id)
        }
    }
}

/// Blobs in memory.
#[derive(Debug)]
struct Memory(BTreeMap<Digest, Bytes>);

impl Blobs for Memory {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        let bytes = self.0.get(&descriptor.digest).cloned().unwrap_or_default();
        async move { Ok(Box::pin(Verified::new(io::Cursor::new(bytes), descriptor)) as BlobReader) }.boxed()
    }
}
