//! Which engine runs a space: the one that was asked for, or the first that answers.

use super::client::Client;
use super::docker::Docker;
use super::error::RunError;
use super::request::{Prepared, Request};
use crate::error::Error;

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// docker.
    Docker,
    /// podman.
    Podman,
}

impl Choice {
    /// All, the preferred first.
    const ALL: &[Choice] = &[Choice::Docker, Choice::Podman];

    fn program(self) -> &'static str {
        match self {
            Choice::Docker => "docker",
            Choice::Podman => "podman",
        }
    }

    async fn find(self) -> Result<Found, String> {
        let client = Client::new(self.program());
        let version = Docker::version(&client).await?;
        Ok(Found { client, version })
    }
}

/// An engine that answers.
pub struct Found {
    client: Client,
    version: String,
}

impl Found {
    /// What it is, for people.
    pub fn name(&self) -> String {
        format!("{} {}", self.client.program(), self.version)
    }

    /// Brings the image and makes the volume, ready to be started.
    ///
    /// # Errors
    /// An image that is not there or not taken, an engine that fails.
    pub async fn prepare(self, request: Request<'_>) -> Result<Prepared, Error> {
        Docker::prepare(self.client, self.version, request).await
    }
}

/// The engine that was asked for, else the first that answers.
///
/// # Errors
/// Where none does.
pub async fn find(asked: Option<Choice>) -> Result<Found, Error> {
    let choices = asked.as_ref().map_or(Choice::ALL, std::slice::from_ref);
    let mut tried = Vec::new();
    for choice in choices {
        match choice.find().await {
            Ok(found) => return Ok(found),
            Err(why) => tried.push(format!("{}: {why}", choice.program())),
        }
    }
    Err(RunError::NoEngine { tried }.into())
}
