//! The conda part of a lock beside what is asked for now, and beside that of an older lock.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Input, Stale};
use crate::description::{self, CondaSource};
use crate::lock::{Conda, CondaRequirement};

/// What of the requirement differs. `table` is the description's own, for the places; `asked` is what it comes to with the files that it names.
pub(super) fn staleness(table: Option<&description::Conda>, asked: Option<&CondaRequirement>, locked: Option<&CondaRequirement>) -> Vec<Stale> {
    let span = table.map_or(0..0, |table| table.span.clone());
    match (asked, locked) {
        (None, None) => Vec::new(),
        (Some(asked), None) => vec![Stale::Missing { what: "conda environment", requirement: asked.prefix.absolute(), span }],
        (None, Some(locked)) => vec![Stale::Unasked { what: "conda environment", requirement: locked.prefix.absolute() }],
        (Some(asked), Some(locked)) => differences(table, asked, locked),
    }
}

fn differences(table: Option<&description::Conda>, asked: &CondaRequirement, locked: &CondaRequirement) -> Vec<Stale> {
    let mut stale = Vec::new();
    for spec in asked.specs.iter().filter(|spec| !locked.specs.contains(spec)) {
        stale.push(Stale::Missing { what: "conda package", requirement: spec.clone(), span: spec_span(table, spec) });
    }
    for spec in locked.specs.iter().filter(|spec| !asked.specs.contains(spec)) {
        stale.push(Stale::Unasked { what: "conda package", requirement: spec.clone() });
    }
    let digest = |requirement: &CondaRequirement| requirement.pixi_lock.map(|digest| digest.to_string());
    let facts = [
        ("channels", Some(asked.channels.join(", ")), Some(locked.channels.join(", "))),
        ("pixi.lock", digest(asked), digest(locked)),
        ("prefix", Some(asked.prefix.absolute()), Some(locked.prefix.absolute())),
        ("existing", Some(asked.existing().to_owned()), Some(locked.existing().to_owned())),
        ("cuda", asked.cuda.clone(), locked.cuda.clone()),
    ];
    let shown = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "none".to_owned());
    for (what, asked, locked) in facts {
        if asked != locked {
            let span = table.map_or(0..0, |table| fact_span(table, what));
            stale.push(Stale::Different { what, asked: shown(asked), locked: shown(locked), span });
        }
    }
    // The same specs in another order are another requirement: `history` and the solver see the order.
    if stale.is_empty() && asked != locked {
        let span = table.map_or(0..0, |table| table.span.clone());
        stale.push(Stale::Different { what: "packages", asked: asked.specs.join(", "), locked: locked.specs.join(", "), span });
    }
    stale
}

/// Where the description asks for a spec: its own line, or the file that holds it.
fn spec_span(table: Option<&description::Conda>, spec: &str) -> Range<usize> {
    let Some(table) = table else { return 0..0 };
    match &table.source {
        CondaSource::Packages(specs) => specs.iter().find(|one| one.value == spec).map_or(table.span.clone(), |one| one.span.clone()),
        CondaSource::Environment(file) | CondaSource::Lock(file) => file.span.clone(),
    }
}

fn fact_span(table: &description::Conda, what: &str) -> Range<usize> {
    let span = match (what, &table.source) {
        ("channels", _) => table.channels.first().map(|channel| channel.span.clone()),
        ("cuda", _) => table.cuda.as_ref().map(|cuda| cuda.span.clone()),
        ("pixi.lock", CondaSource::Lock(file)) => Some(file.span.clone()),
        _ => None,
    };
    span.unwrap_or_else(|| table.span.clone())
}

/// The conda inputs of two locks by name, as changes compare them: what was asked for, then the packages. A package that the base has and
/// only one of the two locks replaces is in the other as the base has it.
pub(super) fn inputs<'a>(own: Option<&'a Conda>, other: Option<&'a Conda>) -> BTreeMap<&'a str, Input> {
    let mut inputs = BTreeMap::new();
    let base = other.into_iter().flat_map(|conda| &conda.replaced);
    for package in base {
        let input = Input { version: Some(package.version.clone()), build: Some(package.build.clone()), of_base: true, ..Input::default() };
        inputs.insert(package.name.as_str(), input);
    }
    for package in own.into_iter().flat_map(|conda| &conda.replaced) {
        inputs.remove(package.name.as_str());
    }
    for package in own.into_iter().flat_map(|conda| &conda.packages) {
        let input =
            Input { version: Some(package.version.clone()), build: Some(package.build.clone()), digest: Some(package.sha256), ..Input::default() };
        inputs.insert(package.name.as_str(), input);
    }
    inputs
}

/// What was asked for: the specs, and then all else.
pub(super) fn request(conda: &Conda) -> Input {
    let CondaRequirement { channels, specs, pixi_lock, prefix, cuda, .. } = &conda.requirement;
    let mut rest = vec![format!("from {}", channels.join(", ")), format!("in {}", prefix.absolute()), conda.requirement.existing().to_owned()];
    rest.extend(cuda.iter().map(|cuda| format!("cuda {cuda}")));
    let version = match pixi_lock {
        Some(_) => "pixi.lock".to_owned(),
        None => specs.join(", "),
    };
    Input { version: Some(version), build: Some(rest.join(", ")), digest: *pixi_lock, ..Input::default() }
}
