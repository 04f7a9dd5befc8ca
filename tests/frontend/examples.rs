//! Every description in `examples/`, built by the command and by docker, neither with a warm cache; and started.

use byoi::digest::Digest;

use super::images::same_tree;
use super::name_frontend;
use crate::support::byoi::Workplace;
use crate::support::docker::Docker;
use crate::support::examples::{StandIns, names};
use crate::support::frontend::{Builder, Frontend};
use crate::support::studio::Space;

/// The stand-ins with all bases, and the frontend.
fn world() -> (StandIns, Frontend) {
    let places = StandIns::start();
    places.micromamba();
    places.distribution();
    (places, Frontend::publish())
}

/// An example whose first line names the frontend, locked.
fn example(places: &StandIns, frontend: &Frontend, name: &str) -> Workplace {
    let place = places.example(name);
    name_frontend(frontend, &place);
    place.byoi(&["lock"]).ok();
    place.forget();
    place
}

/// The client's mirrors, as an argument.
pub fn mirrors(place: &Workplace) -> String {
    format!("BYOI_CONFIG={}", place.configuration())
}

#[test]
fn docker_26_builds_them_to_the_last_byte_and_they_run() {
    let (places, frontend) = world();
    let (builder, docker) = (Builder::new("classic"), Docker::start_with_network());
    assert!(names().len() >= 4);
    for name in names() {
        let place = example(&places, &frontend, &name);
        let ours = place.build::<&str>(&[]);
        let tag = format!("byoi-test:example-{name}");
        let progress = builder.build(&place, &["--tag", &tag, "--build-arg", &mirrors(&place), "--no-cache"]);
        assert_eq!(ours["config_digest"], Digest::of(builder.config(&tag)).to_string(), "{name}: {}", progress.text);

        let file = place.path("image.tar");
        builder.run(&["save", "--output", file.to_str().unwrap(), &tag]);
        builder.run(&["image", "rm", &tag]);
        docker.load(&file);
        let space = Space::start(&docker, &tag, &[]);
        let extension: &[&str] = match name.as_str() {
            "quickstart" => &["HELLO-STUDIO ACTIVE"],
            "from-scratch" => &[],
            _ => &["VIM ACTIVE"],
        };
        space.must_show(&format!("frontend-{name}"), extension);
    }
}

#[test]
fn docker_20_builds_them_with_the_same_trees() {
    let (places, frontend) = world();
    let builder = Builder::old();
    for name in names() {
        let place = example(&places, &frontend, &name);
        same_tree(&builder, &place, &["--build-arg", &mirrors(&place)], &format!("example-{name}"));
    }
}
