//! What is looked at in which order, and when an image has passed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::diagnosis::{self, Cause, Diagnosis};
use super::editor::{Places, Server, Version};
use super::engine::{Engine, Start, State};
use super::listeners::Listeners;
use super::pages::{Seen, base_path, extra_page, page, token, unreachable, version_page, websocket};
use super::probe::Probe;
use super::report::{Name, Outcome, Report, Step};
use crate::contract;
use crate::error::Error;

/// Between two looks at a container that starts.
const PAUSE: Duration = Duration::from_millis(250);
/// Looks after which a listener on the loopback is no passing state.
const SETTLED: usize = 12;

/// How an image is judged.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a listener is waited for.
    pub patience: Duration,
    /// Whether the home is one that somebody has used: then its extensions may be newer than the image's.
    pub used_home: bool,
}

/// Takes all steps with an image that stands ready, and tells of each as soon as it is taken. Afterwards the container of the second start runs,
/// if it does. `command` are the words that are run.
///
/// # Errors
/// Where the engine fails; whatever the image does wrong is in the report.
pub async fn judge(engine: &mut dyn Engine, command: &[String], options: &Options, told: &(dyn Fn(&Step) + Sync)) -> Result<Report, Error> {
    let mut judge = Judge { engine, command, options, told, report: Report::default() };
    judge.all().await?;
    Ok(judge.report)
}

struct Judge<'a> {
    engine: &'a mut dyn Engine,
    command: &'a [String],
    options: &'a Options,
    told: &'a (dyn Fn(&Step) + Sync),
    report: Report,
}

/// Why a step is skipped that asks the server's process.
const NO_SERVER: &str = "the editor's server was not found among the container's processes";

