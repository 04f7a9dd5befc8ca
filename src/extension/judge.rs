//! What is wrong with the extensions of a description on its base and beside each other.

use std::collections::{BTreeMap, BTreeSet};

use super::engine;
use super::manifest::Manifest;
use crate::contract;
use crate::description::{self, Description};
use crate::error::Problem;
use crate::lock::Facts;

/// An extension of the description, as far as it is known.
pub struct Candidate<'a> {
    /// Its table in the description.
    pub wanted: &'a description::Extension,
    /// Its id.
    pub id: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its manifest; none of one that was judged when it was locked.
    pub manifest: Option<&'a Manifest>,
}

/// Judges extensions against the editor's version, where it is known, and against each other; `complete` says whether these are all of the
/// description's: else nothing is called missing.
pub fn judge(description: &Description, candidates: &[Candidate<'_>], complete: bool, editor: Option<&str>, facts: &Facts) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, &Candidate<'_>> = BTreeMap::new();
    let present = present(candidates, facts);
    for candidate in candidates {
        let at = |message: String| Problem::new(message).at(&description.source, candidate.wanted.span.clone());
        let name = format!("{} {}", candidate.id, candidate.version);
        if let Some(first) = seen.insert(candidate.id, candidate) {
            let problem = at(format!("{name} and {} {} are one extension, of which the editor loads one version", first.id, first.version));
            problems.push(problem.label("the second one").help("take one of the two out"));
        }
        let Some(manifest) = candidate.manifest else { continue };
        if let Some(platform) = foreign_platform(manifest) {
            let problem = at(format!("{name} is made for {platform}, and SageMaker Studio runs linux-x64")).label("for another platform");
            problems.push(problem.help("name the file for linux-x64, or the universal one"));
        }
        if let Some(Err(error)) = editor.map(|editor| engine::satisfies(&manifest.engine, manifest.has_code, editor)) {
            let problem = at(format!("the editor does not run {name}: {error}")).label("needs another editor");
            problems.push(problem.help("name an older version of the extension, or a base with a newer editor"));
        }
        let missing = if complete { missing(manifest, &present) } else { Vec::new() };
        if !missing.is_empty() {
            let message = format!("{name} needs extensions that are neither in the description nor in the base: {}", missing.join(", "));
            let help = "add an [[extension]] for each: without them it does not start, and in Studio the editor may not reach a gallery";
            problems.push(at(message).label("needs more").help(help));
        }
    }
    problems
}

/// Ids that are in the image, lower case.
fn present(candidates: &[Candidate<'_>], facts: &Facts) -> BTreeSet<String> {
    let ours = candidates.iter().map(|candidate| candidate.id);
    let theirs = facts.builtin_extensions.iter().chain(facts.extensions.values().map(|extension| &extension.id)).map(String::as_str);
    ours.chain(theirs).map(str::to_lowercase).collect()
}

fn foreign_platform(manifest: &Manifest) -> Option<&str> {
    manifest.platform.as_deref().filter(|platform| !contract::EXTENSION_PLATFORMS.contains(platform))
}

fn missing<'a>(manifest: &'a Manifest, present: &BTreeSet<String>) -> Vec<&'a str> {
    let needed: BTreeSet<&str> = manifest.dependencies.iter().chain(&manifest.pack).map(String::as_str).collect();
    needed.into_iter().filter(|id| *id != manifest.id && !present.contains(*id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::BaseExtension;

    fn manifest(id: &str, change: impl FnOnce(&mut Manifest)) -> Manifest {
        let mut manifest = Manifest {
            id: id.to_owned(),
            version: "1.0.0".to_owned(),
            engine: "^1.90.0".to_owned(),
            has_code: true,
            is_language_pack: false,
            dependencies: Vec::new(),
            pack: Vec::new(),
            platform: None,
        };
        change(&mut manifest);
        manifest
    }

    fn judged(manifests: &[Manifest], complete: bool) -> Vec<String> {
        let tables: String = (0..manifests.len()).map(|n| format!("[[extension]]\npath = \"{n}.vsix\"\n")).collect();
        let description = description::parse("byoi.toml", &format!("schema = 1\nbase = \"debian:12\"\n{tables}")).unwrap();
        let candidates: Vec<_> = manifests
            .iter()
            .zip(&description.extensions)
            .map(|(manifest, wanted)| Candidate { wanted, id: &manifest.id, version: &manifest.version, manifest: Some(manifest) })
            .collect();
        let facts = Facts {
            builtin_extensions: vec!["vscode.git".to_owned()],
            extensions: BTreeMap::from([("x".to_owned(), BaseExtension { id: "ms.python".to_owned(), version: "1.0.0".to_owned() })]),
            ..Facts::default()
        };
        let problems = judge(&description, &candidates, complete, Some("1.95.0"), &facts);
        let place = |problem: &Problem| {
            let (source, span) = problem.place.clone().unwrap();
            source.text[..span.start].matches("[[extension]]").count()
        };
        problems.iter().map(|problem| format!("{}: {}", place(problem), problem.message)).collect()
    }

    #[test]
    fn all_problems_come_at_once_each_at_its_place() {
        let problems = judged(
            &[
                manifest("a.good", |manifest| manifest.dependencies = vec!["vscode.git".into(), "ms.python".into(), "a.arm".into()]),
                manifest("a.arm", |manifest| manifest.platform = Some("linux-arm64".into())),
                manifest("a.new", |manifest| manifest.engine = "^1.100.0".into()),
                manifest("a.alone", |manifest| {
                    manifest.dependencies = vec!["ms.jupyter".into()];
                    manifest.pack = vec!["ms.more".into(), "a.alone".into()];
                }),
                manifest("a.good", |_| {}),
                manifest("a.universal", |manifest| manifest.platform = Some("universal".into())),
            ],
            true,
        );
        assert_eq!(
            problems,
            [
                "2: a.arm 1.0.0 is made for linux-arm64, and SageMaker Studio runs linux-x64",
                "3: the editor does not run a.new 1.0.0: it needs the editor in version ^1.100.0, and the editor is 1.95.0",
                "4: a.alone 1.0.0 needs extensions that are neither in the description nor in the base: ms.jupyter, ms.more",
                "5: a.good 1.0.0 and a.good 1.0.0 are one extension, of which the editor loads one version",
            ]
        );
    }

    #[test]
    fn nothing_is_missing_while_not_all_are_known() {
        assert_eq!(judged(&[manifest("a.x", |manifest| manifest.pack = vec!["a.y".into()])], false), Vec::<String>::new());
    }
}
