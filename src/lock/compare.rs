//! A lock beside its description (is it current?) and beside an older lock (what changed?).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use super::model::Lock;
use crate::description::{Description, ExtensionOrigin, FileOrigin};
use crate::digest::Digest;
use crate::error::Problem;

/// One reason for which a lock is not current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// The description asks for something that has no entry.
    Missing {
        /// `base`, `extension` or `file`.
        what: &'static str,
        /// The requirement's text.
        requirement: String,
        /// Where the description asks for it.
        span: Range<usize>,
    },
    /// An entry that nothing asks for.
    Unasked {
        /// `base`, `extension` or `file`.
        what: &'static str,
        /// The requirement's text.
        requirement: String,
    },
    /// The description demands another digest than the entry has.
    OtherDigest {
        /// `extension` or `file`.
        what: &'static str,
        /// The requirement's text.
        requirement: String,
        /// The digest that the description demands.
        demanded: Digest,
        /// The digest that is locked.
        locked: Digest,
        /// Where the description asks for it.
        span: Range<usize>,
    },
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stale::Missing { what, requirement, .. } => write!(f, "the {what} {requirement} is not locked"),
            Stale::Unasked { what, requirement } => write!(f, "the {what} {requirement} is locked, and nothing asks for it"),
            Stale::OtherDigest { what, requirement, demanded, locked, .. } => {
                write!(f, "the {what} {requirement} is locked as {locked}, and the description demands {demanded}")
            }
        }
    }
}

impl Stale {
    /// The reason as an error at its place in `description`, where it has one.
    pub fn problem(&self, description: &Description) -> Problem {
        let problem = Problem::new(self.to_string()).help("run `byoi lock`, and commit the lock that it writes");
        match self {
            Stale::Unasked { .. } => problem,
            Stale::Missing { span, .. } => problem.at(&description.source, span.clone()).label("not locked"),
            Stale::OtherDigest { span, .. } => problem.at(&description.source, span.clone()).label("locked with other bytes"),
        }
    }
}

/// A requirement of a foreign input in the description.
struct Asked {
    sha256: Option<Digest>,
    span: Range<usize>,
}

impl Lock {
    /// Why the lock is not current for `description`; empty where it is. Local files, labels, variables and settings never matter.
    pub fn staleness(&self, description: &Description) -> Vec<Stale> {
        let mut stale = Vec::new();
        if self.base.requirement != description.base_requirement {
            let requirement = description.base_requirement.clone();
            stale.push(Stale::Missing { what: "base", requirement, span: description.base.span.clone() });
            stale.push(Stale::Unasked { what: "base", requirement: self.base.requirement.clone() });
        }
        let extensions = self.extensions.iter().map(|extension| (extension.requirement.clone(), extension.sha256)).collect();
        compare("extension", &asked_extensions(description), &extensions, &mut stale);
        let files = self.files.iter().map(|file| (file.requirement.to_string(), file.sha256)).collect();
        compare("file", &asked_files(description), &files, &mut stale);
        stale
    }
}

fn asked_extensions(description: &Description) -> BTreeMap<String, Vec<Asked>> {
    let mut asked: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    for extension in description.extensions.iter().filter(|extension| !matches!(extension.origin, ExtensionOrigin::Path(_))) {
        asked.entry(extension.origin.requirement()).or_default().push(Asked { sha256: extension.sha256, span: extension.span.clone() });
    }
    asked
}

fn asked_files(description: &Description) -> BTreeMap<String, Vec<Asked>> {
    let mut asked: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    for file in &description.files {
        if let FileOrigin::Url { url, sha256 } = &file.origin {
            asked.entry(url.to_string()).or_default().push(Asked { sha256: *sha256, span: file.span.clone() });
        }
    }
    asked
}

fn compare(what: &'static str, asked: &BTreeMap<String, Vec<Asked>>, locked: &BTreeMap<String, Digest>, stale: &mut Vec<Stale>) {
    for (requirement, places) in asked {
        let Some(locked) = locked.get(requirement) else {
            let span = places.first().map_or(0..0, |asked| asked.span.clone());
            stale.push(Stale::Missing { what, requirement: requirement.clone(), span });
            continue;
        };
        for Asked { sha256, span } in places {
            if let Some(demanded) = sha256.filter(|demanded| demanded != locked) {
                stale.push(Stale::OtherDigest { what, requirement: requirement.clone(), demanded, locked: *locked, span: span.clone() });
            }
        }
    }
    for requirement in locked.keys().filter(|requirement| !asked.contains_key(*requirement)) {
        stale.push(Stale::Unasked { what, requirement: requirement.clone() });
    }
}

