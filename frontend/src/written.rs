//! Layers so small and plain that the daemon itself can write them: directories and texts that hang on no input. A change in what an image lists
//! of its extensions then starts no program.

use std::io::Read;

use byoi::digest::Digest;
use byoi::error::{Error, FileError, Problem};
use byoi::inputs::Inputs;
use byoi::layer::{Entry, Node};
use byoi::plan::{DirectoryTable, PlannedLayer, build_tree};

use crate::llb::{Written, WrittenNode};

/// Modes that the daemon writes exactly: its own umask may take other bits away.
const EXACT: u16 = 0o755;

/// The entries of a layer that the daemon can write to the last bit, in the order of the walk; none for a layer that needs a step.
///
/// # Errors
/// Conflicts of paths.
pub fn entries(layer: &PlannedLayer, directories: &DirectoryTable) -> Result<Option<Vec<Written>>, Error> {
    let hangs_on_nothing = layer.inputs().is_empty() && layer.components.iter().all(|component| component.local_files().is_empty());
    if !hangs_on_nothing {
        return Ok(None);
    }
    let tree = build_tree(layer, directories, &NoInputs)?;
    let mut entries = Vec::with_capacity(tree.len());
    for (path, entry) in tree.iter() {
        match std::str::from_utf8(path.as_bytes()).ok().and_then(|path| written(path, entry).transpose()) {
            Some(entry) => entries.push(entry.map_err(FileError::at("read", path.absolute()))?),
            None => return Ok(None),
        }
    }
    Ok(Some(entries))
}

fn written(path: &str, entry: &Entry) -> std::io::Result<Option<Written>> {
    if entry.mode & !EXACT != 0 || entry.capability.is_some() {
        return Ok(None);
    }
    let node = match &entry.node {
        Node::Directory => WrittenNode::Directory,
        Node::File(content) => {
            let mut bytes = Vec::new();
            content.open()?.read_to_end(&mut bytes)?;
            WrittenNode::File(bytes)
        }
        // Older daemons make no links.
        Node::Symlink(_) | Node::HardLink(_) | Node::Whiteout => return Ok(None),
    };
    Ok(Some(Written { path: format!("/{path}"), mode: entry.mode, owner: (entry.uid, entry.gid), time: entry.mtime, node }))
}

/// The inputs of a layer that needs none.
pub struct NoInputs;

impl Inputs for NoInputs {
    fn open(&self, digest: &Digest) -> Result<std::fs::File, Error> {
        Err(Error::input(Problem::new(format!("the input {digest} is not expected here"))))
    }
}
