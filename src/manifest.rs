//! Image manifests and indexes, OCI and Docker schema 2: read with limits through `oci-spec`, written canonically.

use std::collections::BTreeMap;

use oci_spec::image as oci;
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::json;

/// Largest manifest or index that is read, in bytes. Registries accept 4 MiB (distribution specification, "Pushing Manifests").
pub const MAX_MANIFEST_SIZE: u64 = 4 << 20;
/// Largest image config that is read, in bytes.
pub const MAX_CONFIG_SIZE: u64 = 8 << 20;

/// Media types that byoi reads and writes.
pub mod media_type {
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

    /// All manifest types, for an `Accept` header.
    pub const MANIFESTS: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
}

/// Which of the two families of media types a manifest is made of. A manifest never mixes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.oci.image…`
    Oci,
    /// `application/vnd.docker…`, schema 2
    Docker,
}

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, possibly several members.
    Gzip,
    /// zstd.
    Zstd,
}

/// A blob by digest and size, with its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// The digest of the blob's bytes.
    pub digest: Digest,
    /// The number of the blob's bytes.
    pub size: u64,
    /// Annotations; most often none.
    pub annotations: BTreeMap<String, String>,
}

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// OCI or Docker.
    pub family: Family,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Annotations of the manifest; Docker's have none.
    pub annotations: BTreeMap<String, String>,
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The manifest.
    pub descriptor: Descriptor,
    /// `os/architecture[/variant]`, where the index says it.
    pub platform: Option<String>,
    /// Whether the entry is an image: attestations and other artifacts are not.
    pub is_image: bool,
}

/// What a manifest's bytes turn out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// A list of images, one a platform.
    Index(Vec<IndexEntry>),
}

/// Why bytes are not a manifest that byoi can use.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// Not JSON, or not of the shape of a manifest or index.
    #[error("it is not an image manifest or index")]
    Malformed(#[source] serde_json::Error),
    /// A type that is not an image's.
    #[error("its media type is `{0}`, which byoi does not read")]
    MediaType(String),
    /// A digest of another algorithm than sha256.
    #[error("its descriptor of `{0}` has a digest that is not sha256")]
    Digest(String),
    /// Layers that lie elsewhere than in the registry.
    #[error("the layer {0} is a foreign layer, to be fetched from elsewhere")]
    Foreign(Digest),
}

impl Document {
    /// Reads a manifest or index. `content_type` is what the registry or layout says of it, where it says something; the document's own `mediaType` wins.
    ///
    /// # Errors
    /// [`InvalidManifest`]; also for Docker schema 1, artifacts, foreign layers.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, InvalidManifest> {
        let value: Value = serde_json::from_slice(bytes).map_err(InvalidManifest::Malformed)?;
        let stated = value.get("mediaType").and_then(Value::as_str).or(content_type);
        let media_type = match stated {
            Some(known) if media_type::MANIFESTS.contains(&known) => known,
            Some(other) if value.get("mediaType").is_some() || value.get("schemaVersion") != Some(&json!(2)) => {
                return Err(InvalidManifest::MediaType(other.chars().take(100).collect()));
            }
            _ if value.get("manifests").is_some() => media_type::OCI_INDEX,
            _ => media_type::OCI_MANIFEST,
        };
        if media_type == media_type::OCI_INDEX || media_type == media_type::DOCKER_LIST {
            let index: oci::ImageIndex = serde_json::from_value(value).map_err(InvalidManifest::Malformed)?;
            return index.manifests().iter().map(index_entry).collect::<Result<_, _>>().map(Document::Index);
        }
        let family = if media_type == media_type::DOCKER_MANIFEST { Family::Docker } else { Family::Oci };
        let manifest: oci::ImageManifest = serde_json::from_value(value).map_err(InvalidManifest::Malformed)?;
        let config = descriptor(manifest.config())?;
        if ![media_type::OCI_CONFIG, media_type::DOCKER_CONFIG].contains(&config.media_type.as_str()) {
            return Err(InvalidManifest::MediaType(config.media_type));
        }
        let layers: Vec<_> = manifest.layers().iter().map(descriptor).collect::<Result<_, _>>()?;
        for layer in &layers {
            if layer.media_type.contains("foreign") || layer.media_type.contains("nondistributable") {
                return Err(InvalidManifest::Foreign(layer.digest));
            }
            layer.compression().ok_or_else(|| InvalidManifest::MediaType(layer.media_type.clone()))?;
        }
        let annotations = manifest.annotations().clone().unwrap_or_default().into_iter().collect();
        Ok(Document::Manifest(Manifest { family, config, layers, annotations }))
    }
}

fn index_entry(entry: &oci::Descriptor) -> Result<IndexEntry, InvalidManifest> {
    let platform = entry.platform().as_ref().map(|platform| {
        let variant = platform.variant().as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("{}/{}{variant}", platform.os(), platform.architecture())
    });
    let artifact = entry.artifact_type().is_some() || platform.as_deref() == Some("unknown/unknown");
    Ok(IndexEntry { descriptor: descriptor(entry)?, platform, is_image: !artifact })
}

