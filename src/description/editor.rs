//! `[editor]`: how the server is started, within the contract.

use std::ops::Range;

use super::document::{Findings, View};
use super::model::{Editor, Spanned};
use crate::contract::{BASE_PATH, BASE_PATH_DOCUMENTED, FIXED_ARGUMENTS, limits, server_command};
use crate::error::Problem;

/// Reads the table.
pub(super) fn read(root: &View<'_>, findings: &mut Findings) -> Option<Spanned<Editor>> {
    let table = root.table("editor")?;
    let base_path = base_path(&table, findings);
    let arguments = table.texts("arguments");
    for argument in &arguments {
        if let Some(problem) = argument_problem(argument.value) {
            findings.error(&argument.span, problem);
        }
    }
    let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.value.to_owned()).collect();
    check_count(&table.key_span("arguments"), &base_path, &arguments, findings);
    Some(Spanned { value: Editor { base_path, arguments }, span: table.span })
}

fn base_path(table: &View<'_>, findings: &mut Findings) -> String {
    let Some(text) = table.text("base-path") else {
        return BASE_PATH.to_owned();
    };
    if ![BASE_PATH, BASE_PATH_DOCUMENTED].contains(&text.value) {
        let problem = Problem::new("Studio's proxy reaches the editor under one path only").label("another path");
        findings.error(&text.span, problem.help(format!("write \"{BASE_PATH}\" (or \"{BASE_PATH_DOCUMENTED}\"), or take the key out")));
    }
    text.value.to_owned()
}

fn argument_problem(argument: &str) -> Option<Problem> {
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    if let Some((fixed, why)) = FIXED_ARGUMENTS.iter().find(|(fixed, _)| *fixed == name) {
        let problem = Problem::new(format!("`{fixed}` would undo the platform's contract: {why}")).label("fixed by the contract");
        return Some(problem.help("take it out, with its value where that is an item of its own"));
    }
    if argument.trim().is_empty() || argument.contains(char::is_control) {
        let problem = Problem::new("an argument is not blank and has no control characters: the SageMaker API takes no other").label("not allowed");
        return Some(problem.help("take it out"));
    }
    let length = argument.chars().count();
    (length > limits::ARGUMENT_LENGTH).then(|| {
        let message = format!("the SageMaker API takes arguments of at most {} characters", limits::ARGUMENT_LENGTH);
        let help = "write an option and its value as two items: [\"--option\", \"value\"]";
        Problem::new(message).label(format!("{length} characters")).help(help)
    })
}

fn check_count(span: &Range<usize>, base_path: &str, arguments: &[String], findings: &mut Findings) {
    let own = server_command(base_path, &[]).len();
    let total = server_command(base_path, arguments).len();
    if total > limits::ARGUMENTS {
        let message = format!("the server is started with {total} words, and the SageMaker API takes {} at most", limits::ARGUMENTS);
        let problem = Problem::new(message).label(format!("{} arguments", arguments.len()));
        findings.error(span, problem.help(format!("keep at most {}: {own} words are the contract's", limits::ARGUMENTS - own)));
    }
}
