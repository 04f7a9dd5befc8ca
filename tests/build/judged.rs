//! A build asks the rules of `byoi verify` that it can answer without reading a layer, and says each time what they find.

use std::fs;
use std::path::PathBuf;

use byoi::registry::testing::TestRegistry;
use byoi::verify::specimen::Specimen;
use byoi::verify::{Check, rules};
use serde_json::Value;

use crate::support::base::{LayerTar, editor_base};
use crate::support::byoi::{Workplace, files};

/// A base as good as an image, but for what byoi lays.
fn base() -> Specimen {
    Specimen::good().without("usr/local/bin/byoi-entrypoint")
}

/// A description on `base` with more tables, locked.
fn locked(base: &Specimen, tables: &str) -> Workplace {
    let place = Workplace::new();
    base.made().write_layout(&place.path("base"));
    place.write("byoi.toml", format!("schema = 1\nbase = \"oci:base\"\n{tables}"));
    place.byoi(&["lock"]).ok();
    place
}

/// The same on a machine that knows nothing of the base's layers.
fn locked_elsewhere(base: &Specimen, tables: &str) -> Workplace {
    let place = locked(base, tables);
    place.forget();
    place
}

fn ids(built: &Value) -> Vec<&str> {
    built["judged"]["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

fn asked(built: &Value) -> (u64, u64) {
    (built["judged"]["rules_asked"].as_u64().unwrap(), built["judged"]["rules_unasked"].as_u64().unwrap())
}

/// How many rules need all layers, and how many there are.
fn counts() -> (u64, u64) {
    let whole = rules::all().iter().filter(|rule| matches!(rule.check, Check::Files(_))).count();
    (whole as u64, rules::all().len() as u64)
}

const UNKNOWN_OPTION: &str = "[editor]\narguments = [\"--extension-dir\", \"/x\"]\n";

#[test]
fn what_documents_break_is_a_warning() {
    let place = locked(&base().env("AWS_REGION", "x"), "");
    let run = place.byoi(&["build", "oci:image"]).ok();
    assert!(run.message().contains("BYOI050") && run.message().contains("AWS_REGION is set, to `x`"), "{}", run.err);
    let run = place.byoi(&["build", "--allow", "byoi050", "oci:image"]).ok();
    assert!(!run.message().contains("BYOI050"), "{}", run.err);
    place.byoi(&["build", "--allow", "BYOI999", "oci:image"]).fails(2, &["no such rule"]);
}

#[test]
fn a_base_that_was_locked_here_is_not_read_again_to_be_judged() {
    let place = locked(&base(), "[[file]]\ncontent = \"x\"\ntarget = \"/opt/x\"\n");
    let judged = place.build::<&str>(&[]);
    assert_eq!((ids(&judged), asked(&judged)), (Vec::new(), (counts().1, 0)));
    for layer in base().made().manifest.layers {
        fs::remove_file(place.path("base/blobs/sha256").join(layer.digest.hex())).unwrap();
    }
    assert!(place.byoi(&["verify", "byoi.toml"]).ok().out.starts_with("byoi.toml breaks no rule"));
    // A layer that cannot be surveyed is locked all the same.
    let full = base().file("etc/supervisor/large", 0o644, vec![b'x'; 4 << 20]);
    let full = (0..65).fold(full, |image, number| image.file(&format!("etc/supervisor/{number}"), 0o644, vec![b'x'; 4 << 20]));
    let built = locked(&full, "").build::<&str>(&[]);
    assert_eq!(asked(&built).1, counts().0, "{built}");
}

#[test]
fn what_is_in_the_own_layers_is_found_without_those_of_the_base() {
    let place = locked_elsewhere(&base(), UNKNOWN_OPTION);
    let built = place.build(&["oci:image"]);
    assert_eq!(ids(&built), ["BYOI072"]);
    let (whole, all) = counts();
    assert_eq!(asked(&built), (all - whole, whole));
    let message = place.byoi(&["build", "oci:image"]).ok().message();
    assert!(message.contains("BYOI072 (The editor knows all of its options): config.Cmd: the editor does not know --extension-dir"), "{message}");
    let verbose = place.byoi(&["build", "--verbose", "oci:image"]).ok().message();
    assert!(verbose.contains(&format!("{} rules asked, {whole} need layers that were not read", all - whole)), "{verbose}");
}

#[test]
fn once_the_base_was_judged_every_rule_is_asked_of_what_stands_on_it() {
    let place = locked_elsewhere(&base().without("opt/conda/bin/node"), "");
    assert_eq!(ids(&place.build(&["oci:image"])), Vec::<&str>::new());
    assert_eq!(place.byoi(&["verify", "oci:base"]).code, Some(1));
    // Nothing has changed but what is known.
    place.byoi(&["build", "oci:another"]).fails(1, &["BYOI064", "there is no `node`", "that brings the program", "`--allow BYOI064`"]);
    assert!(!place.path("another/index.json").exists());
    let built = place.build(&["--allow", "BYOI064", "oci:another"]);
    assert_eq!((ids(&built), asked(&built)), (vec!["BYOI064"], (counts().1, 0)));
    assert_eq!((&built["judged"]["findings"][0]["allowed"], &built["judged"]["broken"]), (&Value::Bool(true), &Value::Bool(false)));
}

/// What the cache has of the trees of layers.
fn surveys(place: &Workplace) -> Vec<PathBuf> {
    let mut found = files(&place.cache());
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("layer-survey-")));
    found
}

