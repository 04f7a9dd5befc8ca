//! `--target oci`: the very bytes of `byoi build oci:DIRECTORY`, but for the base's blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use byoi::registry::testing::TestRegistry;
use serde_json::Value;

use super::project;
use crate::support::base::{registry_with_base, set_mode};
use crate::support::byoi::{Workplace, files};
use crate::support::frontend::{Builder, Frontend};

/// All files below a directory, by their paths in it.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    files(directory).iter().map(|path| (path.strip_prefix(directory).unwrap().display().to_string(), fs::read(path).unwrap())).collect()
}

/// The paths in a layout of the layers that byoi did not make: the first `count` of its image.
fn of_base(layout: &BTreeMap<String, Vec<u8>>, count: usize) -> BTreeSet<String> {
    let path = |digest: &Value| format!("blobs/sha256/{}", digest.as_str().unwrap().strip_prefix("sha256:").unwrap());
    let index: Value = serde_json::from_slice(&layout["index.json"]).unwrap();
    let manifest: Value = serde_json::from_slice(&layout[&path(&index["manifests"][0]["digest"])]).unwrap();
    manifest["layers"].as_array().unwrap()[..count].iter().map(|layer| path(&layer["digest"])).collect()
}

/// Builds both layouts and compares them; the frontend's is left in `theirs`.
#[track_caller]
pub fn same_layout(builder: &Builder, place: &Workplace, arguments: &[&str], base_layers: usize) {
    // An image on nothing is no system in which an editor starts.
    place.byoi(&["build", "--allow", "BYOI065", "oci:ours"]).ok();
    let (ours, theirs) = (place.path("ours"), place.path("theirs"));
    let output = ["--target", "oci", "--network", "host", "--output", theirs.to_str().unwrap()];
    let progress = builder.build(place, &[&output[..], arguments].concat());
    let ours = content(&ours);
    let base = of_base(&ours, base_layers);
    assert_eq!(base.len(), base_layers);
    let own: BTreeMap<_, _> = ours.clone().into_iter().filter(|(path, _)| !base.contains(path)).collect();
    let theirs = content(&theirs);
    assert_eq!(theirs.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>(), "{}", progress.text);
    assert!(theirs == own, "the same names hold other bytes");
}

fn layouts(builder: &Builder, registry: &TestRegistry) {
    let frontend = Frontend::publish();
    let place = project(&frontend, registry);
    same_layout(builder, &place, &[], 3);
    // What is missing is fetched by the command, which takes all else as it is.
    let again = place.build(&["oci:theirs"]);
    assert!(again["layers"].as_array().unwrap().iter().all(|layer| layer["origin"] != "new"), "{again}");
    assert!(content(&place.path("theirs")) == content(&place.path("ours")));
}

#[test]
fn docker_26_writes_the_bytes_of_the_command() {
    layouts(&Builder::new("classic"), &registry_with_base(3));
}

#[test]
fn docker_20_writes_the_bytes_of_the_command() {
    layouts(&Builder::old(), &registry_with_base(3));
}

/// Without a base there is nothing to look up: no step has a network.
#[test]
fn a_layout_from_nothing_is_whole() {
    let (frontend, builder) = (Frontend::publish(), Builder::new("containerd"));
    let place = Workplace::new();
    let editor = "[[file]]\nsource = \"editor\"\ntarget = \"/usr/local\"\n[[file]]\ncontent = \"\"\ntarget = \"/bin/sh\"\n";
    place.write("byoi.toml", frontend.syntax() + "schema = 1\nbase = \"scratch\"\n" + editor);
    for (name, text) in [
        ("bin/sagemaker-code-editor", "#!/bin/bash\n"),
        ("share/sagemaker-code-editor/package.json", r#"{"version":"1.95.0"}"#),
        ("share/sagemaker-code-editor/out/server-main.js", ""),
    ] {
        place.write(&format!("editor/{name}"), text);
    }
    set_mode(&place.path("editor/bin/sagemaker-code-editor"), 0o755);
    same_layout(&builder, &place, &["--network", "none"], 0);
}
