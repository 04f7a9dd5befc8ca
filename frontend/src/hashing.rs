//! Digests of the local files of `[[file]]`s, from a step. Planning needs no more of them, and through the gateway each would be sent, one call a
//! file, for every build; the daemon repeats a step only when its files changed. In their place stand files of the same size without content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use byoi::description::{Description, FileOrigin};
use byoi::digest::Digest;
use byoi::error::{Error, Problem};
use byoi::image_path::ImagePath;
use byoi::store::Store;

use crate::llb::{Edge, Exec, Graph, Mounted};
use crate::project::{self, Wanted};
use crate::session::{BINARY, Session};
use crate::status::{CallFailed, code};
use crate::step;

/// Bytes of files, and how many, from which a step is worth its start.
const WORTH_A_STEP: (u64, usize) = (8 << 20, 64);
/// Most bytes of the step's answer: a hundred for each of the most files that a description may name.
const MAX_ANSWER: u64 = 200 << 20;
/// What planning reads of local directories: the editor's version.
const READ: &str = "package.json";

type Digests = BTreeMap<String, (u64, Digest)>;

/// Which files a step hashes.
pub struct Hashing<'a> {
    session: &'a Session,
    /// The sources of `[[file]]`s, relative to the folder.
    sources: BTreeSet<&'a Path>,
    /// Paths of files whose content planning reads.
    read: Vec<&'a Path>,
}

impl<'a> Hashing<'a> {
    /// Which files of this description a step may hash.
    pub fn of(session: &'a Session, description: &'a Description) -> Self {
        let sources = description.files.iter().filter_map(|file| match &file.origin {
            FileOrigin::Source(path) => Some(plain(path)),
            _ => None,
        });
        let read = project::read_paths(description).into_iter().map(|path| plain(Path::new(path))).collect();
        Hashing { session, sources: sources.collect(), read }
    }

    /// The sources that hold a file which a step may hash; none for one that planning reads.
    fn sources_of(&self, file: &Wanted) -> Vec<&'a Path> {
        let path = Path::new(&file.path);
        let is_read = path.file_name().is_some_and(|name| name == READ) || self.read.iter().any(|read| path.starts_with(read));
        let above = path.ancestors().filter_map(|above| self.sources.get(above).copied());
        if is_read { Vec::new() } else { above.collect() }
    }

    /// Takes the files out that a step hashes, and puts stand-ins with their digests in their places.
    ///
    /// # Errors
    /// What the step or the daemon reports, a full disk.
    pub async fn take(&self, files: Vec<Wanted>, folder: &[&str]) -> Result<Vec<Wanted>, Error> {
        let (hashed, rest): (Vec<Wanted>, Vec<Wanted>) = files.into_iter().partition(|file| !self.sources_of(file).is_empty());
        let bytes: u64 = hashed.iter().map(|file| file.size).sum();
        if bytes < WORTH_A_STEP.0 && hashed.len() < WORTH_A_STEP.1 {
            return Ok(hashed.into_iter().chain(rest).collect());
        }
        let mut by_source: BTreeMap<&Path, Vec<&Wanted>> = BTreeMap::new();
        for file in &hashed {
            file.stand_in()?;
            self.sources_of(file).into_iter().for_each(|source| by_source.entry(source).or_default().push(file));
        }
        let digests = self.digests(by_source.keys().copied().collect(), folder).await?;
        let store = Store::open(self.session.store())?;
        for (source, files) in by_source {
            let known = files.into_iter().map(|file| known(file, source, &digests)).collect::<Result<_, _>>()?;
            byoi::file::remember(&byoi::file::place(&self.session.project(), source)?, &known, &store)?;
        }
        Ok(rest)
    }

    async fn digests(&self, sources: Vec<&Path>, folder: &[&str]) -> Result<Digests, Error> {
        const DOING: &str = "[internal] hash local files";
        let mut graph = Graph::default();
        let edge = self.vertex(sources, folder, DOING, &mut graph)?;
        let gateway = &self.session.gateway;
        let reference = gateway.solve(&graph, &edge, true, &[], DOING).await?;
        let bytes = gateway.read_file(&reference, step::DIGESTS_FILE, MAX_ANSWER).await?;
        serde_json::from_slice(&bytes).map_err(|error| CallFailed::new(DOING, code::INTERNAL, error.to_string()).into())
    }

    fn vertex(&self, sources: Vec<&Path>, folder: &[&str], name: &str, graph: &mut Graph) -> Result<Edge, Error> {
        let session = self.session;
        let tool = session.tool.edge(graph)?;
        let files = session.local_files(graph, folder);
        let project = session.project();
        let mut mounts = vec![Mounted::Scratch { at: step::TEMPORARY.to_owned() }];
        // One below another is there with it.
        for source in sources.iter().filter(|source| !sources.iter().any(|above| above != *source && source.starts_with(above))) {
            let (selector, at) = match source.to_str() {
                Some("") | None => (String::new(), project.clone()),
                Some(inside) => (format!("/{inside}"), project.join(inside)),
            };
            mounts.push(Mounted::Input { edge: files.clone(), selector, at: at.display().to_string() });
        }
        let args = vec![BINARY.to_owned(), step::DIGESTS.to_owned(), project.display().to_string()];
        let exec = Exec { args, env: step::environment(), out: step::OUT.to_owned(), mounts, ..Exec::default() };
        Ok(graph.exec(&tool, exec, &session.gateway.worker, session.vertex(name)))
    }
}

/// A path of the folder as a transfer names it.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// A file's path below its source, and its digest.
fn known(file: &Wanted, source: &Path, digests: &Digests) -> Result<(ImagePath, Digest), Error> {
    let Some((_, digest)) = digests.get(&file.path).filter(|(size, _)| *size == file.size) else {
        let problem = Problem::new(format!("{} changed while it was read", file.path));
        return Err(Error::input(problem.help("build again when nothing writes to it")));
    };
    let below = Path::new(&file.path).strip_prefix(source).unwrap_or(Path::new(""));
    let below = ImagePath::parse(below.as_os_str().as_encoded_bytes()).map_err(|error| Error::input(Problem::new(error.to_string())))?;
    Ok((below, *digest))
}
