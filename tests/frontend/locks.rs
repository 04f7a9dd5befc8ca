//! Without a lock: one step with network makes it.

use std::fs;

use byoi::digest::Digest;

use super::project;
use crate::support::base::registry_with_base;
use crate::support::frontend::{Builder, Frontend};

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
