//! What the test registry holds: blobs in memory or in a temporary directory, repositories with manifests and tags, uploads, plain files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use crate::digest::{Digest, Digester};

/// Stored bytes.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Memory(Bytes),
    File { path: PathBuf, size: u64 },
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File { size, .. } => *size,
        }
    }

    /// A reader of `count` bytes from `start`.
    pub(super) fn open(&self, start: u64, count: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Content::Memory(bytes) => {
                let start = usize::try_from(start).map_err(io::Error::other)?;
                let end = start + usize::try_from(count).map_err(io::Error::other)?;
                Box::new(io::Cursor::new(bytes.slice(start..end)))
            }
            Content::File { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                Box::new(file.take(count))
            }
        })
    }
}

/// Bytes that are being received.
pub(super) struct Receiving {
    place: Place,
    digester: Digester,
}

enum Place {
    Memory(Vec<u8>),
    File { path: PathBuf, file: File },
}

impl Receiving {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digester.update(bytes);
        match &mut self.place {
            Place::Memory(memory) => memory.extend_from_slice(bytes),
            Place::File { file, .. } => file.write_all(bytes)?,
        }
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.digester.size()
    }

    pub(super) fn finish(self) -> (Digest, Content) {
        let size = self.digester.size();
        let content = match self.place {
            Place::Memory(memory) => Content::Memory(memory.into()),
            Place::File { path, .. } => Content::File { path, size },
        };
        (self.digester.finish(), content)
    }
}

/// A manifest and its media type.
#[derive(Debug, Clone)]
pub(super) struct StoredManifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

/// A repository.
#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) manifests: BTreeMap<Digest, StoredManifest>,
    pub(super) tags: BTreeMap<String, Digest>,
}

impl Repository {
    pub(super) fn manifest(&self, name: &str) -> Option<(Digest, &StoredManifest)> {
        let digest = name.parse().ok().or_else(|| self.tags.get(name).copied())?;
        self.manifests.get(&digest).map(|manifest| (digest, manifest))
    }
}

/// An upload that was begun.
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) received: Option<Receiving>,
}

/// All content.
#[derive(Default)]
pub(super) struct Contents {
    directory: Option<Arc<TempDir>>,
    count: u64,
    pub(super) blobs: BTreeMap<Digest, Content>,
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) files: BTreeMap<String, (String, Content)>,
    /// Directories of this machine, by the path that leads to what is in them; it ends in a slash.
    pub(super) directories: BTreeMap<String, PathBuf>,
}

impl Contents {
    pub(super) fn new(on_disk: bool) -> io::Result<Self> {
        let directory = if on_disk { Some(Arc::new(tempfile::tempdir()?)) } else { None };
        Ok(Contents { directory, ..Contents::default() })
    }

    /// A fresh name, for uploads and files.
    pub(super) fn fresh(&mut self) -> String {
        self.count += 1;
        format!("{:08}", self.count)
    }

    pub(super) fn receive(&mut self) -> io::Result<Receiving> {
        let name = self.fresh();
        let place = match &self.directory {
            None => Place::Memory(Vec::new()),
            Some(directory) => {
                let path = directory.path().join(name);
                Place::File { file: fs::File::create(&path)?, path }
            }
        };
        Ok(Receiving { place, digester: Digester::new() })
    }

    /// The repository of this name; made if it is not there.
    pub(super) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// The file of this machine that a path leads to, its content and the time of its last change.
    pub(super) fn in_directory(&self, path: &str) -> Option<(Content, std::time::SystemTime)> {
        let (prefix, directory) = self.directories.iter().rev().find(|(prefix, _)| path.starts_with(prefix.as_str()))?;
        let below = percent_encoding::percent_decode_str(&path[prefix.len()..]).decode_utf8().ok()?.into_owned();
        let inside = Path::new(&below).components().all(|part| matches!(part, Component::Normal(_)));
        let file = directory.join(&below);
        let metadata = file.metadata().ok().filter(|metadata| inside && metadata.is_file())?;
        Some((Content::File { path: file, size: metadata.len() }, metadata.modified().ok()?))
    }

    /// The blob, if that repository has it.
    pub(super) fn blob(&self, repository: &str, digest: &Digest) -> Option<Content> {
        self.repositories.get(repository)?.blobs.contains(digest).then(|| self.blobs.get(digest).cloned())?
    }

    pub(super) fn add_blob(&mut self, repository: &str, digest: Digest, content: Content) {
        self.blobs.insert(digest, content);
        self.repository(repository).blobs.insert(digest);
    }
}
