//! A lock beside its description (is it current?) and beside an older lock (what changed?).

mod conda;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use super::conda::CondaRequirement;
use super::model::Lock;
use crate::description::{Description, ExtensionOrigin, FileOrigin};
use crate::digest::Digest;
use crate::error::Problem;

/// The reasons, each on an indented line of its own.
pub fn reasons(stale: &[Stale]) -> String {
    stale.iter().map(|one| format!("\n  {one}")).collect()
}

/// One reason for which a lock is not current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// The description asks for something that has no entry.
    Missing {
        /// `base`, `conda environment`, `conda package`, `extension` or `file`.
        what: &'static str,
        /// The requirement's text.
        requirement: String,
        /// Where the description asks for it.
        span: Range<usize>,
    },
    /// An entry that nothing asks for.
    Unasked {
        /// `base`, `conda environment`, `conda package`, `extension` or `file`.
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
    /// A fact of the conda environment that is asked for in another way than it is locked.
    Different {
        /// `channels`, `packages`, `pixi.lock`, `prefix`, `existing` or `cuda`.
        what: &'static str,
        /// What is asked for.
        asked: String,
        /// What is locked.
        locked: String,
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
            Stale::Different { what, asked, locked, .. } => write!(f, "conda's {what}: locked is {locked}, and asked for is {asked}"),
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
            Stale::Different { span, .. } => problem.at(&description.source, span.clone()).label("locked otherwise"),
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
    /// `conda` is what its `[conda]` comes to with the files that it names.
    pub fn staleness(&self, description: &Description, conda: Option<&CondaRequirement>) -> Vec<Stale> {
        let mut stale = Vec::new();
        if self.base.requirement != description.base_requirement {
            let requirement = description.base_requirement.clone();
            stale.push(Stale::Missing { what: "base", requirement, span: description.base.span.clone() });
            stale.push(Stale::Unasked { what: "base", requirement: self.base.requirement.clone() });
        }
        let locked = self.conda.as_ref().map(|conda| &conda.requirement);
        stale.extend(conda::staleness(description.conda.as_ref(), conda, locked));
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
    /// `base`, `conda`, `extension` or `file`.
    pub what: &'static str,
    /// What a person calls it: the requirement of the base, what conda is asked for, the name of a package, the id of an extension, the URL of a file.
    pub name: String,
    /// Version or digest in the old lock.
    pub old: Option<String>,
    /// Version or digest in the new lock.
    pub new: Option<String>,
}

/// An input as changes compare it.
#[derive(PartialEq, Default)]
struct Input {
    requirement: String,
    version: Option<String>,
    build: Option<String>,
    digest: Option<Digest>,
    /// Whether it is the base's, and no entry of the lock.
    of_base: bool,
}

/// An input's rank, what it is, and its name.
type Name<'a> = (u8, &'static str, &'a str);

/// What `new` has that `old` has not, and the other way round: the base first, then what conda is asked for, its packages, extensions and files by
/// name. A package that takes the place of one of the base's is a change of that one.
pub fn diff(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let before = old.map(|old| inputs(old, new)).unwrap_or_else(|| of_base(new));
    let after = old.map_or_else(|| inputs(new, new), |old| inputs(new, old));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    names.into_iter().filter_map(|name| change(name, before.get(&name), after.get(&name))).collect()
}

/// How many conda packages stay as they are.
pub fn kept(old: Option<&Lock>, new: &Lock) -> usize {
    let packages = |lock: Option<&Lock>| lock.and_then(|lock| lock.conda.as_ref()).map(|conda| conda.packages.clone()).unwrap_or_default();
    let old: BTreeSet<_> = packages(old).into_iter().map(|package| package.sha256).collect();
    packages(Some(new)).iter().filter(|package| old.contains(&package.sha256)).count()
}

/// All inputs of a lock; `other` is the lock that it is compared with.
fn inputs<'a>(lock: &'a Lock, other: &'a Lock) -> BTreeMap<Name<'a>, Input> {
    let base = Input { requirement: lock.base.requirement.clone(), digest: lock.base.digest, ..Input::default() };
    let request = lock.conda.as_ref().map(|conda| ((1, "conda", ""), conda::request(conda)));
    let packages = conda::inputs(lock.conda.as_ref(), other.conda.as_ref()).into_iter().map(|(name, input)| ((2, "conda", name), input));
    let extensions = lock.extensions.iter().map(|extension| {
        let (requirement, version) = (extension.requirement.clone(), Some(extension.version.clone()));
        ((3, "extension", extension.id.as_str()), Input { requirement, version, digest: Some(extension.sha256), ..Input::default() })
    });
    let files = lock.files.iter().map(|file| {
        let requirement = file.requirement.to_string();
        ((4, "file", file.requirement.as_str()), Input { requirement, digest: Some(file.sha256), ..Input::default() })
    });
    std::iter::once(((0, "base", ""), base)).chain(request).chain(packages).chain(extensions).chain(files).collect()
}

/// What is there before the first lock: the base's packages that it replaces.
fn of_base(new: &Lock) -> BTreeMap<Name<'_>, Input> {
    conda::inputs(None, new.conda.as_ref()).into_iter().map(|(name, input)| ((2, "conda", name), input)).collect()
}

fn change((rank, what, name): Name<'_>, old: Option<&Input>, new: Option<&Input>) -> Option<Change> {
    let kind = match (old, new) {
        (Some(old), Some(new)) if old == new => return None,
        (Some(_), Some(_)) => ChangeKind::Changed,
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
    };
    let name = match (rank, old, new) {
        (0, Some(old), Some(new)) if old.requirement != new.requirement => format!("{} → {}", old.requirement, new.requirement),
        (0, old, new) => new.or(old).map_or_else(String::new, |input| input.requirement.clone()),
        (1, ..) => "(asked for)".to_owned(),
        _ => name.to_owned(),
    };
    Some(Change { kind, what, name, old: old.map(|input| shown(input, new)), new: new.map(|input| shown(input, old)) })
}

/// What tells an input from `other` of the same name: its version; where that is the same its build; else its digest.
fn shown(input: &Input, other: Option<&Input>) -> String {
    let same = |part: fn(&Input) -> &Option<String>| other.is_some_and(|other| part(other) == part(input));
    let text = match (&input.version, &input.build) {
        (Some(version), _) if !same(|input| &input.version) => version.clone(),
        (Some(version), Some(build)) if !same(|input| &input.build) => format!("{version} {build}"),
        // The same package, laid again in another place.
        (Some(version), _) if other.is_some_and(|other| other.of_base != input.of_base) => version.clone(),
        _ => input.digest.map_or_else(|| "-".to_owned(), short),
    };
    if input.of_base { format!("{text} (base)") } else { text }
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