/// How an input differs between two locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Only the new lock has it.
    Added,
    /// Both have it, with other bytes or another requirement.
    Changed,
    /// Only the old lock has it.
    Removed,
}

/// One difference between two locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How it differs.
    pub kind: ChangeKind,
    /// `base`, `extension` or `file`.
    pub what: &'static str,
    /// What a person calls it: the requirement of the base, the id of an extension, the URL of a file.
    pub name: String,
    /// Version or digest in the old lock.
    pub old: Option<String>,
    /// Version or digest in the new lock.
    pub new: Option<String>,
}

/// An input as changes compare it.
#[derive(PartialEq)]
struct Input<'a> {
    requirement: &'a str,
    version: Option<&'a str>,
    digest: Option<Digest>,
}

/// What `new` has that `old` has not, and the other way round: the base first, then extensions and files by name.
pub fn diff(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let old = old.map(inputs).unwrap_or_default();
    let new = inputs(new);
    let names: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    names.into_iter().filter_map(|name| change(name, old.get(&name), new.get(&name))).collect()
}

/// All inputs of a lock, by rank, kind and name.
fn inputs(lock: &Lock) -> BTreeMap<(u8, &'static str, &str), Input<'_>> {
    let base = Input { requirement: &lock.base.requirement, version: None, digest: lock.base.digest };
    let extensions = lock.extensions.iter().map(|extension| {
        let input = Input { requirement: &extension.requirement, version: Some(&extension.version), digest: Some(extension.sha256) };
        ((1, "extension", extension.id.as_str()), input)
    });
    let files = lock.files.iter().map(|file| {
        let input = Input { requirement: file.requirement.as_str(), version: None, digest: Some(file.sha256) };
        ((2, "file", file.requirement.as_str()), input)
    });
    std::iter::once(((0, "base", ""), base)).chain(extensions).chain(files).collect()
}

fn change((_, what, name): (u8, &'static str, &str), old: Option<&Input<'_>>, new: Option<&Input<'_>>) -> Option<Change> {
    let kind = match (old, new) {
        (Some(old), Some(new)) if old == new => return None,
        (Some(_), Some(_)) => ChangeKind::Changed,
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
    };
    // A version that stays does not show what changed: then the digest does.
    let same_version = matches!((old, new), (Some(old), Some(new)) if old.version == new.version);
    let shown = |input: &Input<'_>| match input.version {
        Some(version) if !same_version => version.to_owned(),
        _ => input.digest.map_or_else(|| "-".to_owned(), short),
    };
    let name = match (what, old, new) {
        ("base", Some(old), Some(new)) if old.requirement != new.requirement => format!("{} → {}", old.requirement, new.requirement),
        ("base", old, new) => new.or(old).map_or_else(String::new, |input| input.requirement.to_owned()),
        _ => name.to_owned(),
    };
    Some(Change { kind, what, name, old: old.map(shown), new: new.map(shown) })
}

/// Enough of a digest for people to tell two apart.
fn short(digest: Digest) -> String {
    format!("sha256:{}", &digest.hex()[..12])
}

/// The changes as a small table, one a line; empty without changes.
pub fn table(changes: &[Change]) -> String {
    let width = changes.iter().map(|change| change.name.chars().count()).max().unwrap_or(0);
    let line = |change: &Change| {
        let sign = match change.kind {
            ChangeKind::Added => '+',
            ChangeKind::Changed => '~',
            ChangeKind::Removed => '-',
        };
        let versions = match (&change.old, &change.new) {
            (Some(old), Some(new)) if old == new => new.clone(),
            (Some(old), Some(new)) => format!("{old} → {new}"),
            (one, other) => one.as_ref().or(other.as_ref()).cloned().unwrap_or_default(),
        };
        format!("{sign} {:<9}  {:<width$}  {versions}\n", change.what, change.name)
    };
    changes.iter().map(line).collect()
}
