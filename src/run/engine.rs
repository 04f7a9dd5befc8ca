//! What the steps need of a place where a space runs, whoever runs it: docker, podman, or a low-level runtime.

use std::net::SocketAddr;

use async_trait::async_trait;

use super::listeners::Listeners;
use crate::error::Error;

/// Most bytes that are read of a log, or of what a program in the container prints.
pub const MAX_OUTPUT: u64 = 4 << 20;

/// What came of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The first process runs, or ran.
    Begun,
    /// The runtime could not start it: the image's fault. With the runtime's words.
    Refused(String),
}

/// Whether a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its first process runs.
    Running,
    /// It ended, with this exit code; 128 and a signal's number where a signal ended it.
    Ended(i64),
}

/// What a program in the container came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// An image that stands ready with a volume, and the container that runs it now, if any. Dropping it takes all away that was made for it.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What it is, for people: `docker 20.10.24`.
    fn name(&self) -> String;

    /// Starts a new container on the volume. What ran before is gone then, as an app that was deleted.
    ///
    /// # Errors
    /// Where the engine itself fails.
    async fn start(&mut self) -> Result<Start, Error>;

    /// Whether it runs.
    ///
    /// # Errors
    /// Where the engine itself fails.
    async fn state(&self) -> Result<State, Error>;

    /// Who listens in it; none where that cannot be found out.
    async fn listeners(&self) -> Option<Listeners>;

    /// Where this machine reaches the editor.
    ///
    /// # Errors
    /// Where the engine itself fails.
    async fn address(&self) -> Result<SocketAddr, Error>;

    /// Runs a program in it, with its user, variables and directory.
    ///
    /// # Errors
    /// Where the engine itself fails.
    async fn exec(&self, words: &[&str]) -> Result<Said, Error>;

    /// The last that it has written to standard output and standard error.
    ///
    /// # Errors
    /// Where the engine itself fails.
    async fn log(&self) -> Result<String, Error>;

    /// Ends it as a platform does: SIGTERM, after a while SIGKILL. Gives the exit code.
    ///
    /// # Errors
    /// Where the engine itself fails.
    async fn stop(&mut self) -> Result<i64, Error>;
}
