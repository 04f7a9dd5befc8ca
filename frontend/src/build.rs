//! The build: description and lock from the client, the library's plan, and the graph that makes of it an image: one step for each layer, on an
//! empty directory, joined over the base.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use byoi::assemble::{self, BuildRequest, ConfigLayer, Planned, Recipe, compose};
use byoi::description::Description;
use byoi::error::{Error, Problem};
use byoi::layer::Node;
use byoi::plan::{self, PlannedLayer};
use byoi::progress::Silent;
use byoi::registry::http::{Http, HttpOptions};
use byoi::registry::{Credentials, Registry};
use byoi::store::Store;
use byoi::user_config::UserConfig;
use byoi::world::World;
use serde_json::Value;

use crate::base::Base;
use crate::gateway::Reference;
use crate::inputs::Inputs;
use crate::llb::proto::Range;
use crate::llb::{Edge, Exec, Graph, Mounted, Network, VertexOptions};
use crate::locking::Locked;
use crate::messages::{CacheImport, Outcome};
use crate::options::{Options, Target};
use crate::project::{self, Texts};
use crate::session::{BINARY, Session};
use crate::{diagnostics, result, step};

/// Builds what is asked for.
///
/// # Errors
/// Whatever any stage reports.
pub async fn run(session: &Session, texts: &Texts) -> Result<Outcome, Error> {
    session.options.check_platform()?;
    let target = session.options.target()?;
    let description = texts.description()?;
    project::fetch(&session.folder, &session.gateway, &project::local_paths(&description), &session.project()).await?;
    let locked = Locked::find(session, texts).await?;
    warn(session, texts, &locked).await?;
    match target {
        Target::Lock => locked.outcome(session, texts).await,
        Target::Image => image(session, texts, &locked).await,
    }
}

async fn warn(session: &Session, texts: &Texts, locked: &Locked) -> Result<(), Error> {
    for problem in locked.description.warnings.iter().chain(locked.warning(texts).as_ref()) {
        session.gateway.warn(&diagnostics::warning(problem, &texts.vertex)).await?;
    }
    Ok(())
}

async fn image(session: &Session, texts: &Texts, locked: &Locked) -> Result<Outcome, Error> {
    let Locked { description, lock, replacement, .. } = locked;
    let base = Base::resolve(description, lock, replacement.as_ref(), &session.gateway, &session.options).await?;
    let request = BuildRequest {
        description,
        directory: &session.project(),
        lock,
        labels: session.options.labels(),
        family: None,
        epoch: session.options.epoch()?,
        rebuild: false,
        threads: NonZeroUsize::MIN,
    };
    let planned = plan(&request, base.diff_ids.len(), session)?;
    let mut graph = Graph::of(Some(diagnostics::source_info(&texts.source)));
    let inputs = Inputs::find(description, lock, &session.project())?;
    let head = Drawing { session, description, inputs: &inputs, planned: &planned, graph: &mut graph }.draw(&base)?;
    let name = format!("build {}", texts.source.name);
    let Reference(id) = session.gateway.solve(&graph, &head, false, &cache_imports(&session.options), &name).await?;

    let layers: Vec<ConfigLayer> = planned
        .plan
        .layers
        .iter()
        // BuildKit puts its own list of diff ids in the place of whatever stands there.
        .map(|layer| ConfigLayer { diff_id: layer.key, created_by: layer.name.clone(), key: layer.key })
        .collect();
    let config = compose(&base.config, &base.diff_ids, &layers, &planned.additions, assemble::created(&request));
    let base_config = base.config_within(&config, layers.len());
    Ok(result::of_image(id, config, base_config, session.options.multi_platform()))
}

/// Plans with a world of which nothing but the store is used.
fn plan(request: &BuildRequest<'_>, base_layers: usize, session: &Session) -> Result<Planned, Error> {
    let config = UserConfig::default();
    let http = Http::new(HttpOptions::from(&config))?;
    let registry = Registry::new(http.clone(), Credentials::from_environment(), &config);
    let store = Store::open(session.work.join("store"))?;
    let cancelled = AtomicBool::new(false);
    assemble::plan(request, base_layers, &World { http: &http, registry: &registry, store: &store, progress: &Silent, cancelled: &cancelled })
}

/// Caches that the client names.
fn cache_imports(options: &Options) -> Vec<CacheImport> {
    let of = |kind: &str, attributes| CacheImport { kind: kind.to_owned(), attributes };
    let references = options.get("cache-from").into_iter().flat_map(|references| references.split(','));
    let mut all: Vec<_> = references.map(|reference| of("registry", [("ref".to_owned(), reference.to_owned())].into())).collect();
    let listed: Vec<Value> = options.get("cache-imports").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    for one in &listed {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attributes = one["Attrs"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
        all.push(of(one["Type"].as_str().unwrap_or_default(), attributes));
    }
    all
}

/// Draws the graph of an image.
struct Drawing<'a> {
    session: &'a Session,
    description: &'a Description,
    inputs: &'a Inputs,
    planned: &'a Planned,
    graph: &'a mut Graph,
}

