//! A rule: what an image must be, why, how to mend one that is not, and who says so. All of it is data; `docs/rules.md` is made from it.

use serde::Serialize;

use super::evidence::{Evidence, Files};
use super::finding::Found;

/// How much a rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// An image that breaks it does not work in Studio, or not at all times.
    Must,
    /// An image that breaks it works, but not as its makers will want.
    Should,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// `BYOI` and three digits; it never changes its meaning. 001–019 platform, transport, size; 020–039 account and home; 040–059 reserved places
    /// and variables; 060–079 command; 080–099 extensions; 100–119 conda.
    pub id: &'static str,
    /// A short name in words with hyphens.
    pub name: &'static str,
    /// What must be, one sentence without its full stop.
    pub title: &'static str,
    /// How much it weighs.
    pub level: Level,
    /// The failure that a user of the image would see.
    pub why: &'static str,
    /// How to mend an image that a Dockerfile makes.
    pub dockerfile: &'static str,
    /// How to mend one that a byoi.toml makes, or why it cannot be broken there.
    pub description: &'static str,
    /// Who says so.
    pub source: &'static str,
    /// What it looks at, and the look itself.
    pub check: Check,
}

/// What a rule looks at, and how.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Manifest and config alone.
    Documents(fn(&Evidence) -> Vec<Found>),
    /// Files that are there, and their own modes and contents: what is found in the uppermost layers stands, whatever lies below them. That a file is
    /// not there it never says.
    Upper(fn(&Evidence, &Files) -> Vec<Found>),
    /// The whole tree. Not asked where a layer was not read.
    Files(fn(&Evidence, &Files) -> Vec<Found>),
}

impl Rule {
    /// What breaks this rule; none where it cannot be asked, since files were not read.
    pub fn judge(&self, evidence: &Evidence) -> Option<Vec<Found>> {
        match self.check {
            Check::Documents(check) => Some(check(evidence)),
            Check::Upper(check) => evidence.files.as_ref().map(|files| check(evidence, files)),
            Check::Files(check) => evidence.files.as_ref().filter(|files| files.is_whole).map(|files| check(evidence, files)),
        }
    }
}
