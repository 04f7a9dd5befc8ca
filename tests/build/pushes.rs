//! What a push asks of a registry and what it moves: counted in the registry's own log.

use std::collections::BTreeSet;
use std::path::Path;

use byoi::manifest::Manifest;
use byoi::registry::testing::{Logged, Rules, TestRegistry};
use serde_json::Value;

use crate::support::base::{editor_base, registry_with_base, write_project};
use crate::support::byoi::{Workplace, files};
use crate::support::readers;

/// A project on the registry's base, and the destination there.
fn project(registry: &TestRegistry) -> (Workplace, String) {
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    (place, format!("docker://{}/team/out:1", registry.host()))
}

fn lines(log: &[Logged]) -> String {
    log.iter().map(|one| format!("{} {}?{} {}\n", one.method, one.path, one.query, one.status)).collect()
}

/// Requests that move a layer's bytes out of the registry.
fn reads_of(log: &[Logged], manifest: &Manifest) -> usize {
    let layers: BTreeSet<String> = manifest.layers.iter().map(|layer| layer.digest.to_string()).collect();
    log.iter().filter(|one| one.method == "GET" && one.path.rsplit('/').next().is_some_and(|name| layers.contains(name))).count()
}

/// Uploads of bytes.
fn uploads(log: &[Logged]) -> Vec<&Logged> {
    log.iter().filter(|one| one.bytes_in > 0 && one.path.contains("/blobs/uploads/")).collect()
}

#[test]
fn an_unchanged_image_moves_no_blob_and_writes_no_manifest() {
    let registry = registry_with_base(24);
    let (place, destination) = project(&registry);
    let first = place.build(&[&destination]);
    assert!(first["destinations"][0]["changed"].as_bool().unwrap());
    for empty_cache in [false, true] {
        if empty_cache {
            place.forget();
        }
        registry.clear_log();
        let again = place.build(&[&destination]);
        let log = registry.log();
        assert_eq!(again["digest"], first["digest"]);
        assert!(log.iter().all(|one| matches!(one.method.as_str(), "GET" | "HEAD") && one.bytes_in == 0), "{}", lines(&log));
        assert!(log.len() <= 8, "{} requests:\n{}", log.len(), lines(&log));
        assert_eq!(again["requests"], log.len(), "{}", lines(&log));
        assert_eq!(again["bytes_uploaded"], 0);
        let down: u64 = log.iter().map(|one| one.bytes_out).sum();
        assert_eq!(again["bytes_downloaded"], down);
        assert_eq!(
            again["destinations"][0],
            serde_json::json!({
                "destination": destination, "blobs_written": 0, "bytes_written": 0, "blobs_mounted": 0, "changed": false,
            })
        );
    }
}

#[test]
fn with_a_lock_no_layer_of_the_base_is_read() {
    let registry = TestRegistry::start();
    let (_, base) = registry.put_image("base", "1", &editor_base(24));
    let (place, destination) = project(&registry);
    place.byoi(&["lock"]).ok();
    assert!(reads_of(&registry.log(), &base) >= base.layers.len(), "locking reads each layer once");
    place.forget();
    registry.clear_log();
    let built = place.build(&[&destination]);
    let log = registry.log();
    assert_eq!(reads_of(&log, &base), 0, "{}", lines(&log));
    assert_eq!(built["destinations"][0]["blobs_mounted"], 24);
    let mounted = log.iter().filter(|one| one.method == "POST" && one.query.contains("mount=") && one.status == 201).count();
    assert_eq!(mounted, 24, "{}", lines(&log));
    let ours = built["layers"].as_array().unwrap().iter().filter(|layer| layer["origin"] == "new").count();
    assert!(ours >= 3);
    assert_eq!(uploads(&log).len(), ours + 1, "our layers and the config:\n{}", lines(&log));
    assert_eq!(built["requests"], log.len());
    // What came to be can be read by others.
    readers::skopeo_tree(&destination);
}

