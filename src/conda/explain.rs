//! What the user is told when an environment cannot be locked: under the line that asked.

use std::collections::BTreeSet;

use rattler_conda_types::{GenericVirtualPackage, MatchSpec, Matches, ParseMatchSpecOptions, RepoDataRecord};

use super::before::Before;
use super::place::{Asked, Place};
use crate::description::{Activate, Conda, Description};
use crate::error::{Error, Invalid, Problem};
use crate::lock::{self, CondaPackage};

/// Lines of a solver's explanation that are shown: the first name the packages that were asked for.
const MAX_LINES: usize = 24;

/// Why specs cannot be met together. `table` is where a conflict is shown that is nobody's in particular.
pub fn conflict(specs: &[Asked<MatchSpec>], conflicting: &[usize], explanation: &str, before: &Before<'_>, table: &Place) -> Invalid {
    let mut conflicting: Vec<_> = conflicting.iter().filter_map(|index| specs.get(*index)).collect();
    let explanation = shortened(explanation);
    let help = help(explanation.as_str(), before);
    let Some(first) = conflicting.pop() else {
        let problem = Problem::new(format!("the packages that the base has cannot be kept together:\n{explanation}"));
        return Invalid { problems: vec![table.mark(problem.help(help))] };
    };
    let message = match conflicting.as_slice() {
        [] => format!("nothing meets `{}`:\n{explanation}", first.written),
        others => {
            let others: Vec<_> = others.iter().map(|other| format!("`{}`", other.written)).collect();
            format!("nothing meets `{}` together with {}:\n{explanation}", first.written, others.join(", "))
        }
    };
    let mut problems = vec![first.place.mark(Problem::new(message).label("cannot be met").help(help))];
    for other in conflicting {
        let problem = Problem::new(format!("`{}` is part of this conflict", other.written)).label("part of the conflict");
        problems.push(other.place.mark(problem));
    }
    Invalid { problems }
}

fn shortened(explanation: &str) -> String {
    let mut lines: Vec<_> = explanation.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let rest = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    let text = lines.join("\n");
    if rest > 0 { format!("{text}\n… and {rest} more lines") } else { text }
}

fn help(explanation: &str, before: &Before<'_>) -> String {
    if explanation.contains("__cuda") {
        return "packages for GPUs ask for the driver's CUDA: write its version, such as cuda = \"12.4\", into [conda]".to_owned();
    }
    if explanation.contains("__glibc") {
        return match &before.base.facts.glibc {
            Some(version) => format!("the base has glibc {version}: take a newer base, or older versions of the packages"),
            None => "the base has no glibc, which packages for linux-64 are built for: take a base that has it".to_owned(),
        };
    }
    if !before.existing.is_empty() {
        return "packages of the base stay as they are with existing = \"keep\"; existing = \"update\" lets the solver change them".to_owned();
    }
    if explanation.contains("No candidates were found") {
        return "check the name and the version, and that the channels have them for linux-64 or noarch".to_owned();
    }
    "loosen one of the specs".to_owned()
}

/// Checks that packages which are taken without a solve may run on the image.
///
/// # Errors
/// All that ask for a virtual package that the image does not have.
pub fn check_taken(records: &[RepoDataRecord], offered: &[GenericVirtualPackage], table: &Place) -> Result<(), Error> {
    let mut problems = Vec::new();
    for record in records {
        let asked = record.package_record.depends.iter().filter(|depend| depend.starts_with("__"));
        for depend in asked {
            let Ok(spec) = MatchSpec::from_str(depend, ParseMatchSpecOptions::lenient()) else { continue };
            if !offered.iter().any(|package| spec.matches(package)) {
                let name = record.package_record.name.as_normalized();
                let message =
                    format!("{name} {} of the pixi.lock asks for `{depend}`, and the image does not have that", record.package_record.version);
                problems
                    .push(table.mark(Problem::new(message).help("lock for this system with pixi (`[system-requirements]`), or take another base")));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Invalid { problems }.into()) }
}

/// A package of a pixi.lock that the base has in another build.
pub fn kept_differs(record: &RepoDataRecord, table: &Place) -> Problem {
    let package = &record.package_record;
    let message = format!(
        "the pixi.lock has {} {} {}, and the base has another build of it, which stays",
        package.name.as_normalized(),
        package.version,
        package.build
    );
    table.mark(Problem::new(message).help("write existing = \"update\" to replace it"))
}

/// What is done and probably not meant: activation that no shell does, files of packages that others lay too, link scripts that stay unrun, bytes
/// that md5 alone vouched for.
pub fn warnings(description: &Description, conda: &lock::Conda) -> Vec<Problem> {
    let mut warnings: Vec<_> = description.conda.iter().filter_map(|wanted| unsourced(description, wanted, conda)).collect();
    for package in &conda.packages {
        let name = package.record_name();
        if let Some(first) = package.clobbered.first() {
            let more = match package.clobbered.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let message = format!("{name} has files that another package lays as well, and leaves them to it: {first}{more}");
            warnings.push(Problem::new(message).help("where something is missing then, leave one of the packages out"));
        }
        if !package.link_scripts.is_empty() {
            let message = format!("{name} has a script that an installer would run; it is laid and stays unrun: {}", package.link_scripts.join(", "));
            warnings.push(Problem::new(message));
        }
        if package.md5_only {
            let message = format!("the channel states no sha256 of {}: only md5 vouched for it when it was locked", package.file_name());
            warnings.push(Problem::new(message).help("md5 can be forged; ask who keeps the channel to index it anew"));
        }
    }
    warnings
}

fn unsourced(description: &Description, wanted: &Conda, conda: &lock::Conda) -> Option<Problem> {
    if wanted.activate == Activate::Entrypoint || conda.activation_scripts.is_empty() {
        return None;
    }
    let scripts = conda.activation_scripts.join(", ");
    let message = format!("activation of the environment does more than set variables, and an image is not activated by a shell: {scripts}");
    let help = "activate = \"entrypoint\" in [conda] lets the image's start script source them; or set in [env] what they would";
    Some(Problem::new(message).at(&description.source, wanted.span.clone()).help(help))
}

/// Checks what a description may say otherwise without making its lock stale: which link scripts may stay unrun.
///
/// # Errors
/// All packages with scripts that the description does not allow.
pub fn check_locked(description: &Description, locked: Option<&lock::Conda>) -> Result<(), Error> {
    match (&description.conda, locked) {
        (Some(wanted), Some(locked)) => check_link_scripts(description, wanted, &locked.packages),
        _ => Ok(()),
    }
}

/// Checks that link scripts, which are laid but never run, are allowed to stay unrun.
///
/// # Errors
/// All packages with scripts that the description does not allow.
pub fn check_link_scripts(description: &Description, wanted: &Conda, packages: &[CondaPackage]) -> Result<(), Error> {
    let allowed: BTreeSet<_> = wanted.allow_link_scripts.iter().map(|name| name.value.as_str()).collect();
    let refused = packages.iter().filter(|package| !package.link_scripts.is_empty() && !allowed.contains(package.name.as_str()));
    let problems: Vec<_> = refused
        .map(|package| {
            let message =
                format!("{} has a script that an installer would run, and byoi runs none: {}", package.name, package.link_scripts.join(", "));
            let help = format!(
                "where the package does its work without it, write allow-link-scripts = [\"{}\"] into [conda]: the script is laid, and stays unrun",
                package.name
            );
            Problem::new(message).at(&description.source, wanted.span.clone()).help(help)
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Invalid { problems }.into()) }
}
