//! What all parts of one build share: the daemon, what the client asks for, the folder of the description, and the frontend's own image, whose
//! binary runs in the steps.

use std::path::{Path, PathBuf};

use byoi::error::{Error, FileError, Problem};
use byoi::reference::Reference;
use byoi::user_config::UserConfig;

use crate::folder::{Folder, LOCAL_FILES};
use crate::gateway::{Gateway, target_platform};
use crate::llb::proto::Definition;
use crate::llb::{Edge, Graph, Mounted, VertexOptions};
use crate::messages::ResolveImageConfig;
use crate::options::{self, Options};
use crate::status::{CallFailed, code};
use crate::step;
use crate::wire::Message;

/// Where the frontend's binary lies in its image.
pub const BINARY: &str = "/byoi-frontend";
/// Where BuildKit 0.10 and newer puts the definition of the frontend's own image.
const OWN_DEFINITION: &str = "/run/config/buildkit/metadata/frontend.bin";

/// Secrets of the client: docker's `config.json`, and the user's configuration.
pub const ACCOUNTS: &str = "byoi-docker-config";
/// See [`ACCOUNTS`].
pub const CONFIG: &str = "byoi-config";

/// One build.
pub struct Session {
    /// The daemon.
    pub gateway: Gateway,
    /// What the client asks for.
    pub options: Options,
    /// Where else things are, as the client says.
    pub config: UserConfig,
    /// Where the description lies.
    pub folder: Folder,
    /// The frontend's own image.
    pub tool: Tool,
    /// Where local files are put, and the store: a directory of the frontend's own, which is thrown away with it. Steps find local files at the
    /// same paths.
    pub work: PathBuf,
}

impl Session {
    /// Begins a build in the directory `work`.
    ///
    /// # Errors
    /// A daemon that does not answer.
    pub async fn begin(gateway: Gateway, options: Options, work: PathBuf) -> Result<Self, Error> {
        let folder = Folder::find(&gateway, &options).await?;
        let tool = Tool::find(&gateway, &options, Path::new(OWN_DEFINITION)).await?;
        let config = options.config()?;
        Ok(Session { gateway, options, config, folder, tool, work })
    }

    /// Whether the daemon can put layers together as they are; else each is copied over the one below.
    pub fn can_merge(&self) -> bool {
        self.gateway.can_solve("mergeop")
    }

    /// Where local files are put.
    pub fn project(&self) -> PathBuf {
        self.work.join("project")
    }

    /// Where the library keeps what it knows.
    pub fn store(&self) -> PathBuf {
        self.work.join("store")
    }

    /// What a step with network may know of the client: accounts of registries, and the user's configuration. Steps ask for secrets that the client
    /// may have; a configuration that is a build argument is none.
    pub fn secrets(&self, graph: &mut Graph) -> Vec<Mounted> {
        let accounts = Mounted::Secret { id: ACCOUNTS.to_owned(), at: format!("{}/config.json", step::DOCKER_CONFIG) };
        let config = match self.options.build_argument(options::CONFIG) {
            Some(text) => {
                let name = self.vertex("[internal] the user's configuration");
                let edge = graph.file("/config.toml", text.as_bytes().to_vec(), &self.gateway.worker, name);
                Mounted::Input { edge, selector: "/config.toml".to_owned(), at: step::CONFIG.to_owned() }
            }
            None => Mounted::Secret { id: CONFIG.to_owned(), at: step::CONFIG.to_owned() },
        };
        vec![accounts, config]
    }

    /// The vertex of local files. Without a cache too it is made once in a build.
    pub fn local_files(&self, graph: &mut Graph, paths: &[&str]) -> Edge {
        self.folder.edge(graph, &self.gateway, paths, VertexOptions::named(LOCAL_FILES))
    }

    /// Options of a vertex with this name.
    pub fn vertex(&self, name: impl Into<String>) -> VertexOptions {
        VertexOptions { ignore_cache: self.options.no_cache(), ..VertexOptions::named(name) }
    }
}

/// The frontend's own image.
#[derive(Debug, Clone)]
pub enum Tool {
    /// As BuildKit started it.
    Definition(Definition),
    /// By its reference, which has a digest unless docker has the image in its own store.
    Image(String),
}

impl Tool {
    async fn find(gateway: &Gateway, options: &Options, own: &Path) -> Result<Self, Error> {
        match std::fs::read(own) {
            Ok(bytes) => {
                let unreadable =
                    |error: crate::wire::WireError| CallFailed::new("read the frontend's own definition", code::INTERNAL, error.to_string());
                Ok(Tool::Definition(Definition::read(&bytes).map_err(unreadable)?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::look_up(gateway, options).await,
            Err(error) => Err(FileError::at("read", own)(error).into()),
        }
    }

    async fn look_up(gateway: &Gateway, options: &Options) -> Result<Self, Error> {
        let unknown = |why: String| Error::input(Problem::new(format!("the frontend does not know its own image: {why}")));
        let source = options.own_image().ok_or_else(|| unknown("the daemon gives no `source`".to_owned()))?;
        let reference: Reference = source.parse().map_err(|error| unknown(format!("{error}")))?;
        let request = ResolveImageConfig {
            reference: reference.to_string(),
            platform: Some(target_platform()),
            mode: options.get("image-resolve-mode").unwrap_or("default").to_owned(),
            log_name: format!("[internal] load the config of {source}"),
            ..ResolveImageConfig::default()
        };
        let digest = gateway.resolve_image(&request).await?.digest.and_then(|digest| digest.parse().ok());
        Ok(Tool::Image(digest.map_or_else(|| reference.to_string(), |digest| reference.with_digest(digest).to_string())))
    }

    /// The image's vertex.
    ///
    /// # Errors
    /// A definition without an output.
    pub fn edge(&self, graph: &mut Graph) -> Result<Edge, Error> {
        match self {
            Tool::Definition(definition) => graph
                .import(definition)
                .ok_or_else(|| CallFailed::new("read the frontend's own definition", code::INTERNAL, "it has no output").into()),
            Tool::Image(reference) => Ok(graph.image(reference, None, &target_platform(), VertexOptions::named("[internal] the frontend's image"))),
        }
    }
}
