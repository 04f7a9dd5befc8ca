//! `[settings]`: settings of the editor, as the JSON that its files hold.

use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml::de::{DeTable, DeValue};

use super::document::{Findings, View, integer};
use crate::error::Problem;

/// Settings whose own name has no dot though their value is a table.
const TABLES_WITHOUT_A_DOT: &[&str] = &["launch", "tasks", "mcp"];

/// Reads one of the two tables of settings.
pub(super) fn read(root: &View<'_>, key: &str, findings: &mut Findings) -> Map<String, Json> {
    let Some(table) = root.table("settings").and_then(|settings| settings.table(key)) else {
        return Map::new();
    };
    for (name, value, _) in table.entries() {
        if let DeValue::Table(inner) = value
            && looks_unquoted(name.value)
        {
            findings.warn(&name.span, unquoted(name.value, inner));
        }
    }
    object(table.table, findings)
}

/// Whether a table of this name is rather the first half of a name whose quotes were forgotten. Names in brackets are languages.
fn looks_unquoted(name: &str) -> bool {
    !name.contains('.') && !name.starts_with('[') && !TABLES_WITHOUT_A_DOT.contains(&name)
}

fn unquoted(name: &str, inner: &DeTable<'_>) -> Problem {
    let rest = inner.keys().next().map_or("…", |key| key.get_ref());
    let problem = Problem::new(format!("the editor has no setting `{name}` that holds a table: without quotes, a dot in a name makes one"));
    problem.label("a table").help(format!("write the whole name in quotes: \"{name}.{rest}\" = …"))
}

fn object(table: &DeTable<'_>, findings: &mut Findings) -> Map<String, Json> {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.to_string(), json(value.get_ref(), &value.span(), findings))
    };
    table.iter().map(entry).collect()
}

fn json(value: &DeValue<'_>, span: &Range<usize>, findings: &mut Findings) -> Json {
    let mut refuse = |message: &str, label: &str, help: &str| {
        findings.error(span, Problem::new(message).label(label).help(help));
        Json::Null
    };
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Boolean(truth) => Json::Bool(*truth),
        DeValue::Integer(_) => match integer(value) {
            Some(number) => Json::from(number),
            None => refuse("settings hold integers of at most 64 bits", "too large", "write a smaller number, or a string"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Json::Number(number),
            None => refuse("JSON, which settings are written in, has no such number", "not a JSON number", "write a finite number"),
        },
        DeValue::Datetime(_) => refuse("JSON, which settings are written in, has no dates", "a date", "write it as a string, in quotes"),
        DeValue::Array(items) => Json::Array(items.iter().map(|item| json(item.get_ref(), &item.span(), findings)).collect()),
        DeValue::Table(table) => Json::Object(object(table, findings)),
    }
}
