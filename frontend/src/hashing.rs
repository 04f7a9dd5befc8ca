//! Digests of the large local files of `[[file]]`s, from a step. Planning needs no more of them, and through the gateway each would be sent again for
//! every build; the daemon repeats a step only when its files changed. In their place stand files of the same size without content.

use std::collections::BTreeMap;
use std::path::Path;

use byoi::description::{Description, FileOrigin};
use byoi::digest::Digest;
use byoi::error::{Error, Problem};
use byoi::image_path::ImagePath;
use byoi::store::Store;

use crate::llb::{Edge, Exec, Graph, Mounted, Network};
use crate::project::{self, Wanted};
use crate::session::{BINARY, Session};
use crate::status::{CallFailed, code};
use crate::step;

/// Bytes of large files from which a step is worth its start.
const WORTH_A_STEP: u64 = 8 << 20;
/// Most bytes of the step's answer: a hundred for each of the most files that a description may name.
const MAX_ANSWER: u64 = 200 << 20;
/// What planning reads of local directories: the editor's version.
const READ: &str = "package.json";

/// Which files a step hashes.
pub struct Hashing<'a> {
    session: &'a Session,
    /// The sources of `[[file]]`s, relative to the folder.
    sources: Vec<&'a Path>,
    /// Paths of files whose content planning reads.
    read: Vec<&'a Path>,
}

impl<'a> Hashing<'a> {
    /// Which files of this description a step may hash.
    pub fn of(session: &'a Session, description: &'a Description) -> Self {
        let sources = description.files.iter().filter_map(|file| match &file.origin {
            FileOrigin::Source(path) => Some(path.as_path()),
            _ => None,
        });
        let read = project::read_paths(description).into_iter().map(Path::new).collect();
        Hashing { session, sources: sources.collect(), read }
    }

    /// The source of a file that a step may hash.
    fn source(&self, file: &Wanted) -> Option<&'a Path> {
        let path = Path::new(&file.path);
        let is_read = path.file_name().is_some_and(|name| name == READ) || self.read.iter().any(|read| path.starts_with(read));
        let source = || self.sources.iter().copied().find(|source| path.starts_with(source.strip_prefix(".").unwrap_or(source)));
        if file.size < step::LARGE || is_read { None } else { source() }
    }

    /// Takes the files out that a step hashes, and puts stand-ins with their digests in their places.
    ///
    /// # Errors
    /// What the step or the daemon reports, a full disk.
    pub async fn take(&self, files: Vec<Wanted>, folder: &[&str]) -> Result<Vec<Wanted>, Error> {
        let (large, rest): (Vec<Wanted>, Vec<Wanted>) = files.into_iter().partition(|file| self.source(file).is_some());
        if large.iter().map(|file| file.size).sum::<u64>() < WORTH_A_STEP {
            return Ok(large.into_iter().chain(rest).collect());
        }
        let mut sources: Vec<&Path> = large.iter().filter_map(|file| self.source(file)).collect();
        sources.sort_unstable();
        sources.dedup();
        let digests = self.digests(&sources, folder).await?;
        let store = Store::open(self.session.store())?;
        for source in sources {
            let mut known = BTreeMap::new();
            for file in large.iter().filter(|file| self.source(file) == Some(source)) {
                let digest = digests.get(&file.path).copied().filter(|(size, _)| *size == file.size);
                let (_, digest) = digest.ok_or_else(|| changed(&file.path))?;
                file.stand_in()?;
                let below = Path::new(&file.path).strip_prefix(source.strip_prefix(".").unwrap_or(source)).unwrap_or(Path::new(""));
                let below = ImagePath::parse(below.as_os_str().as_encoded_bytes()).map_err(|error| Error::input(Problem::new(error.to_string())))?;
                known.insert(below, digest);
            }
            byoi::file::remember(&byoi::file::place(&self.session.project(), source)?, &known, &store)?;
        }
        Ok(rest)
    }

    async fn digests(&self, sources: &[&Path], folder: &[&str]) -> Result<BTreeMap<String, (u64, Digest)>, Error> {
        const DOING: &str = "[internal] hash large local files";
        let mut graph = Graph::default();
        let edge = self.vertex(sources, folder, DOING, &mut graph)?;
        let gateway = &self.session.gateway;
        let reference = gateway.solve(&graph, &edge, true, &[], DOING).await?;
        let bytes = gateway.read_file(&reference, step::DIGESTS_FILE, MAX_ANSWER).await?;
        serde_json::from_slice(&bytes).map_err(|error| CallFailed::new(DOING, code::INTERNAL, error.to_string()).into())
    }

    fn vertex(&self, sources: &[&Path], folder: &[&str], name: &str, graph: &mut Graph) -> Result<Edge, Error> {
        let session = self.session;
        let tool = session.tool.edge(graph)?;
        let files = session.folder.edge(graph, &session.gateway, folder, session.vertex("[internal] load local files"));
        let project = session.project();
        let mut mounts = vec![Mounted::Scratch { at: step::TEMPORARY.to_owned() }];
        // One below another is there with it.
        for source in sources.iter().filter(|source| !sources.iter().any(|above| above != *source && source.starts_with(above))) {
            let inside = source.strip_prefix(".").unwrap_or(source).display().to_string();
            let selector = if inside.is_empty() { String::new() } else { format!("/{inside}") };
            mounts.push(Mounted::Input { edge: files.clone(), selector, at: project.join(inside).display().to_string() });
        }
        let args = vec![BINARY.to_owned(), step::DIGESTS.to_owned(), project.display().to_string()];
        let exec = Exec { args, env: step::environment(), out: step::OUT.to_owned(), mounts, network: Network::None, hosts: Vec::new() };
        Ok(graph.exec(&tool, exec, &session.gateway.worker, session.vertex(name)))
    }
}

fn changed(path: &str) -> Error {
    Error::input(Problem::new(format!("{path} changed while it was read")).help("build again when nothing writes to it"))
}
