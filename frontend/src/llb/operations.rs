//! The operations that the frontend uses, each with the capabilities that it needs.

use std::collections::BTreeMap;

use super::graph::{Edge, Graph, VertexOptions};
use super::proto::{
    Constraints, Copy, ExecOp, FileAction, FileOp, HostIp, Input, MergeInput, MergeOp, Meta, MkFile, Mount, Op, Platform, Rm, SecretOpt, SourceOp,
};
use crate::wire::Many;

/// The input or output that is no vertex: an empty directory, or nothing.
pub(super) const NONE: i64 = -1;
/// "As it is", of a mode or time.
pub(super) const KEEP: i64 = -1;
/// Kinds of mounts.
const SECRET: i64 = 1;
/// What caches know of a mount: its definition alone, not its content.
const BY_DEFINITION: i64 = 2;
/// The capability to say so (BuildKit 0.13).
pub const CONTENT_SWITCH: &str = "exec.mount.cache.content";

/// What a step may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// What the daemon gives to steps.
    Default,
    /// The daemon's own.
    Host,
    /// Nothing.
    #[default]
    None,
}

/// Something that is mounted into a step.
#[derive(Debug, Clone)]
pub enum Mounted {
    /// An output, or a path in it, to be read.
    Input {
        /// The output.
        edge: Edge,
        /// The path in it; empty for all.
        selector: String,
        /// Where.
        at: String,
    },
    /// An output that its definition pins: caches need not look at its content, where the daemon can be told so.
    Pinned {
        /// The output.
        edge: Edge,
        /// Where.
        at: String,
    },
    /// An empty directory that is thrown away.
    Scratch {
        /// Where.
        at: String,
    },
    /// A secret of the client, if it has it.
    Secret {
        /// Its id.
        id: String,
        /// Where.
        at: String,
    },
}

/// A step that runs a program of an image and makes a directory.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// Program and arguments.
    pub args: Vec<String>,
    /// Variables.
    pub env: Vec<String>,
    /// Where the directory that it makes is mounted.
    pub out: String,
    /// What lies in that directory at the beginning, which its definition pins; nothing where it is none.
    pub over: Option<Edge>,
    /// Whether the daemon has the [`CONTENT_SWITCH`].
    pub content_switch: bool,
    /// What else is mounted.
    pub mounts: Vec<Mounted>,
    /// What it may reach.
    pub network: Network,
    /// Names that are resolved by the client's word.
    pub hosts: Vec<(String, String)>,
}

fn input(edge: &Edge) -> Input {
    Input { digest: edge.digest.clone(), index: edge.index }
}

/// The index of an output among the inputs, where it stands once.
fn place(inputs: &mut Vec<Input>, edge: &Edge) -> i64 {
    let wanted = input(edge);
    let place = inputs.iter().position(|known| *known == wanted).unwrap_or(inputs.len());
    if place == inputs.len() {
        inputs.push(wanted);
    }
    place as i64
}

pub(super) fn first(digest: String) -> Edge {
    Edge { digest, index: 0 }
}

impl Graph {
    /// An image by its reference.
    pub fn image(&mut self, reference: &str, mode: Option<&str>, platform: &Platform, options: VertexOptions) -> Edge {
        let attributes = mode.map(|mode| BTreeMap::from([("image.resolvemode".to_owned(), mode.to_owned())])).unwrap_or_default();
        let capabilities: &[&str] = if mode.is_some() { &["source.image", "source.image.resolvemode"] } else { &["source.image"] };
        self.source_of(format!("docker-image://{reference}"), attributes, Some(platform), options, capabilities)
    }

    /// An image of an OCI layout that the client has.
    pub fn layout(&mut self, reference: &str, store: &str, session: &str, platform: &Platform, options: VertexOptions) -> Edge {
        let attributes = BTreeMap::from([("oci.session".to_owned(), session.to_owned()), ("oci.store".to_owned(), store.to_owned())]);
        self.source_of(format!("oci-layout://{reference}"), attributes, Some(platform), options, &["source.ocilayout"])
    }

