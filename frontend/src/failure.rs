//! An error on its way out of a step. Of a program that fails, BuildKit tells a frontend its exit code and nothing else; so the step that locks
//! succeeds even when it cannot lock, and its result says why not. A result may be an older build's: it says when it was made, too.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use byoi::error::{Error, Invalid, Problem, Source};
use byoi::json;
use serde::{Deserialize, Serialize};

/// The name of a failure in a step's result.
pub const FILE: &str = "byoi-failure.json";

/// Why a step came to nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// When, in milliseconds since 1970.
    at: u64,
    problems: Vec<Part>,
}

/// A problem, with its place in the description.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    message: String,
    label: Option<String>,
    help: Option<String>,
    span: Option<Range<usize>>,
}

impl Failure {
    /// What an error says, now. Places are kept that lie in the file `description`.
    pub fn of(error: &Error, description: &str) -> Self {
        let problems = error.fault().problems();
        let whole = [Problem::of(error)];
        let part = |problem: &Problem| Part {
            message: problem.message.clone(),
            label: problem.label.clone(),
            help: problem.help.clone(),
            span: problem.place.as_ref().filter(|(source, _)| source.name == description).map(|(_, span)| span.clone()),
        };
        Failure { at: now(), problems: if problems.is_empty() { &whole[..] } else { problems }.iter().map(part).collect() }
    }

    /// The bytes in which it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::canonical_of(self)
    }

    /// Reads what [`Failure::to_bytes`] wrote; none for anything else.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether it happened before a time: in another build.
    pub fn is_before(&self, time: SystemTime) -> bool {
        UNIX_EPOCH + Duration::from_millis(self.at) < time
    }

    /// The error, with its places in the description.
    pub fn into_error(self, description: &Arc<Source>) -> Error {
        let problem = |part: Part| {
            let place = part.span.filter(|span| span.end <= description.text.len()).map(|span| (description.clone(), span));
            Problem { message: part.message, label: part.label, help: part.help, place }
        };
        Invalid { problems: self.problems.into_iter().map(problem).collect() }.into()
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_with_its_places() {
        let source = Arc::new(Source { name: "byoi.toml".to_owned(), text: "schema = 1\nbase = 2\n".to_owned() });
        let begun = SystemTime::now();
        let placed = Problem::new("it is wrong").at(&source, 11..19).label("here").help("do it right");
        let failure = Failure::of(&Invalid { problems: vec![placed, Problem::new("and that")] }.into(), "byoi.toml");
        let arrived = Failure::read(&String::from_utf8(failure.to_bytes()).unwrap()).unwrap();
        // Milliseconds are cut off.
        assert!(!arrived.is_before(begun - Duration::from_millis(1)) && arrived.is_before(SystemTime::now() + Duration::from_secs(1)));
        let error = arrived.into_error(&source);
        let [first, second] = error.fault().problems() else { panic!("{error}") };
        assert_eq!((first.message.as_str(), first.label.as_deref(), first.help.as_deref()), ("it is wrong", Some("here"), Some("do it right")));
        assert_eq!((first.place.as_ref().map(|(_, span)| span.clone()), &second.place), (Some(11..19), &None));
    }

    #[test]
    fn an_error_without_problems_is_one() {
        let error = Error::input(Problem::new("no such image")).while_doing("cannot lock the base");
        let source = Arc::new(Source { name: "byoi.toml".to_owned(), text: String::new() });
        let arrived = Failure::of(&error, "byoi.toml").into_error(&source);
        assert!(arrived.fault().problems()[0].message.contains("no such image"));
        assert!(Failure::read("version = 1\n").is_none());
    }
}