impl Judge<'_> {
    async fn all(&mut self) -> Result<(), Error> {
        if let Some(failed) = self.start().await? {
            self.take(Name::Start, Err(failed));
            self.skip_rest("the image does not start");
            return Ok(());
        }
        self.take(Name::Start, Ok(format!("{} runs `{}`", self.engine.name(), self.command.join(" "))));
        let listener = self.listener().await?;
        let listens = listener.is_ok();
        self.take(Name::Listener, listener);
        if !listens {
            self.skip_rest("nobody listens");
            return Ok(());
        }
        let server = Server::find(self.engine).await?;
        self.pages(server.as_ref()).await?;
        let home = self.home(server.as_ref()).await?;
        self.record(Name::Home, home);
        let extensions = self.extensions(server.as_ref()).await?;
        self.record(Name::Extensions, extensions);
        let second = self.second_start().await?;
        self.take(Name::SecondStart, second);
        Ok(())
    }

    fn take(&mut self, name: Name, seen: Seen) {
        self.record(name, seen.map_or_else(Outcome::Failed, Outcome::Passed));
    }

    fn record(&mut self, name: Name, outcome: Outcome) {
        let step = Step { name, outcome };
        (self.told)(&step);
        self.report.steps.push(step);
    }

    fn skip_rest(&mut self, reason: &str) {
        for name in &Name::ALL[self.report.steps.len()..] {
            self.record(*name, Outcome::Skipped(reason.to_owned()));
        }
    }

    async fn start(&mut self) -> Result<Option<Diagnosis>, Error> {
        Ok(match self.engine.start().await? {
            Start::Begun => None,
            Start::Refused(message) => Some(diagnosis::of_refusal(&message, self.command)),
        })
    }

    /// Waits until somebody listens where others reach it.
    async fn listener(&mut self) -> Result<Seen, Error> {
        let begun = Instant::now();
        let mut on_loopback = 0;
        loop {
            let listeners = self.engine.listeners().await;
            if let Some(address) = self.reachable(listeners.as_ref()).await? {
                return Ok(Ok(format!("{address}, after {:.1} s", begun.elapsed().as_secs_f64())));
            }
            if let State::Ended(code) = self.engine.state().await? {
                return Ok(Err(diagnosis::of_end(code, &self.engine.log().await?, self.command)));
            }
            on_loopback = if listeners.as_ref().is_some_and(|found| found.on_loopback().is_some()) { on_loopback + 1 } else { 0 };
            if on_loopback >= SETTLED || begun.elapsed() >= self.options.patience {
                return Ok(Err(diagnosis::of_silence(listeners.as_ref(), &self.engine.log().await?)));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The listener that others reach. Where the container does not tell who listens, an answer tells.
    async fn reachable(&self, listeners: Option<&Listeners>) -> Result<Option<SocketAddr>, Error> {
        if let Some(listeners) = listeners {
            return Ok(listeners.reachable());
        }
        if self.engine.state().await? != State::Running {
            return Ok(None);
        }
        let address = self.engine.address().await?;
        let Ok(probe) = Probe::new(address) else { return Ok(None) };
        Ok(probe.get("/version").await.is_ok().then_some(address))
    }

    async fn probe(&self) -> Result<Probe, Error> {
        let address = self.engine.address().await?;
        Probe::new(address).map_err(|error| unreachable(address, error))
    }

    async fn pages(&mut self, server: Option<&Server>) -> Result<(), Error> {
        let probe = self.probe().await?;
        let page = page(&probe).await?;
        self.take(Name::Page, page);
        let log = self.engine.log().await?;
        self.take(Name::Token, token(&log));
        let version = match server {
            Some(server) => server.version(self.engine).await?,
            None => Version::default(),
        };
        let answer = version_page(&probe, &version).await;
        self.take(Name::Version, answer);
        let (path, outcome) = base_path(&probe, &version, server, &log).await;
        self.record(Name::BasePath, outcome);
        let health = extra_page(&probe, "/healthz", version.is_sagemakers_from_1_8()).await;
        self.record(Name::Health, health);
        let idle = extra_page(&probe, "/api/idle", version.is_sagemakers).await;
        self.record(Name::Idle, idle);
        let websocket = websocket(&probe, path).await;
        self.take(Name::Websocket, websocket);
        Ok(())
    }

    async fn home(&self, server: Option<&Server>) -> Result<Outcome, Error> {
        let Some(server) = server else { return Ok(Outcome::Skipped(NO_SERVER.to_owned())) };
        let Some(Places { home, data, denied }) = server.places(self.engine).await? else {
            return Ok(Outcome::Skipped("the server's process does not show its HOME".to_owned()));
        };
        if let Some(place) = denied.first() {
            return Ok(Outcome::Failed(diagnosis::unwritable(place)));
        }
        let is_kept = data.strip_prefix(contract::HOME).is_some_and(|rest| rest.starts_with('/'));
        let fate = if is_kept { "" } else { ", outside of the space's volume: settings and extensions of the user vanish with the app" };
        Ok(Outcome::Passed(format!("the server may write to {home} and has its data in {data}{fate}")))
    }

    async fn extensions(&self, server: Option<&Server>) -> Result<Outcome, Error> {
        let Some(server) = server else { return Ok(Outcome::Skipped(NO_SERVER.to_owned())) };
        let shipped = server.shipped(self.engine).await?;
        if shipped.is_empty() {
            return Ok(Outcome::Skipped(format!("the image ships none in {}", contract::IMAGE_EXTENSIONS)));
        }
        Ok(match server.listed(self.engine).await? {
            Ok(listed) => match missing(&shipped, &listed, self.options.used_home) {
                missing if missing.is_empty() => Outcome::Passed(format!("the editor has all {} that the image ships", shipped.len())),
                missing => Outcome::Failed(extensions_missing(format!("the editor does not have {}", missing.join(", ")))),
            },
            Err(why) => Outcome::Failed(extensions_missing(format!("the editor cannot list its extensions: {why}"))),
        })
    }

    /// Ends the app and starts it again on the same home, as Studio does when a space is stopped and started.
    async fn second_start(&mut self) -> Result<Seen, Error> {
        let code = self.engine.stop().await?;
        let ended = if code == 137 { "SIGTERM did not end it, SIGKILL did" } else { "SIGTERM ended it" };
        let failed =
            |what: String, fix: String| Ok(Err(Diagnosis::new(Cause::SecondStart, format!("on the home that the first start left, {what}"), fix)));
        if let Some(Diagnosis { what, fix, .. }) = self.start().await? {
            return failed(what, fix);
        }
        let after = match self.listener().await? {
            Ok(seen) => seen,
            Err(Diagnosis { what, fix, .. }) => return failed(what, fix),
        };
        let probe = self.probe().await?;
        let before = self.report.steps.iter().any(|step| step.name == Name::Page && matches!(step.outcome, Outcome::Passed(_)));
        if let (true, Err(Diagnosis { what, fix, .. })) = (before, page(&probe).await?) {
            return failed(what, fix);
        }
        let before = self.report.steps.iter().any(|step| step.name == Name::Extensions && matches!(step.outcome, Outcome::Passed(_)));
        let server = Server::find(self.engine).await?;
        if let (true, Outcome::Failed(Diagnosis { what, fix, .. })) = (before, self.extensions(server.as_ref()).await?) {
            return failed(what, fix);
        }
        Ok(Ok(format!("{ended}; on the same home it listens on {after}")))
    }
}

/// Of the extensions that an image ships, those that the editor does not have. On a home that was used, a user may have another version.
fn missing(shipped: &BTreeSet<String>, listed: &BTreeSet<String>, used_home: bool) -> Vec<String> {
    let id = |extension: &str| extension.split('@').next().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = listed.iter().map(|extension| id(extension)).collect();
    shipped.iter().filter(|extension| !(listed.contains(*extension) || used_home && ids.contains(&id(extension)))).cloned().collect()
}

fn extensions_missing(what: String) -> Diagnosis {
    let fix = format!(
        "the entrypoint must bring what lies in {} to the home at every start, also when its `extensions.json` is there already; byoi's does",
        contract::IMAGE_EXTENSIONS
    );
    Diagnosis::new(Cause::ExtensionsMissing, what, fix)
}