#[test]
fn a_changed_file_uploads_its_layer_and_the_config_alone() {
    let registry = registry_with_base(6);
    let (place, destination) = project(&registry);
    place.build(&[&destination]);
    place.write("tools/run", "#!/bin/sh\necho changed\n");
    place.forget();
    registry.clear_log();
    let built = place.build(&[&destination]);
    let log = registry.log();
    let new: Vec<&Value> = built["layers"].as_array().unwrap().iter().filter(|layer| layer["origin"] == "new").collect();
    assert_eq!(new.len(), 1);
    assert!(new[0]["components"].to_string().contains("tools"), "{}", new[0]);
    let uploads = uploads(&log);
    assert_eq!(uploads.len(), 2, "{}", lines(&log));
    assert!(uploads.iter().any(|one| one.bytes_in == new[0]["size"].as_u64().unwrap()));
    let reused = built["layers"].as_array().unwrap().iter().filter(|layer| layer["origin"] == "reused").count();
    assert!(reused >= 2, "{built}");
    readers::skopeo_tree(&destination);
}

#[test]
fn a_changed_file_of_a_large_directory_uploads_its_part() {
    let registry = registry_with_base(3);
    let (place, destination) = project(&registry);
    let large = |name: &str, byte: u8| place.write(&format!("tools/{name}"), vec![byte; 40 << 20]);
    large("one", 1);
    large("two", 2);
    place.build(&[&destination]);
    large("two", 3);
    place.forget();
    registry.clear_log();
    let built = place.build(&[&destination]);
    let of = |origin: &str| {
        let layers = built["layers"].as_array().unwrap().iter().filter(|layer| layer["origin"] == origin);
        layers.map(|layer| layer["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("new"), ["byoi: files /opt/tools/two"]);
    assert!(["byoi: files /opt/tools/one", "byoi: files"].iter().all(|name| of("reused").contains(&(*name).to_owned())), "{built}");
    assert_eq!(uploads(&registry.log()).len(), 2, "the part and the config");
    let tree = readers::skopeo_tree(&destination);
    assert!(["opt/tools/one", "opt/tools/two", "opt/tools/run"].iter().all(|path| tree.contains_key(Path::new(path))), "{:?}", tree.keys());
}

#[test]
fn a_changed_label_moves_the_config_alone() {
    let registry = registry_with_base(3);
    let (place, destination) = project(&registry);
    let first = place.build(&[&destination]);
    registry.clear_log();
    let second = place.build(&["--label", "revision=2", &destination]);
    assert_ne!(first["digest"], second["digest"]);
    let log = registry.log();
    assert_eq!(uploads(&log).len(), 1, "{}", lines(&log));
    let layers = |built: &Value| built["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect::<Vec<_>>();
    assert_eq!(layers(&first), layers(&second));
}

#[test]
fn another_tag_takes_layers_of_the_image_named_for_reuse() {
    let registry = registry_with_base(3);
    let (place, destination) = project(&registry);
    let first = place.build(&[&destination]);
    place.forget();
    registry.clear_log();
    let earlier = destination.strip_prefix("docker://").unwrap();
    let other = format!("docker://{}/elsewhere:9", registry.host());
    let second = place.build(&["--reuse", earlier, &other]);
    assert_eq!(second["digest"], first["digest"]);
    let log = registry.log();
    assert!(uploads(&log).len() <= 1, "the config at most:\n{}", lines(&log));
    assert!(second["layers"].as_array().unwrap().iter().all(|layer| layer["origin"] != "new"));
    readers::skopeo_tree(&other);
}

#[test]
fn from_registry_to_registry_the_base_streams_past_the_disk() {
    let from = TestRegistry::start();
    let (_, base) = from.put_image("base", "1", &editor_base(5));
    let to = TestRegistry::start();
    let (place, _) = project(&from);
    let destination = format!("docker://{}/out:1", to.host());
    let built = place.build(&[&destination]);
    for layer in &base.layers {
        assert!(to.blob("out", &layer.digest).is_some());
        let hex = layer.digest.hex();
        assert!(!files(&place.cache()).iter().any(|path| path.to_string_lossy().contains(&*hex)), "a layer of the base lies in the cache");
    }
    let stored = to.manifest("out", "1").unwrap().1;
    assert_eq!(byoi::digest::Digest::of(stored).to_string(), built["digest"]);
    // Once more: now all is there, and no layer is read.
    from.clear_log();
    to.clear_log();
    place.write("tools/run", "#!/bin/sh\necho changed\n");
    place.build(&[&destination]);
    assert_eq!(reads_of(&from.log(), &base), 0, "{}", lines(&from.log()));
}

#[test]
fn ecr_mounts_nothing_and_wants_repositories_to_exist() {
    let registry = TestRegistry::start_ecr();
    let (_, base) = registry.put_image("base", "1", &editor_base(3));
    let (place, destination) = project(&registry);
    place.byoi(&["build", &destination]).fails(3, &["401", "docker login"]);
    place.sign_in(registry.host(), "AWS", "ecr-password");
    let refused = place.byoi(&["build", &destination]).fails(3, &["team/out", "404"]);
    assert!(refused.message().contains("made first"), "{}", refused.err);

    registry.create_repository("team/out");
    registry.clear_log();
    let built = place.build(&[&destination]);
    let log = registry.log();
    assert_eq!(built["destinations"][0]["blobs_mounted"], 0);
    assert_eq!(reads_of(&log, &base), base.layers.len(), "{}", lines(&log));
    assert!(log.iter().all(|one| one.method != "PATCH"), "{}", lines(&log));
    assert_eq!(registry.open_uploads(), 0);
    for layer in &base.layers {
        assert!(registry.blob("team/out", &layer.digest).is_some());
    }
    let run = place.byoi(&["--verbose", "build", &destination]).ok();
    assert!(!run.err.contains("ecr-password") && !run.err.contains("ZWNyLXBhc3N3b3Jk"));
}

#[test]
fn a_tag_that_cannot_be_moved_is_explained() {
    let registry = registry_with_base(2);
    let (place, destination) = project(&registry);
    registry.set_rules(Rules { immutable_tags: true, ..Rules::docker() });
    place.build(&[&destination]);
    // The same image again is no new push.
    place.build(&[&destination]);
    place.byoi(&["build", "--label", "a=b", &destination]).fails(3, &["immutable", "new tag"]);
}

#[test]
fn several_destinations_at_once_get_one_image() {
    let (registry, other) = (registry_with_base(3), TestRegistry::start());
    let (place, first) = project(&registry);
    let second = format!("docker://{}/second:1", other.host());
    let built = place.build(&[&first, &second, "oci:layout"]);
    let digests =
        [registry.manifest("team/out", "1"), other.manifest("second", "1")].map(|found| byoi::digest::Digest::of(found.unwrap().1).to_string());
    assert_eq!(digests, [built["digest"].as_str().unwrap(), built["digest"].as_str().unwrap()]);
}

#[test]
fn what_a_mirror_of_the_destination_holds_is_not_in_the_destination() {
    let registry = registry_with_base(2);
    let mirror = registry_with_base(2);
    let (place, destination) = project(&registry);
    place.build(&[&format!("docker://{}/team/out:1", mirror.host())]);
    place.configure(&format!("[mirrors]\n\"{}\" = \"{}\"\n", registry.host(), mirror.host()));
    let built = place.build(&[&destination]);
    assert!(built["destinations"][0]["changed"].as_bool().unwrap(), "{built}");
    let (_, bytes) = registry.manifest("team/out", "1").expect("the destination has the manifest");
    let Ok(byoi::manifest::Document::Manifest(manifest)) = byoi::manifest::Document::parse(&bytes, None) else { panic!("not a manifest") };
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        assert!(registry.blob("team/out", &blob.digest).is_some(), "{} is not in the destination", blob.digest);
    }
}