impl Drawing<'_> {
    /// The image's vertex: the base with each layer over it.
    fn draw(mut self, base: &Base) -> Result<Edge, Error> {
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
                    let options = VertexOptions { range: self.range(layer), ..self.session.vertex(person_name(layer)) };
                    below = Some(self.graph.remove(base, &paths, &worker, options));
                }
                None => layers.push((person_name(layer), self.step(layer, folder.as_ref())?)),
            }
        }
        self.joined(below, layers)
    }

    /// Layers over what lies below: merged, where the daemon can; else copied one over the other, which gives the same bytes.
    fn joined(&mut self, below: Option<Edge>, layers: Vec<(String, Edge)>) -> Result<Edge, Error> {
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
        for (name, layer) in layers {
            head = Some(match head {
                None => layer,
                Some(head) => self.graph.copy_onto(Some(&head), &layer, &worker, VertexOptions::named(format!("lay {name}"))),
            });
        }
        head.ok_or_else(|| Error::input(Problem::new("the image has no layers")))
    }

    /// The local files that steps read.
    fn folder(&mut self) -> Option<Edge> {
        let mut paths = project::local_paths(self.description);
        paths.extend(project::base_file(self.description));
        let options = self.session.vertex("[internal] load local files");
        (!paths.is_empty()).then(|| self.session.folder.edge(self.graph, &self.session.gateway, &paths, options))
    }

    /// The step that makes a layer.
    fn step(&mut self, layer: &PlannedLayer, folder: Option<&Edge>) -> Result<Edge, Error> {
        let worker = self.session.gateway.worker.clone();
        let tool = self.session.tool.edge(self.graph)?;
        let recipe = Recipe::of(layer, &self.planned.plan.directories)?.to_bytes();
        let name = person_name(layer);
        let recipe = self.graph.file(&format!("/{}", step::RECIPE_FILE), recipe, &worker, self.session.vertex(format!("[internal] recipe: {name}")));
        let mut mounts = vec![
            Mounted::Input { edge: recipe, selector: String::new(), at: step::RECIPE.to_owned() },
            Mounted::Scratch { at: step::TEMPORARY.to_owned() },
        ];
        let mut inputs: Vec<_> = layer.components.iter().flat_map(|component| component.inputs()).collect();
        inputs.sort_unstable();
        inputs.dedup();
        for digest in &inputs {
            mounts.push(self.inputs.mount(digest, self.graph, folder, self.session)?);
        }
        mounts.extend(self.local_mounts(layer, folder)?);
        let args = vec![BINARY.to_owned(), step::LAYER.to_owned()];
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
        let mount = |place: &std::path::PathBuf| {
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
        let of_input = layer.components.iter().flat_map(|component| component.inputs()).find_map(|digest| self.inputs.range(&digest));
        let source = &self.description.source;
        let of_files =
            || self.description.files.first().filter(|_| layer.name.ends_with(": files")).map(|file| diagnostics::range(source, &file.span));
        of_input.or_else(of_files).or_else(|| Some(diagnostics::range(source, &self.description.base.span)))
    }
}

/// A layer's name without what only its history needs.
fn person_name(layer: &PlannedLayer) -> String {
    layer.name.strip_prefix("byoi: ").unwrap_or(&layer.name).to_owned()
}

/// The paths of a layer that only deletes; none for others.
fn removed(layer: &PlannedLayer, planned: &Planned) -> Result<Option<Vec<String>>, Error> {
    let is_deletion = !layer.components.is_empty()
        && layer.components.iter().all(|component| component.recipe().is_some_and(|recipe| recipe.get("whiteouts").is_some()));
    if !is_deletion {
        return Ok(None);
    }
    let tree = plan::build_tree(layer, &planned.plan.directories, &Nothing)?;
    let deleted = tree.iter().filter(|(_, entry)| matches!(entry.node, Node::Whiteout));
    deleted
        .map(|(path, _)| match std::str::from_utf8(path.as_bytes()) {
            Ok(text) => Ok(format!("/{text}")),
            Err(_) => Err(Error::input(Problem::new(format!("{path:?} is to be removed, and BuildKit takes only names in UTF-8")))),
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The inputs of a layer that needs none.
struct Nothing;

impl byoi::inputs::Inputs for Nothing {
    fn open(&self, digest: &byoi::digest::Digest) -> Result<std::fs::File, Error> {
        Err(Error::input(Problem::new(format!("the input {digest} is not expected here"))))
    }
}
