//! `byoi verify`: what it says of images, in which form, and how it ends.

use byoi::verify::specimen::{Specimen, elf};
use serde_json::Value;

use crate::support::byoi::{Run, Workplace};

/// A place with this image as `oci:image`.
fn place(specimen: &Specimen) -> Workplace {
    let place = Workplace::new();
    specimen.made().write_layout(&place.path("image"));
    place
}

fn ids(run: &Run) -> Vec<String> {
    let findings = run.json()["findings"].clone();
    findings.as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_good_image_is_clean() {
    let place = place(&Specimen::good());
    let run = place.byoi(&["verify", "oci:image"]).ok();
    assert!(run.out.starts_with("oci:image breaks no rule"), "{}", run.out);
    assert!(ids(&place.byoi(&["verify", "--format", "json", "oci:image"]).ok()).is_empty());
}

#[test]
fn a_broken_must_is_exit_code_1_unless_it_is_allowed() {
    let place = place(&Specimen::good().set("User", "root").set("WorkingDir", "/tmp"));
    let run = place.byoi(&["verify", "oci:image"]);
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    assert_eq!(run.err, "");
    for expected in ["BYOI020 user (must)", "config.User: the user is `root`, that is 0:0", "USER 1000:100", "is broken: 1 of what it must be, 1 of"]
    {
        assert!(run.out.contains(expected), "{expected}: {}", run.out);
    }
    assert_eq!(ids(&place.byoi(&["verify", "--format", "json", "oci:image"])), ["BYOI020", "BYOI024"]);
    let run = place.byoi(&["verify", "--allow", "byoi020", "oci:image"]).ok();
    assert!(run.out.contains("BYOI020 user (must, allowed)") && run.out.contains("breaks no must"), "{}", run.out);
    place.byoi(&["verify", "--allow", "BYOI999", "oci:image"]).fails(2, &["no such rule"]);
}

#[test]
fn an_image_for_another_platform_is_judged_and_not_refused() {
    let place = place(&Specimen::good().architecture("arm64").file("usr/bin/bash", 0o755, elf(183)));
    let run = place.byoi(&["verify", "--format", "json", "oci:image"]);
    assert_eq!((run.code, ids(&run)), (Some(1), vec!["BYOI001".to_owned(), "BYOI002".to_owned()]));
}

#[test]
fn what_cannot_be_judged_is_exit_code_3() {
    let place = place(&Specimen::good());
    place.byoi(&["verify", "oci:nothing"]).fails(3, &["could not be judged", "there is no file"]);
    place.byoi(&["verify", "nothing.toml"]).fails(3, &["there is no description"]);
    place.byoi(&["verify", "Not An Image"]).fails(2, &["neither an image nor a description"]);
    place.byoi(&["verify", "scratch"]).fails(2, &["neither an image nor a description"]);
    let layer = Specimen::good().made().manifest.layers[0].clone();
    place.write(&format!("image/blobs/sha256/{}", layer.digest.hex()), "damaged");
    place.byoi(&["verify", "oci:image"]).fails(3, &["could not be judged", "7 bytes came"]);
}

#[test]
fn layers_are_read_once() {
    let place = place(&Specimen::good());
    place.byoi(&["verify", "oci:image"]).ok();
    let other = Specimen::good().layer().file("opt/more", 0o644, "x").set("WorkingDir", "/");
    let made = other.made();
    made.write_layout(&place.path("other"));
    // The layer below is not there any more: it was read with the first image.
    std::fs::remove_file(place.path("other/blobs/sha256").join(made.manifest.layers[0].digest.hex())).unwrap();
    assert_eq!(ids(&place.byoi(&["verify", "--format", "json", "oci:other"])), ["BYOI024"]);
}

#[test]
fn the_rules_can_be_listed() {
    let place = Workplace::new();
    let run = place.byoi(&["verify", "--list"]).ok();
    assert!(run.out.contains("BYOI020 must   user "), "{}", run.out);
    let rules: Value = place.byoi(&["verify", "--list", "--format", "json"]).ok().json();
    assert_eq!(rules.as_array().unwrap().len(), run.out.lines().count());
}
