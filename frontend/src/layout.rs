//! The target `oci`: an OCI layout with the very bytes that `byoi build oci:DIRECTORY` writes, but for the base's layers. Each layer of ours is
//! packed by a step of its own, with our compressor instead of the daemon's; a last step writes config and manifest.

use byoi::assemble::{self, Additions, BuildRequest, Planned};
use byoi::digest::Digest;
use byoi::error::{Error, Problem};
use byoi::json;
use byoi::reference::ImageSource;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::Base;
use crate::diagnostics;
use crate::drawing::{Drawing, person_name};
use crate::llb::{Edge, Exec, Mounted, Network, VertexOptions};
use crate::session::BINARY;
use crate::step;

/// All of an image that is neither a layer nor the base's manifest.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageParts {
    /// The base's config; empty for none.
    pub base_config: Map<String, Value>,
    /// The base's diff ids.
    pub base_diff_ids: Vec<Digest>,
    /// What the manifest's annotations say of the base.
    pub base_name: Option<(String, Digest)>,
    /// What the config gets.
    pub additions: Additions,
    /// The image's time.
    pub created: Timestamp,
    /// Our layers, the lowest first.
    pub layers: Vec<LayerPart>,
}

/// What the config says of a layer of ours, beside its diff id.
#[derive(Debug, Serialize, Deserialize)]
pub struct LayerPart {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: Digest,
}

impl ImageParts {
    /// Those of a planned image.
    pub fn of(request: &BuildRequest<'_>, planned: &Planned, base: &Base) -> Self {
        let locked = &request.lock.base;
        let base_name = match (&request.description.base.value, locked.index.or(locked.digest)) {
            (ImageSource::Registry(reference), Some(digest)) => Some((reference.to_string(), digest)),
            _ => None,
        };
        ImageParts {
            base_config: base.config.clone(),
            base_diff_ids: base.diff_ids.clone(),
            base_name,
            additions: planned.additions.clone(),
            created: assemble::created(request),
            layers: planned.plan.layers.iter().map(|layer| LayerPart { name: layer.name.clone(), key: layer.key }).collect(),
        }
    }
}

impl Drawing<'_> {
    /// The vertex of the image's layout.
    ///
    /// # Errors
    /// Layers that no step can make, a base whose manifest nobody can look up.
    pub fn layout(mut self, base: &Base, parts: &ImageParts) -> Result<Edge, Error> {
        let folder = self.folder();
        let worker = self.session.gateway.worker.clone();
        let text = json::canonical_of(parts);
        let text = self.graph.file(&format!("/{}", step::IMAGE_FILE), text, &worker, self.session.vertex("[internal] the image's parts"));
        let whole = |edge, at| Mounted::Input { edge, selector: String::new(), at };
        let mut mounts = vec![whole(text, step::IMAGE.to_owned()), Mounted::Scratch { at: step::TEMPORARY.to_owned() }];
        mounts.extend(self.base_manifest(base)?.map(|edge| whole(edge, step::BASE.to_owned())));
        let planned = self.planned;
        for (index, layer) in planned.plan.layers.iter().enumerate() {
            let edge = self.step(layer, folder.as_ref(), step::PACK, format!("pack {}", person_name(layer)), None)?;
            mounts.push(whole(edge, step::packed_directory(index)));
        }
        let options = self.session.vertex("assemble the OCI layout");
        self.run(step::LAYOUT, None, mounts, Network::None, options)
    }

    /// The step that looks up the base's manifest: BuildKit gives it to no frontend. None for a base that is no image.
    fn base_manifest(&mut self, base: &Base) -> Result<Option<Edge>, Error> {
        if base.diff_ids.is_empty() && base.config.is_empty() {
            return Ok(None);
        }
        let source = &self.description.source;
        let span = self.description.base.span.clone();
        let Some(reference) = base.in_registry().map(str::to_owned) else {
            let problem = Problem::new("the target `oci` needs the base's manifest, and the base is in no registry").at(source, span);
            return Err(Error::input(problem.label("the base").help("put the base into a registry, or run `byoi build oci:DIRECTORY`")));
        };
        let range = Some(diagnostics::range(source, &span));
        let options = VertexOptions { range, ..self.session.vertex(format!("look up the manifest of {}", self.description.base_requirement)) };
        let mounts = [vec![Mounted::Scratch { at: step::TEMPORARY.to_owned() }], self.session.secrets(self.graph)].concat();
        self.run(step::MANIFEST, Some(&reference), mounts, self.session.options.network(), options).map(Some)
    }

    fn run(&mut self, task: &str, word: Option<&str>, mounts: Vec<Mounted>, network: Network, options: VertexOptions) -> Result<Edge, Error> {
        let worker = self.session.gateway.worker.clone();
        let tool = self.session.tool.edge(self.graph)?;
        let args = [BINARY, task].into_iter().chain(word).map(str::to_owned).collect();
        let hosts = if network == Network::None { Vec::new() } else { self.session.options.hosts() };
        let exec = Exec { args, env: step::environment(), out: step::OUT.to_owned(), mounts, network, hosts, ..Exec::default() };
        Ok(self.graph.exec(&tool, exec, &worker, options))
    }
}
