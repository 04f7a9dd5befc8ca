//! `docker build -f byoi.toml .` makes the image that `byoi build` makes: with docker 26.1 to the last byte of the config, with docker 20.10 entry
//! by entry of the tree.

use std::fs;

use byoi::digest::Digest;
use byoi::manifest::Family;
use byoi::registry::testing::TestRegistry;
use serde_json::{Value, json};

use crate::support::base::{editor_base, registry_with_base, write_project};
use crate::support::byoi::Workplace;
use crate::support::frontend::{Builder, Frontend};

/// The steps of [`write_project`]'s image.
const STEPS: [&str; 4] = ["extension acme-labs.hello-studio 1.2.3", "extensions.json", "files", "platform"];

/// A project on `base:1` of the registry, with the frontend in its first line, and a lock.
fn project(frontend: &Frontend, registry: &TestRegistry) -> Workplace {
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    let description = fs::read_to_string(place.path("byoi.toml")).unwrap();
    place.write("byoi.toml", frontend.syntax() + &description);
    place.byoi(&["lock"]).ok();
    place
}

/// Steps that were executed, of those that make layers.
fn executed(progress: &crate::support::frontend::Progress) -> Vec<&str> {
    STEPS.into_iter().filter(|step| progress.executed.iter().any(|name| name == step)).collect()
}

fn same_config(store: &str) {
    let (frontend, builder) = (Frontend::publish(), Builder::new(store));
    for awkward in [false, true] {
        let registry = if awkward { awkward_base() } else { registry_with_base(3) };
        let place = project(&frontend, &registry);
        for epoch in [None, Some("1500000000"), Some("1800000000")] {
            let mut command = place.command(&["build", "--json"]);
            command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
            let ours = crate::support::byoi::Run::of(&mut command).ok().json();
            let argument = epoch.map(|epoch| format!("SOURCE_DATE_EPOCH={epoch}"));
            let mut arguments = vec!["--tag", "byoi-test:same"];
            arguments.extend(argument.iter().flat_map(|argument| ["--build-arg", argument]));
            // What another test left in the daemon is no proof.
            arguments.extend(epoch.is_none().then_some("--no-cache"));
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
                assert_eq!(executed(&progress), STEPS, "{}", progress.text);
            } else {
                assert_eq!(executed(&progress), [""; 0], "time alone moves no layer\n{}", progress.text);
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

#[test]
fn docker_20_makes_the_same_tree() {
    let (frontend, builder) = (Frontend::publish(), Builder::old());
    let Builder::Old(docker) = &builder else { unreachable!() };
    let registry = registry_with_base(3);
    let place = project(&frontend, &registry);
    place.byoi(&["build", "docker-archive:image.tar:byoi-test:ours"]).ok();
    docker.load(&place.path("image.tar"));
    fs::remove_file(place.path("image.tar")).unwrap();
    let progress = builder.build(&place, &["--tag", "byoi-test:theirs"]);
    assert_eq!(executed(&progress), STEPS, "{}", progress.text);
    let (ours, theirs) = (docker.tree("byoi-test:ours"), docker.tree("byoi-test:theirs"));
    assert!(ours.len() > 30);
    assert_eq!(ours, theirs);
    let config = |image: &str| {
        let mut config: Value = serde_json::from_slice(&builder.config(image)).unwrap();
        config["rootfs"].take();
        config
    };
    assert_eq!(config("byoi-test:ours"), config("byoi-test:theirs"));
}

#[test]
fn only_what_changes_is_made_again() {
    let (frontend, builder) = (Frontend::publish(), Builder::new("classic"));
    let registry = registry_with_base(2);
    let place = project(&frontend, &registry);
    let first = builder.build(&place, &["--no-cache"]);
    assert_eq!(executed(&first), STEPS, "{}", first.text);
    let again = builder.build(&place, &[]);
    assert_eq!(executed(&again), [""; 0], "{}", again.text);
    let labelled = builder.build(&place, &["--label", "a=b"]);
    assert_eq!(executed(&labelled), [""; 0], "{}", labelled.text);
    place.write("tools/run", "#!/bin/sh\necho changed\n");
    let changed = builder.build(&place, &[]);
    assert_eq!(executed(&changed), ["files"], "{}", changed.text);
}

#[test]
fn without_a_lock_a_step_with_network_makes_one() {
    let (frontend, builder) = (Frontend::publish(), Builder::new("classic"));
    let registry = registry_with_base(2);
    let place = project(&frontend, &registry);
    let lock = fs::read_to_string(place.path("byoi.lock")).unwrap();
    let ours = place.build::<&str>(&[]);
    fs::remove_file(place.path("byoi.lock")).unwrap();

    let (ok, text) = builder.try_build(&place, &["--build-arg", "BYOI_LOCKED=1"]);
    assert!(!ok && text.contains("byoi.lock is not there"), "{text}");

    let progress = builder.build(&place, &["--network", "host", "--tag", "byoi-test:unlocked"]);
    assert!(progress.text.contains("this build is not pinned"), "{}", progress.text);
    assert_eq!(ours["config_digest"], Digest::of(builder.config("byoi-test:unlocked")).to_string());

    let out = place.path("out");
    builder.build(&place, &["--network", "host", "--target", "lock", "--output", out.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(out.join("byoi.lock")).unwrap(), lock);
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
