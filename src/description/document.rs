//! From text to a TOML document whose values know their places, and views of it by type.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::grammar::Form;
use super::model::Spanned;
use crate::error::{Problem, Source};

/// Longest description, in bytes.
pub(super) const MAX_SIZE: usize = 1 << 20;

/// All that was found wrong or odd in one description.
pub(super) struct Findings {
    pub(super) source: Arc<Source>,
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Findings {
    /// Adds an error at `span`.
    pub(super) fn error(&mut self, span: &Range<usize>, problem: Problem) {
        self.errors.push(problem.at(&self.source, span.clone()));
    }

    /// Adds a warning at `span`.
    pub(super) fn warn(&mut self, span: &Range<usize>, problem: Problem) {
        self.warnings.push(problem.at(&self.source, span.clone()));
    }
}

/// Reads TOML. What is not TOML is reported, all of it; then there is no document, since what a half-read file lacks cannot be told.
/// Only keys that stand twice leave a document: everything in it was read.
pub(super) fn read<'a>(text: &'a str, findings: &mut Findings) -> Option<DeTable<'a>> {
    if text.len() > MAX_SIZE {
        let message = format!("the file has {} bytes, more than a description can have ({MAX_SIZE})", text.len());
        findings.error(&(0..0), Problem::new(message).help("put long texts into files of their own and name them with `source`"));
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut whole = true;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let span = span.start.min(text.len())..span.end.min(text.len());
        let doubled = error.message() == "duplicate key";
        whole &= doubled;
        findings.error(&span, syntax_problem(error.message(), doubled, &text[span.clone()]));
    }
    whole.then(|| document.into_inner())
}

fn syntax_problem(message: &str, doubled: bool, marked: &str) -> Problem {
    if doubled {
        let problem = Problem::new(format!("`{marked}` stands twice")).label("already set above");
        return problem.help("keep one of them; tables that may repeat have double brackets: [[extension]], [[file]]");
    }
    let problem = Problem::new(format!("this is not TOML: {message}")).label("here");
    match message.contains("leading zero") {
        true => problem.help("write it as a string, in quotes"),
        false => problem.help("see https://toml.io for how TOML is written; strings need quotes"),
    }
}

/// A table of the document, read by type. A value of another type reads as absent: the shape check has reported it.
#[derive(Clone)]
pub(super) struct View<'a> {
    pub(super) table: &'a DeTable<'a>,
    /// The table's header, or its braces.
    pub(super) span: Range<usize>,
}

impl<'a> View<'a> {
    fn value(&self, key: &str) -> Option<(&'a DeValue<'a>, Range<usize>)> {
        let value = self.table.get(key)?;
        Some((value.get_ref(), value.span()))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the key stands.
    pub(super) fn key_span(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// Where the key's value stands.
    pub(super) fn value_span(&self, key: &str) -> Option<Range<usize>> {
        self.value(key).map(|(_, span)| span)
    }

    /// Where the value of the key stands that chose the table's form; the header where none did.
    pub(super) fn origin_span(&self, forms: &[Form]) -> Range<usize> {
        forms.iter().find_map(|form| self.value_span(form.key)).unwrap_or_else(|| self.span.clone())
    }

    pub(super) fn text(&self, key: &str) -> Option<Spanned<&'a str>> {
        let (value, span) = self.value(key)?;
        Some(Spanned { value: value.as_str()?, span })
    }

    /// The text at `key`, as `parse` reads it; what is wrong with it is reported.
    pub(super) fn parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Problem>, findings: &mut Findings) -> Option<T> {
        let text = self.text(key)?;
        parse(text.value).map_err(|problem| findings.error(&text.span, problem)).ok()
    }

    pub(super) fn boolean(&self, key: &str) -> Option<Spanned<bool>> {
        let (value, span) = self.value(key)?;
        Some(Spanned { value: value.as_bool()?, span })
    }

    pub(super) fn integer(&self, key: &str) -> Option<Spanned<i64>> {
        let (value, span) = self.value(key)?;
        Some(Spanned { value: integer(value)?, span })
    }

    pub(super) fn texts(&self, key: &str) -> Vec<Spanned<&'a str>> {
        let items = self.value(key).and_then(|(value, _)| value.as_array());
        let text = |item: &'a toml::Spanned<DeValue<'a>>| Some(Spanned { value: item.get_ref().as_str()?, span: item.span() });
        items.into_iter().flatten().filter_map(text).collect()
    }

    /// Whether the value is an array without items.
    pub(super) fn is_empty_array(&self, key: &str) -> bool {
        self.value(key).and_then(|(value, _)| value.as_array()).is_some_and(|items| items.is_empty())
    }

    pub(super) fn table(&self, key: &str) -> Option<View<'a>> {
        let (value, span) = self.value(key)?;
        Some(View { table: value.as_table()?, span })
    }

    pub(super) fn tables(&self, key: &str) -> Vec<View<'a>> {
        let items = self.value(key).and_then(|(value, _)| value.as_array());
        let view = |item: &'a toml::Spanned<DeValue<'a>>| Some(View { table: item.get_ref().as_table()?, span: item.span() });
        items.into_iter().flatten().filter_map(view).collect()
    }

    /// The table's own entries: key, value, and where the value stands.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Spanned<&'a str>, &'a DeValue<'a>, Range<usize>)> {
        let table = self.table;
        table.iter().map(|(key, value)| (Spanned { value: key.get_ref().as_ref(), span: key.span() }, value.get_ref(), value.span()))
    }
}

/// The integer, if it is one that 64 bits hold.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
