//! Images as one tar: an OCI image layout (`oci-archive:`), and the form of `docker save` (`docker-archive:`, and what a daemon loads).
//!
//! Members are written in a fixed order with fixed metadata, so that the archive's bytes are a function of the image. Layers are streamed
//! from where they lie.

use std::path::Path;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Written, layout};
use crate::assemble::{Image, ImageLayer};
use crate::error::{Error, FileError};
use crate::json;
use crate::manifest::Compression;
use crate::reference::Reference;
use crate::store::Store;

/// Writes the image as an OCI archive.
///
/// # Errors
/// A full disk, a base that cannot be read.
pub async fn write_oci(image: &Image, file: &Path, tag: Option<&str>) -> Result<Written, Error> {
    let (temporary, out) = beside(file)?;
    let mut archive = Archive::new(out, format!("write {}", file.display()));
    archive.text("oci-layout", layout::MARKER.as_bytes()).await?;
    archive.text("index.json", &layout::index_document(&[layout::index_entry(image, tag)])).await?;
    for directory in ["blobs/", "blobs/sha256/"] {
        archive.directory(directory).await?;
    }
    archive.text(&blob_name(&image.digest), &image.manifest).await?;
    archive.text(&blob_name(&image.config_descriptor.digest), &image.config).await?;
    let mut seen = std::collections::BTreeSet::new();
    for layer in image.layers.iter().filter(|layer| seen.insert(layer.descriptor.digest)) {
        let source = layer.blobs.open(&layer.descriptor).await?;
        archive.member(&blob_name(&layer.descriptor.digest), layer.descriptor.size, source).await?;
    }
    let written = archive.finish().await?;
    persist(temporary, file)?;
    Ok(written)
}

fn blob_name(digest: &crate::digest::Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Writes the image as a docker archive.
///
/// # Errors
/// As [`write_oci`].
pub async fn write_docker(image: &Image, file: &Path, reference: Option<&Reference>, store: &Store) -> Result<Written, Error> {
    let (temporary, out) = beside(file)?;
    let written = stream_docker(image, out, reference, store, format!("write {}", file.display())).await?;
    persist(temporary, file)?;
    Ok(written)
}

/// Streams the image as a docker archive: config and manifest first, then the layers. `doing` is what the errors say was being done.
///
/// # Errors
/// As [`write_oci`].
pub async fn stream_docker(
    image: &Image,
    out: impl AsyncWrite + Unpin,
    reference: Option<&Reference>,
    store: &Store,
    doing: String,
) -> Result<Written, Error> {
    let mut archive = Archive::new(out, doing);
    let config_name = format!("{}.json", image.config_descriptor.digest.hex());
    let tags: Vec<String> = reference.map(familiar).into_iter().collect();
    let layer_names: Vec<String> = image.layers.iter().map(layer_name).collect();
    let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": layer_names}]);
    archive.text("manifest.json", &json::canonical(&manifest)).await?;
    archive.text(&config_name, &image.config).await?;
    let mut seen = std::collections::BTreeSet::new();
    for (layer, name) in image.layers.iter().zip(&layer_names).filter(|(_, name)| seen.insert((*name).clone())) {
        let source = layer.blobs.open(&layer.descriptor).await?;
        if layer.descriptor.compression() == Some(Compression::Zstd) {
            let (size, tar) = spool_zstd(source, store, layer).await?;
            archive.member(name, size, tar).await?;
        } else {
            archive.member(name, layer.descriptor.size, source).await?;
        }
    }
    archive.finish().await
}

/// Layers are stored as they are, gzip or plain, which `docker load` and the others read; zstd, which older ones do not, as a plain tar.
fn layer_name(layer: &ImageLayer) -> String {
    match layer.descriptor.compression() {
        Some(Compression::Gzip) => format!("{}.tar.gz", layer.descriptor.digest.hex()),
        _ => format!("{}.tar", layer.diff_id.hex()),
    }
}

/// `docker load` wants Docker Hub's names in their short form or in full, other hosts' in full.
fn familiar(reference: &Reference) -> String {
    format!("{}:{}", reference.name(), reference.tag().unwrap_or("latest"))
}

/// A tar's header says the size first, which a compressed layer does not know: it is unpacked into an unnamed file.
async fn spool_zstd(mut source: impl AsyncRead + Unpin, store: &Store, layer: &ImageLayer) -> Result<(u64, tokio::fs::File), Error> {
    use std::io::{Seek, Write};
    let spool = store.spool()?;
    let failed = |error| super::reading(&layer.descriptor.digest, error);
    let mut decoder = zstd::stream::write::Decoder::new(spool).map_err(failed)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = source.read(&mut buffer).await.map_err(failed)?;
        if count == 0 {
            break;
        }
        decoder.write_all(&buffer[..count]).map_err(failed)?;
    }
    decoder.flush().map_err(failed)?;
    let mut spool = decoder.into_inner();
    let size = spool.stream_position().map_err(failed)?;
    spool.rewind().map_err(failed)?;
    Ok((size, tokio::fs::File::from_std(spool)))
}

