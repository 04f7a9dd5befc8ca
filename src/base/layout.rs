//! Bases in an OCI image layout: a directory, or a tar of one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::archive::Members;
use super::image::{Above, MAX_DEPTH, OpenedImage, Platforms, select, too_deep};
use super::{BaseError, BlobReader, Blobs, Verified};
use crate::digest::Digest;
use crate::error::{Error, FileError};
use crate::manifest::{Descriptor, Document, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE};

/// The annotation that holds an image's tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where a layout's files lie.
enum Files {
    Directory(PathBuf),
    Archive(Members),
}

/// Opens an image of a layout in a directory.
///
/// # Errors
/// No such image, another platform, a damaged layout.
pub fn open_directory(name: &str, directory: &Path, tag: Option<&str>, pinned: Option<Digest>) -> Result<OpenedImage, Error> {
    open_directory_for(Platforms::Studio, name, directory, tag, pinned)
}

/// Likewise for any of these platforms.
pub(super) fn open_directory_for(
    platforms: Platforms,
    name: &str,
    directory: &Path,
    tag: Option<&str>,
    pinned: Option<Digest>,
) -> Result<OpenedImage, Error> {
    open(platforms, name, Files::Directory(directory.to_owned()), tag, pinned)
}

/// Opens the image of a layout in a tar.
///
/// # Errors
/// As [`open_directory`].
pub fn open_archive(name: &str, file: &Path, pinned: Option<Digest>) -> Result<OpenedImage, Error> {
    open_archive_for(Platforms::Studio, name, file, pinned)
}

/// Likewise for any of these platforms.
pub(super) fn open_archive_for(platforms: Platforms, name: &str, file: &Path, pinned: Option<Digest>) -> Result<OpenedImage, Error> {
    open(platforms, name, Files::Archive(Members::read(name, file)?), None, pinned)
}

fn open(platforms: Platforms, name: &str, files: Files, tag: Option<&str>, pinned: Option<Digest>) -> Result<OpenedImage, Error> {
    let layout = Layout { name: name.to_owned(), files };
    let top = layout.top(tag)?;
    let (found, index) = layout.follow(top, platforms)?;
    if let Some(locked) = pinned.filter(|locked| *locked != found) {
        return Err(BaseError::Changed { image: name.to_owned(), locked, found }.into());
    }
    let manifest = layout.small(&found, MAX_MANIFEST_SIZE)?;
    let config = super::image::manifest_of(name, &manifest)?.config.digest;
    let config = layout.small(&config, MAX_CONFIG_SIZE)?;
    Ok(OpenedImage::new(name, platforms, index, manifest, config, Arc::new(layout))?)
}

/// An entry of a layout's own index.
struct Named<'a> {
    digest: &'a str,
    tag: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn read(entry: &'a Value) -> Self {
        let tag = entry.get("annotations").and_then(|annotations| annotations.get(REF_NAME)).and_then(Value::as_str);
        Named { digest: entry.get("digest").and_then(Value::as_str).unwrap_or_default(), tag }
    }
}

struct Layout {
    name: String,
    files: Files,
}

impl Layout {
    /// The digest of the document that the layout's index names for `tag`.
    fn top(&self, tag: Option<&str>) -> Result<Digest, Error> {
        let bytes = self.read("index.json", MAX_MANIFEST_SIZE)?;
        let index: Value = serde_json::from_slice(&bytes).map_err(|error| self.damaged(format!("its index.json is not JSON: {error}")))?;
        let entries = index.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut named: Vec<Named<'_>> = entries.iter().map(Named::read).collect();
        named.retain(|entry| tag.is_none() || entry.tag == tag);
        // One image may stand there under several tags.
        let digests: BTreeSet<&str> = named.iter().map(|entry| entry.digest).collect();
        let digest = match digests.iter().collect::<Vec<_>>().as_slice() {
            [only] => **only,
            found => return Err(self.ambiguous(tag, found.len(), entries).into()),
        };
        Ok(digest.parse().map_err(|_| self.damaged(format!("its index.json names `{digest}`, which is no sha256 digest")))?)
    }

    fn ambiguous(&self, tag: Option<&str>, found: usize, entries: &[Value]) -> BaseError {
        let tags: BTreeSet<&str> = entries.iter().filter_map(|entry| Named::read(entry).tag).collect();
        let tags = if tags.is_empty() { "it has none".to_owned() } else { tags.into_iter().collect::<Vec<_>>().join(", ") };
        let why = match (tag, found) {
            (_, 0) if entries.is_empty() => "the layout is empty".to_owned(),
            (Some(tag), 0) => format!("the layout has no tag `{tag}`; its tags: {tags}"),
            (Some(tag), found) => format!("{found} images of the layout have the tag `{tag}`"),
            (None, found) => format!("the layout holds {found} images; name one of its tags: {tags}"),
        };
        BaseError::Absent { image: self.name.clone(), why }
    }

    /// The manifest for one of these platforms below `digest`, and the first index on the way.
    fn follow(&self, digest: Digest, platforms: Platforms) -> Result<(Digest, Option<Above>), Error> {
        let (mut here, mut index): (_, Option<Above>) = (digest, None);
        for _ in 0..MAX_DEPTH {
            let bytes = self.small(&here, MAX_MANIFEST_SIZE)?;
            let document = Document::parse(&bytes, None).map_err(|cause| BaseError::Manifest { image: self.name.clone(), cause })?;
            if matches!(document, Document::Manifest(_)) {
                return Ok((here, index));
            }
            let next = select(&self.name, &document, here, platforms)?;
            if let (None, Document::Index(entries)) = (&index, document) {
                index = Some((here, entries));
            }
            here = next;
        }
        Err(too_deep(&self.name).into())
    }

    fn small(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.read(&blob_path(digest), limit)?;
        if Digest::of(&bytes) != *digest {
            return Err(self.damaged(format!("the blob {digest} has other bytes than its digest says")).into());
        }
        Ok(bytes)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let directory = match &self.files {
            Files::Archive(members) => return members.small(path, limit),
            Files::Directory(directory) => directory,
        };
        let at = directory.join(path);
        let file = File::open(&at).map_err(|error| self.unopened(&at, error))?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(FileError::at("read", at))?;
        if bytes.len() as u64 > limit {
            return Err(self.damaged(format!("{path} is larger than {limit} bytes")).into());
        }
        Ok(bytes)
    }

    /// Why a file of the directory cannot be opened.
    fn unopened(&self, at: &Path, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound if at.ends_with("index.json") => {
                BaseError::Absent { image: self.name.clone(), why: format!("there is no file {}", at.display()) }.into()
            }
            io::ErrorKind::NotFound => self.damaged(format!("it has no file {}", at.display())).into(),
            _ => FileError::at("read", at)(error).into(),
        }
    }

    fn damaged(&self, why: String) -> BaseError {
        BaseError::Damaged { image: self.name.clone(), why }
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Blobs for Layout {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        async move {
            let path = blob_path(&descriptor.digest);
            let reader: BlobReader = match &self.files {
                Files::Directory(directory) => {
                    let at = directory.join(path);
                    let file = tokio::fs::File::open(&at).await.map_err(|error| self.unopened(&at, error))?;
                    Box::pin(Verified::new(file, descriptor))
                }
                Files::Archive(members) => Box::pin(Verified::new(members.stream(&path)?, descriptor)),
            };
            Ok(reader)
        }
        .boxed()
    }
}
