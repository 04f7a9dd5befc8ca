//! An image that is whole: manifest, config, and for each layer where its bytes come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::build::BuiltLayer;
use super::{Additions, ConfigLayer, compose};
use crate::base::Blobs;
use crate::contract;
use crate::digest::Digest;
use crate::error::{Error, Problem};
use crate::manifest::{Compression, Descriptor, Family, Manifest};

/// An image, ready to be written anywhere.
pub struct Image {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's digest: the image's.
    pub digest: Digest,
    /// The media types that the manifest is made of.
    pub family: Family,
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The config's descriptor.
    pub config_descriptor: Descriptor,
    /// The layers, the lowest first: the base's, then ours.
    pub layers: Vec<ImageLayer>,
}

/// A layer of an image, and where its bytes come from.
#[derive(Clone)]
pub struct ImageLayer {
    /// Its descriptor in the manifest.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// Opens its bytes.
    pub blobs: Arc<dyn Blobs>,
    /// What made it; none for the base's.
    pub built: Option<BuiltLayer>,
}

/// What of the base goes into an image.
pub struct BasePart {
    /// The base's family of media types.
    pub family: Family,
    /// The base's config; empty for none.
    pub config: Map<String, Value>,
    /// The layers' descriptors, as in the base's manifest.
    pub layers: Vec<Descriptor>,
    /// The layers' diff ids.
    pub diff_ids: Vec<Digest>,
    /// Opens the layers.
    pub blobs: Arc<dyn Blobs>,
    /// The reference for `org.opencontainers.image.base.name`, and the digest that it had.
    pub name: Option<(String, Digest)>,
}

/// Puts an image together from the base's layers and ours.
///
/// # Errors
/// A base that cannot be converted to `family`, or more layers than file systems mount.
pub fn compose_image(base: &BasePart, ours: Vec<ImageLayer>, additions: &Additions, created: Timestamp, family: Family) -> Result<Image, Error> {
    let count = base.layers.len() + ours.len();
    if count > contract::limits::LAYERS {
        let most = contract::limits::LAYERS;
        let problem = Problem::new(format!("the image would have {count} layers, {} of them the base's: runtimes mount {most}", base.layers.len()));
        return Err(Error::input(problem.help("lower `image.layers`, or flatten the base")));
    }
    let config_layers: Vec<_> = ours.iter().filter_map(config_layer).collect();
    let config = compose(&base.config, &base.diff_ids, &config_layers, additions, created);
    let config_descriptor = Descriptor::new(family.config(), Digest::of(&config), config.len() as u64);

    let mut layers = Vec::with_capacity(count);
    for (descriptor, diff_id) in base.layers.iter().zip(&base.diff_ids) {
        let descriptor = converted(descriptor, family)?;
        layers.push(ImageLayer { descriptor, diff_id: *diff_id, blobs: base.blobs.clone(), built: None });
    }
    layers.extend(ours);

    let annotations = match (&base.name, family) {
        (Some((name, digest)), Family::Oci) => BTreeMap::from([
            ("org.opencontainers.image.base.name".to_owned(), name.clone()),
            ("org.opencontainers.image.base.digest".to_owned(), digest.to_string()),
        ]),
        _ => BTreeMap::new(),
    };
    let descriptors = layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let manifest = Manifest { family, config: config_descriptor.clone(), layers: descriptors, annotations }.to_bytes();
    Ok(Image { digest: Digest::of(&manifest), manifest, family, config, config_descriptor, layers })
}

fn config_layer(layer: &ImageLayer) -> Option<ConfigLayer> {
    let built = layer.built.as_ref()?;
    Some(ConfigLayer { diff_id: layer.diff_id, created_by: built.name.clone(), key: built.key })
}

/// A base layer's descriptor with the media type of `family`; its bytes stay.
fn converted(descriptor: &Descriptor, family: Family) -> Result<Descriptor, Error> {
    let compression = descriptor.compression().unwrap_or(Compression::Gzip);
    let Some(media_type) = family.layer(compression) else {
        let problem =
            Problem::new(format!("the base's layer {} is compressed with zstd, for which Docker's media types have no name", descriptor.digest));
        return Err(Error::input(problem.help("leave `--media-types docker` out, or use a base with gzip layers")));
    };
    Ok(Descriptor { media_type: media_type.to_owned(), ..descriptor.clone() })
}
