//! Errors and warnings as BuildKit's clients show them: a message that says all by itself, since older clients show nothing else, and the place in
//! the description as a typed detail, for those that print its lines.

use std::ops::Range as Span;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use byoi::error::{Error, Problem, Source};
use serde_json::{Value, json};

use crate::llb::proto::{Position, Range, SourceInfo};
use crate::messages::{Detail, Status, Warn};
use crate::status::{CallFailed, code};
use crate::wire::Many;

/// The type of a detail that holds a place (`solver/errdefs/errdefs.proto`).
const SOURCE: &str = "github.com/moby/buildkit/errdefs.Source+json";
/// Most problems of one error that are shown.
const MAX_PROBLEMS: usize = 20;
/// Descriptions beyond this size travel without their text: a message has 4 MiB in older releases.
const MAX_SHOWN: usize = 64 << 10;

/// The description as BuildKit's source maps hold it.
pub fn source_info(source: &Source) -> SourceInfo {
    let data = if source.text.len() <= MAX_SHOWN { source.text.clone().into_bytes() } else { Vec::new() };
    SourceInfo { filename: source.name.clone(), data, language: "TOML".to_owned() }
}

/// The lines in which a span of bytes lies.
pub fn range(source: &Source, span: &Span<usize>) -> Range {
    let line = |at: usize| {
        let at = source.text.floor_char_boundary(at.min(source.text.len()));
        source.text[..at].matches('\n').count() as i64 + 1
    };
    let position = |line| Some(Position { line, character: 0 });
    let first = line(span.start);
    // The newline that ends the last line belongs to it.
    let last = line(span.end.saturating_sub(1).max(span.start));
    Range { start: position(first), end: position(last) }
}

/// The error as the build's end. An error without a place gets the first line of `description` that says something: clients would point at
/// its `# syntax=` line otherwise.
pub fn status_of(error: &Error, description: Option<&Arc<Source>>) -> Status {
    let failed = call_failed(error);
    let mut details: Vec<Detail> = failed.map(|failed| failed.details().to_vec()).unwrap_or_default();
    let problems = error.fault().problems();
    let message = match problems {
        [] => whole(&Problem::of(error), None),
        problems => {
            let shown = problems.iter().take(MAX_PROBLEMS).map(|problem| whole(problem, problem.place.as_ref()));
            let more = problems.len().saturating_sub(MAX_PROBLEMS);
            shown.chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>().join("\n")
        }
    };
    details.extend(problems.iter().take(MAX_PROBLEMS).filter_map(|problem| problem.place.as_ref()).map(|(source, span)| place_detail(source, span)));
    if let Some(source) = description
        && !details.iter().any(|detail| detail.type_url == SOURCE)
    {
        details.push(place_detail(source, &first_statement(source)));
    }
    let code = failed.map_or(code::UNKNOWN, |failed| failed.status.code);
    Status { code, message, details: Many(details) }
}

/// The failed call that is this error's cause.
fn call_failed(error: &Error) -> Option<&CallFailed> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.fault());
    while let Some(this) = cause {
        if let Some(failed) = this.downcast_ref() {
            return Some(failed);
        }
        cause = this.source();
    }
    None
}

/// A problem in one line.
pub fn sentence(problem: &Problem) -> String {
    whole(problem, problem.place.as_ref())
}

fn whole(problem: &Problem, place: Option<&(Arc<Source>, Span<usize>)>) -> String {
    let at = place.map(|(source, span)| {
        let line = range(source, span).start.map_or(1, |start| start.line);
        format!("{}:{line}: ", source.name)
    });
    let label = problem.label.as_ref().map(|label| format!(" ({label})"));
    let help = problem.help.as_ref().map(|help| format!("; {help}"));
    [at.unwrap_or_default(), problem.message.clone(), label.unwrap_or_default(), help.unwrap_or_default()].concat()
}

fn first_statement(source: &Source) -> Span<usize> {
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let text = line.trim();
        if !text.is_empty() && !text.starts_with('#') {
            return at..at + line.len();
        }
        at += line.len();
    }
    0..0
}

