//! Bases in a tar as `docker save` writes it. It names no digests of blobs: plain layers have their diff id, others are hashed.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::archive::Members;
use super::image::{OpenedImage, Platforms};
use super::{BaseError, BlobReader, Blobs, Verified};
use crate::digest::{Digest, Digesting};
use crate::error::{Error, FileError};
use crate::manifest::{Compression, Descriptor, Family, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE, Manifest};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    layers: Vec<String>,
}

struct Layers {
    members: Members,
    /// Each layer's member by the digest of its bytes.
    names: Vec<(Digest, String)>,
}

/// Opens the one image of a docker archive.
///
/// # Errors
/// Several images, another platform, a damaged archive.
pub fn open(name: &str, file: &Path, pinned: Option<Digest>) -> Result<OpenedImage, Error> {
    open_for(Platforms::Studio, name, file, pinned)
}

/// Likewise for any of these platforms.
pub(super) fn open_for(platforms: Platforms, name: &str, file: &Path, pinned: Option<Digest>) -> Result<OpenedImage, Error> {
    let members = Members::read(name, file)?;
    let damaged = |why: String| BaseError::Damaged { image: name.to_owned(), why };
    let listed: Vec<Listed> = serde_json::from_slice(&members.small("manifest.json", MAX_MANIFEST_SIZE)?)
        .map_err(|error| damaged(format!("its manifest.json cannot be read: {error}")))?;
    let [listed] = listed.as_slice() else {
        return Err(BaseError::Absent { image: name.to_owned(), why: format!("the archive holds {} images, not one", listed.len()) }.into());
    };
    let config = members.small(&listed.config, MAX_CONFIG_SIZE)?;
    let diff_ids = diff_ids(&config).ok_or_else(|| damaged("its config has no diff ids".to_owned()))?;
    if diff_ids.len() != listed.layers.len() {
        return Err(damaged(format!("its config has {} diff ids, its manifest {} layers", diff_ids.len(), listed.layers.len())).into());
    }
    let layers = listed.layers.iter().zip(&diff_ids).map(|(layer, diff_id)| descriptor(&members, layer, *diff_id)).collect::<Result<Vec<_>, _>>()?;
    let names = layers.iter().map(|layer| layer.digest).zip(listed.layers.iter().cloned()).collect();
    let config_descriptor = Descriptor::new(Family::Docker.config(), Digest::of(&config), config.len() as u64);
    let manifest = Manifest { family: Family::Docker, config: config_descriptor, layers, annotations: Default::default() }.to_bytes();
    let found = Digest::of(&manifest);
    if let Some(locked) = pinned.filter(|locked| *locked != found) {
        return Err(BaseError::Changed { image: name.to_owned(), locked, found }.into());
    }
    Ok(OpenedImage::new(name, platforms, None, manifest, config, Arc::new(Layers { members, names }))?)
}

fn diff_ids(config: &[u8]) -> Option<Vec<Digest>> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    serde_json::from_value(config.get("rootfs")?.get("diff_ids")?.clone()).ok()
}

fn descriptor(members: &Members, name: &str, diff_id: Digest) -> Result<Descriptor, Error> {
    let range = members.member(name)?;
    let mut magic = [0; 4];
    let magic = if range.clone().read_exact(&mut magic).is_ok() { magic } else { [0; 4] };
    if magic == [0x28, 0xb5, 0x2f, 0xfd] {
        return Err(members.damaged(format!("its layer {name} is compressed with zstd, which the form of `docker save` does not know")).into());
    }
    let gzip = magic.starts_with(&[0x1f, 0x8b]);
    let compression = if gzip { Compression::Gzip } else { Compression::None };
    let size = range.size;
    let digest = if gzip {
        let mut reader = Digesting::new(range);
        io::copy(&mut reader, &mut io::sink()).map_err(FileError::at("read", members.file()))?;
        reader.finish().1
    } else {
        diff_id
    };
    // Docker's family names both compressions, so the default is never taken.
    Ok(Descriptor::new(Family::Docker.layer(compression).unwrap_or_default(), digest, size))
}

impl Blobs for Layers {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        async move {
            let name = self.names.iter().find(|(digest, _)| *digest == descriptor.digest).map(|(_, name)| name.as_str()).unwrap_or_default();
            let reader: BlobReader = Box::pin(Verified::new(self.members.stream(name)?, descriptor));
            Ok(reader)
        }
        .boxed()
    }
}
