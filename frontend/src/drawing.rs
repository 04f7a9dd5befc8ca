//! The graph of an image: one vertex for each of its layers, on an empty directory, joined over the base; or all of them packed, for a layout.

use std::path::PathBuf;

use byoi::assemble::{Planned, Recipe};
use byoi::description::Description;
use byoi::error::{Error, Problem};
use byoi::layer::Node;
use byoi::plan::{self, PlannedLayer};

use crate::base::Base;
use crate::inputs::Inputs;
use crate::llb::proto::Range;
use crate::llb::{Edge, Exec, Graph, Mounted, Network, VertexOptions};
use crate::project;
use crate::session::{BINARY, Session};
use crate::{diagnostics, step, written};

/// Draws the graph of an image.
pub struct Drawing<'a> {
    /// The build.
    pub session: &'a Session,
    /// The description.
    pub description: &'a Description,
    /// Where inputs come from.
    pub inputs: &'a Inputs,
    /// The image.
    pub planned: &'a Planned,
    /// The graph in the making.
    pub graph: &'a mut Graph,
}

impl Drawing<'_> {
    /// The image's vertex: the base with each layer over it.
    ///
    /// # Errors
    /// Layers that no step can make.
    pub fn image(mut self, base: &Base) -> Result<Edge, Error> {
        let folder = self.folder();
        let worker = self.session.gateway.worker.clone();
        let range = Some(diagnostics::range(&self.description.source, &self.description.base.span));
        let options = VertexOptions { range, ..VertexOptions::named(format!("base {}", self.description.base_requirement)) };
        let mut below = base.edge(self.graph, options);
        let mut layers = Vec::new();
        let planned = self.planned;
        for layer in &planned.plan.layers {
            match removed(layer, planned)? {
                Some(paths) => {
                    // Deletions stand lowest; they are made over the base.
                    let Some(base) = &below else { return Err(Error::input(Problem::new("there is no base from which something could be removed"))) };
                    let options = VertexOptions { range: self.range(layer), ..self.session.vertex(format!("remove {}", person_name(layer))) };
                    below = Some(self.graph.remove(base, &paths, &worker, options));
                }
                None => layers.push((layer, self.layer(layer, folder.as_ref())?)),
            }
        }
        self.joined(below, layers)
    }

    /// Layers over what lies below: merged, where the daemon can; else copied one over the other, which gives the same bytes.
    fn joined(&mut self, below: Option<Edge>, layers: Vec<(&PlannedLayer, Edge)>) -> Result<Edge, Error> {
        let worker = self.session.gateway.worker.clone();
        if self.session.gateway.can_solve("mergeop") {
            let all: Vec<Edge> = below.into_iter().chain(layers.into_iter().map(|(_, edge)| edge)).collect();
            return match all.as_slice() {
                [] => Err(Error::input(Problem::new("the image has no layers"))),
                [one] => Ok(one.clone()),
                _ => Ok(self.graph.merge(&all, &worker, VertexOptions::named("put the layers together"))),
            };
        }
        let mut head = below;
        for (layer, edge) in layers {
            let options = VertexOptions::named(format!("lay {}", person_name(layer)));
            head = Some(match head {
                None => edge,
                Some(head) => self.graph.copy_onto(&head, &edge, &layer.key.hex(), &worker, options),
            });
        }
        head.ok_or_else(|| Error::input(Problem::new("the image has no layers")))
    }

    /// The local files that steps read.
    pub fn folder(&mut self) -> Option<Edge> {
        let mut paths = project::local_paths(self.description);
        paths.extend(project::base_file(self.description));
        (!paths.is_empty()).then(|| self.session.local_files(self.graph, &paths))
    }

    /// The vertex of a layer: written by the daemon itself where that gives the same bytes, else a step.
    fn layer(&mut self, layer: &PlannedLayer, folder: Option<&Edge>) -> Result<Edge, Error> {
        if let Some(entries) = written::entries(layer, &self.planned.plan.directories)? {
            let options = VertexOptions { range: self.range(layer), ..self.session.vertex(format!("write {}", person_name(layer))) };
            return Ok(self.graph.written(&entries, &self.session.gateway.worker, options));
        }
        self.step(layer, folder, step::LAYER, person_name(layer))
    }

    /// The step that makes a layer in the way of `task`.
    ///
    /// # Errors
    /// A layer that needs something of this machine.
    pub fn step(&mut self, layer: &PlannedLayer, folder: Option<&Edge>, task: &str, name: String) -> Result<Edge, Error> {
        let worker = self.session.gateway.worker.clone();
        let tool = self.session.tool.edge(self.graph)?;
        let recipe = Recipe::of(layer, &self.planned.plan.directories)?.to_bytes();
        let recipe_name = format!("[internal] recipe: {}", person_name(layer));
        let recipe = self.graph.file(&format!("/{}", step::RECIPE_FILE), recipe, &worker, self.session.vertex(recipe_name));
        let mut mounts = vec![
            Mounted::Input { edge: recipe, selector: String::new(), at: step::RECIPE.to_owned() },
            Mounted::Scratch { at: step::TEMPORARY.to_owned() },
        ];
        for digest in &layer.inputs() {
            mounts.push(self.inputs.mount(digest, self.graph, folder, self.session)?);
        }
        mounts.extend(self.local_mounts(layer, folder)?);
        let args = vec![BINARY.to_owned(), task.to_owned()];
        let exec = Exec { args, env: step::environment(), out: step::OUT.to_owned(), mounts, network: Network::None, hosts: Vec::new() };
        let options = VertexOptions { range: self.range(layer), ..self.session.vertex(name) };
        Ok(self.graph.exec(&tool, exec, &worker, options))
    }

    /// Local files of a layer, each at the path where it was planned with; what lies below another is there with it.
    fn local_mounts(&self, layer: &PlannedLayer, folder: Option<&Edge>) -> Result<Vec<Mounted>, Error> {
        let mut places: Vec<_> = layer.components.iter().flat_map(|component| component.local_files()).collect();
        places.sort_unstable();
        places.dedup();
        let all = places.clone();
        places.retain(|place| !all.iter().any(|above| above != place && place.starts_with(above)));
        let project = self.session.project();
        let mount = |place: &PathBuf| {
            let inside = place.strip_prefix(&project).ok().and_then(|path| path.to_str());
            let (Some(inside), Some(edge)) = (inside, folder.cloned()) else {
                return Err(Error::input(Problem::new(format!("{} does not lie in the description's folder", place.display()))));
            };
            let selector = if inside.is_empty() { String::new() } else { format!("/{inside}") };
            Ok(Mounted::Input { edge, selector, at: place.display().to_string() })
        };
        places.iter().map(mount).collect()
    }

    /// The part of the description that a layer is there for: what asks for its first input, else a file, else the base.
    fn range(&self, layer: &PlannedLayer) -> Option<Range> {
        let of_input = layer.inputs().iter().find_map(|digest| self.inputs.range(digest));
        let source = &self.description.source;
        let of_files =
            || self.description.files.first().filter(|_| layer.name.starts_with("byoi: files")).map(|file| diagnostics::range(source, &file.span));
        of_input.or_else(of_files).or_else(|| Some(diagnostics::range(source, &self.description.base.span)))
    }
}

/// A layer's name without what only its history needs.
pub fn person_name(layer: &PlannedLayer) -> String {
    layer.name.strip_prefix("byoi: ").unwrap_or(&layer.name).to_owned()
}

/// The paths of a layer that only deletes; none for others.
fn removed(layer: &PlannedLayer, planned: &Planned) -> Result<Option<Vec<String>>, Error> {
    let is_deletion = !layer.components.is_empty()
        && layer.components.iter().all(|component| component.recipe().is_some_and(|recipe| recipe.get("whiteouts").is_some()));
    if !is_deletion {
        return Ok(None);
    }
    let tree = plan::build_tree(layer, &planned.plan.directories, &written::NoInputs)?;
    let deleted = tree.iter().filter(|(_, entry)| matches!(entry.node, Node::Whiteout));
    deleted
        .map(|(path, _)| match std::str::from_utf8(path.as_bytes()) {
            Ok(text) => Ok(format!("/{text}")),
            Err(_) => Err(Error::input(Problem::new(format!("{path:?} is to be removed, and BuildKit takes only names in UTF-8")))),
        })
        .collect::<Result<_, _>>()
        .map(Some)
}