    /// Any other source, such as `local://…`, `https://…` and `git://…`.
    pub fn source(&mut self, identifier: String, attributes: BTreeMap<String, String>, options: VertexOptions, capabilities: &[&str]) -> Edge {
        self.source_of(identifier, attributes, None, options, capabilities)
    }

    fn source_of(
        &mut self,
        identifier: String,
        attributes: BTreeMap<String, String>,
        platform: Option<&Platform>,
        options: VertexOptions,
        capabilities: &[&str],
    ) -> Edge {
        let source = Some(SourceOp { identifier, attributes });
        let operation = Op { platform: platform.cloned(), constraints: Some(Constraints::default()), source, ..Op::default() };
        first(self.add(&operation, options, capabilities))
    }

    /// A step in the root file system `image`, which it only reads. Gives the directory that it makes.
    pub fn exec(&mut self, image: &Edge, exec: Exec, platform: &Platform, options: VertexOptions) -> Edge {
        let mut inputs = vec![input(image)];
        let mut capabilities = vec!["exec.meta.base", "exec.mount.bind"];
        let root = Mount { dest: "/".to_owned(), output: NONE, readonly: true, ..Mount::default() };
        let over = exec.over.map_or(NONE, |edge| place(&mut inputs, &edge));
        let pinned = if exec.content_switch { BY_DEFINITION } else { 0 };
        let out = Mount { input: over, dest: exec.out, content_cache: if over == NONE { 0 } else { pinned }, ..Mount::default() };
        let mut mounts = vec![root, out];
        if exec.content_switch {
            capabilities.push(CONTENT_SWITCH);
        }
        for mounted in exec.mounts {
            mounts.push(match mounted {
                Mounted::Input { edge, selector, at } => {
                    if !selector.is_empty() {
                        capabilities.push("exec.mount.selector");
                    }
                    Mount { input: place(&mut inputs, &edge), selector, dest: at, output: NONE, readonly: true, ..Mount::default() }
                }
                Mounted::Pinned { edge, at } => {
                    let input = place(&mut inputs, &edge);
                    Mount { input, dest: at, output: NONE, readonly: true, content_cache: pinned, ..Mount::default() }
                }
                Mounted::Scratch { at } => {
                    capabilities.push("exec.mount.bind.readwrite-nooutput");
                    Mount { input: NONE, dest: at, output: NONE, ..Mount::default() }
                }
                Mounted::Secret { id, at } => {
                    capabilities.push("exec.mount.secret");
                    let secret = SecretOpt { id, mode: 0o400, optional: true };
                    Mount { input: NONE, dest: at, output: NONE, kind: SECRET, secret: Some(secret), ..Mount::default() }
                }
            });
        }
        let network = match exec.network {
            Network::Default => 0,
            Network::Host => 1,
            Network::None => 2,
        };
        if network != 0 {
            capabilities.push("exec.meta.network");
        }
        let extra_hosts = exec.hosts.into_iter().map(|(host, ip)| HostIp { host, ip }).collect();
        let meta = Meta { args: Many(exec.args), env: Many(exec.env), cwd: "/".to_owned(), extra_hosts: Many(extra_hosts) };
        let exec = Some(ExecOp { meta: Some(meta), mounts: Many(mounts), network });
        first(self.on_worker(inputs, platform, Op { exec, ..Op::default() }, options, &capabilities))
    }

    /// A directory that holds one file.
    pub fn file(&mut self, path: &str, data: Vec<u8>, platform: &Platform, options: VertexOptions) -> Edge {
        let mkfile = Some(MkFile { path: path.to_owned(), mode: 0o644, data, owner: None, timestamp: 0 });
        let action = FileAction { input: NONE, secondary_input: NONE, mkfile, ..FileAction::default() };
        let file = Some(FileOp { actions: Many(vec![action]) });
        first(self.on_worker(Vec::new(), platform, Op { file, ..Op::default() }, options, &["file.base"]))
    }

