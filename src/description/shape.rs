//! A document held against the grammar: unknown keys, wrong types, missing keys, and keys that do not go together.

use std::ops::Range;

use toml::de::DeValue;

use super::document::{Findings, View, integer};
use super::grammar::{Form, ROOT, SCHEMA, Table, Value};
use crate::error::Problem;

/// Words of other languages for what a description cannot say, and why.
const NOT_IN_THE_LANGUAGE: &[(&str, &str)] = &[
    ("user", "the app always runs as 1000:100"),
    ("workdir", "the working directory is always /home/sagemaker-user"),
    ("working-dir", "the working directory is always /home/sagemaker-user"),
    ("port", "the editor always listens on port 8888"),
    ("ports", "the editor always listens on port 8888"),
    ("expose", "the editor always listens on port 8888"),
    ("host", "the editor always listens on 0.0.0.0"),
    ("connection-token", "Studio cannot send a token, so there never is one"),
    ("entrypoint", "the entrypoint is byoi's own; options of the editor are `editor.arguments`"),
    ("cmd", "the command is the editor's server; options of the editor are `editor.arguments`"),
    ("command", "the command is the editor's server; options of the editor are `editor.arguments`"),
    ("run", "byoi runs nothing while it builds; use [[file]] and [[extension]], or a base that has what you need"),
    ("volumes", "the space's volume is always at /home/sagemaker-user"),
];

/// Reports everything in `view` that is not what `table` says.
pub(super) fn check(view: &View<'_>, table: &'static Table, findings: &mut Findings) {
    for (key, value, span) in view.entries() {
        match table.key(key.value) {
            Some(known) => check_value(key.value, value, &span, &known.value, findings),
            None => findings.error(&key.span, unknown_key(key.value, table)),
        }
    }
    for key in table.keys.iter().filter(|key| key.required && !view.has(key.name)) {
        findings.error(&view.span, missing(table, key.name));
    }
    if !table.forms.is_empty() {
        check_forms(view, table, findings);
    }
}

fn check_value(key: &str, value: &DeValue<'_>, span: &Range<usize>, expected: &Value, findings: &mut Findings) {
    match (expected, value) {
        (Value::Text(_) | Value::OneOf(_), DeValue::String(_)) | (Value::Boolean, DeValue::Boolean(_)) => {}
        (Value::Integer(least, most), DeValue::Integer(_)) => {
            if !integer(value).is_some_and(|value| (*least..=*most).contains(&value)) {
                findings.error(span, out_of_range(key, *least, *most));
            }
        }
        (Value::Texts, DeValue::Array(items)) => {
            for item in items.iter().filter(|item| !item.get_ref().is_str()) {
                findings.error(&item.span(), wrong_type(key, "an array of strings", item.get_ref()).help("write each item in quotes"));
            }
        }
        (Value::TextMap, DeValue::Table(table)) => {
            for (name, item) in table.iter().filter(|(_, item)| !item.get_ref().is_str()) {
                findings
                    .error(&item.span(), wrong_type(&format!("{key}.{}", name.get_ref()), "a string", item.get_ref()).help(quote(item.get_ref())));
            }
        }
        (Value::AnyMap, DeValue::Table(_)) => {}
        (Value::Table(inner), DeValue::Table(table)) => check(&View { table, span: span.clone() }, inner, findings),
        (Value::Tables(inner), DeValue::Array(items)) => {
            for item in items {
                match item.get_ref() {
                    DeValue::Table(table) => check(&View { table, span: item.span() }, inner, findings),
                    other => findings.error(&item.span(), wrong_type(key, "an array of tables", other).help(header_help(inner.header))),
                }
            }
        }
        _ => findings.error(span, wrong_type(key, expected.expected(), value).help(type_help(key, expected, value))),
    }
}

fn wrong_type(key: &str, expected: &str, value: &DeValue<'_>) -> Problem {
    let article = if matches!(value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
    Problem::new(format!("`{key}` must be {expected}")).label(format!("this is {article} {}", value.type_str()))
}

fn type_help(key: &str, expected: &Value, value: &DeValue<'_>) -> String {
    match expected {
        Value::Text(_) | Value::OneOf(_) if key == "mode" => "write octal digits in quotes: mode = \"0644\"".to_owned(),
        Value::Text(_) | Value::OneOf(_) => quote(value),
        Value::Integer(..) => format!("write a number without quotes: {key} = 1"),
        Value::Boolean => format!("write {key} = true or {key} = false, without quotes"),
        Value::Texts => format!("write it in brackets: {key} = [\"…\"]"),
        Value::TextMap => format!("write a table: [{key}], and below it one `NAME = \"value\"` a line"),
        Value::AnyMap => format!("write a table: [settings.{key}], and below it one `\"name\" = value` a line"),
        Value::Table(table) | Value::Tables(table) => header_help(table.header),
    }
}

fn header_help(header: &str) -> String {
    format!("write {header} on a line of its own, and its keys below it")
}

fn quote(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(value) => format!("write it in quotes: \"{value}\""),
        DeValue::Float(value) => format!("write it in quotes: \"{value}\""),
        DeValue::Boolean(value) => format!("write it in quotes: \"{value}\""),
        DeValue::Datetime(value) => format!("write it in quotes: \"{value}\""),
        _ => "write one text in quotes".to_owned(),
    }
}

