//! The base image, as BuildKit gives it: its config is asked for, its layers are never read.

use byoi::contract;
use byoi::description::Description;
use byoi::digest::Digest;
use byoi::error::{Error, Problem};
use byoi::json;
use byoi::lock::Lock;
use byoi::reference::{DOCKER_HUB, ImageSource, Reference};
use serde_json::{Map, Value};

use crate::gateway::{Gateway, ResolvedImage, target_platform};
use crate::llb::{Edge, Graph, VertexOptions};
use crate::messages::ResolveImageConfig;
use crate::options::Options;
use crate::session::Session;

/// The base of an image.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// Where it comes from; none for a base that is no image.
    source: Option<BaseSource>,
    /// Its config.
    pub config: Map<String, Value>,
    /// The diff ids of its layers.
    pub diff_ids: Vec<Digest>,
}

#[derive(Debug, Clone)]
enum BaseSource {
    Registry { reference: String, mode: Option<String> },
    Layout { reference: String, store: String, session: String },
}

impl BaseSource {
    fn reference(&self) -> &str {
        let (BaseSource::Registry { reference, .. } | BaseSource::Layout { reference, .. }) = self;
        reference
    }
}

/// Looks up an image in the client's layout `store`; gives its config too.
async fn in_layout(store: &str, digest: &Digest, session: &Session) -> Result<(BaseSource, Vec<u8>), Error> {
    let reference = format!("docker.io/library/base@{digest}");
    let of_session = session.options.session.clone();
    let asked = ResolveImageConfig { resolver: 1, session: of_session.clone(), store: store.to_owned(), ..request(reference.clone(), None) };
    let config = session.gateway.resolve_image(&asked).await?.config;
    Ok((BaseSource::Layout { reference, store: store.to_owned(), session: of_session }, config))
}

/// Looks up an image in a registry, in its mirrors first; gives its config too.
async fn in_registry(reference: &Reference, session: &Session) -> Result<(BaseSource, Vec<u8>), Error> {
    let mode = session.options.get("image-resolve-mode").filter(|mode| *mode != "default").map(str::to_owned);
    let mut failed = None;
    for (registry, repository) in session.config.mirrors.of_repository(reference.registry(), reference.repository()) {
        let moved = reference.relocated(&registry, &repository);
        let reference = moved.map_err(|error| Error::input(Problem::new(format!("a mirror is no place for {reference}: {error}"))))?.to_string();
        match session.gateway.resolve_image(&request(reference.clone(), mode.as_deref())).await {
            Ok(ResolvedImage { config, .. }) => return Ok((BaseSource::Registry { reference, mode }, config)),
            Err(error) => failed = Some(error),
        }
    }
    // There is always a place to try.
    Err(failed.map_or_else(|| Error::input(Problem::new(format!("{reference} is nowhere"))), Error::from))
}

/// What a named context puts in the base's place.
#[derive(Debug, Clone)]
pub enum Replacement {
    /// An image in a registry.
    Image(Reference),
    /// An image of an OCI layout that the client has.
    Layout {
        /// The client's name for the layout.
        store: String,
        /// The image.
        digest: Digest,
    },
}

impl Replacement {
    /// The named context for this base, if there is one: under the name of the base as it is written or as docker shortens it, or `base`.
    ///
    /// # Errors
    /// A context of a kind that is no image.
    pub fn find(description: &Description, options: &Options) -> Result<Option<Self>, Error> {
        let mut names = vec![description.base_requirement.clone()];
        if let ImageSource::Registry(reference) = &description.base.value {
            names.push(familiar(reference));
        }
        names.push("base".to_owned());
        let Some(context) = names.iter().find_map(|name| options.context(name)) else { return Ok(None) };
        let refused = |why: String| {
            let problem = Problem::new(format!("the build context `{context}` cannot be the base: {why}"));
            Error::input(problem.help("give docker-image://REFERENCE or oci-layout://DIRECTORY"))
        };
        if let Some(reference) = context.strip_prefix("docker-image://") {
            return Ok(Some(Replacement::Image(reference.parse().map_err(|error| refused(format!("{error}")))?)));
        }
        if let Some((store, digest)) = context.strip_prefix("oci-layout://").and_then(|rest| rest.split_once('@')) {
            let digest = digest.parse().map_err(|error| refused(format!("{error}")))?;
            // A tag of the layout may stand before the digest.
            let store = store.split(':').next().unwrap_or_default().to_owned();
            return Ok(Some(Replacement::Layout { store, digest }));
        }
        Err(refused("it is no image".to_owned()))
    }

    /// Its digest, asked from the registry where the reference has none.
    ///
    /// # Errors
    /// An image that is not there.
    pub async fn digest(&self, gateway: &Gateway, options: &Options) -> Result<Option<Digest>, Error> {
        match self {
            Replacement::Layout { digest, .. } => Ok(Some(*digest)),
            Replacement::Image(reference) if reference.digest().is_some() => Ok(reference.digest()),
            Replacement::Image(reference) => {
                let found = gateway.resolve_image(&request(reference.to_string(), options.get("image-resolve-mode"))).await?;
                Ok(found.digest.and_then(|digest| digest.parse().ok()))
            }
        }
    }
}

/// A reference as docker shows it: without its own hub, and without `latest`.
pub fn familiar(reference: &Reference) -> String {
    let name = match reference.registry() {
        DOCKER_HUB => reference.repository().strip_prefix("library/").unwrap_or(reference.repository()).to_owned(),
        _ => reference.name(),
    };
    let tag = reference.tag().filter(|tag| *tag != "latest" || reference.digest().is_some()).map(|tag| format!(":{tag}"));
    let digest = reference.digest().map(|digest| format!("@{digest}"));
    [name, tag.unwrap_or_default(), digest.unwrap_or_default()].concat()
}