    /// `base` with all of `layer` copied over it: one layer more. Caches know what is copied by its content, to which times do not belong; so that a
    /// layer with other times is another one, an action that does nothing names `key`, in which they have their part.
    pub fn copy_onto(&mut self, base: &Edge, layer: &Edge, key: &str, platform: &Platform, options: VertexOptions) -> Edge {
        let copy = Some(Copy {
            src: "/".to_owned(),
            dest: "/".to_owned(),
            mode: KEEP,
            dir_copy_contents: true,
            create_dest_path: true,
            timestamp: KEEP,
            ..Copy::default()
        });
        let rm = Some(Rm { path: format!("/.byoi.key.{key}"), allow_not_found: true });
        let copied = FileAction { input: 0, secondary_input: 1, output: NONE, copy, ..FileAction::default() };
        // Two inputs, then the result of the first action.
        let named = FileAction { input: 2, secondary_input: NONE, rm, ..FileAction::default() };
        let file = Some(FileOp { actions: Many(vec![copied, named]) });
        first(self.on_worker(vec![input(base), input(layer)], platform, Op { file, ..Op::default() }, options, &["file.base"]))
    }

    /// What a path of `from` holds, as a root of its own; unpacked if it is an archive and `unpack` says so.
    pub fn part_of(&mut self, from: &Edge, path: &str, unpack: bool, platform: &Platform, options: VertexOptions) -> Edge {
        let copy = Some(Copy {
            src: path.to_owned(),
            dest: "/".to_owned(),
            mode: KEEP,
            dir_copy_contents: true,
            attempt_unpack: unpack,
            create_dest_path: true,
            timestamp: KEEP,
        });
        let action = FileAction { input: NONE, secondary_input: 0, copy, ..FileAction::default() };
        let file = Some(FileOp { actions: Many(vec![action]) });
        first(self.on_worker(vec![input(from)], platform, Op { file, ..Op::default() }, options, &["file.base"]))
    }

    /// `base` without these paths: one layer more.
    pub fn remove(&mut self, base: &Edge, paths: &[String], platform: &Platform, options: VertexOptions) -> Edge {
        let count = paths.len() as i64;
        // Each action works on the result of the one before; inputs of the operation are counted first. The last one is the output.
        let action = |(index, path): (usize, &String)| {
            let index = index as i64;
            let rm = Some(Rm { path: path.clone(), allow_not_found: true });
            FileAction { input: index, secondary_input: NONE, output: if index + 1 == count { 0 } else { NONE }, rm, ..FileAction::default() }
        };
        let actions = paths.iter().enumerate().map(action).collect();
        let file = Some(FileOp { actions: Many(actions) });
        first(self.on_worker(vec![input(base)], platform, Op { file, ..Op::default() }, options, &["file.base"]))
    }

    /// Layers over each other, the lowest first; each keeps its own bytes.
    pub fn merge(&mut self, layers: &[Edge], platform: &Platform, options: VertexOptions) -> Edge {
        let inputs = layers.iter().map(input).collect();
        let merged = (0..layers.len()).map(|index| MergeInput { input: index as i64 }).collect();
        let merge = Some(MergeOp { inputs: Many(merged) });
        first(self.on_worker(inputs, platform, Op { merge, ..Op::default() }, options, &["mergeop"]))
    }

    pub(super) fn on_worker(
        &mut self,
        inputs: Vec<Input>,
        platform: &Platform,
        operation: Op,
        options: VertexOptions,
        capabilities: &[&str],
    ) -> String {
        let operation = Op { inputs: Many(inputs), platform: Some(platform.clone()), constraints: Some(Constraints::default()), ..operation };
        self.add(&operation, options, capabilities)
    }
}
