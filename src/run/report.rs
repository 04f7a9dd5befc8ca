//! What the steps came to, for people and for machines.

use serde_json::{Value, json};

use super::diagnosis::Diagnosis;

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// The runtime starts the image's program.
    Start,
    /// A server listens where others reach it.
    Listener,
    /// `/` is the workbench.
    Page,
    /// Nobody asks for a connection token.
    Token,
    /// `/version` answers.
    Version,
    /// The base path answers.
    BasePath,
    /// `/healthz` answers, where the editor has it.
    Health,
    /// `/api/idle` answers, where the editor has it.
    Idle,
    /// A websocket opens.
    Websocket,
    /// The server may write to its home and its data.
    Home,
    /// The editor has the extensions that the image ships.
    Extensions,
    /// All works again on the home that the first start left.
    SecondStart,
}

impl Name {
    /// All, in the order in which they are taken.
    pub const ALL: [Name; 12] = [
        Name::Start,
        Name::Listener,
        Name::Page,
        Name::Token,
        Name::Version,
        Name::BasePath,
        Name::Health,
        Name::Idle,
        Name::Websocket,
        Name::Home,
        Name::Extensions,
        Name::SecondStart,
    ];

    /// Its name.
    pub fn text(self) -> &'static str {
        match self {
            Name::Start => "start",
            Name::Listener => "listener",
            Name::Page => "page",
            Name::Token => "token",
            Name::Version => "version",
            Name::BasePath => "base-path",
            Name::Health => "health",
            Name::Idle => "idle",
            Name::Websocket => "websocket",
            Name::Home => "home",
            Name::Extensions => "extensions",
            Name::SecondStart => "second-start",
        }
    }
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is as Studio needs it; with what was seen.
    Passed(String),
    /// It is not.
    Failed(Diagnosis),
    /// It was not tried; with the reason.
    Skipped(String),
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub name: Name,
    /// What it came to.
    pub outcome: Outcome,
}

impl Step {
    /// A line for people.
    pub fn line(&self) -> String {
        let (word, text) = match &self.outcome {
            Outcome::Passed(seen) => ("passed", seen),
            Outcome::Failed(diagnosis) => ("failed", &diagnosis.what),
            Outcome::Skipped(reason) => ("skipped", reason),
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{word:<7}  {:<12}  {text}", self.name.text())
    }

    fn to_json(&self) -> Value {
        let (word, text, diagnosis) = match &self.outcome {
            Outcome::Passed(seen) => ("passed", seen, None),
            Outcome::Failed(diagnosis) => ("failed", &diagnosis.what, Some(diagnosis)),
            Outcome::Skipped(reason) => ("skipped", reason, None),
        };
        let mut value = json!({"step": self.name, "outcome": word, "detail": text});
        if let Some(Diagnosis { cause, fix, .. }) = diagnosis {
            value["cause"] = json!(cause);
            value["fix"] = json!(fix);
            value["rules"] = json!(cause.rules());
        }
        value
    }
}

/// All steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In their order.
    pub steps: Vec<Step>,
}

impl Report {
    /// What went wrong first, if anything did.
    pub fn failure(&self) -> Option<(Name, &Diagnosis)> {
        self.steps.iter().find_map(|step| match &step.outcome {
            Outcome::Failed(diagnosis) => Some((step.name, diagnosis)),
            _ => None,
        })
    }

    /// Whether nothing failed.
    pub fn is_healthy(&self) -> bool {
        self.failure().is_none()
    }

    /// The same as JSON.
    pub fn to_json(&self) -> Value {
        json!({"healthy": self.is_healthy(), "steps": self.steps.iter().map(Step::to_json).collect::<Vec<_>>()})
    }
}
