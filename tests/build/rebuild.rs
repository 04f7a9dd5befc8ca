//! `--rebuild` trusts nothing: it comes to the same bytes, and notices a cache or an earlier image that says something else.

use std::fs;
use std::path::PathBuf;

use byoi::digest::Digest;
use byoi::manifest::{Descriptor, Document, Manifest};
use byoi::registry::testing::TestRegistry;
use serde_json::Value;

use crate::support::base::{registry_with_base, write_project};
use crate::support::byoi::{Workplace, files};

fn project(registry: &TestRegistry) -> (Workplace, String) {
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    (place, format!("docker://{}/out:1", registry.host()))
}

/// The layer that has the files.
fn files_layer(built: &Value) -> &Value {
    built["layers"].as_array().unwrap().iter().find(|layer| layer["components"].to_string().contains("tools")).unwrap()
}

#[test]
fn a_rebuild_comes_to_the_same_bytes_and_moves_nothing() {
    let registry = registry_with_base(3);
    let (place, destination) = project(&registry);
    let first = place.build(&[&destination]);
    registry.clear_log();
    let again = place.build(&["--rebuild", &destination]);
    assert_eq!(again["digest"], first["digest"]);
    let layers = again["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["origin"] == "base" || layer["origin"] == "new"), "{again}");
    assert_eq!(again["bytes_uploaded"], 0);
}

/// The cache's record of a layer's key.
fn record(place: &Workplace, key: &str) -> PathBuf {
    let hex = key.strip_prefix("sha256:").unwrap();
    files(&place.cache()).into_iter().find(|path| path.to_string_lossy().contains(&format!("layer-{hex}"))).unwrap()
}

#[test]
fn a_forged_record_in_the_cache_is_noticed() {
    let registry = registry_with_base(2);
    let (place, _) = project(&registry);
    let built = place.build(&["oci:layout"]);
    let layers = built["layers"].as_array().unwrap();
    let (honest, other) = (files_layer(&built), layers.iter().rfind(|layer| layer["origin"] == "new").unwrap());
    assert_ne!(honest["key"], other["key"]);
    // Another layer that is whole in the cache stands for the key.
    fs::copy(record(&place, other["key"].as_str().unwrap()), record(&place, honest["key"].as_str().unwrap())).unwrap();
    let run = place.byoi(&["build", "--rebuild", "oci:rebuilt"]);
    run.fails(3, &["came out as", honest["digest"].as_str().unwrap(), other["digest"].as_str().unwrap(), "damaged or forged"]);
    assert!(!place.path("rebuilt/index.json").exists());
}

#[test]
fn a_forged_earlier_image_is_noticed() {
    let registry = registry_with_base(2);
    let (place, destination) = project(&registry);
    let built = place.build(&[&destination]);
    let honest = files_layer(&built)["digest"].as_str().unwrap().to_owned();
    let forged = forge(&registry, &honest);
    place.forget();
    place.byoi(&["build", "--rebuild", &destination]).fails(3, &["came out as", &honest, &forged, "damaged or forged"]);
}

/// Puts an image under the tag that has another layer where `digest` was, with that one's key; gives the other layer's digest.
fn forge(registry: &TestRegistry, digest: &str) -> String {
    let (media_type, bytes) = registry.manifest("out", "1").unwrap();
    let Document::Manifest(mut manifest) = Document::parse(&bytes, None).unwrap() else { panic!("an index") };
    let at = manifest.layers.iter().position(|layer| layer.digest.to_string() == digest).unwrap();
    let evil = byoi::registry::testing::TestLayer::of_files(&[("etc/motd", "evil\n")]);
    let (tar, blob) = (Digest::of(&evil.tar), evil.blob());
    let config = String::from_utf8(registry.blob("out", &manifest.config.digest).unwrap()).unwrap();
    let honest: Value = serde_json::from_str(&config).unwrap();
    let config = config.replace(honest["rootfs"]["diff_ids"][at].as_str().unwrap(), &tar.to_string());
    let layer = Descriptor { digest: registry.put_blob("out", blob.clone()), size: blob.len() as u64, ..manifest.layers[at].clone() };
    manifest.layers[at] = layer.clone();
    manifest.config = Descriptor { digest: registry.put_blob("out", config.clone()), size: config.len() as u64, ..manifest.config.clone() };
    registry.put_manifest("out", Some("1"), &media_type, Manifest::to_bytes(&manifest));
    layer.digest.to_string()
}

#[test]
fn a_layer_that_was_damaged_in_the_cache_goes_nowhere() {
    let registry = registry_with_base(2);
    let (place, _) = project(&registry);
    let built = place.build(&["oci:first"]);
    let digest: Digest = files_layer(&built)["digest"].as_str().unwrap().parse().unwrap();
    let blob = files(&place.cache()).into_iter().find(|path| path.to_string_lossy().ends_with(&*digest.hex())).unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let pushed = format!("docker://{}/damaged:1", registry.host());
    for (destination, trace) in
        [("oci:second", "second/index.json"), ("oci-archive:image.tar", "image.tar"), ("docker-archive:docker.tar", "docker.tar"), (&*pushed, "-")]
    {
        place.byoi(&["build", destination]).fails(3, &[&digest.to_string()]);
        assert!(!place.path(trace).exists(), "{destination}");
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new(), "{destination}");
    }
    assert!(registry.manifest("damaged", "1").is_none() && registry.blob("damaged", &digest).is_none());
    // The way out.
    assert_eq!(place.build(&["--rebuild", "oci:second"])["digest"], built["digest"]);
}
