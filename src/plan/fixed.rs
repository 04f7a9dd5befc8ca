//! A component whose entries are known without any input: a few small texts and links, and directories of its own.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Component, Laid, MTIME, recipe};
use crate::digest::Digest;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Content, Entry};
use crate::lock::DirectoryRule;

/// A component of small texts and links. Every entry's time is [`MTIME`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fixed {
    name: String,
    directories: Vec<(ImagePath, DirectoryRule)>,
    files: Vec<(ImagePath, File)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum File {
    Text { content: String, mode: u16, owner: (u32, u32) },
    Link { target: String },
}

impl Fixed {
    /// A component without entries. `name` is what a person would call it.
    pub fn new(name: impl Into<String>) -> Self {
        Fixed { name: name.into(), directories: Vec::new(), files: Vec::new() }
    }

    /// With a directory: it is laid, with this mode and owner where the base does not have it.
    pub fn directory(mut self, path: ImagePath, mode: u16, (uid, gid): (u32, u32)) -> Self {
        self.directories.push((path, DirectoryRule { mode, uid, gid }));
        self
    }

    /// With a text.
    pub fn text(mut self, path: ImagePath, content: impl Into<String>, mode: u16, owner: (u32, u32)) -> Self {
        self.files.push((path, File::Text { content: content.into(), mode, owner }));
        self
    }

    /// With a symbolic link, root's.
    pub fn link(mut self, path: ImagePath, target: impl Into<String>) -> Self {
        self.files.push((path, File::Link { target: target.into() }));
        self
    }
}

impl Component for Fixed {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn key(&self) -> Value {
        let directory = |(path, rule): &(ImagePath, DirectoryRule)| json!([path.absolute(), rule.mode, rule.uid, rule.gid]);
        let file = |(path, file): &(ImagePath, File)| match file {
            File::Text { content, mode, owner } => json!([path.absolute(), "text", mode, owner.0, owner.1, Digest::of(content)]),
            File::Link { target } => json!([path.absolute(), "link", target]),
        };
        let directories: Vec<_> = self.directories.iter().map(directory).collect();
        let files: Vec<_> = self.files.iter().map(file).collect();
        json!({"name": self.name, "directories": directories, "files": files})
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        self.directories.clone()
    }

    fn claims(&self) -> Vec<ImagePath> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }

    fn lays_more(&self) -> bool {
        false
    }

    fn recipe(&self) -> Option<Value> {
        recipe("fixed", self)
    }

    fn lay(&self, _: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let directories = self.directories.iter().map(|(path, rule)| (path.clone(), Entry::directory(rule.mode, rule.uid, rule.gid, MTIME)));
        let files = self.files.iter().map(|(path, file)| (path.clone(), file.entry()));
        Ok(directories.chain(files).collect())
    }
}

impl File {
    fn entry(&self) -> Entry {
        match self {
            File::Text { content, mode, owner } => Entry::file(Content::inline(content.as_bytes()), *mode, owner.0, owner.1, MTIME),
            File::Link { target } => Entry::symlink(target.as_bytes(), 0, 0, MTIME),
        }
    }
}
