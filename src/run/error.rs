//! Why a space could not be run at all: nothing that an image is to blame for.

use std::io;

use crate::error::{Fault, Kind};

/// Why a space could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing on this machine runs containers.
    #[error("nothing here runs containers: {}", .tried.join("; "))]
    NoEngine {
        /// What was tried, each with what came of it.
        tried: Vec<String>,
    },
    /// A program cannot be started.
    #[error("cannot run {program}")]
    Program {
        /// The program.
        program: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed: {message}")]
    Refused {
        /// The program and its first words.
        command: String,
        /// What it said.
        message: String,
    },
    /// A program does not end.
    #[error("`{command}` has not answered for {seconds} s")]
    Silent {
        /// The program and its first words.
        command: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The image is nowhere that the engine would find it.
    #[error("{engine} has no image {image}")]
    NoImage {
        /// The engine.
        engine: String,
        /// The image's name.
        image: String,
    },
    /// A runtime keeps no volumes.
    #[error("there is no volume {name}: without docker or podman a home that stays is a directory")]
    NoVolumes {
        /// The name that was given.
        name: String,
    },
    /// A port that answers inside the container does not answer outside.
    #[error("the editor listens on {inside}, but {outside}, where it is published, does not answer")]
    Unreachable {
        /// The listener in the container.
        inside: String,
        /// The address on this machine.
        outside: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Fault for RunError {
    fn kind(&self) -> Kind {
        match self {
            RunError::NoImage { .. } => Kind::Input,
            RunError::NoVolumes { .. } => Kind::Usage,
            _ => Kind::World,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            RunError::NoEngine { .. } => {
                "start docker or podman; or install runc or crun, and run byoi as root, or as root of a user namespace: `unshare --user --map-root-user --map-auto byoi run …`".to_owned()
            }
            RunError::NoImage { engine, .. } => format!("list what it has with `{engine} image ls`, or name the image by another transport"),
            RunError::NoVolumes { name } => format!("name one with a slash in it: `--volume ./{name}`"),
            RunError::Unreachable { .. } => {
                "the port is published on the loopback of the machine where the engine runs: run byoi there, outside of any container".to_owned()
            }
            RunError::Program { .. } | RunError::Refused { .. } | RunError::Silent { .. } => return None,
        })
    }
}
