//! What is asked of an editor over HTTP, and which answers Studio and a browser need.

use std::net::SocketAddr;

use super::diagnosis::{self, Cause, Diagnosis};
use super::editor::{Server, Version};
use super::error::RunError;
use super::probe::{Answer, Probe, Unanswered};
use super::report::Outcome;
use crate::contract;
use crate::error::Error;

/// Passed with what was seen, or failed.
pub(super) type Seen = Result<String, Diagnosis>;

/// The error of a port that answers in the container and not outside.
pub(super) fn unreachable(address: SocketAddr, cause: Unanswered) -> Error {
    let inside = format!("port {} of the container", contract::SERVER_PORT);
    RunError::Unreachable { inside, outside: address.to_string(), cause }.into()
}

/// `/` must be the workbench.
pub(super) async fn page(probe: &Probe) -> Result<Seen, Error> {
    Ok(match probe.get("/").await {
        Ok(answer) if answer.status == 403 => Err(diagnosis::token_on("GET / answers 403")),
        Ok(answer) if answer.status == 200 && answer.media_type == "text/html" => Ok("GET / answers 200, text/html".to_owned()),
        Ok(Answer { status, media_type, .. }) if media_type.is_empty() => Err(wrong_answer(format!("GET / answers {status} without a type"))),
        Ok(Answer { status, media_type, .. }) => Err(wrong_answer(format!("GET / answers {status}, {media_type}"))),
        Err(error) if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect) => {
            return Err(unreachable(probe.address(), error));
        }
        Err(error) => Err(wrong_answer(format!("GET / is not answered in HTTP: {}", chain(&*error)))),
    })
}

fn wrong_answer(what: String) -> Diagnosis {
    let fix = format!("port {} must be the editor's server itself, not something that stands before it", contract::SERVER_PORT);
    Diagnosis::new(Cause::WrongAnswer, what, fix)
}

/// What the log says of a token; its value stays there.
pub(super) fn token(log: &str) -> Seen {
    match log.lines().find_map(|line| line.split_once("tkn=")) {
        Some((before, _)) => Err(diagnosis::token_on(&format!("its log says `{}tkn=…`", before.trim()))),
        None => Ok("the log speaks of none".to_owned()),
    }
}

/// `/version` must answer.
pub(super) async fn version_page(probe: &Probe, version: &Version) -> Seen {
    let build = match (&*version.code, version.is_sagemakers) {
        ("", _) => String::new(),
        (code, true) => format!("; SageMaker's build of Code-OSS {code}"),
        (code, false) => format!("; Code-OSS {code}, not SageMaker's build"),
    };
    match probe.get("/version").await {
        Ok(answer) if answer.status == 200 => Ok(format!("GET /version answers 200{build}")),
        Ok(answer) => Err(wrong_answer(format!("GET /version answers {}{build}", answer.status))),
        Err(error) => Err(wrong_answer(format!("GET /version is not answered: {}", chain(&*error)))),
    }
}

/// The path under which a browser finds the editor, and what the step came to.
pub(super) async fn base_path(probe: &Probe, version: &Version, server: Option<&Server>, log: &str) -> (&'static str, Outcome) {
    let mut first = None;
    for path in [contract::BASE_PATH, contract::BASE_PATH_DOCUMENTED] {
        match probe.get(path).await {
            Ok(answer) if answer.status == 200 => return (path, Outcome::Passed(format!("GET {path} answers 200"))),
            Ok(answer) => drop(first.get_or_insert(answer.status)),
            Err(error) => return ("/", Outcome::Failed(wrong_answer(format!("GET {path} is not answered: {}", chain(&*error))))),
        }
    }
    let argument = server.and_then(|server| server.option("--base-path"));
    let is_right = argument.is_some_and(|path| [contract::BASE_PATH, contract::BASE_PATH_DOCUMENTED].contains(&path));
    if version.is_sagemakers && !version.is_sagemakers_from_1_8() && is_right {
        let reason = format!("the server has `--base-path {}`; before 1.8 it left the path itself to Studio's proxy", argument.unwrap_or_default());
        return ("/", Outcome::Skipped(reason));
    }
    ("/", Outcome::Failed(diagnosis::wrong_base_path(first.unwrap_or_default(), served_path(log).as_deref())))
}

/// The path of `Web UI available at http://localhost:8888/path` in the log.
fn served_path(log: &str) -> Option<String> {
    let url = log.lines().find_map(|line| line.split_once("Web UI available at "))?.1.split_whitespace().next()?;
    Some(url::Url::parse(url).ok()?.path().to_owned())
}

/// A page that not every build has.
pub(super) async fn extra_page(probe: &Probe, path: &str, must: bool) -> Outcome {
    match probe.get(path).await {
        Ok(answer) if answer.status == 200 => Outcome::Passed(format!("GET {path} answers 200")),
        Ok(answer) if must => Outcome::Failed(wrong_answer(format!("GET {path} answers {}: in SageMaker's build it is 200", answer.status))),
        Ok(answer) => Outcome::Skipped(format!("this build does not have {path} (it answers {}); SageMaker's does", answer.status)),
        Err(error) => Outcome::Failed(wrong_answer(format!("GET {path} is not answered: {}", chain(&*error)))),
    }
}

/// The workbench's connection to the server must open.
pub(super) async fn websocket(probe: &Probe, path: &str) -> Seen {
    let slash = if path.ends_with('/') { "" } else { "/" };
    match probe.websocket(&format!("{path}{slash}")).await {
        Ok(101) => Ok("the server switches to a websocket (101)".to_owned()),
        Ok(status) => Err(wrong_answer(format!("a websocket is refused with {status}: the workbench would load and not connect"))),
        Err(error) => Err(wrong_answer(format!("a websocket is not answered: {}: the workbench would load and not connect", chain(&*error)))),
    }
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        text = format!("{text}: {why}");
        cause = why.source();
    }
    text
}