fn request(reference: String, mode: Option<&str>) -> ResolveImageConfig {
    ResolveImageConfig {
        log_name: format!("[internal] load the config of {reference}"),
        reference,
        platform: Some(target_platform()),
        mode: mode.unwrap_or("default").to_owned(),
        ..ResolveImageConfig::default()
    }
}

/// The name of the base's vertex.
pub fn vertex_name(description: &Description) -> String {
    format!("base {}", description.base_requirement)
}

impl Base {
    /// Looks up the base that the lock names, before it is known whether the lock is current; none where that decides which base it is. What goes wrong
    /// goes wrong again where the base is used.
    pub async fn early(description: &Description, lock: Option<&Lock>, session: &Session) -> Option<Self> {
        let lock = lock.filter(|lock| lock.base.requirement == description.base_requirement)?;
        let is_itself = matches!(Replacement::find(description, &session.options), Ok(None));
        if is_itself { Self::resolve(description, lock, None, session).await.ok() } else { None }
    }

    /// Has the daemon fetch it.
    pub async fn fetch(&self, description: &Description, session: &Session) {
        let mut graph = Graph::default();
        let name = vertex_name(description);
        if let Some(edge) = self.edge(&mut graph, VertexOptions::named(&name)) {
            // What goes wrong goes wrong again where the base is used.
            let _ = session.gateway.solve(&graph, &edge, true, &[], &name).await;
        }
    }

    /// Looks up the locked base.
    ///
    /// # Errors
    /// An image that is not there, not the locked one, or of a kind that BuildKit cannot read.
    pub async fn resolve(description: &Description, lock: &Lock, replacement: Option<&Replacement>, session: &Session) -> Result<Self, Error> {
        let Some(digest) = lock.base.digest else { return Ok(Base::default()) };
        let at_base = |problem: Problem| Error::input(problem.at(&description.source, description.base.span.clone()).label("the base"));
        let (source, config) = match (&description.base.value, replacement) {
            (ImageSource::RootFs { .. } | ImageSource::Scratch, _) => return Ok(Base::default()),
            (_, Some(Replacement::Layout { store, digest })) => in_layout(store, digest, session).await?,
            (_, Some(Replacement::Image(reference))) | (ImageSource::Registry(reference), None) => {
                in_registry(&reference.with_digest(digest), session).await?
            }
            (other, None) => {
                let problem = Problem::new(format!("the base `{other}` lies in a form that BuildKit does not read"));
                return Err(at_base(problem.help(
                    "hand it over as a build context, `--build-context base=oci-layout://DIRECTORY`; put it into a registry; or build with the command `byoi build`",
                )));
            }
        };
        let unreadable = |why: String| at_base(Problem::new(format!("the config of the base {} cannot be used: {why}", source.reference())));
        let config: Map<String, Value> = serde_json::from_slice(&config).map_err(|error| unreadable(error.to_string()))?;
        let architecture = config.get("architecture").and_then(Value::as_str).unwrap_or_default();
        if architecture != contract::ARCHITECTURE {
            return Err(unreadable(format!("it is for {architecture}, and SageMaker Studio runs {} alone", contract::ARCHITECTURE)));
        }
        let diff_ids = config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).cloned().unwrap_or_default();
        let diff_ids = serde_json::from_value(diff_ids).map_err(|error| unreadable(format!("its diff ids are none: {error}")))?;
        Ok(Base { source: Some(source), config, diff_ids })
    }

    /// Its reference, with a digest, where it lies in a registry.
    pub fn in_registry(&self) -> Option<&str> {
        match self.source.as_ref()? {
            BaseSource::Registry { reference, .. } => Some(reference),
            BaseSource::Layout { .. } => None,
        }
    }

    /// The base's config with its history as it stands in the image's, of whose items the last `ours` are no longer the base's. BuildKit's exporter
    /// keeps the times of items that are equal in both, and puts the client's epoch over those of all others.
    pub fn config_within(&self, image: &[u8], ours: usize) -> Option<Vec<u8>> {
        self.source.as_ref()?;
        let image: Value = serde_json::from_slice(image).ok()?;
        let history = image.get("history")?.as_array()?;
        let mut config = self.config.clone();
        config.insert("history".to_owned(), Value::Array(history[..history.len().saturating_sub(ours)].to_vec()));
        Some(json::canonical(&Value::Object(config)))
    }

    /// The vertex of the base; none for a base that is no image.
    pub fn edge(&self, graph: &mut Graph, options: VertexOptions) -> Option<Edge> {
        let platform = target_platform();
        Some(match self.source.as_ref()? {
            BaseSource::Registry { reference, mode } => graph.image(reference, mode.as_deref(), &platform, options),
            BaseSource::Layout { reference, store, session } => graph.layout(reference, store, session, &platform, options),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_as_docker_does() {
        for (long, short) in [
            ("ubuntu", "ubuntu"),
            ("docker.io/library/ubuntu:22.04", "ubuntu:22.04"),
            ("docker.io/me/x", "me/x"),
            ("public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu", "public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu"),
            ("localhost:5000/x:latest", "localhost:5000/x"),
        ] {
            assert_eq!(familiar(&long.parse().unwrap()), short);
        }
    }
}
