//! An OCI image layout in a directory (OCI image specification, "Image Layout").
//!
//! Blobs that are there stay, so that a second build moves nothing; other images of the layout stay too. Nothing is visible before it is
//! whole: blobs and `index.json` are written beside their place and renamed, the index last.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::Written;
use crate::assemble::{Image, ImageLayer};
use crate::digest::Digest;
use crate::error::{Error, FileError, Problem};
use crate::json;
use crate::manifest::media_type;

/// The annotation that holds an image's tag in a layout's index.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The content of the file `oci-layout`.
pub(super) const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Largest `index.json` that is read, in bytes.
const MAX_INDEX: u64 = 16 << 20;

/// Writes the image into the layout in `directory`, which is made if it is not there.
///
/// # Errors
/// A directory that holds something else, a full disk, a base that cannot be read.
pub async fn write(image: &Image, directory: &Path, tag: Option<&str>) -> Result<Written, Error> {
    write_layers(image, |_| true, directory, tag).await
}

/// Writes the image without the base's layers: a layout that is whole once their blobs are put beside ours.
///
/// # Errors
/// As [`write()`].
pub async fn write_own(image: &Image, directory: &Path) -> Result<Written, Error> {
    write_layers(image, |layer| layer.built.is_some(), directory, None).await
}

async fn write_layers(image: &Image, wanted: impl Fn(&ImageLayer) -> bool, directory: &Path, tag: Option<&str>) -> Result<Written, Error> {
    let layout = Layout::open(directory)?;
    let mut written = Written::default();
    for layer in image.layers.iter().filter(|layer| wanted(layer)) {
        if layout.has(&layer.descriptor.digest, layer.descriptor.size) {
            continue;
        }
        let mut source = layer.blobs.open(&layer.descriptor).await?;
        let mut blob = layout.blob()?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = source.read(&mut buffer).await.map_err(|error| super::reading(&layer.descriptor.digest, error))?;
            if count == 0 {
                break;
            }
            blob.write_all(&buffer[..count]).map_err(FileError::at("write a blob in", directory))?;
        }
        layout.persist(blob, &layer.descriptor.digest)?;
        written.blobs += 1;
        written.bytes += layer.descriptor.size;
    }
    for (digest, bytes) in [(image.config_descriptor.digest, &image.config), (image.digest, &image.manifest)] {
        if !layout.has(&digest, bytes.len() as u64) {
            let mut blob = layout.blob()?;
            blob.write_all(bytes).map_err(FileError::at("write a blob in", directory))?;
            layout.persist(blob, &digest)?;
        }
    }
    written.manifest = layout.list(image, tag)?;
    Ok(written)
}

/// The manifest of the image with this tag in a layout, if it is there: what a new build may take layers from.
pub fn manifest(directory: &Path, tag: Option<&str>) -> Option<(Vec<u8>, Vec<u8>)> {
    let index: Value = serde_json::from_slice(&read_limited(&directory.join("index.json")).ok()?).ok()?;
    let entries = index.get("manifests")?.as_array()?;
    let entry = match tag {
        Some(tag) => entries.iter().find(|entry| ref_name(entry) == Some(tag))?,
        None => entries.iter().find(|entry| ref_name(entry).is_none()).or_else(|| entries.first().filter(|_| entries.len() == 1))?,
    };
    let blob = |descriptor: &Value| {
        let digest: Digest = descriptor.get("digest")?.as_str()?.parse().ok()?;
        let bytes = read_limited(&directory.join("blobs/sha256").join(digest.hex())).ok()?;
        (Digest::of(&bytes) == digest).then_some(bytes)
    };
    let manifest = blob(entry)?;
    let config = blob(serde_json::from_slice::<Value>(&manifest).ok()?.get("config")?)?;
    Some((manifest, config))
}

fn ref_name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_INDEX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

struct Layout {
    directory: PathBuf,
    /// Held while the layout is written: two builds into one layout must not lose each other's tags.
    _lock: File,
}

impl Layout {
    fn open(directory: &Path) -> Result<Self, Error> {
        let marker = directory.join("oci-layout");
        let occupied = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !marker.exists() {
            let problem = Problem::new(format!("{} is a directory with other things in it, not an OCI image layout", directory.display()));
            return Err(Error::input(problem.help("name an empty or new directory, or remove what is there")));
        }
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(FileError::at("create", &blobs))?;
        let lock = File::open(directory).map_err(FileError::at("open", directory))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(|error| FileError::at("lock", directory)(error.into()))?;
        let layout = Layout { directory: directory.to_owned(), _lock: lock };
        if !marker.exists() {
            layout.replace("oci-layout", MARKER.as_bytes())?;
        }
        Ok(layout)
    }

    fn has(&self, digest: &Digest, size: u64) -> bool {
        self.blob_path(digest).metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs/sha256").join(digest.hex())
    }

    fn blob(&self) -> Result<tempfile::NamedTempFile, FileError> {
        let directory = self.directory.join("blobs/sha256");
        tempfile::Builder::new().prefix(".byoi-").tempfile_in(&directory).map_err(FileError::at("create a file in", directory))
    }

    fn persist(&self, blob: tempfile::NamedTempFile, digest: &Digest) -> Result<(), FileError> {
        let path = self.blob_path(digest);
        readable(blob.as_file()).and_then(|()| blob.persist(&path).map(drop).map_err(|error| error.error)).map_err(FileError::at("write", path))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.directory.join(name);
        let write = || {
            let mut file = tempfile::Builder::new().prefix(".byoi-").tempfile_in(&self.directory)?;
            file.write_all(bytes)?;
            readable(file.as_file())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(FileError::at("write", &path))
    }

    /// Lists the image in `index.json`; false if it was listed already.
    fn list(&self, image: &Image, tag: Option<&str>) -> Result<bool, Error> {
        let path = self.directory.join("index.json");
        let mut entries: Vec<Value> = match read_limited(&path) {
            Ok(bytes) => {
                let index: Value = serde_json::from_slice(&bytes).map_err(|error| {
                    let problem = Problem::new(format!("{} is not JSON: {error}", path.display()));
                    Error::input(problem.help("the layout is damaged: remove it and build again"))
                })?;
                index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(FileError::at("read", path)(error).into()),
        };
        let entry = index_entry(image, tag);
        if entries.contains(&entry) {
            return Ok(false);
        }
        entries.retain(|entry| ref_name(entry) != tag);
        entries.push(entry);
        self.replace("index.json", &index_document(&entries))?;
        Ok(true)
    }
}

/// The layout's index as bytes.
pub(super) fn index_document(entries: &[Value]) -> Vec<u8> {
    json::canonical(&json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries}))
}

/// The image's entry in a layout's index.
pub(super) fn index_entry(image: &Image, tag: Option<&str>) -> Value {
    let mut entry = json!({"mediaType": image.family.manifest(), "digest": image.digest, "size": image.manifest.len()});
    if let Some(tag) = tag {
        entry["annotations"] = json!({REF_NAME: tag});
    }
    entry
}

/// Temporary files are private; what becomes visible is for all to read, as the umask allows elsewhere.
pub(super) fn readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
