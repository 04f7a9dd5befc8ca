//! The lock's entry of an environment: solved or taken from a pixi.lock, then looked at package by package.

use std::collections::BTreeSet;
use std::path::Path;

use rattler_conda_types::{GenericVirtualPackage, MatchSpec, PackageName, PackageRecord, RepoDataRecord};
use rattler_repodata_gateway::RepoData;

use super::before::{Before, same_package};
use super::credentials::{Credentials, CredentialsError};
use super::existing::ExistingPackage;
use super::http::Transport;
use super::package::Environment;
use super::place::Place;
use super::removal::Removal;
use super::request::{self, Request};
use super::settled::settled;
use super::solve::{Question, Unsolved, solve};
use super::{channel, contents, entry, explain, repodata, virtual_packages};
use crate::description::{Conda as Wanted, Description};
use crate::digest::Digest;
use crate::error::{Error, Invalid, Problem};
use crate::lock::{self, CondaPackage, Python};
use crate::world::World;

/// The lock's entry for what a description asks of conda; none where it asks for nothing. An entry whose requirement and base have not changed
/// stays; else the packages that it has are preferred.
///
/// # Errors
/// Specs that nothing meets, channels and archives that cannot be used; each with its place in the description where it has one.
pub async fn lock(description: &Description, directory: &Path, before: &Before<'_>, world: &World<'_>) -> Result<Option<lock::Conda>, Error> {
    lock_with(description, directory, before, world, Credentials::from_environment).await
}

/// As [`lock`], with credentials from elsewhere, which are looked up when channels are asked.
pub(super) async fn lock_with(
    description: &Description,
    directory: &Path,
    before: &Before<'_>,
    world: &World<'_>,
    credentials: impl FnOnce() -> Result<Credentials, CredentialsError>,
) -> Result<Option<lock::Conda>, Error> {
    let Some(request) = request::read(description, directory)? else { return Ok(None) };
    let Some(wanted) = &description.conda else { return Ok(None) };
    if let Some(kept) = before.unchanged(&request) {
        explain::check_link_scripts(description, wanted, &kept.packages)?;
        return Ok(Some(kept.clone()));
    }
    let locking = Locking { description, wanted, request: &request, before, world, transport: Transport::new(world.http, credentials()?) };
    let solution = locking.solution().await?;
    let conda = locking.entry(solution).await?;
    explain::check_link_scripts(description, wanted, &conda.packages)?;
    Ok(Some(conda))
}

/// Whether the entry of before stays, so that neither channels nor the base's packages are asked for.
///
/// # Errors
/// Files that the description names and that cannot be read.
pub fn is_kept(description: &Description, directory: &Path, before: &Before<'_>) -> Result<bool, Error> {
    Ok(request::read(description, directory)?.is_none_or(|request| before.unchanged(&request).is_some()))
}

struct Locking<'a> {
    description: &'a Description,
    wanted: &'a Wanted,
    request: &'a Request,
    before: &'a Before<'a>,
    world: &'a World<'a>,
    transport: Transport,
}

