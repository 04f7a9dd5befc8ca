//! Where what is asked for stands: a text of the user's, and the bytes of it to mark in errors.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Problem, Source};

/// A part of a text of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub source: Arc<Source>,
    /// The part.
    pub span: Range<usize>,
}

impl Place {
    /// The problem at this place.
    pub fn mark(&self, problem: Problem) -> Problem {
        problem.at(&self.source, self.span.clone())
    }
}

/// Something that was asked for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<T> {
    /// What it means.
    pub value: T,
    /// As it was written.
    pub written: String,
    /// Where.
    pub place: Place,
}

impl Asked<String> {
    /// What the text means, by `read`.
    ///
    /// # Errors
    /// The problem that `read` finds, at the text's place.
    pub fn parse<T>(&self, read: impl FnOnce(&str) -> Result<T, Problem>) -> Result<Asked<T>, Problem> {
        let value = read(&self.value).map_err(|problem| self.place.mark(problem))?;
        Ok(Asked { value, written: self.written.clone(), place: self.place.clone() })
    }
}
