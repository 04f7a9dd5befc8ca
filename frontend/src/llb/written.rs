//! A tree that the daemon writes by itself, with modes, owners and times as they are said.

use super::graph::{Edge, Graph, VertexOptions};
use super::operations::{KEEP, NONE, first};
use super::proto::{ChownOpt, Copy, FileAction, FileOp, MkDir, MkFile, Op, Platform, UserOpt};
use crate::wire::Many;

/// An entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The path, from `/`.
    pub path: String,
    /// The permission bits.
    pub mode: u16,
    /// Owner and group.
    pub owner: (u32, u32),
    /// The modification time in seconds.
    pub time: i64,
    /// Type and content.
    pub node: WrittenNode,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenNode {
    /// A directory.
    Directory,
    /// A file.
    File(Vec<u8>),
}

const NANOSECONDS: i64 = 1_000_000_000;

impl Written {
    fn made(&self, path: &str, input: i64) -> FileAction {
        let mode = i64::from(self.mode);
        let owner = (self.owner != (0, 0)).then(|| {
            let user = |id: u32| Some(UserOpt { by_id: i64::from(id) });
            ChownOpt { user: user(self.owner.0), group: user(self.owner.1) }
        });
        let (path, timestamp) = (path.to_owned(), self.time.saturating_mul(NANOSECONDS));
        let action = FileAction { input, secondary_input: NONE, output: NONE, ..FileAction::default() };
        match &self.node {
            WrittenNode::Directory => FileAction { mkdir: Some(MkDir { path, mode, owner, timestamp }), ..action },
            WrittenNode::File(data) => FileAction { mkfile: Some(MkFile { path, mode, data: data.clone(), owner, timestamp }), ..action },
        }
    }

    /// The directory that holds it, and its name there.
    fn place(&self) -> (&str, &str) {
        self.path.rsplit_once('/').map_or(("/", self.path.as_str()), |(above, name)| (if above.is_empty() { "/" } else { above }, name))
    }
}

impl Graph {
    /// A directory with these entries, each after the directory that holds it.
    pub fn written(&mut self, entries: &[Written], platform: &Platform, options: VertexOptions) -> Edge {
        let mut actions: Vec<FileAction> = Vec::new();
        let mut head = NONE;
        for entry in entries {
            actions.push(entry.made(&entry.path, head));
            head = last(&actions);
        }
        // What is made in a directory changes its time. Copying an empty one over it, made apart, sets it back, and changes the time of the
        // directory above, whose turn is next.
        let holders = entries.iter().rev().filter(|entry| entries.iter().any(|other| other.place().0 == entry.path));
        for holder in holders {
            let (above, name) = holder.place();
            actions.push(holder.made(&format!("/{name}"), NONE));
            let copy =
                Some(Copy { src: "/".to_owned(), dest: above.to_owned(), mode: KEEP, dir_copy_contents: true, timestamp: KEEP, ..Copy::default() });
            actions.push(FileAction { input: head, secondary_input: last(&actions), output: NONE, copy, ..FileAction::default() });
            head = last(&actions);
        }
        if let Some(action) = actions.last_mut() {
            action.output = 0;
        }
        let file = Some(FileOp { actions: Many(actions) });
        first(self.on_worker(Vec::new(), platform, Op { file, ..Op::default() }, options, &["file.base"]))
    }
}

/// The last action's result, as a later one of the same operation names it: the operation has no inputs of its own.
fn last(actions: &[FileAction]) -> i64 {
    actions.len() as i64 - 1
}
