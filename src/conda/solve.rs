//! The solver: which packages meet what is asked, or why none can.

use std::collections::BTreeSet;

use rattler_conda_types::{GenericVirtualPackage, MatchSpec, RepoDataRecord};
use rattler_repodata_gateway::RepoData;
use rattler_solve::{ChannelPriority, SolveError, SolverImpl, SolverTask, resolvo};

/// Most specs among which a conflict is searched for: each costs a solve.
const MAX_SEARCHED: usize = 64;

/// A question to the solver.
#[derive(Clone)]
pub struct Question {
    /// The specs to meet: first those that were asked for, in their order, then those that keep what is there.
    pub specs: Vec<MatchSpec>,
    /// How many of the specs were asked for.
    pub asked: usize,
    /// Packages that channels have: a list a channel and platform, in order of priority.
    pub candidates: Vec<RepoData>,
    /// Packages that are taken rather than others.
    pub preferred: Vec<RepoDataRecord>,
    /// Packages that stay as they are.
    pub kept: Vec<RepoDataRecord>,
    /// What the image offers.
    pub virtual_packages: Vec<GenericVirtualPackage>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unsolved {
    /// Nothing meets all specs.
    Conflict {
        /// Indexes of the fewest specs that cannot be met together.
        specs: Vec<usize>,
        /// The solver's explanation.
        explanation: String,
    },
    /// The channels contradict themselves, or the solver gave up.
    Broken(String),
}

/// The packages that meet the question: the same ones for the same question.
///
/// # Errors
/// [`Unsolved`].
pub fn solve(question: &Question) -> Result<Vec<RepoDataRecord>, Unsolved> {
    match attempt(question, &(0..question.specs.len()).collect()) {
        Ok(records) => Ok(records),
        Err(SolveError::Unsolvable(explanations)) => Err(conflict(question, explanations)),
        Err(error) => Err(Unsolved::Broken(error.to_string())),
    }
}

/// Solves for some of the specs.
fn attempt(question: &Question, specs: &BTreeSet<usize>) -> Result<Vec<RepoDataRecord>, SolveError> {
    let task = SolverTask {
        specs: specs.iter().map(|index| question.specs[*index].clone()).collect(),
        locked_packages: question.preferred.iter().collect(),
        pinned_packages: question.kept.iter().collect(),
        virtual_packages: question.virtual_packages.clone(),
        channel_priority: ChannelPriority::Strict,
        ..question.candidates.iter().map(sorted).collect::<SolverTask<'_, Vec<_>>>()
    };
    Ok(resolvo::Solver.solve(task)?.records)
}

/// The records in an order that does not depend on which answer of a channel came first.
pub fn sorted(records: &RepoData) -> Vec<&RepoDataRecord> {
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_by(|a, b| {
        let names = a.package_record.name.as_normalized().cmp(b.package_record.name.as_normalized());
        names.then_with(|| a.url.as_str().cmp(b.url.as_str()))
    });
    sorted
}

/// Takes out of the specs asked for all that the conflict does not need.
fn conflict(question: &Question, mut explanations: Vec<String>) -> Unsolved {
    let mut specs: BTreeSet<usize> = (0..question.specs.len()).collect();
    if question.asked <= MAX_SEARCHED {
        for index in 0..question.asked {
            let fewer: BTreeSet<usize> = specs.iter().copied().filter(|other| *other != index).collect();
            if let Err(SolveError::Unsolvable(shorter)) = attempt(question, &fewer) {
                (specs, explanations) = (fewer, shorter);
            }
        }
    }
    let asked = specs.into_iter().filter(|index| *index < question.asked).collect();
    Unsolved::Conflict { specs: asked, explanation: explanations.join("\n").trim().to_owned() }
}
