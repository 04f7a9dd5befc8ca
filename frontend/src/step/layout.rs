//! Puts packed layers together into an OCI layout whose config and manifest are those of the command. The base's layers stay where they are: what
//! the manifest says of them, the base's own manifest says, which one step looks up by its digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use byoi::assemble::{BasePart, BuiltLayer, ImageLayer, KnownLayer, Origin, compose_image};
use byoi::base::{BlobReader, Blobs, Verified};
use byoi::digest::Digest;
use byoi::error::{Error, FileError, Problem};
use byoi::manifest::{Compression, Descriptor, Document, Family, MAX_MANIFEST_SIZE, Manifest};
use byoi::output;
use byoi::reference::Reference;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{BASE, IMAGE, IMAGE_FILE, MANIFEST_FILE, OUT, PACKED_FILE, packed_directory};
use crate::layout::{ImageParts, LayerPart};

/// Looks up the manifest of a base that is named with its digest.
///
/// # Errors
/// The registry's; a base that is no image by itself.
pub fn manifest(reference: &str) -> Result<(), Error> {
    let reference: Reference = reference.parse().map_err(|error| Error::input(Problem::new(format!("{error}"))))?;
    let (_, registry) = super::network()?;
    let found = super::runtime()?.block_on(registry.manifest(&reference))?;
    super::write(Path::new(OUT), MANIFEST_FILE, &found.bytes)?;
    Ok(())
}

/// Writes the layout of the image whose parts are mounted.
///
/// # Errors
/// Parts that do not fit together, a full disk.
pub fn layout() -> Result<(), Error> {
    let parts: ImageParts = read(&Path::new(IMAGE).join(IMAGE_FILE))?;
    let base = base(&parts)?;
    let layers = parts.layers.iter().enumerate().map(|(index, layer)| packed(layer, PathBuf::from(packed_directory(index)), base.family));
    let layers = layers.collect::<Result<_, _>>()?;
    let family = base.family;
    let image = compose_image(&base, layers, &parts.additions, parts.created, family)?;
    super::runtime()?.block_on(output::layout::write_own(&image, Path::new(OUT)))?;
    println!("{}", image.digest);
    Ok(())
}

fn base(parts: &ImageParts) -> Result<BasePart, Error> {
    let manifest = base_manifest()?;
    let (family, layers) = manifest.map_or((Family::Oci, Vec::new()), |manifest| (manifest.family, manifest.layers));
    if layers.len() != parts.base_diff_ids.len() {
        let problem = Problem::new(format!("the base's manifest has {} layers, its config {}", layers.len(), parts.base_diff_ids.len()));
        return Err(Error::input(problem.help("the base is damaged: use another one")));
    }
    let (config, diff_ids, name) = (parts.base_config.clone(), parts.base_diff_ids.clone(), parts.base_name.clone());
    Ok(BasePart { family, config, layers, diff_ids, blobs: Arc::new(In(PathBuf::from(BASE))), name })
}

/// The base's manifest, where the base is an image.
fn base_manifest() -> Result<Option<Manifest>, Error> {
    let place = Path::new(BASE).join(MANIFEST_FILE);
    let unusable = |why: String| Error::input(Problem::new(format!("the base's manifest cannot be used: {why}")));
    match fs::metadata(&place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::at("read", place)(error).into()),
        Ok(metadata) if metadata.len() > MAX_MANIFEST_SIZE => return Err(unusable(format!("it has {} bytes", metadata.len()))),
        Ok(_) => {}
    }
    let bytes = fs::read(&place).map_err(FileError::at("read", &place))?;
    match Document::parse(&bytes, None) {
        Ok(Document::Manifest(manifest)) => Ok(Some(manifest)),
        Ok(Document::Index(_)) => Err(unusable("it is an index of several".to_owned())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

fn packed(layer: &LayerPart, directory: PathBuf, family: Family) -> Result<ImageLayer, Error> {
    let known: KnownLayer = read(&directory.join(PACKED_FILE))?;
    // Both families have a name for gzip.
    let descriptor = Descriptor::new(family.layer(Compression::Gzip).unwrap_or_default(), known.digest, known.size);
    let built = BuiltLayer { name: layer.name.clone(), components: Vec::new(), key: layer.key, known, origin: Origin::New };
    Ok(ImageLayer { descriptor, diff_id: known.diff_id, blobs: Arc::new(In(directory)), built: Some(built) })
}

fn read<T: DeserializeOwned>(place: &Path) -> Result<T, Error> {
    let bytes = fs::read(place).map_err(FileError::at("read", place))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::input(Problem::new(format!("{} is not what a step wrote: {error}", place.display()))))
}

/// Blobs in a directory, each named by its digest.
struct In(PathBuf);

impl In {
    fn place(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.hex())
    }
}

impl Blobs for In {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        async move {
            let place = self.place(&descriptor.digest);
            let file = tokio::fs::File::open(&place).await.map_err(FileError::at("read", place))?;
            let reader: BlobReader = Box::pin(Verified::new(file, descriptor));
            Ok(reader)
        }
        .boxed()
    }
}
