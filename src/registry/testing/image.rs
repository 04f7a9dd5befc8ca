//! Small images for tests: layers made of a few files, a config, a manifest.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::TestRegistry;
use crate::digest::Digest;
use crate::manifest::{Compression, Descriptor, Family, Manifest};

/// A layer: its uncompressed tar, and how it is stored.
#[derive(Debug, Clone)]
pub struct TestLayer {
    /// The tar.
    pub tar: Bytes,
    /// How it is compressed.
    pub compression: Compression,
}

impl TestLayer {
    /// A gzip layer of files, each `path, content`; a path that ends in `/` is a directory.
    pub fn of_files(files: &[(&str, &str)]) -> Self {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            let directory = path.ends_with('/');
            header.set_entry_type(if directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
            header.set_mode(if directory { 0o755 } else { 0o644 });
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).expect("memory takes all");
        }
        Self::of_tar(builder.into_inner().expect("memory takes all"))
    }

    /// A gzip layer of a tar.
    pub fn of_tar(tar: impl Into<Bytes>) -> Self {
        TestLayer { tar: tar.into(), compression: Compression::Gzip }
    }

    /// The bytes of the blob.
    pub fn blob(&self) -> Bytes {
        match self.compression {
            Compression::None => self.tar.clone(),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&self.tar).expect("memory takes all");
                encoder.finish().expect("memory takes all").into()
            }
            Compression::Zstd => zstd::encode_all(&self.tar[..], 1).expect("memory takes all").into(),
        }
    }
}

/// An image for linux/amd64.
#[derive(Debug, Clone)]
pub struct TestImage {
    /// The family of its media types.
    pub family: Family,
    /// The layers, the lowest first.
    pub layers: Vec<TestLayer>,
    /// `config` of the image's configuration.
    pub config: Value,
    /// Architecture of the image's configuration.
    pub architecture: String,
    /// The history, where it is to be another one than an item for each layer.
    pub history: Option<Value>,
}

impl TestImage {
    /// An OCI image with an empty `config`.
    pub fn new(layers: Vec<TestLayer>) -> Self {
        TestImage { family: Family::Oci, layers, config: json!({}), architecture: "amd64".to_owned(), history: None }
    }

    /// The bytes of the configuration.
    pub fn config_bytes(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| Digest::of(&layer.tar)).collect();
        let history: Value = self
            .layers
            .iter()
            .enumerate()
            .map(|(index, _)| json!({"created": "2024-01-02T03:04:05Z", "created_by": format!("layer {index}")}))
            .collect();
        let value = json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": self.history.clone().unwrap_or(history),
        });
        value.to_string().into_bytes()
    }
}

impl TestRegistry {
    /// Puts an image into a repository under a tag, and gives its manifest's digest and the manifest.
    ///
    /// # Panics
    /// For a zstd layer in Docker's family: there is no such thing.
    pub fn put_image(&self, repository: &str, tag: &str, image: &TestImage) -> (Digest, Manifest) {
        let put = |media_type: &str, bytes: Bytes| {
            let size = bytes.len() as u64;
            Descriptor::new(media_type, self.put_blob(repository, bytes), size)
        };
        let layers = image.layers.iter().map(|layer| put(image.family.layer(layer.compression).expect("the family has such layers"), layer.blob()));
        let layers = layers.collect();
        let config = put(image.family.config(), image.config_bytes().into());
        let manifest = Manifest { family: image.family, config, layers, annotations: Default::default() };
        (self.put_manifest(repository, Some(tag), image.family.manifest(), manifest.to_bytes()), manifest)
    }
}