fn out_of_range(key: &str, least: i64, most: i64) -> Problem {
    if key == "schema" {
        let problem = Problem::new(format!("this byoi knows version {SCHEMA} of the language only")).label("another version");
        return problem.help(format!("write schema = {SCHEMA}, or use the byoi that the description was written for"));
    }
    let problem = Problem::new(format!("`{key}` must be between {least} and {most}")).label("out of range");
    problem.help(format!("choose a number from {least} to {most}"))
}

fn missing(table: &Table, key: &str) -> Problem {
    let example = table.key(key).map_or("", |key| key.example);
    let place = if table.header.is_empty() { "the description".to_owned() } else { format!("this {}", table.header) };
    Problem::new(format!("{place} has no `{key}`")).label(format!("no `{key}` below")).help(format!("add a line such as: {key} = {example}"))
}

fn unknown_key(key: &str, table: &Table) -> Problem {
    let place = if table.header.is_empty() { "the description's top level".to_owned() } else { table.header.to_owned() };
    if let Some((_, why)) = NOT_IN_THE_LANGUAGE.iter().find(|(word, _)| word.eq_ignore_ascii_case(key)) {
        return Problem::new(format!("a description cannot say `{key}`: {why}")).label("not in the language").help("take this key out");
    }
    let problem = Problem::new(format!("{place} has no key `{key}`")).label("unknown key");
    if let Some(help) = elsewhere(key, table) {
        return problem.help(help);
    }
    match nearest(key, table.keys.iter().map(|key| key.name)) {
        Some(near) => problem.label(format!("did you mean `{near}`?")).help(format!("write `{near}`, or take the key out")),
        None => problem.help(format!("its keys are {}", listed(table.keys.iter().map(|key| key.name)))),
    }
}

/// Where a key belongs that stands in the wrong table, as help.
fn elsewhere(key: &str, table: &Table) -> Option<String> {
    if !table.header.is_empty()
        && let Some(known) = ROOT.key(key)
    {
        return Some(match known.value {
            Value::Tables(inner) => header_help(inner.header),
            Value::Table(_) | Value::TextMap | Value::AnyMap => header_help(&format!("[{key}]")),
            _ => format!("move `{key}` to the top of the file, above the first header"),
        });
    }
    let tables = ROOT.keys.iter().filter_map(|key| match key.value {
        Value::Table(table) | Value::Tables(table) => Some(table),
        _ => None,
    });
    let home = tables.into_iter().find(|home| home.header != table.header && home.key(key).is_some())?;
    Some(format!("`{key}` belongs to {}", home.header))
}

/// Longest word for which a near one is looked for: comparing takes memory by the product of the lengths.
const MAX_WORD: usize = 40;

/// The known word that is nearest to `word`, if one is near.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_lowercase().replace('_', "-");
    let limit = (word.chars().count() / 3).max(1);
    known.map(|near| (strsim::damerau_levenshtein(&word, near), near)).filter(|(distance, _)| *distance <= limit).min().map(|(_, near)| near)
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn check_forms(view: &View<'_>, table: &'static Table, findings: &mut Findings) {
    let mut present: Vec<&Form> = table.forms.iter().filter(|form| view.has(form.key)).collect();
    present.sort_by_key(|form| view.key_span(form.key).start);
    let (what, word) = table.choice;
    let choices = listed(table.forms.iter().map(|form| form.key));
    let Some((form, more)) = present.split_first() else {
        let problem = Problem::new(format!("this {} does not say {what}", table.header)).label(format!("no {word} below"));
        findings.error(&view.span, problem.help(format!("add one of {choices}")));
        return;
    };
    for other in more {
        let message = format!("this {} says twice {what}: `{}` and `{}`", table.header, form.key, other.key);
        let problem = Problem::new(message).label(format!("a second {word}"));
        let help = match table.header.starts_with("[[") {
            true => format!("keep one of them, and write another {} for the other", table.header),
            false => "keep one of them".to_owned(),
        };
        findings.error(&view.key_span(other.key), problem.help(help));
    }
    if more.is_empty() {
        check_company(view, table, form, findings);
    }
}

/// What stands beside the key that chose the form.
fn check_company(view: &View<'_>, table: &'static Table, form: &Form, findings: &mut Findings) {
    for needed in form.needs.iter().filter(|key| !view.has(key)) {
        let example = table.key(needed).map_or("", |key| key.example);
        let problem = Problem::new(format!("`{}` needs `{needed}` beside it", form.key)).label(format!("no `{needed}` beside this"));
        findings.error(&view.key_span(form.key), problem.help(format!("add a line such as: {needed} = {example}")));
    }
    for (key, _, _) in view.entries() {
        let forms = table.forms_with(key.value);
        if forms.is_empty() || forms.iter().any(|allowed| allowed.key == form.key) {
            continue;
        }
        let problem = Problem::new(format!("`{}` means nothing beside `{}`", key.value, form.key)).label(format!("beside `{}`", form.key));
        findings.error(&key.span, problem.help(format!("take it out; it goes with {}", listed(forms.iter().map(|form| form.key)))));
    }
}
