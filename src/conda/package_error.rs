//! Why a package cannot be laid.

use std::io;

use crate::archive::ArchiveError;
use crate::error::{Fault, Kind};

/// Why a package cannot be laid, as a sentence after the one that names the package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The archive is refused as an archive.
    #[error("the archive cannot be used")]
    Archive(#[from] ArchiveError),
    /// The file's name does not say what the archive is.
    #[error("`{0}` is no conda package: its name ends neither in `.conda` nor in `.tar.bz2`")]
    Form(String),
    /// A file of the info section is missing or cannot be read.
    #[error("its `info/{file}` {reason}")]
    Info {
        /// The file's name.
        file: &'static str,
        /// What is wrong, as the rest of a sentence.
        reason: String,
    },
    /// Something is wrong with one path.
    #[error("its path `{path}` {reason}")]
    Path {
        /// The path in the package.
        path: String,
        /// What is wrong, as the rest of a sentence.
        reason: String,
    },
    /// The lock and the archive disagree.
    #[error("the lock says that its {what} is {locked}, and the archive says {found}")]
    Differs {
        /// What they disagree about.
        what: &'static str,
        /// What the lock says.
        locked: String,
        /// What the archive says.
        found: String,
    },
    /// A `noarch: python` package in an environment without Python.
    #[error("it is a `noarch: python` package, and the environment has no Python")]
    NoPython,
    /// The Python of the environment has a version that is none.
    #[error("the environment's Python has the version `{0}`, which is none")]
    PythonVersion(String),
    /// The prefix is not UTF-8, and would have to stand in texts.
    #[error("the prefix {0} is not UTF-8")]
    Prefix(String),
    /// A file or link of one package stands where another has a directory.
    #[error("{first} lays a file or link at `{path}`, and {second} lays `{below}` below it")]
    Through {
        /// Who lays the file or link.
        first: String,
        /// The file or link, relative to the prefix.
        path: String,
        /// Who lays the other path.
        second: String,
        /// The other path.
        below: String,
    },
    /// A file or link of one package stands where another has an empty directory.
    #[error("{first} and {second} both lay `{path}`, one as a directory, the other as a file or link")]
    DirectoryOrFile {
        /// One package.
        first: String,
        /// The other.
        second: String,
        /// The path, relative to the prefix.
        path: String,
    },
    /// No temporary file could be written or read back.
    #[error("cannot write to a temporary file")]
    Spool(#[source] io::Error),
    /// No Python that could make bytecode.
    #[error("`compile-bytecode` needs a {program} on this machine: {reason}")]
    NoCompiler {
        /// The program.
        program: String,
        /// Why there is none, or why it does not do.
        reason: String,
    },
    /// Bytecode could not be made.
    #[error("cannot compile its modules with {program}: {reason}")]
    Compile {
        /// The interpreter.
        program: String,
        /// What is wrong.
        reason: String,
    },
}

impl PackageError {
    pub(super) fn path(path: impl AsRef<[u8]>, reason: impl Into<String>) -> Self {
        let path = String::from_utf8_lossy(path.as_ref()).chars().take(200).collect::<String>();
        PackageError::Path { path: path.escape_debug().to_string(), reason: reason.into() }
    }

    pub(super) fn info(file: &'static str, reason: impl Into<String>) -> Self {
        PackageError::Info { file, reason: reason.into() }
    }
}

impl Fault for PackageError {
    fn kind(&self) -> Kind {
        match self {
            PackageError::Archive(error) => error.kind(),
            PackageError::Spool(_) | PackageError::NoCompiler { .. } | PackageError::Compile { .. } => Kind::World,
            _ => Kind::Input,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            PackageError::Differs { .. } => "the lock was made by hand or for another archive: run `byoi lock`",
            PackageError::NoPython => "add `python` to the packages",
            PackageError::Through { .. } | PackageError::DirectoryOrFile { .. } => "the two cannot be in one environment: leave one out",
            PackageError::NoCompiler { .. } => {
                "install that Python and put it in PATH, or take `compile-bytecode` out: then modules are compiled when they are first used"
            }
            PackageError::Spool(_) => "TMPDIR names the directory of temporary files; it needs room for one layer",
            _ => return None,
        };
        Some(help.to_owned())
    }
}