impl Locking<'_> {
    fn table(&self) -> Place {
        Place { source: self.description.source.clone(), span: self.wanted.span.clone() }
    }

    /// All packages of the environment, in topological order.
    async fn solution(&self) -> Result<Vec<RepoDataRecord>, Error> {
        let virtual_packages = virtual_packages::of_image(&self.before.base.facts, self.request.requirement.cuda.as_deref());
        let records = match &self.request.pixi {
            Some(pixi) => {
                explain::check_taken(&pixi.records, &virtual_packages, &self.table())?;
                self.with_existing(pixi.records.clone())?
            }
            None => self.solved(virtual_packages).await?,
        };
        let as_the_base_says = |record: RepoDataRecord| match self.existing_of(&record.package_record.name) {
            Some(existing) if same_package(&existing.record, &record) => existing.record.clone(),
            _ => record,
        };
        Ok(PackageRecord::sort_topologically(records.into_iter().map(as_the_base_says).collect()))
    }

    /// Solves. The channels are first asked for what matches the specs; where that gives no answer, for all that they name, so that the explanation
    /// knows of it.
    async fn solved(&self, virtual_packages: Vec<GenericVirtualPackage>) -> Result<Vec<RepoDataRecord>, Error> {
        let question = self.question(virtual_packages.clone(), MatchSpec::clone).await?;
        let answer = match self.answer(question).await {
            Err(Unsolved::Conflict { .. }) => {
                let question = self.question(virtual_packages, |spec| MatchSpec { name: spec.name.clone(), ..MatchSpec::default() }).await?;
                self.answer(question).await
            }
            answer => answer,
        };
        answer.map_err(|unsolved| match unsolved {
            Unsolved::Conflict { specs, explanation } => {
                explain::conflict(&self.request.specs, &specs, &explanation, self.before, &self.table()).into()
            }
            Unsolved::Broken(reason) => Error::input(self.table().mark(Problem::new(format!("the channels cannot be solved: {reason}")))),
        })
    }

    /// The question, with candidates for the specs in the form in which `searched` has the channels asked for them.
    async fn question(&self, virtual_packages: Vec<GenericVirtualPackage>, searched: impl Fn(&MatchSpec) -> MatchSpec) -> Result<Question, Error> {
        let update = self.request.requirement.update_existing;
        let asked: Vec<MatchSpec> = self.request.specs.iter().map(|spec| spec.value.clone()).collect();
        let keeping: Vec<MatchSpec> = self.before.existing.iter().map(|existing| by_name(existing.name())).collect();
        // What stays exactly needs no other candidate; what may change does.
        let names = asked.iter().chain(keeping.iter().filter(|_| update)).map(searched).collect();
        let candidates = repodata::candidates(&self.request.channels, names, &self.table(), &self.transport, self.world).await?;
        let mut preferred: Vec<_> = self.before.preferred().filter_map(|package| find(&candidates, package)).collect();
        let mut kept = settled(self.before.existing);
        if update {
            let locked: BTreeSet<_> = preferred.iter().map(|record| record.package_record.name.clone()).collect();
            preferred.extend(kept.drain(..).filter(|record| !locked.contains(&record.package_record.name)));
        }
        let specs = asked.iter().cloned().chain(keeping).collect();
        Ok(Question { specs, asked: asked.len(), candidates, preferred, kept, virtual_packages })
    }

    async fn answer(&self, question: Question) -> Result<Vec<RepoDataRecord>, Unsolved> {
        let _task = self.world.progress.begin("solve the conda environment", None);
        let solving = tokio::task::spawn_blocking(move || solve(&question)).await;
        solving.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// The packages of a pixi.lock, and those of the base that it does not name.
    fn with_existing(&self, taken: Vec<RepoDataRecord>) -> Result<Vec<RepoDataRecord>, Error> {
        let named: BTreeSet<_> = taken.iter().map(|record| record.package_record.name.clone()).collect();
        if !self.request.requirement.update_existing {
            let other = |record: &&RepoDataRecord| !self.before.has(record) && self.existing_of(&record.package_record.name).is_some();
            let problems: Vec<_> = taken.iter().filter(other).map(|record| explain::kept_differs(record, &self.table())).collect();
            if !problems.is_empty() {
                return Err(Invalid { problems }.into());
            }
        }
        let rest =
            self.before.existing.iter().map(|existing| &existing.record).filter(|record| !named.contains(&record.package_record.name)).cloned();
        Ok(taken.into_iter().chain(rest).collect())
    }

    fn existing_of(&self, name: &PackageName) -> Option<&ExistingPackage> {
        self.before.existing.iter().find(|existing| existing.name() == name)
    }

    /// Whether the modules of `noarch: python` packages lie elsewhere than with the base's Python. Those of the base are laid again then.
    fn has_moved(&self, python: Option<&Python>) -> bool {
        let before = self::python(self.before.existing.iter().map(|existing| &existing.record));
        matches!((before, python), (Some(before), Some(now)) if before.site_packages != now.site_packages)
    }

    /// The lock's entry: what the base has already is not laid, what it has otherwise is replaced.
    async fn entry(&self, records: Vec<RepoDataRecord>) -> Result<lock::Conda, Error> {
        let python = python(&records);
        let has_moved = self.has_moved(python.as_ref());
        let is_relaid = |record: &RepoDataRecord| has_moved && record.package_record.noarch.is_python();
        let stays = |existing: &&ExistingPackage| !is_relaid(&existing.record) && records.iter().any(|record| same_package(&existing.record, record));
        let (kept, replaced): (Vec<_>, Vec<_>) = self.before.existing.iter().partition(stays);
        let laid: Vec<&RepoDataRecord> = records.iter().filter(|record| is_relaid(record) || !self.before.has(record)).collect();
        let removal = Removal::new(self.before.index, &self.wanted.prefix, &replaced)?;
        let laid = entry::laid(&laid, python.as_ref(), &kept, &removal, &self.transport, self.world).await?;
        let environment = Environment { prefix: self.wanted.prefix.clone(), owner: self.wanted.owner, python, compiler: None };
        let contents = contents::read(&laid.packages, &laid.wanted, &environment, &self.transport, self.world).await?;
        Ok(lock::Conda {
            requirement: self.request.requirement.clone(),
            python: environment.python,
            editor: contents.editor,
            variables: contents.activation.variables,
            activation_scripts: contents.activation.scripts,
            history: Vec::new(),
            packages: laid.packages,
            replaced: laid.replaced,
        })
    }
}

fn by_name(name: &PackageName) -> MatchSpec {
    MatchSpec { name: name.clone().into(), ..MatchSpec::default() }
}

/// The record of a locked package among the candidates, where the channel still has it: the same bytes, be they at another place by now.
fn find(candidates: &[RepoData], package: &CondaPackage) -> Option<RepoDataRecord> {
    let same = |record: &&RepoDataRecord| {
        let found = &record.package_record;
        found.name.as_normalized() == package.name
            && match &found.sha256 {
                Some(sha256) => Digest::from_bytes((*sha256).into()) == package.sha256,
                None => channel::without_credentials(&record.url) == package.url,
            }
    };
    candidates.iter().flat_map(|records| records.iter()).find(same).cloned()
}

/// The Python of an environment.
fn python<'a>(records: impl IntoIterator<Item = &'a RepoDataRecord>) -> Option<Python> {
    let python = &records.into_iter().find(|record| record.package_record.name.as_normalized() == "python")?.package_record;
    let (major, minor) = python.version.version().as_major_minor()?;
    let site_packages = python.python_site_packages_path.clone().unwrap_or_else(|| format!("lib/python{major}.{minor}/site-packages"));
    Some(Python { version: python.version.to_string(), site_packages })
}
