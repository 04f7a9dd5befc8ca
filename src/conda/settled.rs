//! The base's packages as the solver is told of them. A base may be at odds with itself: built on a machine with a driver for GPUs, or patched up by
//! hand until it worked. Nothing of that is new, so it must not keep anything from being added: what its packages ask for in vain is left out of the
//! question. What they ask of each other and have stays in it, and what they ask of packages that are not there binds those that come.

use std::collections::BTreeMap;

use rattler_conda_types::{MatchSpec, Matches, PackageName, ParseMatchSpecOptions, RepoDataRecord};

use super::existing::ExistingPackage;

/// Names of virtual packages begin so. Whether the machine is right for a package that is there already is its maker's affair.
const VIRTUAL: &str = "__";

/// Whether what a package asks for is met by the others.
enum Met {
    Yes,
    No,
    /// There is no package of that name.
    Absent,
}

/// The records, without what they ask for in vain.
pub fn settled(existing: &[ExistingPackage]) -> Vec<RepoDataRecord> {
    let present: BTreeMap<&PackageName, &RepoDataRecord> = existing.iter().map(|package| (package.name(), &package.record)).collect();
    existing.iter().map(|package| settle(package.record.clone(), &present)).collect()
}

fn settle(mut record: RepoDataRecord, present: &BTreeMap<&PackageName, &RepoDataRecord>) -> RepoDataRecord {
    let package = &mut record.package_record;
    package.constrains.retain(|spec| !matches!(met(spec, present), Met::No));
    for spec in std::mem::take(&mut package.depends) {
        match met(&spec, present) {
            Met::Yes => package.depends.push(spec),
            Met::Absent => package.constrains.push(spec),
            Met::No => {}
        }
    }
    record
}

fn met(spec: &str, present: &BTreeMap<&PackageName, &RepoDataRecord>) -> Met {
    // What the solver cannot read it would hold against the package.
    let Ok(parsed) = MatchSpec::from_str(spec, ParseMatchSpecOptions::lenient()) else { return Met::No };
    match parsed.name.as_exact() {
        Some(name) if name.as_normalized().starts_with(VIRTUAL) => Met::No,
        Some(name) => match present.get(name) {
            Some(record) if parsed.matches(*record) => Met::Yes,
            Some(_) => Met::No,
            None => Met::Absent,
        },
        None => Met::No,
    }
}