fn descriptor(given: &oci::Descriptor) -> Result<Descriptor, InvalidManifest> {
    let media_type = given.media_type().to_string();
    let digest = given.digest().to_string().parse().map_err(|_| InvalidManifest::Digest(media_type.clone()))?;
    let annotations = given.annotations().clone().unwrap_or_default().into_iter().collect();
    Ok(Descriptor { media_type, digest, size: given.size(), annotations })
}

impl Descriptor {
    /// A descriptor without annotations.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Descriptor { media_type: media_type.into(), digest, size, annotations: BTreeMap::new() }
    }

    /// How the layer is compressed; none for media types that are no layer's.
    pub fn compression(&self) -> Option<Compression> {
        match self.media_type.as_str() {
            media_type::OCI_LAYER | media_type::DOCKER_LAYER => Some(Compression::None),
            media_type::OCI_LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => Some(Compression::Gzip),
            media_type::OCI_LAYER_ZSTD | media_type::DOCKER_LAYER_ZSTD => Some(Compression::Zstd),
            _ => None,
        }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size});
        if !self.annotations.is_empty() {
            value["annotations"] = json!(self.annotations);
        }
        value
    }
}

impl Family {
    /// The manifest's media type.
    pub fn manifest(self) -> &'static str {
        match self {
            Family::Oci => media_type::OCI_MANIFEST,
            Family::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    /// The config's media type.
    pub fn config(self) -> &'static str {
        match self {
            Family::Oci => media_type::OCI_CONFIG,
            Family::Docker => media_type::DOCKER_CONFIG,
        }
    }

    /// The media type of a layer; none for zstd in Docker's family, which has no such type that registries accept.
    pub fn layer(self, compression: Compression) -> Option<&'static str> {
        Some(match (self, compression) {
            (Family::Oci, Compression::None) => media_type::OCI_LAYER,
            (Family::Oci, Compression::Gzip) => media_type::OCI_LAYER_GZIP,
            (Family::Oci, Compression::Zstd) => media_type::OCI_LAYER_ZSTD,
            (Family::Docker, Compression::None) => media_type::DOCKER_LAYER,
            (Family::Docker, Compression::Gzip) => media_type::DOCKER_LAYER_GZIP,
            (Family::Docker, Compression::Zstd) => return None,
        })
    }
}

impl Manifest {
    /// The manifest's bytes: canonical JSON, so that its digest is a pure function of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = json!({
            "schemaVersion": 2,
            "mediaType": self.family.manifest(),
            "config": self.config.to_json(),
            "layers": self.layers.iter().map(Descriptor::to_json).collect::<Vec<_>>(),
        });
        if !self.annotations.is_empty() && self.family == Family::Oci {
            value["annotations"] = json!(self.annotations);
        }
        json::canonical(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(family: Family) -> Manifest {
        Manifest {
            family,
            config: Descriptor::new(family.config(), Digest::of("c"), 1),
            layers: vec![Descriptor::new(family.layer(Compression::Gzip).unwrap(), Digest::of("l"), 2)],
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn reads_what_it_writes() {
        for family in [Family::Oci, Family::Docker] {
            let manifest = sample(family);
            assert_eq!(Document::parse(&manifest.to_bytes(), None).unwrap(), Document::Manifest(manifest));
        }
    }

    #[test]
    fn an_index_tells_images_from_attestations() {
        let entry = |os: &str, artifact: bool| {
            let mut value = json!({"mediaType": media_type::OCI_MANIFEST, "digest": Digest::of(os), "size": 3, "platform": {"os": os, "architecture": if os == "unknown" { os } else { "amd64" }}});
            if artifact {
                value["artifactType"] = json!("application/vnd.amazon.soci.index.v2+json");
            }
            value
        };
        let bytes = json!({"schemaVersion": 2, "manifests": [entry("linux", false), entry("unknown", false), entry("linux", true)]}).to_string();
        let Document::Index(entries) = Document::parse(bytes.as_bytes(), Some(media_type::OCI_INDEX)).unwrap() else { panic!("not an index") };
        assert_eq!(entries.iter().map(|entry| entry.is_image).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(entries[0].platform.as_deref(), Some("linux/amd64"));
    }

    #[test]
    fn refuses_what_is_no_image() {
        for (bytes, content_type) in [
            ("{", None),
            ("[]", None),
            (r#"{"schemaVersion":1,"name":"x"}"#, Some("application/vnd.docker.distribution.manifest.v1+json")),
            (r#"{"schemaVersion":2,"mediaType":"text/plain"}"#, None),
            (
                r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#,
                None,
            ),
        ] {
            assert!(Document::parse(bytes.as_bytes(), content_type).is_err(), "{bytes}");
        }
    }
}