fn beside(file: &Path) -> Result<(tempfile::TempPath, tokio::fs::File), FileError> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new().prefix(".byoi-").tempfile_in(directory).map_err(FileError::at("create a file in", directory))?;
    layout::readable(temporary.as_file()).map_err(FileError::at("write", file))?;
    let (out, path) = temporary.into_parts();
    Ok((path, tokio::fs::File::from_std(out)))
}

fn persist(temporary: tempfile::TempPath, file: &Path) -> Result<(), FileError> {
    temporary.persist(file).map_err(|error| FileError::at("write", file)(error.error))
}

/// Writes tar members one after the other.
struct Archive<W> {
    out: W,
    doing: String,
    written: Written,
}

impl<W: AsyncWrite + Unpin> Archive<W> {
    fn new(out: W, doing: String) -> Self {
        Archive { out, doing, written: Written { manifest: true, ..Written::default() } }
    }

    async fn text(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.header(name, bytes.len() as u64, tar::EntryType::Regular).await?;
        self.put(bytes).await?;
        self.pad(bytes.len() as u64).await
    }

    async fn directory(&mut self, name: &str) -> Result<(), Error> {
        self.header(name, 0, tar::EntryType::Directory).await
    }

    async fn member(&mut self, name: &str, size: u64, mut source: impl AsyncRead + Unpin) -> Result<(), Error> {
        self.header(name, size, tar::EntryType::Regular).await?;
        let mut buffer = vec![0; 1 << 18];
        let mut total = 0;
        loop {
            let count = source.read(&mut buffer).await.map_err(|error| super::reading(&name, error))?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > size {
                break;
            }
            self.put(&buffer[..count]).await?;
        }
        if total != size {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidData, format!("it has not the {size} bytes that were promised"));
            return Err(super::reading(&name, error));
        }
        self.written.blobs += 1;
        self.written.bytes += size;
        self.pad(size).await
    }

    async fn header(&mut self, name: &str, size: u64, kind: tar::EntryType) -> Result<(), Error> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).map_err(|error| self.failed(error))?;
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        // From 8 GiB on this is GNU's binary form, which every reader knows.
        header.set_size(size);
        header.set_cksum();
        self.put(header.as_bytes()).await
    }

    async fn pad(&mut self, size: u64) -> Result<(), Error> {
        self.put(&[0; 512][..(size.next_multiple_of(512) - size) as usize]).await
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).await.map_err(|error| self.failed(error))
    }

    async fn finish(mut self) -> Result<Written, Error> {
        self.put(&[0; 1024]).await?;
        self.out.flush().await.map_err(|error| self.failed(error))?;
        self.out.shutdown().await.map_err(|error| self.failed(error))?;
        Ok(self.written)
    }

    fn failed(&self, cause: std::io::Error) -> Error {
        super::OutputError::Write { doing: self.doing.clone(), cause }.into()
    }
}
