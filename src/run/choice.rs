//! Which engine runs a space: the one that was asked for, or the first that answers.

use super::bundle::Bundle;
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
    /// runc, with a bundle that byoi makes; as root.
    Runc,
    /// crun, with a bundle that byoi makes; as root.
    Crun,
}

impl Choice {
    /// All, the preferred first.
    const ALL: &[Choice] = &[Choice::Docker, Choice::Podman, Choice::Runc, Choice::Crun];

    fn program(self) -> &'static str {
        match self {
            Choice::Docker => "docker",
            Choice::Podman => "podman",
            Choice::Runc => "runc",
            Choice::Crun => "crun",
        }
    }

    fn needs_bundle(self) -> bool {
        matches!(self, Choice::Runc | Choice::Crun)
    }

    async fn find(self) -> Result<Found, String> {
        let client = Client::new(self.program());
        let version = if self.needs_bundle() { Bundle::version(&client).await? } else { Docker::version(&client).await? };
        Ok(Found { choice: self, client, version })
    }
}

/// An engine that answers.
pub struct Found {
    choice: Choice,
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
        match self.choice.needs_bundle() {
            true => Bundle::prepare(self.client, self.version, request).await,
            false => Docker::prepare(self.client, self.version, request).await,
        }
    }
}

/// The engine that was asked for, else the first that answers; with `has_images`, of those that keep images.
///
/// # Errors
/// Where none does.
pub async fn find(asked: Option<Choice>, has_images: bool) -> Result<Found, Error> {
    let choices = asked.as_ref().map_or(Choice::ALL, std::slice::from_ref);
    let mut tried = Vec::new();
    for choice in choices.iter().filter(|choice| !(has_images && choice.needs_bundle())) {
        match choice.find().await {
            Ok(found) => return Ok(found),
            Err(why) => tried.push(format!("{}: {why}", choice.program())),
        }
    }
    if tried.is_empty() {
        tried.push("runc and crun keep no images".to_owned());
    }
    Err(RunError::NoEngine { tried }.into())
}
