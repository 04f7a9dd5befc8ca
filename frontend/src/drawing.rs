//! The graph of an image: one vertex for each of its layers, on an empty directory, joined over the base; or all of them packed, for a layout.

use std::path::PathBuf;

use byoi::assemble::{Planned, Recipe};
use byoi::description::Description;
use byoi::error::{Error, Problem};
use byoi::layer::Node;
use byoi::plan::{self, LayerKind, PlannedLayer};

use crate::base::{self, Base};
use crate::inputs::Inputs;
use crate::llb::proto::Range;
use crate::llb::{CONTENT_SWITCH, Edge, Exec, Graph, Mounted, VertexOptions};
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
        let options = VertexOptions { range, ..VertexOptions::named(base::vertex_name(self.description)) };
        let mut below = base.edge(self.graph, options);
        let mut apart = Vec::new();
        let (planned, merge) = (self.planned, self.session.can_merge());
        for layer in &planned.plan.layers {
            if let Some(paths) = removed(layer, planned)? {
                // Deletions stand lowest; they are made over the base.
                let Some(base) = &below else { return Err(Error::input(Problem::new("there is no base from which something could be removed"))) };
                let options = VertexOptions { range: self.range(layer), ..self.session.vertex(format!("remove {}", person_name(layer))) };
                below = Some(self.graph.remove(base, &paths, &worker, options));
            } else if merge {
                apart.push(self.layer(layer, folder.as_ref())?);
            } else {
                below = Some(self.over(below, layer, folder.as_ref())?);
            }
        }
        let all: Vec<Edge> = below.into_iter().chain(apart).collect();
        match all.as_slice() {
            [] => Err(Error::input(Problem::new("the image has no layers"))),
            [one] => Ok(one.clone()),
            _ => Ok(self.graph.merge(&all, &worker, VertexOptions::named("put the layers together"))),
        }
    }

    /// A layer over what lies below it, for a daemon that merges none. It is copied there, so that its step is not run again when something below
    /// it changes. An environment, the most of what an image gets and the least of what changes, is laid there at once.
    fn over(&mut self, below: Option<Edge>, layer: &PlannedLayer, folder: Option<&Edge>) -> Result<Edge, Error> {
        let Some(below) = below else { return self.layer(layer, folder) };
        // BuildKit would hash all of it first, but that it is told not to; before 0.13 it does not.
        if layer.kind == LayerKind::Packages {
            return self.step(layer, folder, step::LAYER, person_name(layer), Some(below));
        }
        let edge = self.layer(layer, folder)?;
        let options = VertexOptions::named(format!("lay {}", person_name(layer)));
        Ok(self.graph.copy_onto(&below, &edge, &layer.key.hex(), &self.session.gateway.worker, options))
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
        self.step(layer, folder, step::LAYER, person_name(layer), None)
    }

    /// The step that makes a layer in the way of `task`, by itself or over what lies below it.
    ///
    /// # Errors
    /// A layer that needs something of this machine.
    pub fn step(&mut self, layer: &PlannedLayer, folder: Option<&Edge>, task: &str, name: String, over: Option<Edge>) -> Result<Edge, Error> {
        let worker = self.session.gateway.worker.clone();
        let tool = self.session.tool.edge(self.graph)?;
        let (mut env, mut mounts) = (step::environment(), vec![Mounted::Scratch { at: step::TEMPORARY.to_owned() }]);
        // A vertex more costs a daemon dozens of writes that it waits for.
        match Recipe::of(layer, &self.planned.plan.directories)?.to_text() {
            short if short.len() <= step::LONGEST_VARIABLE => env.push(format!("{}={short}", step::RECIPE_VARIABLE)),
            long => {
                let options = self.session.vertex(format!("[internal] recipe: {}", person_name(layer)));
                let edge = self.graph.file(&format!("/{}", step::RECIPE_FILE), long.into_bytes(), &worker, options);
                mounts.push(Mounted::Input { edge, selector: String::new(), at: step::RECIPE.to_owned() });
            }
        }
        for digest in &layer.inputs() {
            mounts.push(self.inputs.mount(digest, self.graph, folder, self.session)?);
        }
        mounts.extend(self.local_mounts(layer, folder)?);
        let args = [BINARY, task].into_iter().chain(over.is_some().then_some(step::OVER)).map(str::to_owned).collect();
        let content_switch = self.session.gateway.can_solve(CONTENT_SWITCH);
        let exec = Exec { args, env, out: step::OUT.to_owned(), over, content_switch, mounts, ..Exec::default() };
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
            || self.description.files.first().filter(|_| layer.kind == LayerKind::Files).map(|file| diagnostics::range(source, &file.span));
        of_input.or_else(of_files).or_else(|| Some(diagnostics::range(source, &self.description.base.span)))
    }
}

/// A layer's name without what only its history needs.
pub fn person_name(layer: &PlannedLayer) -> String {
    layer.name.strip_prefix("byoi: ").unwrap_or(&layer.name).to_owned()
}

/// The paths of a layer that only deletes; none for others.
fn removed(layer: &PlannedLayer, planned: &Planned) -> Result<Option<Vec<String>>, Error> {
    if layer.kind != LayerKind::Whiteouts {
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
