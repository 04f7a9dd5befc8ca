//! Many local files, which a step hashes where they are: the same image, and not hashed again when nothing changed.

use std::fs;

use byoi::digest::Digest;

use super::images::{archive, same_tree};
use super::{project, unique};
use crate::support::base::registry_with_base;
use crate::support::byoi::Workplace;
use crate::support::frontend::{Builder, Frontend, Progress};

const HASH: &str = "[internal] hash local files";
const LOAD: &str = "[internal] load local files";
/// One source twice, with and without all that it holds; one below it; and an archive in it.
const ITEMS: &str = r#"
[[file]]
source = "many"
target = "/opt/less"
exclude = ["sub", "**/*.tmp"]

[[file]]
source = "./many"
target = "/opt/many"

[[file]]
source = "many/sub"
target = "/opt/sub"

[[file]]
source = "many/sub/archive.tar"
target = "/opt/archive"
unpack = true
"#;

fn many(frontend: &Frontend, host: &byoi::registry::testing::TestRegistry) -> Workplace {
    let place = project(frontend, host);
    let description = fs::read_to_string(place.path("byoi.toml")).unwrap();
    // A recipe of which this is a part is longer than a variable may be.
    let long = format!("\n[[file]]\ntarget = \"/opt/long\"\ncontent = \"{}\"\n", unique().repeat(10_000));
    place.write("byoi.toml", description + ITEMS + &long);
    for number in 0..40 {
        place.write(&format!("many/{number}.txt"), unique());
        place.write(&format!("many/sub/{number}.tmp"), unique());
    }
    place.write("many/package.json", "{}");
    place.write("many/sub/archive.tar", archive(1_600_000_000));
    place
}

#[track_caller]
fn hashed(progress: &Progress, expected: bool) {
    assert_eq!(progress.executed.iter().any(|name| name == HASH), expected, "{}", progress.text);
    let loads = progress.steps.iter().filter(|name| *name == LOAD).count();
    assert_eq!(loads, 1, "local files come once\n{}", progress.text);
}

fn hashed_where_they_are(store: &str) {
    let (frontend, builder, registry) = (Frontend::publish(), Builder::new(store), registry_with_base(2));
    let place = many(&frontend, &registry);
    let tag = format!("byoi-test:many-{store}");
    let same = |arguments: &[&str]| {
        let ours = place.build::<&str>(&[]);
        let progress = builder.build(&place, &[&["--tag", &tag], arguments].concat());
        assert_eq!(ours["config_digest"], Digest::of(builder.config(&tag)).to_string(), "{}", progress.text);
        progress
    };
    hashed(&same(&[]), true);
    let again = same(&[]);
    hashed(&again, false);
    assert_eq!(again.programs(), [""; 0], "{}", again.text);
    place.write("many/sub/7.tmp", unique());
    let changed = same(&[]);
    hashed(&changed, true);
    assert_eq!(changed.programs(), ["files"], "{}", changed.text);
    hashed(&same(&["--no-cache"]), true);
    builder.run(&["image", "rm", &tag]);
}

#[test]
fn docker_26_hashes_them_where_they_are() {
    hashed_where_they_are("classic");
}

#[test]
fn docker_26_with_containerds_store_hashes_them_where_they_are() {
    hashed_where_they_are("containerd");
}

#[test]
fn docker_20_hashes_them_where_they_are() {
    let (frontend, builder, registry) = (Frontend::publish(), Builder::old(), registry_with_base(2));
    let place = many(&frontend, &registry);
    hashed(&same_tree(&builder, &place, &[], "many"), true);
    hashed(&same_tree(&builder, &place, &[], "many"), false);
}
