//! Programs that a base has on its PATH.

use serde_json::{Map, Value};

use crate::base::Index;
use crate::base::index::{Entry, Node};
use crate::image_path::ImagePath;

/// The programs that are looked for, wherever they lie.
pub(super) const PRESENCE: &[&str] = &["**/sagemaker-code-editor", "**/entrypoint-code-editor", "**/sudo", "**/bin/sh"];

/// The PATH of a container whose image sets none. Source: moby's `DefaultPathEnvUnix`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where sagemaker-distribution has its programs, on the PATH or not.
const CONDA: &str = "/opt/conda/bin";

/// Finds programs as a shell in a container would.
pub(super) struct Programs<'a> {
    index: &'a Index,
    directories: Vec<ImagePath>,
}

/// A program that was found.
#[derive(Debug, PartialEq)]
pub(super) struct Program {
    /// Where it was found.
    pub(super) found: ImagePath,
    /// Where it really lies, links followed.
    pub(super) real: ImagePath,
}

impl<'a> Programs<'a> {
    /// `config` is the image's whole config.
    pub(super) fn new(index: &'a Index, config: &Map<String, Value>) -> Self {
        let variables = config.get("config").and_then(|config| config.get("Env")).and_then(Value::as_array);
        let path = variables.and_then(|variables| variables.iter().filter_map(Value::as_str).find_map(|variable| variable.strip_prefix("PATH=")));
        let directories = path.unwrap_or(DEFAULT_PATH).split(':').chain([CONDA]);
        // Relative directories depend on where the program is started.
        let directories = directories.filter(|directory| directory.starts_with('/'));
        Programs { index, directories: directories.filter_map(|directory| ImagePath::parse(directory).ok()).collect() }
    }

    /// The first program of this name.
    pub(super) fn find(&self, name: &str) -> Option<Program> {
        let candidates = self.directories.iter().filter_map(|directory| directory.join(name).ok());
        candidates.into_iter().find_map(|found| self.real(&found).map(|real| Program { found, real }))
    }

    /// Whether a program stands at `path`.
    pub(super) fn is_program(&self, path: &ImagePath) -> bool {
        self.real(path).is_some()
    }

    fn real(&self, path: &ImagePath) -> Option<ImagePath> {
        match self.index.find(path)? {
            (real, Entry { attributes, node: Node::File(_) }) if attributes.mode & 0o111 != 0 => Some(real),
            _ => None,
        }
    }
}