fn place_detail(source: &Source, span: &Span<usize>) -> Detail {
    let value = json!({"info": info_json(source), "ranges": [range_json(&range(source, span))]});
    Detail { type_url: SOURCE.to_owned(), value: value.to_string().into_bytes() }
}

/// A source in the JSON form of BuildKit's Go structs.
pub fn info_json(source: &Source) -> Value {
    let info = source_info(source);
    json!({"filename": info.filename, "data": STANDARD.encode(info.data), "language": info.language})
}

/// A range in the JSON form of BuildKit's Go structs.
pub fn range_json(range: &Range) -> Value {
    let position = |position: &Option<Position>| json!({"line": position.as_ref().map_or(1, |position| position.line), "character": 0});
    json!({"start": position(&range.start), "end": position(&range.end)})
}

/// A problem as a warning that stands under the vertex `digest`.
pub fn warning(problem: &Problem, digest: &str) -> Warn {
    let help = problem.help.iter().map(|help| help.clone().into_bytes()).collect();
    let place = problem.place.as_ref();
    Warn {
        digest: digest.to_owned(),
        level: 1,
        short: whole(&Problem { help: None, ..problem.clone() }, place).into_bytes(),
        detail: Many(help),
        url: String::new(),
        info: place.map(|(source, _)| source_info(source)),
        ranges: Many(place.map(|(source, span)| range(source, span)).into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "byoi.toml".to_owned(), text: text.to_owned() })
    }

    fn lines(text: &str, span: Span<usize>) -> (i64, i64) {
        let range = range(&source(text), &span);
        (range.start.unwrap().line, range.end.unwrap().line)
    }

    #[test]
    fn spans_become_lines() {
        assert_eq!(lines("a\nb\nc\n", 2..3), (2, 2));
        assert_eq!(lines("a\nb\nc\n", 2..4), (2, 2));
        assert_eq!(lines("a\nb\nc\n", 0..5), (1, 3));
        assert_eq!(lines("é", 1..1), (1, 1));
        assert_eq!(lines("", 5..9), (1, 1));
    }

    #[test]
    fn an_error_names_its_place_in_words_and_as_a_detail() {
        let text = source("# syntax=x\nschema = 1\nbase = 2\n");
        let problem = Problem::new("it is wrong").at(&text, 29..30).label("here").help("do it right");
        let status = status_of(&Error::input(problem), Some(&text));
        assert_eq!((status.code, status.message.as_str()), (code::UNKNOWN, "byoi.toml:3: it is wrong (here); do it right"));
        let detail: Value = serde_json::from_slice(&status.details.0[0].value).unwrap();
        assert_eq!((status.details.0.len(), detail["ranges"][0]["start"]["line"].as_i64()), (1, Some(3)));
        assert_eq!(STANDARD.decode(detail["info"]["data"].as_str().unwrap()).unwrap(), text.text.as_bytes());
    }

    #[test]
    fn an_error_without_a_place_points_at_the_first_statement() {
        let text = source("# syntax=x\n\nschema = 1\n");
        let status = status_of(&Error::input(Problem::new("it is wrong")), Some(&text));
        let detail: Value = serde_json::from_slice(&status.details.0[0].value).unwrap();
        assert_eq!(detail["ranges"][0]["start"]["line"], 3);
        assert!(status_of(&Error::input(Problem::new("it is wrong")), None).details.0.is_empty());
    }

    #[test]
    fn what_the_daemon_said_is_passed_on() {
        let mut failed = CallFailed::new("read byoi.toml", code::NOT_FOUND, "no such file");
        failed.status.details.0.push(Detail { type_url: "x".to_owned(), value: vec![1] });
        let status = status_of(&Error::from(failed).while_doing("cannot build"), None);
        assert_eq!((status.code, status.details.0.len()), (code::NOT_FOUND, 1));
        assert!(status.message.contains("cannot build: read byoi.toml: no such file"), "{}", status.message);
    }
}
