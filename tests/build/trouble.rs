//! Registries that refuse, fail or lie: the command ends with 3 and a message that a person can act on, and nothing of it stays.

use std::path::PathBuf;

use byoi::manifest::Compression;
use byoi::registry::testing::{TestRegistry, Trouble};

use crate::support::base::{editor_base, registry_with_base, write_project};
use crate::support::byoi::{Run, Workplace};

fn project(registry: &TestRegistry) -> Workplace {
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    place
}

/// A refusal, what the message must have, and what the advice.
const REFUSALS: [(u16, &str, &[&str]); 7] = [
    (401, "", &["401", "sign in", "docker login"]),
    (
        403,
        r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
        &["403", "requested access to the resource is denied", "docker login"],
    ),
    (404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#, &["404", "manifest unknown", "check the name and the tag"]),
    (429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}"#, &["429", "pull rate limit", "[mirrors]"]),
    (500, "", &["500", "later"]),
    (503, "<html><body>maintenance</body></html>", &["503", "later"]),
    (200, "<html><body>Welcome to the hotel's WLAN</body></html>", &["not the distribution protocol", "curl -i"]),
];

#[test]
fn a_base_that_the_registry_does_not_give() {
    std::thread::scope(|scope| {
        for (status, body, parts) in REFUSALS {
            scope.spawn(move || {
                let registry = registry_with_base(2);
                let place = project(&registry);
                registry.order(Trouble::answer("", "/v2/base/manifests/", status, body).always());
                let run = place.byoi(&["build", "oci:image"]);
                check(&run, &format!("{}/base:1", registry.host()), parts);
                run.fails(3, &[]);
                assert!(!place.path("byoi.lock").exists() && !place.path("image").exists());
                assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
            });
        }
    });
}

#[test]
fn a_destination_that_the_registry_does_not_take() {
    std::thread::scope(|scope| {
        for (status, body, parts) in REFUSALS.iter().filter(|(status, ..)| ![200, 404].contains(status)) {
            scope.spawn(move || {
                let registry = registry_with_base(2);
                let place = project(&registry);
                place.byoi(&["lock"]).ok();
                registry.order(Trouble::answer("POST", "/v2/out/blobs/uploads/", *status, *body).always());
                registry.order(Trouble::answer("PUT", "/v2/out/", *status, *body).always());
                let run = place.byoi(&["build", &format!("docker://{}/out:1", registry.host())]);
                check(&run, registry.host(), parts);
                run.fails(3, &[]);
                assert!(registry.manifest("out", "1").is_none());
                assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
            });
        }
    });
}

#[track_caller]
fn check(run: &Run, named: &str, parts: &[&str]) {
    let message = run.message();
    for part in parts.iter().chain([&named]) {
        assert!(message.contains(part), "no `{part}` in\n{}", run.err);
    }
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let registry = registry_with_base(3);
    let place = project(&registry);
    registry.order(Trouble::status("GET", "/v2/base/manifests/", 503));
    registry.order(Trouble::answer("GET", "/v2/base/blobs/", 429, "").with("retry-after", "1"));
    registry.order(Trouble::drop("GET", "/v2/base/blobs/"));
    registry.order(Trouble::broken_after("GET", "/v2/base/blobs/", 100));
    registry.order(Trouble::status("POST", "/v2/out/blobs/uploads/", 500));
    registry.order(Trouble::status("PUT", "/v2/out/manifests/", 502));
    let plain = Workplace::new();
    write_project(&plain, &format!("{}/base:1", registry.host()));
    let troubled = place.build(&[&format!("docker://{}/out:1", registry.host())]);
    assert_eq!(plain.byoi(&["build"]).ok().out.trim_end(), troubled["digest"]);
}

/// Lies about a layer of the base: less of it, other bytes, more of it.
fn lies(blob: &str) -> [(&'static str, Trouble); 3] {
    [
        ("truncated", Trouble::broken_after("GET", blob, 64).always()),
        ("corrupt", Trouble::corrupt("GET", blob).always()),
        ("longer", Trouble::longer("GET", blob).always()),
    ]
}

#[test]
fn wrong_bytes_of_the_base_are_refused_when_it_is_locked() {
    for compression in [Compression::None, Compression::Gzip] {
        let registry = TestRegistry::start();
        let mut image = editor_base(2);
        image.layers[1].compression = compression;
        let (_, base) = registry.put_image("base", "1", &image);
        let digest = base.layers[1].digest.to_string();
        for (name, trouble) in lies(&digest) {
            let place = project(&registry);
            registry.order(trouble);
            place.byoi(&["lock"]).fails(3, &[&digest[..19]]);
            assert!(!place.path("byoi.lock").exists(), "{name}");
            assert_eq!(place.leftovers(), Vec::<PathBuf>::new(), "{name}");
            registry.calm();
            place.byoi(&["lock"]).ok();
        }
    }
}

#[test]
fn wrong_bytes_of_the_base_get_to_no_destination() {
    let registry = TestRegistry::start();
    let (_, base) = registry.put_image("base", "1", &editor_base(3));
    let digest = base.layers[1].digest.to_string();
    let place = project(&registry);
    place.byoi(&["lock"]).ok();
    for (name, trouble) in lies(&digest) {
        registry.order(trouble);
        let other = TestRegistry::start();
        let pushed = format!("docker://{}/out:1", other.host());
        for (destination, trace) in [
            ("oci:layout", "layout/index.json"),
            ("oci-archive:image.tar", "image.tar"),
            ("docker-archive:docker.tar", "docker.tar"),
            (&*pushed, "-"),
        ] {
            place.byoi(&["build", destination]).fails(3, &[&digest[..19]]);
            assert!(!place.path(trace).exists(), "{name}: {destination}");
            assert_eq!(place.leftovers(), Vec::<PathBuf>::new(), "{name}: {destination}");
        }
        assert!(other.manifest("out", "1").is_none() && other.blob("out", &base.layers[1].digest).is_none(), "{name}");
        registry.calm();
    }
}

#[test]
fn a_manifest_with_other_bytes_than_locked_is_refused() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    place.byoi(&["lock"]).ok();
    place.forget();
    registry.order(Trouble::corrupt("GET", "/v2/base/manifests/sha256:").always());
    place.byoi(&["build", "oci:image"]).fails(3, &["digest", "try again"]);
}

#[test]
fn nobody_at_the_other_end() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    let host = registry.host().to_owned();
    drop(registry);
    place.byoi(&["build", "oci:image"]).fails(3, &[&host]);
}
