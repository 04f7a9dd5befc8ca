//! Where the inputs of an image come from when BuildKit fetches them: an http source with its checksum for each foreign one, the folder of the
//! description for local ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use byoi::description::{Description, ExtensionOrigin, FileOrigin};
use byoi::digest::{Digest, Digesting};
use byoi::error::{Error, FileError, Problem};
use byoi::lock::Lock;
use url::Url;

use crate::llb::proto::Range;
use crate::llb::{Edge, Graph, Mounted, VertexOptions};
use crate::session::Session;
use crate::{diagnostics, step};

/// An input: where it is, and the part of the description that asks for it.
#[derive(Debug, Clone)]
struct Input {
    place: Place,
    range: Option<Range>,
}

#[derive(Debug, Clone)]
enum Place {
    Url(Url),
    /// A path in the folder.
    Folder(String),
}

/// All inputs of an image by digest.
#[derive(Debug, Default)]
pub struct Inputs(BTreeMap<Digest, Input>);

impl Inputs {
    /// Those of the lock, and the local extensions, which lie in `project`.
    ///
    /// # Errors
    /// Local extensions that cannot be read.
    pub fn find(description: &Description, lock: &Lock, project: &Path) -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        let range = |span| Some(diagnostics::range(&description.source, span));
        for extension in &description.extensions {
            match &extension.origin {
                ExtensionOrigin::Path(path) => {
                    let place = project.join(path);
                    let failed = || FileError::at("read", &place);
                    let digest = digest_of(&place).map_err(failed())?;
                    let top = project.canonicalize().map_err(FileError::at("read", project))?;
                    let real = place.canonicalize().map_err(failed())?;
                    let inside = real.strip_prefix(&top).unwrap_or(path).to_string_lossy().into_owned();
                    all.insert(digest, Input { place: Place::Folder(inside), range: range(&extension.span) });
                }
                origin => {
                    let requirement = origin.requirement();
                    let entry = lock.extensions.iter().find(|entry| entry.requirement == requirement);
                    all.extend(entry.map(|entry| (entry.sha256, Input { place: Place::Url(entry.url.clone()), range: range(&extension.span) })));
                }
            }
        }
        for file in &description.files {
            let FileOrigin::Url { url, .. } = &file.origin else { continue };
            let entry = lock.files.iter().find(|entry| entry.requirement == *url);
            all.extend(entry.map(|entry| (entry.sha256, Input { place: Place::Url(url.clone()), range: range(&file.span) })));
        }
        for package in lock.conda.iter().flat_map(|conda| &conda.packages) {
            let range = description.conda.as_ref().and_then(|conda| range(&conda.span));
            all.insert(package.sha256, Input { place: Place::Url(package.url.clone()), range });
        }
        Ok(Inputs(all))
    }

    /// The part of the description that asks for an input.
    pub fn range(&self, digest: &Digest) -> Option<Range> {
        self.0.get(digest)?.range.clone()
    }

    /// Mounts an input where a step looks for it. `folder` is the vertex with the local files.
    ///
    /// # Errors
    /// An input that nobody knows, or whose URL BuildKit cannot fetch.
    pub fn mount(&self, digest: &Digest, graph: &mut Graph, folder: Option<&Edge>, session: &Session) -> Result<Mounted, Error> {
        let unknown = || Error::input(Problem::new(format!("the lock says nothing of the input {digest}")).help("run `byoi lock`"));
        match &self.0.get(digest).ok_or_else(unknown)?.place {
            Place::Folder(path) => {
                let edge = folder.cloned().ok_or_else(unknown)?;
                Ok(Mounted::Input { edge, selector: format!("/{path}"), at: format!("{}/{}", step::input_directory(digest), step::INPUT_FILE) })
            }
            Place::Url(url) => {
                let edge = self.source(digest, url, graph, session)?;
                Ok(Mounted::Pinned { edge, at: step::input_directory(digest) })
            }
        }
    }

    /// The source of a foreign input; none for a local one.
    ///
    /// # Errors
    /// An input whose URL BuildKit cannot fetch.
    pub fn foreign(&self, digest: &Digest, graph: &mut Graph, session: &Session) -> Result<Option<Edge>, Error> {
        match self.0.get(digest).map(|input| &input.place) {
            Some(Place::Url(url)) => self.source(digest, url, graph, session).map(Some),
            _ => Ok(None),
        }
    }

    fn source(&self, digest: &Digest, url: &Url, graph: &mut Graph, session: &Session) -> Result<Edge, Error> {
        // BuildKit tries one place for a source: the one that the command would try first.
        let place = session.config.mirrors.of_url(url).into_iter().next().unwrap_or_else(|| url.clone());
        if !matches!(place.scheme(), "http" | "https") {
            let problem = Problem::new(format!("BuildKit cannot fetch {place}: it knows http and https"));
            return Err(Error::input(problem.help("build with the command, `byoi build`")));
        }
        let name = url.path_segments().and_then(|mut segments| segments.next_back()).filter(|name| !name.is_empty());
        let options = VertexOptions { range: self.range(digest), ..session.vertex(format!("fetch {}", name.unwrap_or(url.as_str()))) };
        let attributes = BTreeMap::from([
            ("http.checksum".to_owned(), digest.to_string()),
            ("http.filename".to_owned(), step::INPUT_FILE.to_owned()),
            ("http.perm".to_owned(), "0644".to_owned()),
        ]);
        let capabilities = ["source.http", "source.http.checksum", "source.http.perm"];
        Ok(graph.source(place.to_string(), attributes, options, &capabilities))
    }
}

fn digest_of(place: &Path) -> io::Result<Digest> {
    let mut reader = Digesting::new(File::open(place)?);
    let mut buffer = vec![0; 1 << 18];
    while reader.read(&mut buffer)? > 0 {}
    Ok(reader.finish().1)
}
