//! Which layers an image gets from us, from the bottom: the root filesystem, what is taken away from the base,
//! conda packages in groups, one layer for each extension (merged by id when the budget is
//! short), `extensions.json`, the files, large parts of files, the platform (account, entrypoint, settings). Names and order belong to
//! format 1.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Component, DirectoryTable, key};
use crate::digest::Digest;
use crate::image_path::ImagePath;
use crate::lock::Directories;

/// All components of an image, by the layer they belong to.
#[derive(Default)]
pub struct Components {
    /// A root filesystem that is laid as the first layer.
    pub rootfs: Option<Arc<dyn Component>>,
    /// What is taken away from the base, where something is.
    pub whiteouts: Option<Arc<dyn Component>>,
    /// Paths of the base that are no more, or make way for something else: links and directories there count for nothing.
    pub gone: Vec<ImagePath>,
    /// Conda packages and records in groups that are layers, each with its name, the lowest first.
    pub packages: Vec<(String, Vec<Arc<dyn Component>>)>,
    /// The history of the conda environment, where there is one.
    pub history: Option<Arc<dyn Component>>,
    /// The extensions, sorted by id.
    pub extensions: Vec<Arc<dyn Component>>,
    /// `extensions.json`, where there are extensions.
    pub extension_list: Option<Arc<dyn Component>>,
    /// Large parts of the files that are layers, each with its name.
    pub file_parts: Vec<(String, Arc<dyn Component>)>,
    /// The other files, in the description's order.
    pub files: Vec<Arc<dyn Component>>,
    /// Account, entrypoint, settings, and a directory for temporary files where the base has none.
    pub platform: Vec<Arc<dyn Component>>,
}

/// What a layer of ours holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// A root filesystem.
    RootFs,
    /// What is taken away from the base, and nothing else.
    Whiteouts,
    /// Conda packages.
    Packages,
    /// The history of a conda environment.
    History,
    /// Extensions.
    Extensions,
    /// `extensions.json`.
    ExtensionList,
    /// Files, or a large part of them.
    Files,
    /// Account, entrypoint, settings, and a directory for temporary files where the base has none.
    Platform,
}

/// A layer of ours: what lies in it, and the key by which it is known.
pub struct PlannedLayer {
    /// What it holds.
    pub kind: LayerKind,
    /// `created_by` of its history item, and its name for people.
    pub name: String,
    /// What lies in it.
    pub components: Vec<Arc<dyn Component>>,
    /// The sha256 of all that decides its bytes.
    pub key: Digest,
}

impl PlannedLayer {
    /// A layer of these components in an image with these directories.
    pub fn new(kind: LayerKind, name: String, components: Vec<Arc<dyn Component>>, directories: &DirectoryTable) -> Self {
        let key = key::of_layer(&components, directories);
        PlannedLayer { kind, name, components, key }
    }

    /// The inputs of its components, each once.
    pub fn inputs(&self) -> BTreeSet<Digest> {
        self.components.iter().flat_map(|component| component.inputs()).collect()
    }

    /// What of the image's table of directories decides how the layer is laid.
    pub fn directories(&self, table: &DirectoryTable) -> Directories {
        key::directories_needed(&self.components, table)
    }
}

/// The layers of an image, the lowest first, and the one table of its directories.
pub struct Plan {
    /// The layers.
    pub layers: Vec<PlannedLayer>,
    /// Mode and owner of every directory of the image.
    pub directories: DirectoryTable,
}

/// Layers above the extensions: their list, files, platform. Large parts of the files come on top.
const LAYERS_ABOVE: usize = 3;

/// The most layers of a budget that large parts of the files may be.
pub fn layers_for_file_parts(budget: usize) -> usize {
    FILE_PARTS.min(budget / 4)
}

/// Enough for most of a gigabyte to be moved in pieces.
const FILE_PARTS: usize = 8;

/// Layers of a budget that are kept for what lies above conda packages: as many as there are extensions, of which a third of the budget is
/// enough, since extensions can share layers.
pub fn layers_above_conda(extensions: usize, budget: usize) -> usize {
    LAYERS_ABOVE + extensions.min(budget / 3)
}

impl Plan {
    /// Plans the layers of an image. `directories` is the base's table; `budget` the most layers that ours may be.
    pub fn new(components: Components, mut directories: DirectoryTable, budget: usize) -> Self {
        let Components { rootfs, whiteouts, gone, packages, history, extensions, extension_list, file_parts, files, platform } = components;
        gone.iter().for_each(|path| directories.forget(path));
        let alone = |component: Arc<dyn Component>| (component.name(), vec![component]);
        let together = |name: &str, components: Vec<_>| (!components.is_empty()).then(|| (name.to_owned(), components));
        let mut layers = Layers::default();
        layers.put(LayerKind::RootFs, rootfs.map(alone));
        layers.put(LayerKind::Whiteouts, whiteouts.map(alone));
        layers.put(LayerKind::Packages, packages);
        layers.put(LayerKind::History, history.map(alone));
        let left = budget.saturating_sub(layers.0.len() + LAYERS_ABOVE + file_parts.len()).max(1);
        layers.put(LayerKind::Extensions, grouped(extensions, left));
        layers.put(LayerKind::ExtensionList, extension_list.map(alone));
        // What is left of the files may be much: the last layer to be sent should be small.
        layers.put(LayerKind::Files, together("files", files));
        layers.put(LayerKind::Files, file_parts.into_iter().map(|(name, component)| (name, vec![component])));
        layers.put(LayerKind::Platform, together("platform", platform));
        let Layers(layers) = layers;

        for component in layers.iter().flat_map(|(_, (_, components))| components) {
            for (path, rule) in component.directories() {
                directories.add(path, rule);
            }
        }
        let planned = |(kind, (name, components))| PlannedLayer::new(kind, format!("byoi: {name}"), components, &directories);
        let layers = layers.into_iter().map(planned).collect();
        Plan { layers, directories }
    }
}

/// What will be a layer: its name, and what lies in it.
type Named = (String, Vec<Arc<dyn Component>>);

/// Layers before the table of directories is whole, which their keys hang on.
#[derive(Default)]
struct Layers(Vec<(LayerKind, Named)>);

impl Layers {
    fn put(&mut self, kind: LayerKind, layers: impl IntoIterator<Item = Named>) {
        self.0.extend(layers.into_iter().map(|layer| (kind, layer)));
    }
}

/// One layer for each extension while the budget lasts; else the extensions, which are sorted by id, in as many groups as there may be
/// layers, so that an update of one rewrites one group.
fn grouped(extensions: Vec<Arc<dyn Component>>, most: usize) -> Vec<Named> {
    if extensions.is_empty() {
        return Vec::new();
    }
    let size = extensions.len().div_ceil(most);
    let groups = extensions.chunks(size).map(<[_]>::to_vec);
    groups
        .map(|group| {
            let name = match group.as_slice() {
                [one] => one.name(),
                [first, .., last] => format!("{} extensions, {} to {}", group.len(), first.name(), last.name()),
                [] => String::new(),
            };
            (name, group)
        })
        .collect()
}
