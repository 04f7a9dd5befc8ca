//! Small images for the tests of this room: their documents and blobs by hand, so that each part can be wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::manifest::media_type;

/// A layout as its files by path.
pub struct Specimen {
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Specimen {
    /// A layout without images.
    pub fn new() -> Self {
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
        Specimen { files: BTreeMap::from([("oci-layout".to_owned(), marker)]) }
    }

    /// Puts a blob in; its descriptor comes back.
    pub fn blob(&mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Value {
        let bytes = bytes.into();
        let descriptor = json!({"mediaType": media_type, "digest": Digest::of(&bytes), "size": bytes.len()});
        self.files.insert(blob_path(&descriptor), bytes);
        descriptor
    }

    /// Puts a document in.
    pub fn document(&mut self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string())
    }

    /// Puts an image in whose layers are plain tars.
    pub fn image(&mut self, architecture: &str, layers: &[&[u8]]) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(Digest::of).collect();
        let config = json!({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.document(media_type::OCI_CONFIG, &config);
        let layers: Vec<_> = layers.iter().map(|layer| self.blob(media_type::OCI_LAYER, *layer)).collect();
        self.manifest(&config, &layers)
    }

    /// Puts a manifest in.
    pub fn manifest(&mut self, config: &Value, layers: &[Value]) -> Value {
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers});
        self.document(media_type::OCI_MANIFEST, &manifest)
    }

    /// Puts an index in.
    pub fn index(&mut self, entries: &[Value]) -> Value {
        self.document(media_type::OCI_INDEX, &json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries}))
    }

    /// The layout's own index.
    pub fn top(&mut self, entries: &[Value]) {
        self.files.insert("index.json".to_owned(), json!({"schemaVersion": 2, "manifests": entries}).to_string().into_bytes());
    }

    /// The bytes of a blob, to be changed.
    pub fn bytes(&mut self, descriptor: &Value) -> &mut Vec<u8> {
        self.files.get_mut(&blob_path(descriptor)).unwrap()
    }

    /// Writes the files into a directory.
    pub fn write(&self, directory: &Path) {
        for (path, bytes) in &self.files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// The files as a tar.
    pub fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.files {
            append(&mut tar, path, bytes);
        }
        tar.into_inner().unwrap()
    }
}

/// Appends a regular file.
pub fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes).unwrap();
}

/// An entry of an index for this platform.
pub fn platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

/// An entry of a layout's own index under this tag.
pub fn tagged(mut descriptor: Value, tag: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    descriptor
}

fn blob_path(descriptor: &Value) -> String {
    format!("blobs/sha256/{}", &descriptor["digest"].as_str().unwrap()["sha256:".len()..])
}
