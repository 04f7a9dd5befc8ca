//! The language as Markdown, made from the grammar: the reference part of `docs/language.md`.

use std::fmt::Write as _;

use super::grammar::{Key, ROOT, Table, Value};

/// The reference of all tables and keys.
pub fn reference() -> String {
    let mut out = String::new();
    write_table(&mut out, &ROOT, "Top level");
    for key in ROOT.keys {
        match key.value {
            Value::Table(table) | Value::Tables(table) => write_table(&mut out, table, &format!("`{}`", table.header)),
            Value::TextMap => write_map(&mut out, key, &format!("[{}]", key.name)),
            _ => {}
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn write_table(out: &mut String, table: &Table, title: &str) {
    write!(out, "### {title}\n\n{}\n\n", table.about).expect("a String takes all");
    if !table.forms.is_empty() {
        write_forms(out, table);
    }
    out.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in table.keys {
        let default = match (key.required, key.default) {
            (true, _) => "required",
            (false, default) => default,
        };
        let example = match (key.example, &key.value) {
            ("", _) => String::new(),
            (example, Value::TextMap | Value::AnyMap) => format!(" Example: `{example}`"),
            (example, _) => format!(" Example: `{} = {example}`", key.name),
        };
        let line = format!("| `{}` | {} | {default} | {}{example} |", key.name, value(&key.value), key.about);
        writeln!(out, "{line}").expect("a String takes all");
    }
    out.push('\n');
}

fn write_forms(out: &mut String, table: &Table) {
    let names = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    out.push_str("| with | there must be | there may be |\n| --- | --- | --- |\n");
    for form in table.forms {
        writeln!(out, "| `{}` | {} | {} |", form.key, names(form.needs), names(form.may)).expect("a String takes all");
    }
    out.push('\n');
}

fn write_map(out: &mut String, key: &Key, header: &str) {
    write!(out, "### `{header}`\n\n{}\n\n```toml\n{header}\n{}\n```\n\n", key.about, key.example).expect("a String takes all");
}

fn value(value: &Value) -> String {
    match value {
        Value::OneOf(values) => values.iter().map(|value| format!("`\"{value}\"`")).collect::<Vec<_>>().join(" or "),
        Value::Integer(least, most) if least == most => format!("`{least}`"),
        Value::Integer(least, most) => format!("integer, {least} to {most}"),
        Value::Text(_) => "string".to_owned(),
        Value::Boolean => "`true` or `false`".to_owned(),
        Value::Texts => "array of strings".to_owned(),
        Value::TextMap => "table of strings".to_owned(),
        Value::AnyMap => "table of any values that JSON can hold".to_owned(),
        Value::Table(_) => "table".to_owned(),
        Value::Tables(_) => "tables".to_owned(),
    }
}
