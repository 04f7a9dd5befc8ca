//! A graph in the making: vertices by digest, in topological order, with their names, capabilities and places in the description.

use std::collections::{BTreeMap, BTreeSet};

use byoi::digest::Digest;

use super::proto::{Definition, Input, Location, Locations, Op, OpMetadata, Range, SourceInfo, SourceMap};
use crate::wire::{Many, Message};

/// An output of a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The vertex.
    pub digest: String,
    /// Which of its outputs.
    pub index: i64,
}

/// What is said of a vertex beside its operation.
#[derive(Debug, Clone, Default)]
pub struct VertexOptions {
    /// Its name in the progress display.
    pub name: String,
    /// Run it though its result is known.
    pub ignore_cache: bool,
    /// The part of the description that it is there for.
    pub range: Option<Range>,
}

impl VertexOptions {
    /// With a name alone.
    pub fn named(name: impl Into<String>) -> Self {
        VertexOptions { name: name.into(), ..Self::default() }
    }
}

/// Vertices in topological order.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    operations: Vec<Vec<u8>>,
    known: BTreeSet<String>,
    metadata: BTreeMap<String, OpMetadata>,
    locations: BTreeMap<String, Locations>,
    /// The description, for the places of vertices.
    pub source: Option<SourceInfo>,
}

impl Graph {
    /// A graph whose vertices may have places in this description.
    pub fn of(source: Option<SourceInfo>) -> Self {
        Graph { source, ..Self::default() }
    }

    /// Adds a vertex that needs these capabilities; one with the same bytes is there once.
    pub fn add(&mut self, operation: &Op, options: VertexOptions, capabilities: &[&str]) -> String {
        let bytes = operation.to_bytes();
        let digest = Digest::of(&bytes).to_string();
        if self.known.insert(digest.clone()) {
            self.operations.push(bytes);
        }
        let metadata = self.metadata.entry(digest.clone()).or_default();
        metadata.ignore_cache |= options.ignore_cache;
        if !options.name.is_empty() {
            metadata.description.insert("llb.customname".to_owned(), options.name);
        }
        metadata.caps.extend(capabilities.iter().map(|name| ((*name).to_owned(), true)));
        if let Some(range) = options.range {
            let location = Location { source_index: 0, ranges: Many(vec![range]) };
            self.locations.insert(digest.clone(), Locations { locations: Many(vec![location]) });
        }
        digest
    }

    /// Adds a whole graph of somebody else's; gives the output that it is about.
    pub fn import(&mut self, definition: &Definition) -> Option<Edge> {
        let (terminal, operations) = definition.def.0.split_last()?;
        for bytes in operations {
            let digest = Digest::of(bytes).to_string();
            if self.known.insert(digest.clone()) {
                self.operations.push(bytes.clone());
            }
            if let Some(metadata) = definition.metadata.get(&digest) {
                self.metadata.insert(digest, metadata.clone());
            }
        }
        let terminal = Op::read(terminal).ok()?;
        let input = terminal.inputs.0.first()?;
        Some(Edge { digest: input.digest.clone(), index: input.index })
    }

    /// Capabilities that its vertices need.
    pub fn capabilities(&self) -> BTreeSet<&str> {
        self.metadata.values().flat_map(|metadata| metadata.caps.keys()).map(String::as_str).collect()
    }

    /// The graph up to this output.
    pub fn definition(&self, head: &Edge) -> Definition {
        let terminal = Op { inputs: Many(vec![Input { digest: head.digest.clone(), index: head.index }]), ..Op::default() }.to_bytes();
        let mut metadata = self.metadata.clone();
        metadata.insert(Digest::of(&terminal).to_string(), OpMetadata::default());
        let def = self.operations.iter().cloned().chain([terminal]).collect();
        let source = self.source.clone().filter(|_| !self.locations.is_empty());
        let source = source.map(|info| SourceMap { locations: self.locations.clone(), infos: Many(vec![info]) });
        Definition { def: Many(def), metadata, source }
    }
}
