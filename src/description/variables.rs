//! `[env]` and `[labels]`: variables and labels of the image.

use std::collections::BTreeMap;
use std::ops::Range;

use super::document::{Findings, View};
use super::model::Spanned;
use crate::contract::{CONTRACT_VARIABLES, PLATFORM_VARIABLE_PREFIXES, RESERVED_VARIABLES};
use crate::error::Problem;

/// Labels that byoi writes itself, as annotations of the manifest (OCI image specification, "Annotations").
const RESERVED_LABELS: &[&str] = &["org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"];

/// The two spellings of the base's PATH in a value.
const PATH_FORMS: [&str; 2] = ["$PATH", "${PATH}"];

/// Reads the variables.
pub(super) fn read(root: &View<'_>, findings: &mut Findings) -> BTreeMap<String, Spanned<String>> {
    let mut variables = BTreeMap::new();
    for (name, value, span) in root.table("env").iter().flat_map(View::entries) {
        check_name(name.value, &name.span, findings);
        let Some(text) = value.as_str() else { continue };
        if text.contains('\0') {
            let problem = Problem::new(format!("the value of {} holds a NUL byte, which no variable can", name.value)).label("NUL byte");
            findings.error(&span, problem.help("take it out"));
        }
        if name.value == "PATH"
            && let Some(problem) = path_problem(text)
        {
            findings.error(&span, problem);
        }
        variables.insert(name.value.to_owned(), Spanned { value: text.to_owned(), span });
    }
    variables
}

fn check_name(name: &str, span: &Range<usize>, findings: &mut Findings) {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        let problem = Problem::new("a variable's name is made of letters, digits and `_`, and does not begin with a digit").label("not a name");
        findings.error(span, problem.help("shells cannot read other names: choose another one"));
    } else if let Some((_, value)) = CONTRACT_VARIABLES.iter().find(|(fixed, _)| *fixed == name) {
        let problem = Problem::new(format!("{name} is {value} in every image: the platform's contract fixes it")).label("fixed by the contract");
        findings.error(span, problem.help("take it out"));
    } else if RESERVED_VARIABLES.contains(&name) {
        let problem =
            Problem::new(format!("the platform sets {name} itself when it starts the app: a value here is lost")).label("set by the platform");
        findings.error(span, problem.help("take it out, and use a variable with another name"));
    } else if let Some(prefix) = PLATFORM_VARIABLE_PREFIXES.iter().find(|prefix| name.starts_with(**prefix)) {
        let message = format!("variables that begin with {prefix} belong to the platform, which may set {name} one day");
        let problem = Problem::new(message).label("the platform's prefix");
        findings.warn(span, problem.help("keep it if the platform's tools are meant to read it; else choose another name"));
    }
}

/// What is wrong with a value of PATH: it must extend the base's, with absolute directories.
fn path_problem(value: &str) -> Option<Problem> {
    let parts: Vec<_> = value.split(':').collect();
    let count = parts.iter().filter(|part| PATH_FORMS.contains(part)).count();
    let help = "write \"/opt/tool/bin:$PATH\" to come before the base's directories, or \"$PATH:/opt/tool/bin\" to come after them";
    if count != 1 {
        let message = match count {
            0 => "PATH can only be extended: without the base's directories the image loses its shell and its editor",
            _ => "PATH holds the base's directories once, not several times",
        };
        let label = if count == 0 { "no `$PATH` between colons" } else { "`$PATH` more than once" };
        return Some(Problem::new(message).label(label).help(help));
    }
    let own = || parts.iter().filter(|part| !PATH_FORMS.contains(part));
    if let Some(part) = own().find(|part| part.contains('$')) {
        let problem = Problem::new(format!("in `{part}` nothing is expanded: only `$PATH` is, and only as a whole part")).label("stays as it is");
        return Some(problem.help("write the directory out"));
    }
    let part = own().find(|part| !part.starts_with('/'))?;
    let message = match part.is_empty() {
        true => "an empty part of PATH means the current directory, from which anything could be run".to_owned(),
        false => format!("`{part}` in PATH is not an absolute directory: it would mean another one in every folder"),
    };
    Some(Problem::new(message).label("not absolute").help("write absolute directories, with one colon between them"))
}

/// Reads the labels.
pub(super) fn read_labels(root: &View<'_>, findings: &mut Findings) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, value, _) in root.table("labels").iter().flat_map(View::entries) {
        if name.value.is_empty() || name.value.contains(|c: char| c.is_control() || c.is_whitespace()) {
            let problem = Problem::new("a label's name is not empty and has no spaces or control characters").label("not a name");
            findings.error(&name.span, problem.help("write a name such as \"com.example.team\""));
        }
        if RESERVED_LABELS.contains(&name.value) {
            let problem = Problem::new(format!("byoi writes {} itself, from the base that it locked", name.value)).label("written by byoi");
            findings.error(&name.span, problem.help("take it out"));
        }
        if let Some(text) = value.as_str() {
            labels.insert(name.value.to_owned(), text.to_owned());
        }
    }
    labels
}
