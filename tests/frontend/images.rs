//! The image: with docker 26.1 the same to the last byte of the config, with docker 20.10 entry by entry of the tree.

use std::fs;

use byoi::digest::Digest;
use byoi::manifest::Family;
use byoi::registry::testing::TestRegistry;
use serde_json::{Value, json};

use super::{PROGRAMS, project};
use crate::support::base::{editor_base, registry_with_base};
use crate::support::byoi::{Run, Workplace};
use crate::support::frontend::{Builder, Frontend};

fn same_config(store: &str) {
    let (frontend, builder) = (Frontend::publish(), Builder::new(store));
    for awkward in [false, true] {
        let registry = if awkward { awkward_base() } else { registry_with_base(3) };
        let place = project(&frontend, &registry);
        for epoch in [None, Some("1500000000"), Some("1800000000")] {
            let mut command = place.command(&["build", "--json"]);
            command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
            let ours = Run::of(&mut command).ok().json();
            let argument = epoch.map(|epoch| format!("SOURCE_DATE_EPOCH={epoch}"));
            let mut arguments = vec!["--tag", "byoi-test:same"];
            arguments.extend(argument.iter().flat_map(|argument| ["--build-arg", argument]));
            let progress = builder.build(&place, &arguments);
            let config = builder.config("byoi-test:same");
            let theirs = Digest::of(&config).to_string();
            assert_eq!(
                ours["config_digest"],
                theirs,
                "{store}, awkward {awkward}, epoch {epoch:?}\n{}\n{}",
                String::from_utf8_lossy(&config),
                progress.text
            );
            if epoch.is_none() {
                assert_eq!(progress.programs(), PROGRAMS, "{}", progress.text);
            } else {
                assert_eq!(progress.programs(), [""; 0], "time alone moves no layer\n{}", progress.text);
            }
        }
    }
    builder.run(&["image", "rm", "byoi-test:same"]);
}

/// Docker's media types, a history with an item without a layer and one without a time, and `<>&` in a label.
fn awkward_base() -> TestRegistry {
    let registry = TestRegistry::start();
    let mut image = editor_base(2);
    image.family = Family::Docker;
    image.history = Some(json!([
        {"created": "2024-01-02T03:04:05.120Z", "created_by": "ADD a & b", "comment": "<c>"},
        {"created_by": "ENV x", "empty_layer": true},
        {"created_by": "without a time"},
    ]));
    image.config = json!({"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Labels": {"markup": "<a>&</a> \u{2028}"}});
    registry.put_image("base", "1", &image);
    registry
}

#[test]
fn docker_26_makes_the_same_config() {
    same_config("classic");
}

#[test]
fn docker_26_with_containerds_store_makes_the_same_config() {
    same_config("containerd");
}

/// An archive with one file, which has this time.
pub fn archive(time: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(time);
    header.set_size(5);
    builder.append_data(&mut header, "file", &b"text\n"[..]).unwrap();
    builder.into_inner().unwrap()
}

/// Caches of BuildKit know files by their content; a layer in which nothing but a time is another is another layer all the same.
fn times_count(builder: &Builder) {
    let frontend = Frontend::publish();
    let registry = registry_with_base(2);
    let place = project(&frontend, &registry);
    let description = fs::read_to_string(place.path("byoi.toml")).unwrap();
    place.write("byoi.toml", description + "[[file]]\nsource = \"archive.tar\"\ntarget = \"/opt/archive\"\nunpack = true\n");
    let mut seen = Vec::new();
    for time in [1_600_000_000, 1_700_000_000] {
        place.write("archive.tar", archive(time));
        let ours = place.build::<&str>(&[]);
        builder.build(&place, &["--tag", "byoi-test:times"]);
        let theirs = Digest::of(builder.config("byoi-test:times")).to_string();
        assert_eq!(ours["config_digest"], theirs, "{time}");
        seen.push(theirs);
    }
    assert_ne!(seen[0], seen[1]);
    builder.run(&["image", "rm", "byoi-test:times"]);
}

#[test]
fn times_count_where_layers_are_copied() {
    times_count(&Builder::new("classic"));
}

#[test]
fn times_count_where_layers_are_merged() {
    times_count(&Builder::new("containerd"));
}

/// Builds with docker 20.10 and holds the image against the command's, entry by entry.
#[track_caller]
pub fn same_tree(builder: &Builder, place: &Workplace, arguments: &[&str], name: &str) -> crate::support::frontend::Progress {
    let Builder::Old(docker) = builder else { panic!("docker 20.10 is meant") };
    let (ours, theirs) = (format!("byoi-test:{name}-ours"), format!("byoi-test:{name}-theirs"));
    place.byoi(&["build", &format!("docker-archive:image.tar:{ours}")]).ok();
    docker.load(&place.path("image.tar"));
    fs::remove_file(place.path("image.tar")).unwrap();
    let progress = builder.build(place, &[&["--tag", &theirs], arguments].concat());
    let (our_tree, their_tree) = (docker.tree(&ours), docker.tree(&theirs));
    assert!(our_tree.len() > 30);
    crate::support::file_tree::assert_same("docker's", &our_tree, &their_tree);
    let config = |image: &str| {
        let mut config: Value = serde_json::from_slice(&builder.config(image)).unwrap();
        config["rootfs"].take();
        config
    };
    assert_eq!(config(&ours), config(&theirs));
    progress
}

#[test]
fn docker_20_makes_the_same_tree() {
    let (frontend, builder) = (Frontend::publish(), Builder::old());
    let registry = registry_with_base(3);
    let place = project(&frontend, &registry);
    let progress = same_tree(&builder, &place, &[], "plain");
    assert_eq!(progress.programs(), PROGRAMS, "{}", progress.text);
}

#[test]
fn a_wrong_description_fails_with_its_line() {
    let (frontend, builder) = (Frontend::publish(), Builder::new("classic"));
    let place = Workplace::new();
    place.write("byoi.toml", frontend.syntax() + "schema = 1\nbase = \"debian:12\"\nbsae = 1\n");
    let (ok, text) = builder.try_build(&place, &[]);
    assert!(!ok && text.contains("byoi.toml:4: the description's top level has no key `bsae`"), "{text}");
    let command = place.byoi(&["check"]);
    assert!(command.message().contains("the description's top level has no key `bsae`"));
}
