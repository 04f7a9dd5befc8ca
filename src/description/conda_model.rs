//! The `[conda]` table of a valid description.

use std::ops::Range;
use std::path::PathBuf;

use super::model::Spanned;
use crate::image_path::ImagePath;

/// Where the environment lies unless the description says otherwise: where sagemaker-distribution has its own.
pub const DEFAULT_PREFIX: &str = "/opt/conda";

/// The `[conda]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conda {
    /// Where the table stands.
    pub span: Range<usize>,
    /// Channels in order of priority, as written: a name, a URL, or a directory relative to the description's. Empty where the environment
    /// file or pixi.lock names them.
    pub channels: Vec<Spanned<String>>,
    /// What is asked for.
    pub source: CondaSource,
    /// Where the environment lies.
    pub prefix: ImagePath,
    /// What becomes of packages that the base has in the prefix.
    pub existing: Existing,
    /// Owner and group of all that conda lays.
    pub owner: (u32, u32),
    /// How the environment is activated.
    pub activate: Activate,
    /// Packages whose link scripts may stay unrun.
    pub allow_link_scripts: Vec<Spanned<String>>,
    /// Version of the driver's CUDA, for packages that ask for `__cuda`.
    pub cuda: Option<Spanned<String>>,
    /// Whether `.pyc` files are made for `noarch: python` packages.
    pub compile_bytecode: bool,
}

/// What a `[conda]` table asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CondaSource {
    /// MatchSpecs, as written.
    Packages(Vec<Spanned<String>>),
    /// An `environment.yml` beside the description; relative to its directory.
    Environment(Spanned<PathBuf>),
    /// A `pixi.lock` beside the description, taken without a solve; relative to its directory.
    Lock(Spanned<PathBuf>),
}

/// What becomes of packages that the base already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They stay exactly as they are.
    #[default]
    Keep,
    /// The solver may change them, as few as possible.
    Update,
}

/// How an environment is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activate {
    /// By the image's variables alone.
    #[default]
    Env,
    /// Also by the entrypoint, which sources scripts that do more than set variables.
    Entrypoint,
}
