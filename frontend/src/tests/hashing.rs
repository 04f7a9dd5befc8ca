//! Many local files: their digests come from a step, their bytes do not come at all.

use std::collections::BTreeMap;

use super::fake::{self, Built, Fake, build};
use super::{DESCRIPTION, OPTIONS, daemon, digest, with};
use crate::messages::{ReadFile, Solve};

const STEP: &str = "[internal] hash local files";
const LOAD: &str = "[internal] load local files";

/// A folder with many files in `tools`, of which `tools/sub` is asked for by itself too.
fn many() -> Fake {
    let mut fake = daemon();
    let item = "[[file]]\nsource = \"./tools/sub\"\ntarget = \"/opt/sub\"\n\n[[file]]\nsource = \"tools\"\ntarget = \"/opt/again\"\nexclude = [\"sub\"]\n\n[settings.machine]";
    fake.files.insert("byoi.toml".to_owned(), DESCRIPTION.replace("[settings.machine]", item).into_bytes());
    fake.files.insert("tools/package.json".to_owned(), b"{}".to_vec());
    for number in 0..70 {
        fake.files.insert(format!("tools/sub/{number}"), format!("{number}").into_bytes());
    }
    fake
}

fn read(built: &Built) -> Vec<String> {
    built.of::<ReadFile>("ReadFile").into_iter().map(|read| read.path).filter(|path| path.starts_with("tools")).collect()
}

#[test]
fn many_files_are_hashed_where_they_are() {
    let built = build(&many(), &OPTIONS);
    built.result();
    assert_eq!(read(&built), ["tools/package.json"], "what planning reads of local files");
    let graphs: Vec<_> = built.of::<Solve>("Solve").into_iter().map(|solve| fake::operations(&solve.definition.unwrap())).collect();
    let hashing: Vec<_> = graphs.iter().filter(|graph| graph.iter().any(|(name, _)| name == STEP)).collect();
    assert_eq!(hashing.len(), 1);
    let exec = hashing[0].iter().find_map(|(_, op)| op.exec.clone()).unwrap();
    let selectors: Vec<_> = exec.mounts.0.iter().map(|mount| mount.selector.as_str()).filter(|selector| !selector.is_empty()).collect();
    assert_eq!(selectors, ["/tools"], "what lies below is there with it");
    // Few files are not worth a container.
    let few = build(&daemon(), &OPTIONS);
    assert!(!few.of::<Solve>("Solve").into_iter().any(|solve| fake::operations(&solve.definition.unwrap()).iter().any(|(name, _)| name == STEP)));
}

#[test]
fn local_files_are_one_vertex_without_a_cache_too() {
    for options in [OPTIONS.to_vec(), with(&[("no-cache", "")])] {
        let built = build(&many(), &options);
        built.result();
        let mut seen = BTreeMap::new();
        for definition in built.of::<Solve>("Solve").into_iter().filter_map(|solve| solve.definition) {
            for (name, op) in fake::operations(&definition) {
                if name == LOAD {
                    let digest = byoi::digest::Digest::of(crate::wire::Message::to_bytes(&op)).to_string();
                    *seen.entry((digest.clone(), definition.metadata[&digest].ignore_cache)).or_insert(0) += 1;
                }
            }
        }
        // For its listing, for the step that hashes, and for the layers.
        assert_eq!(seen.into_iter().map(|((_, ignored), count)| (ignored, count)).collect::<Vec<_>>(), [(false, 3)]);
    }
}

#[test]
fn digests_decide_what_is_planned() {
    let config = |fake: &Fake| build(fake, &OPTIONS).result().metadata["containerimage.config"].clone();
    let mut fake = many();
    let first = config(&fake);
    fake.files.insert("tools/sub/5".to_owned(), b"x".to_vec());
    let changed = config(&fake);
    assert!(first != changed);
    fake.files.insert("tools/sub/5".to_owned(), b"5".to_vec());
    assert!(first == config(&fake));
}

#[test]
fn a_step_that_tells_something_else_ends_the_build() {
    let mut fake = many();
    let wrong = |fake: &Fake| build(fake, &OPTIONS).error().message;
    fake.digests = Some(b"{}".to_vec());
    assert!(wrong(&fake).contains("changed while it was read"), "{}", wrong(&fake));
    fake.digests = Some(b"[1, 2".to_vec());
    assert!(wrong(&fake).contains(STEP), "{}", wrong(&fake));
    let sizes = fake.files.keys().map(|path| (path.clone(), (9_999_999, digest("x")))).collect::<BTreeMap<_, _>>();
    fake.digests = Some(byoi::json::canonical_of(&sizes));
    assert!(wrong(&fake).contains("changed while it was read"), "{}", wrong(&fake));
}
