//! The language of `byoi.toml`: what a description can say. Parsing reports every error of a file at once, each with its place. No I/O.
//!
//! Text becomes a TOML document with places (`document`), which is held against the language as data ([`grammar`], `shape`); then one file
//! a table reads the values and judges them by the platform's rules.

mod address;
mod base;
mod conda;
mod conda_model;
mod document;
mod editor;
mod extension;
mod file;
pub mod grammar;
mod model;
mod owner;
mod reference;
mod schema;
mod settings;
mod shape;
mod target;
#[cfg(test)]
mod tests;
mod variables;

use std::sync::Arc;

pub use conda_model::*;
pub use model::*;
pub use reference::reference;
pub use schema::schema;

use crate::error::{Invalid, Source};
use document::{Findings, View};

/// The starting description that `byoi init` writes: short, with commented examples.
pub fn template() -> &'static str {
    include_str!("template.toml")
}

/// Reads a description. `name` is the file's name for messages.
///
/// # Errors
/// [`Invalid`] with all that is wrong, in the order of the file.
pub fn parse(name: &str, text: &str) -> Result<Description, Invalid> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let mut findings = Findings { source, errors: Vec::new(), warnings: Vec::new() };
    let description = document::read(text, &mut findings).and_then(|table| read(&View { table: &table, span: 0..0 }, &mut findings));
    let Findings { source, errors: mut problems, mut warnings } = findings;
    let place = |problem: &crate::error::Problem| problem.place.as_ref().map(|(_, span)| (span.start, span.end));
    problems.sort_by_key(place);
    warnings.sort_by_key(place);
    match description {
        Some(description) if problems.is_empty() => Ok(Description { source, warnings, ..description }),
        _ => Err(Invalid { problems }),
    }
}

fn read(root: &View<'_>, findings: &mut Findings) -> Option<Description> {
    shape::check(root, &grammar::ROOT, findings);
    if root.integer("schema").is_some_and(|schema| schema.value != grammar::SCHEMA) {
        // A description in another language: what else is odd in it may be right there.
        findings.errors.retain(|problem| problem.place.as_ref().map(|(_, span)| span.clone()) == root.value_span("schema"));
        return None;
    }
    let base = base::read(root, findings);
    let extensions = extension::read(root, findings);
    let files = file::read(root, findings);
    let conda = conda::read(root, &files, findings);
    let machine_settings = settings::read(root, "machine", findings);
    let user_settings = settings::read(root, "user", findings);
    let env = variables::read(root, findings);
    let labels = variables::read_labels(root, findings);
    let editor = editor::read(root, findings);
    let layers = root.table("image").and_then(|image| image.integer("layers")).and_then(|layers| usize::try_from(layers.value).ok());
    Some(Description {
        source: findings.source.clone(),
        base: base?,
        base_requirement: root.text("base")?.value.to_owned(),
        conda,
        extensions,
        files,
        machine_settings,
        user_settings,
        env,
        labels,
        sudo: root.table("account").and_then(|account| account.boolean("sudo")),
        editor,
        layers: layers.unwrap_or(grammar::DEFAULT_LAYERS),
        warnings: Vec::new(),
    })
}
