//! What was before an environment is locked: the older lock, and what the base has.

use rattler_conda_types::RepoDataRecord;

use super::existing::ExistingPackage;
use super::request::Request;
use crate::base::Index;
use crate::lock::{Base, Conda, CondaPackage, Lock};

/// What of an older lock, and of the base, an environment is locked upon.
pub struct Before<'a> {
    /// The lock of before.
    pub old: Option<&'a Lock>,
    /// Whether a package of that lock, by its name, is to be looked up anew.
    pub update: &'a (dyn Fn(&str) -> bool + Sync),
    /// The base, as it is now.
    pub base: &'a Base,
    /// What lies in the base, where something has to be solved.
    pub index: &'a Index,
    /// The packages that it has in the prefix.
    pub existing: &'a [ExistingPackage],
}

impl<'a> Before<'a> {
    /// The entry of before, where nothing asks for another.
    pub(super) fn unchanged(&self, request: &Request) -> Option<&'a Conda> {
        let old = self.old?;
        let conda = old.conda.as_ref()?;
        let same_base = old.base.digest == self.base.digest && old.base.facts.glibc == self.base.facts.glibc;
        let updated = conda.packages.iter().any(|package| (self.update)(&package.name));
        (same_base && !updated && conda.requirement == request.requirement).then_some(conda)
    }

    /// Packages of the lock of before that stay if they can.
    pub(super) fn preferred(&self) -> impl Iterator<Item = &'a CondaPackage> {
        let packages = self.old.and_then(|old| old.conda.as_ref()).map(|conda| conda.packages.as_slice()).unwrap_or_default();
        packages.iter().filter(|package| !(self.update)(&package.name))
    }

    /// Whether the base has this build.
    pub(super) fn has(&self, record: &RepoDataRecord) -> bool {
        self.existing.iter().any(|existing| same_package(&existing.record, record))
    }
}

/// Whether two records are of the same build.
pub(super) fn same_package(a: &RepoDataRecord, b: &RepoDataRecord) -> bool {
    let key = |record: &RepoDataRecord| {
        let package = &record.package_record;
        (package.name.as_normalized().to_owned(), package.version.clone(), package.build.to_string(), package.subdir.clone())
    };
    key(a) == key(b)
}
