//! A `[[file]]` as a component of the image.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::FileProblem;
use super::local::{LocalEntry, LocalKind, Unchanged};
use crate::archive;
use crate::digest::{Digest, Digesting};
use crate::error::{Error, FileError};
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Content, Entry, FileRange};
use crate::lock::DirectoryRule;
use crate::plan::{Component, Laid, MTIME};

/// Where the bytes of a component come from.
pub enum Origin {
    /// The text itself.
    Inline(Arc<[u8]>),
    /// Files of this machine, hashed; the first entry is the source itself.
    Local(Vec<LocalEntry>),
    /// A file of the store.
    Foreign {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// An archive to unpack.
    Archive {
        /// What the user calls it.
        name: String,
        /// Its digest.
        digest: Digest,
        /// Whether it lies in the store.
        foreign: bool,
        /// Where it lies, if it does not.
        place: Option<PathBuf>,
        /// Leading components that members lose.
        strip: usize,
    },
}

/// A `[[file]]` as a component.
pub struct FileComponent {
    /// The path of the file, or of the directory whose content is laid.
    pub target: ImagePath,
    /// Owner and group.
    pub owner: (u32, u32),
    /// The mode that the description gives to a single file.
    pub mode: Option<u16>,
    /// Where the bytes come from.
    pub origin: Origin,
}

const PLAIN: u16 = 0o644;
const EXECUTABLE: u16 = 0o755;

impl FileComponent {
    fn is_directory(&self) -> bool {
        match &self.origin {
            Origin::Inline(_) | Origin::Foreign { .. } => false,
            Origin::Archive { .. } => true,
            Origin::Local(entries) => entries.first().is_none_or(|entry| !entry.path.is_root() || entry.kind == LocalKind::Directory),
        }
    }

    fn mode_of(&self, kind: &LocalKind) -> u16 {
        match kind {
            LocalKind::File { executable, .. } => self.mode.unwrap_or(if *executable { EXECUTABLE } else { PLAIN }),
            LocalKind::Directory => EXECUTABLE,
            LocalKind::Symlink(_) => 0o777,
        }
    }

    fn place(&self, below: &ImagePath) -> Result<ImagePath, Error> {
        Ok(self.target.join(below.as_bytes()).map_err(|error| FileProblem::Name(error.to_string()))?)
    }

    fn lay_local(&self, entries: &[LocalEntry]) -> Result<Vec<Laid>, Error> {
        let (uid, gid) = self.owner;
        let mut laid = Vec::with_capacity(entries.len());
        for LocalEntry { path, place, kind } in entries {
            let entry = match kind {
                LocalKind::Directory => Entry::directory(EXECUTABLE, uid, gid, MTIME),
                LocalKind::Symlink(target) => Entry::symlink(target.clone(), uid, gid, MTIME),
                LocalKind::File { size, digest, .. } => {
                    let content = Content::new(*size, Unchanged { place: place.clone(), digest: *digest });
                    Entry::file(content, self.mode_of(kind), uid, gid, MTIME)
                }
            };
            laid.push((self.place(path)?, entry));
        }
        Ok(laid)
    }

    fn lay_archive(&self, name: &str, digest: Digest, place: Option<&PathBuf>, strip: usize, inputs: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let file = match place {
            None => inputs.open(&digest)?,
            Some(place) => {
                let file = std::fs::File::open(place).map_err(FileError::at("read", place))?;
                let mut reader = Digesting::new(&file);
                std::io::copy(&mut reader, &mut std::io::sink()).map_err(FileError::at("read", place))?;
                if reader.finish().1 != digest {
                    return Err(FileProblem::Changed(name.to_owned()).into());
                }
                file
            }
        };
        let members = archive::unpack(file, name, strip)?;
        members.into_iter().map(|(path, entry)| Ok((self.place(&path)?, Entry { uid: self.owner.0, gid: self.owner.1, ..entry }))).collect()
    }
}

impl Component for FileComponent {
    fn name(&self) -> String {
        format!("file {:?}", self.target)
    }

    fn key(&self) -> Value {
        let origin = match &self.origin {
            Origin::Inline(bytes) => json!({"sha256": Digest::of(bytes).hex(), "mode": mode_text(self.mode.unwrap_or(PLAIN))}),
            Origin::Foreign { digest, .. } => json!({"sha256": digest.hex(), "mode": mode_text(self.mode.unwrap_or(PLAIN))}),
            Origin::Archive { digest, strip, .. } => json!({"archive": digest.hex(), "strip": strip}),
            Origin::Local(entries) => {
                let entries: BTreeMap<String, Value> =
                    entries.iter().map(|entry| (entry.path.absolute(), entry_key(&entry.kind, self.mode_of(&entry.kind)))).collect();
                json!({"entries": entries})
            }
        };
        json!({"file": {"target": self.target.absolute(), "owner": format!("{}:{}", self.owner.0, self.owner.1), "origin": origin}})
    }

    fn inputs(&self) -> Vec<Digest> {
        match &self.origin {
            Origin::Foreign { digest, .. } | Origin::Archive { digest, foreign: true, .. } => vec![*digest],
            _ => Vec::new(),
        }
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        let rule = DirectoryRule { mode: EXECUTABLE, uid: self.owner.0, gid: self.owner.1 };
        if self.is_directory() { vec![(self.target.clone(), rule)] } else { Vec::new() }
    }

    fn claims(&self) -> Vec<ImagePath> {
        match &self.origin {
            Origin::Inline(_) | Origin::Foreign { .. } => vec![self.target.clone()],
            Origin::Archive { .. } => Vec::new(),
            Origin::Local(entries) => {
                let files = entries.iter().filter(|entry| entry.kind != LocalKind::Directory);
                files.filter_map(|entry| self.place(&entry.path).ok()).collect()
            }
        }
    }

    fn lay(&self, inputs: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let (uid, gid) = self.owner;
        let mode = self.mode.unwrap_or(PLAIN);
        match &self.origin {
            Origin::Inline(bytes) => Ok(vec![(self.target.clone(), Entry::file(Content::inline(bytes.clone()), mode, uid, gid, MTIME))]),
            Origin::Foreign { digest, size } => {
                let range = FileRange { file: Arc::new(inputs.open(digest)?), offset: 0, size: *size };
                Ok(vec![(self.target.clone(), Entry::file(Content::new(*size, range), mode, uid, gid, MTIME))])
            }
            Origin::Local(entries) => self.lay_local(entries),
            Origin::Archive { name, digest, place, strip, .. } => self.lay_archive(name, *digest, place.as_ref(), *strip, inputs),
        }
    }
}

fn entry_key(kind: &LocalKind, mode: u16) -> Value {
    match kind {
        LocalKind::Directory => json!("directory"),
        LocalKind::Symlink(target) => json!({"link": String::from_utf8_lossy(target)}),
        LocalKind::File { digest, .. } => json!({"sha256": digest.hex(), "mode": mode_text(mode)}),
    }
}

fn mode_text(mode: u16) -> String {
    format!("{mode:04o}")
}
