//! Questions about a description that build nothing: `docker buildx build --check`, `--call=outline`, `--call=targets`
//! (`frontend/subrequests/` of BuildKit). Answers are metadata of a result without a reference.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use byoi::conda;
use byoi::error::{Error, Problem};
use serde_json::{Value, json};

use crate::diagnostics::{info_json, range, range_json};
use crate::messages::{Detail, Outcome};
use crate::options;
use crate::project::{self, Texts};
use crate::session::{self, Session};
use crate::status::{CallFailed, code};

const DESCRIBE: &str = "frontend.subrequests.describe";
const LINT: &str = "frontend.lint";
const OUTLINE: &str = "frontend.outline";
const TARGETS: &str = "frontend.targets";
const VERSION: &str = "1.0.0";

/// All of them, with what they are for.
const ALL: [(&str, &str); 4] = [
    (LINT, "Judge the description and its lock"),
    (OUTLINE, "List the arguments and secrets that the build takes"),
    (DESCRIBE, "List these questions"),
    (TARGETS, "List the targets"),
];

/// The build arguments that mean something.
const ARGUMENTS: [(&str, &str); 3] = [
    ("BYOI_LOCKED", "1 makes a lock that is missing or stale an error"),
    (options::CONFIG, "the text of a config.toml, for its mirrors"),
    ("SOURCE_DATE_EPOCH", "the image's time, in seconds since 1970"),
];

/// The secrets that the step which makes a lock takes.
const SECRETS: [&str; 2] = [session::ACCOUNTS, session::CONFIG];

const TARGET_LIST: [(&str, &str); 3] = [
    ("image", "The image"),
    ("lock", "byoi.lock alone, for `--output .`"),
    ("oci", "An OCI layout with byoi's own compressed bytes, without the base's layers, for `--output DIRECTORY`"),
];

/// Answers a question that the client asks instead of a build.
///
/// # Errors
/// A question that is not known; a description that cannot be read.
pub async fn answer(question: &str, session: &Session, texts: Result<Texts, Error>) -> Result<Outcome, Error> {
    match question {
        DESCRIBE => Ok(described()),
        LINT => Ok(linted(&texts?, session).await),
        OUTLINE => Ok(outlined(&texts?)),
        TARGETS => Ok(targets(&texts?)),
        other => {
            let mut failed = CallFailed::new("answer the client", code::UNIMPLEMENTED, format!("unsupported request {other}"));
            let value = json!({"name": other}).to_string().into_bytes();
            failed.status.details.0.push(Detail { type_url: "github.com/moby/buildkit/errdefs.Subrequest+json".to_owned(), value });
            Err(failed.into())
        }
    }
}

fn outcome(json: &Value, text: String) -> Outcome {
    let metadata = [("result.json", json.to_string()), ("result.txt", text), ("version", VERSION.to_owned())];
    Outcome { metadata: metadata.map(|(name, value)| (name.to_owned(), value.into_bytes())).into(), ..Outcome::default() }
}

fn described() -> Outcome {
    let one = |(name, description): &(&str, &str)| {
        json!({
            "name": name, "version": VERSION, "type": "rpc", "description": description, "opts": null, "inputs": null,
            "metadata": [{"name": "result.json"}, {"name": "result.txt"}], "refs": null,
        })
    };
    let text = ALL.iter().map(|(name, description)| format!("{name}  {VERSION}  {description}\n")).collect();
    outcome(&json!(ALL.iter().map(one).collect::<Vec<_>>()), text)
}

/// Warnings of a description, and what is wrong with it or with its lock as the error that a build would end with.
async fn linted(texts: &Texts, session: &Session) -> Outcome {
    let (warnings, error) = match judged(texts, session).await {
        Ok(warnings) => (warnings, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let problems = error.as_ref().map(|error| error.fault().problems().to_vec());
    let problems = match (problems, &error) {
        (Some(problems), Some(error)) if problems.is_empty() => vec![Problem::of(error)],
        (problems, _) => problems.unwrap_or_default(),
    };
    let rules = [("Warning", &warnings), ("Invalid", &problems)];
    let listed: Vec<Value> = rules.iter().flat_map(|(rule, problems)| problems.iter().map(|problem| lint_json(rule, problem))).collect();
    let mut result = json!({"warnings": listed, "sources": [info_json(&texts.source)]});
    if let Some(first) = problems.first() {
        result["buildError"] = json!({"message": first.message, "location": location(first)});
    }
    let text: String = warnings.iter().chain(&problems).map(|problem| format!("{}\n", crate::diagnostics::sentence(problem))).collect();
    let mut outcome = outcome(&result, text);
    let status = if listed.is_empty() { "0" } else { "1" };
    outcome.metadata.insert("result.statuscode".to_owned(), status.into());
    outcome
}

async fn judged(texts: &Texts, session: &Session) -> Result<Vec<Problem>, Error> {
    session.options.check_platform()?;
    let description = texts.description()?;
    let mut warnings = description.warnings.clone();
    let conda_file: Vec<&str> = project::conda_file(&description).into_iter().collect();
    project::fetch(&session.folder, &session.gateway, &conda_file, &session.project()).await?;
    let conda = conda::requirement(&description, &session.project())?;
    match texts.lock()? {
        Some(lock) => warnings.extend(lock.staleness(&description, conda.as_ref()).iter().map(|stale| stale.problem(&description))),
        None => {
            let problem = Problem::new(format!("there is no {}: builds are not pinned", texts.lock_name));
            let span = description.base.span.clone();
            warnings.push(problem.at(&description.source, span).help("run `byoi lock`, and commit the lock that it writes"));
        }
    }
    Ok(warnings)
}

fn lint_json(rule: &str, problem: &Problem) -> Value {
    json!({
        "ruleName": rule, "description": problem.help.clone().unwrap_or_default(), "url": "", "detail": problem.message,
        "location": location(problem),
    })
}

/// A place as clients read it: they demand one, and know index -1 for none.
fn location(problem: &Problem) -> Value {
    match &problem.place {
        Some((source, span)) => json!({"sourceIndex": 0, "ranges": [range_json(&range(source, span))]}),
        None => json!({"sourceIndex": -1, "ranges": []}),
    }
}

fn outlined(texts: &Texts) -> Outcome {
    let nowhere = json!({"sourceIndex": -1, "ranges": []});
    let arguments: Vec<Value> =
        ARGUMENTS.iter().map(|(name, what)| json!({"name": name, "description": what, "value": "", "location": nowhere})).collect();
    let secrets: Vec<Value> = SECRETS.iter().map(|name| json!({"name": name, "required": false, "location": nowhere})).collect();
    let result = json!({
        "name": "image", "description": "The image", "args": arguments, "secrets": secrets, "ssh": [], "cache": [],
        "sources": [STANDARD.encode(&texts.source.text)],
    });
    let text = ARGUMENTS.iter().map(|(name, what)| format!("{name}  {what}\n")).collect();
    outcome(&result, text)
}

fn targets(texts: &Texts) -> Outcome {
    let base = texts.description().map(|description| description.base_requirement).unwrap_or_default();
    let nowhere = json!({"sourceIndex": -1, "ranges": []});
    let one = |(name, what): &(&str, &str)| json!({"name": name, "default": *name == "image", "description": what, "base": base, "platform": "linux/amd64", "location": nowhere});
    let result = json!({"targets": TARGET_LIST.iter().map(one).collect::<Vec<_>>(), "sources": [STANDARD.encode(&texts.source.text)]});
    let text = TARGET_LIST.iter().map(|(name, what)| format!("{name}  {what}\n")).collect();
    outcome(&result, text)
}
