//! From a base's index and config to what the lock says of it: facts, and the table of its directories.

mod editor;
mod libc;
mod programs;
mod texts;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::base::Index;
use crate::base::Interest;
use crate::base::index::{Entry, Node};
use crate::conda::existing;
use crate::contract;
use crate::image_path::{ImagePath, escape};
use crate::lock::{Directories, DirectoryRule, Facts};
use crate::plan::compress;
use programs::Programs;

pub use texts::UnreadableText;

/// Largest file whose content is kept: a status file of dpkg with some thousand packages has 4 MB.
const LARGEST: u64 = 8 << 20;
/// Most content that is kept of one base.
const TOTAL: u64 = 64 << 20;

/// What the facts are made from.
pub fn interest() -> Interest {
    let manifests = editor::CONTENT.iter().map(|path| (*path).to_owned()).chain(editor::image_manifests());
    let presence = programs::PRESENCE.iter().map(|path| (*path).to_owned());
    Interest::Patterns {
        content: manifests.chain(libc::contents()).chain(texts::paths()).chain([existing::HISTORY_PATTERN.to_owned()]).collect(),
        presence: presence.chain(libc::names()).collect(),
        packed: vec![existing::RECORD_PATTERN.to_owned()],
        marks: vec![existing::RECORDS.to_owned()],
        largest: LARGEST,
        largest_packed: existing::LARGEST_RECORD,
        total: TOTAL,
    }
}

/// Facts and directories of a base. `config` is the image's whole config; that of a root filesystem is empty.
///
/// # Errors
/// A text that our layers merge into cannot be kept in a lock.
pub fn facts(index: &Index, config: &Map<String, Value>) -> Result<(Facts, Directories), UnreadableText> {
    let programs = Programs::new(index, config);
    let launcher = programs.find(contract::LAUNCHER);
    let home = launcher.as_ref().and_then(|launcher| editor::home(index, launcher));
    let facts = Facts {
        editor: home.as_ref().and_then(|home| editor::version(index, home)),
        launcher: launcher.map(|launcher| launcher.real),
        entrypoint: own_entrypoint(&programs),
        glibc: libc::version(index),
        shell: programs.is_program(&ImagePath::literal("/bin/sh")),
        sudo: programs.find("sudo").is_some(),
        builtin_extensions: home.as_ref().map(|home| editor::builtin_extensions(index, home)).unwrap_or_default(),
        extensions: editor::image_extensions(index),
        texts: texts::read(index)?,
    };
    Ok((facts, directories(index)))
}

/// The base's own start script. In an image that byoi made that name is a link to byoi's, which would start itself for ever.
fn own_entrypoint(programs: &Programs<'_>) -> Option<ImagePath> {
    let script = programs.find(contract::PLATFORM_ENTRYPOINT)?;
    (script.real != ImagePath::literal(contract::ENTRYPOINT)).then_some(script.found)
}

fn directories(index: &Index) -> Directories {
    let mut rules = BTreeMap::new();
    let mut links = BTreeMap::new();
    for (path, entry) in index.iter() {
        match &entry.node {
            Node::Directory => {
                let rule = DirectoryRule { mode: entry.attributes.mode, uid: entry.attributes.uid, gid: entry.attributes.gid };
                rules.insert(path.clone(), rule);
            }
            Node::Symlink(target) if leads_to_directory(index, path) => {
                links.insert(path.clone(), escape(target));
            }
            _ => {}
        }
    }
    Directories { rules: compress(&rules), links }
}

fn leads_to_directory(index: &Index, path: &ImagePath) -> bool {
    matches!(index.find(path), Some((_, Entry { node: Node::Directory, .. })))
}

#[cfg(test)]
mod tests;
