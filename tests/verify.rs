//! `byoi verify`: what it says of images, in which form, and how it ends.

use std::fs;
use std::process::Command;

use byoi::verify::specimen::{Specimen, elf};
use byoi::verify::{format, server_options};
use serde_json::Value;

use crate::language_documents::assert_fresh;
use crate::support::byoi::{Run, Workplace};
use crate::support::docker::Docker;
use crate::support::tools;

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
    fs::remove_file(place.path("other/blobs/sha256").join(made.manifest.layers[0].digest.hex())).unwrap();
    assert_eq!(ids(&place.byoi(&["verify", "--format", "json", "oci:other"])), ["BYOI024"]);
}

#[test]
fn a_remembered_layer_that_is_not_what_it_was_is_read_again() {
    let place = place(&Specimen::good().layer().file("opt/more", 0o644, "x"));
    place.byoi(&["verify", "oci:image"]).ok();
    // Each remembered tree becomes that of the smallest layer: well-formed, and without anything that an image must have.
    let trees: Vec<_> = fs::read_dir(place.cache().join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let smallest = trees.iter().map(|tree| fs::read(tree).unwrap()).min_by_key(Vec::len).unwrap();
    assert!(trees.len() >= 2);
    for tree in &trees {
        fs::write(tree, &smallest).unwrap();
    }
    place.byoi(&["verify", "oci:image"]).ok();
}

#[test]
fn the_rules_can_be_listed() {
    let place = Workplace::new();
    let run = place.byoi(&["verify", "--list"]).ok();
    assert!(run.out.contains("BYOI020 must   user "), "{}", run.out);
    let rules: Value = place.byoi(&["verify", "--list", "--format", "json"]).ok().json();
    assert_eq!(rules.as_array().unwrap().len(), run.out.lines().count());
}

/// What SARIF's own schema has against a report.
fn against_sarif(place: &Workplace, report: &str) -> String {
    place.write("report.sarif", report);
    let modules = tools::made_by("hack/sarif", tools::work().join("sarif/node_modules")).canonicalize().unwrap();
    let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/probe/sarif.js");
    let mut node = Command::new(tools::server().join("bin/node"));
    tools::stdout(node.arg(probe).arg(modules).arg(place.path("report.sarif")))
}

#[test]
fn reports_for_code_scanning_are_sarif() {
    let image = Specimen::good().set("User", "root").set("WorkingDir", "/tmp").layer().owned("opt/big", 0o644, (70_000, 0), "x");
    let place = place(&image);
    let run = place.byoi(&["verify", "--format", "sarif", "--allow", "BYOI010", "--made-by", "images/Docker file", "oci:image"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(against_sarif(&place, &run.out), "");
    let results = run.json()["runs"][0]["results"].clone();
    let shown: Vec<_> =
        results.as_array().unwrap().iter().map(|one| (one["ruleId"].clone(), one["level"].clone(), !one["suppressions"].is_null())).collect();
    assert_eq!(
        shown,
        [("BYOI010".into(), "error".into(), true), ("BYOI020".into(), "error".into(), false), ("BYOI024".into(), "warning".into(), false)]
    );
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "images/Docker%20file");
    // The judge itself can say no.
    assert!(against_sarif(&place, &run.out.replace("\"ruleId\"", "\"ruleID\"")).contains("additional properties"));
    assert!(against_sarif(&place, "{}").contains("required property"));
}

#[test]
fn reports_for_github_annotate_the_file_that_makes_the_image() {
    let place = place(&Specimen::good().set("User", "root"));
    let run = place.byoi(&["verify", "--format", "github", "oci:image"]);
    assert!(run.code == Some(1) && run.out.starts_with("::error title=BYOI020 "), "{}", run.out);
    place.write("Dockerfile", "");
    let run = place.byoi(&["verify", "--format", "github", "oci:image"]);
    assert!(run.out.starts_with("::error file=Dockerfile,line=1,title=BYOI020 ") && run.out.lines().count() == 1, "{}", run.out);
    assert_eq!(place.byoi(&["verify", "--format", "github", "--allow", "BYOI020", "oci:image"]).ok().out, "");
}

#[test]
fn the_document_of_the_rules_is_fresh() {
    assert_fresh("docs/rules.md", &format::markdown_rules());
}

#[test]
fn the_options_of_the_real_server_are_known() {
    let main = fs::read_to_string(tools::server().join("share/sagemaker-code-editor/out/server-main.js")).unwrap();
    let begin = main.find(r#""disable-websocket-compression":{type"#).unwrap();
    let table = &main[begin..begin + main[begin..].find("_:").unwrap()];
    let names = table.split(['{', ',']).filter_map(|part| part.split_once(':')).map(|(name, _)| name.trim_matches('"'));
    let names: Vec<_> = names.filter(|name| !["type", "cat", "args", "description", "deprecates", "deprecationMessage"].contains(name)).collect();
    assert!(names.len() > 30, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !server_options().any(|known| known == **name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_a_description_comes_to_is_judged_without_being_written() {
    let place = Workplace::new();
    Specimen::good().without("usr/local/bin/byoi-entrypoint").set("User", "root").made().write_layout(&place.path("base"));
    place.write("byoi.toml", "schema = 1\nbase = \"oci:base\"\n");
    let run = place.byoi(&["verify", "byoi.toml"]).ok();
    assert!(run.out.starts_with("byoi.toml breaks no rule"), "{}", run.out);
    assert_eq!(ids(&place.byoi(&["verify", "--format", "json"]).ok()), Vec::<String>::new());
    assert!(place.path("byoi.lock").exists());
}

#[test]
fn an_app_image_config_may_name_another_start() {
    let image = Specimen::good().set("Entrypoint", vec!["/bin/bash"]).set("Cmd", Value::Null);
    let place = place(&image);
    let judged = |more: &[&str]| ids(&place.byoi(&[&["verify", "--format", "json"], more, &["oci:image"]].concat()));
    assert_eq!(judged(&[]), ["BYOI061"]);
    let config = |entrypoint: &str| serde_json::json!({"CodeEditorAppImageConfig": {"ContainerConfig": {"ContainerEntrypoint": [entrypoint]}}});
    place.write("right.json", config("/usr/local/bin/byoi-entrypoint").to_string());
    assert!(judged(&["--app-image-config", "right.json"]).is_empty());
    place.write("wrong.json", config("/usr/local/bin/nothing").to_string());
    assert_eq!(judged(&["--app-image-config", "wrong.json"]), ["BYOI064"]);
    place.write("other.json", "{}");
    place.byoi(&["verify", "--app-image-config", "other.json", "oci:image"]).fails(3, &["has no `CodeEditorAppImageConfig`"]);
}

#[test]
fn an_image_of_the_local_docker_is_judged() {
    let docker = Docker::start();
    let place = place(&Specimen::good().set("User", "root"));
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--insecure-policy", "--dest-daemon-host", &docker.host()]);
    let image = "docker-daemon:byoi-verify:1";
    tools::stdout(skopeo.arg(format!("oci:{}", place.path("image").display())).arg(image));
    let mut command = place.command(&["verify", "--format", "json", image]);
    assert_eq!(ids(&Run::of(command.env("DOCKER_HOST", docker.host()))), ["BYOI020"]);
    let mut command = place.command(&["verify", "docker-daemon:byoi-verify:2"]);
    Run::of(command.env("DOCKER_HOST", docker.host()))
        .fails(3, &["could not be judged", "does not give `byoi-verify:2`", "reference does not exist"]);
    assert!(place.leftovers().is_empty());
}