#[test]
fn an_unchanged_build_says_it_again_without_reading_what_it_was_found_in() {
    let place = locked_elsewhere(&base().env("AWS_REGION", "x"), UNKNOWN_OPTION);
    assert_eq!(place.byoi(&["verify", "oci:base"]).code, Some(1), "it lacks what byoi lays");
    let first = place.build(&["oci:image"]);
    assert_eq!((ids(&first), asked(&first)), (vec!["BYOI050", "BYOI072"], (counts().1, 0)));
    assert!(surveys(&place).len() >= 2);
    surveys(&place).iter().for_each(|survey| fs::remove_file(survey).unwrap());
    let again = place.build(&["oci:image"]);
    assert_eq!((&again["judged"], &again["destinations"][0]["changed"]), (&first["judged"], &Value::Bool(false)));
    let message = place.byoi(&["build", "oci:image"]).ok().message();
    assert!(message.contains("BYOI050") && message.contains("BYOI072"), "{message}");
}

#[test]
fn a_layer_that_was_built_is_not_read_to_be_judged() {
    let place = locked_elsewhere(&base(), "[[file]]\ncontent = \"x\"\ntarget = \"/opt/x\"\n");
    let built = place.build(&["oci:image"]);
    assert_eq!(place.byoi(&["verify", "oci:base"]).code, Some(1), "it lacks what byoi lays");
    let own = built["layers"].as_array().unwrap().iter().filter(|layer| layer["origin"] == "new");
    for layer in own {
        fs::remove_file(place.path("image/blobs/sha256").join(layer["digest"].as_str().unwrap().trim_start_matches("sha256:"))).unwrap();
    }
    assert!(place.byoi(&["verify", "oci:image"]).ok().out.starts_with("oci:image breaks no rule"));
}

#[test]
fn an_image_that_breaks_a_must_gets_no_manifest() {
    let registry = TestRegistry::start();
    let mut base = editor_base(2);
    base.layers.push(LayerTar::new().file("usr/bin/.wh.node", 0o644, "").layer());
    registry.put_image("base", "1", &base);
    let place = Workplace::new();
    place.write("byoi.toml", format!("schema = 1\nbase = \"{}/base:1\"\n", registry.host()));
    let destination = format!("docker://{}/out:1", registry.host());
    place.byoi(&["build", &destination]).fails(1, &["BYOI064", "there is no `node` in /usr/local/bin:", "`--allow BYOI064`"]);
    assert!(registry.manifest("out", "1").is_none());
    place.byoi(&["build", "--allow", "BYOI064", &destination]).ok();
    assert!(registry.manifest("out", "1").is_some());
}

#[test]
fn an_image_on_nothing_is_all_its_own() {
    let place = Workplace::new();
    let editor = "[[file]]\ncontent = \"#!/bin/sh\\n\"\ntarget = \"/usr/bin/sagemaker-code-editor\"\nmode = \"0755\"\n";
    let shell = "[[file]]\ncontent = \"a shell\\n\"\ntarget = \"/bin/sh\"\nmode = \"0644\"\n";
    place.write("byoi.toml", format!("schema = 1\nbase = \"scratch\"\n{editor}{shell}"));
    let run = place.byoi(&["build", "oci:image"]).fails(1, &["BYOI065", "/bin/sh: it is not executable by user 1000"]);
    assert!(!run.err.contains("BYOI042"), "byoi lays /tmp: {}", run.err);
    assert!(!place.path("image/index.json").exists());
}
