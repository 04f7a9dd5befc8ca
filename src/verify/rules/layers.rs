//! 010–019: what the layers are: ids, media types, packing, size.

use crate::contract::MAX_ID;
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, Subject};

pub(super) const RULES: &[Rule] = &[Rule {
    id: "BYOI010",
    name: "large-ids",
    title: "No file of any layer has a user or group id above 65535",
    level: Level::Must,
    why: "The app fails to start although the final file system looks fine: ids are remapped when layers are unpacked, and a layer with a larger one cannot be, also where a later layer deletes the file",
    dockerfile: "`chown` in the same RUN that makes the files (`tar --no-same-owner`, `npm config set unsafe-perm`); a later RUN leaves the old layer as it is",
    description: "set `owner` of the [[file]]; a base with such a layer has to be flattened or replaced",
    source: "sagemaker-studio-custom-image-samples, DEVELOPMENT.md and PR #7; SageMaker API, FileSystemConfig (DefaultUid, DefaultGid at most 65535)",
    check: Check::Files(large_ids),
}];

fn large_ids(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let layers = evidence.manifest.layers.iter().zip(&files.layers).enumerate();
    let broken = layers.filter(|(_, (_, facts))| facts.large_ids > 0);
    broken
        .map(|(number, (layer, facts))| {
            let examples = facts.large_id_examples.iter().map(|(path, uid, gid)| format!("{} {uid}:{gid}", path.absolute()));
            let what = format!("{} entries have an id above {MAX_ID}: {}", facts.large_ids, examples.collect::<Vec<_>>().join(", "));
            Found::at(Subject::Layer(number + 1, layer.digest), what)
        })
        .collect()
}
