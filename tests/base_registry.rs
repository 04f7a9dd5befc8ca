//! Bases in a registry: which requests opening them takes, which image of an index is meant, and what is refused.

use std::io;
use std::path::Path;

use byoi::base::{self, OpenedImage};
use byoi::digest::Digest;
use byoi::error::{Error, Kind};
use byoi::manifest::{Compression, Family, media_type};
use byoi::reference::{ImageSource, Reference};
use byoi::registry::http::{Http, HttpOptions};
use byoi::registry::testing::{TestImage, TestLayer, TestRegistry, Trouble};
use byoi::registry::{Credentials, Registry};
use byoi::user_config::UserConfig;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

fn client() -> Registry {
    let http = Http::new(HttpOptions::default()).unwrap();
    Registry::new(http, Credentials::none(), &UserConfig::default())
}

async fn open(registry: &TestRegistry, name: &str, pinned: Option<Digest>) -> Result<OpenedImage, Error> {
    let source: ImageSource = format!("{}/{name}", registry.host()).parse().unwrap();
    base::open(&source, Path::new("/nowhere"), pinned, &client()).await.map(|image| image.expect("a registry's image is one"))
}

fn image(architecture: &str) -> TestImage {
    let mut image = TestImage::new(vec![TestLayer::of_files(&[("etc/", ""), ("etc/one", "1")]), TestLayer::of_files(&[("etc/two", "2")])]);
    image.architecture = architecture.to_owned();
    image
}

fn entry(digest: Digest, platform: Value) -> Value {
    json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1, "platform": platform})
}

/// An index of these entries under a tag.
fn put_index(registry: &TestRegistry, tag: &str, entries: &[Value]) -> Digest {
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
    registry.put_manifest("base", Some(tag), media_type::OCI_INDEX, index.to_string())
}

fn requests(registry: &TestRegistry) -> Vec<String> {
    registry.log().iter().map(|request| request.line().replace("/v2/base/", "")).filter(|line| line != "GET /v2/").collect()
}

#[tokio::test]
async fn a_locked_base_is_opened_by_two_requests_and_no_layer_is_read() {
    let registry = TestRegistry::start();
    let (digest, manifest) = registry.put_image("base", "1", &image("amd64"));
    let index = put_index(&registry, "multi", &[entry(digest, json!({"os": "linux", "architecture": "amd64"}))]);
    for (name, found_through) in [("base:1", None), ("base:multi", Some(index))] {
        registry.clear_log();
        let free = open(&registry, name, None).await.unwrap();
        assert_eq!((free.digest, free.index), (digest, found_through));
        assert_eq!(requests(&registry).len(), if found_through.is_some() { 3 } else { 2 });
        registry.clear_log();
        let locked = open(&registry, name, Some(digest)).await.unwrap();
        assert_eq!((locked.digest, &locked.config), (digest, &free.config));
        assert_eq!(requests(&registry), [format!("GET manifests/{digest}"), format!("GET blobs/{}", manifest.config.digest)]);
    }
}

#[tokio::test]
async fn an_index_of_one_index_is_followed_but_not_for_ever() {
    let registry = TestRegistry::start();
    let (digest, _) = registry.put_image("base", "1", &image("amd64"));
    let nested = |tag: &str, inner: Digest| put_index(&registry, tag, &[json!({"mediaType": media_type::OCI_INDEX, "digest": inner, "size": 1})]);
    let inner = put_index(&registry, "inner", &[entry(digest, json!({"os": "linux", "architecture": "amd64"}))]);
    let middle = nested("middle", inner);
    let outer = nested("outer", middle);
    for (name, index) in [("base:inner", inner), ("base:middle", middle), ("base:outer", outer)] {
        let opened = open(&registry, name, None).await.unwrap();
        assert_eq!((opened.digest, opened.index), (digest, Some(index)), "{name}");
    }
    registry.clear_log();
    nested("deep", outer);
    let refused = open(&registry, "base:deep", None).await.err().unwrap();
    assert!(refused.to_string().contains("nested too deep"), "{refused}");
    assert_eq!(requests(&registry).len(), 4);
}

#[tokio::test]
async fn both_families_and_all_compressions_are_opened() {
    let registry = TestRegistry::start();
    for (family, compression) in [
        (Family::Oci, Compression::None),
        (Family::Oci, Compression::Gzip),
        (Family::Oci, Compression::Zstd),
        (Family::Docker, Compression::None),
        (Family::Docker, Compression::Gzip),
    ] {
        let mut image = image("amd64");
        image.family = family;
        image.layers.iter_mut().for_each(|layer| layer.compression = compression);
        let (digest, manifest) = registry.put_image("base", "1", &image);
        let opened = open(&registry, "base:1", None).await.unwrap();
        assert_eq!((opened.digest, &opened.manifest), (digest, &manifest));
        assert_eq!(opened.diff_ids, image.layers.iter().map(|layer| Digest::of(&layer.tar)).collect::<Vec<_>>());
        for (descriptor, layer) in opened.manifest.layers.iter().zip(&image.layers) {
            let mut bytes = Vec::new();
            opened.blobs.open(descriptor).await.unwrap().read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes, layer.blob());
        }
        assert_eq!(opened.blobs.repository().map(Reference::name), Some(format!("{}/base", registry.host())));
    }
}

#[tokio::test]
async fn of_an_index_the_image_for_linux_amd64_is_meant() {
    let registry = TestRegistry::start();
    let (arm, _) = registry.put_image("base", "arm", &image("arm64"));
    let (digest, _) = registry.put_image("base", "amd", &image("amd64"));
    let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    let mut soci = entry(arm, platform("amd64"));
    soci["artifactType"] = json!("application/vnd.amazon.soci.index.v2+json");
    let attestation = entry(arm, json!({"os": "unknown", "architecture": "unknown"}));
    put_index(&registry, "multi", &[entry(arm, platform("arm64")), attestation, soci, entry(digest, platform("amd64"))]);
    assert_eq!(open(&registry, "base:multi", None).await.unwrap().digest, digest);
}

#[tokio::test]
async fn images_for_other_platforms_are_refused() {
    let registry = TestRegistry::start();
    let (arm, _) = registry.put_image("base", "arm", &image("arm64"));
    let windows = json!({"os": "windows", "architecture": "amd64", "os.version": "10.0.1"});
    put_index(&registry, "multi", &[entry(arm, json!({"os": "linux", "architecture": "arm64", "variant": "v8"})), entry(arm, windows)]);
    put_index(&registry, "wrong", &[entry(arm, json!({"os": "linux", "architecture": "amd64"}))]);
    for (name, found) in [("base:arm", "linux/arm64"), ("base:multi", "linux/arm64/v8, windows/amd64"), ("base:wrong", "linux/arm64")] {
        let error = open(&registry, name, None).await.map(|_| ()).unwrap_err();
        let expected = format!("{}/{name} is not for linux/amd64, which is what SageMaker Studio runs; it is for {found}", registry.host());
        assert_eq!((error.to_string(), error.fault().kind()), (expected, Kind::Input));
    }
}

#[tokio::test]
async fn other_bytes_than_promised_are_refused() {
    let registry = TestRegistry::start();
    let (digest, manifest) = registry.put_image("base", "1", &image("amd64"));
    // The manifest by digest, and the config.
    for path in [format!("manifests/{digest}"), format!("blobs/{}", manifest.config.digest)] {
        registry.order(Trouble::corrupt("GET", &path).always());
        assert!(open(&registry, "base:1", Some(digest)).await.is_err(), "{path}");
        registry.calm();
    }
    // A layer: each reader gets to hear of it before the end.
    let opened = open(&registry, "base:1", Some(digest)).await.unwrap();
    let layer = &opened.manifest.layers[0];
    let path = format!("blobs/{}", layer.digest);
    for trouble in [Trouble::corrupt("GET", &path), Trouble::longer("GET", &path)] {
        registry.order(trouble.always());
        let read = async { opened.blobs.open(layer).await?.read_to_end(&mut Vec::new()).await.map_err(wrong_bytes) }.await;
        assert!(read.is_err());
        registry.calm();
    }
    // A descriptor that promises another size.
    for size in [layer.size - 1, layer.size + 1] {
        let lie = byoi::manifest::Descriptor { size, ..layer.clone() };
        let read = async { opened.blobs.open(&lie).await?.read_to_end(&mut Vec::new()).await.map_err(wrong_bytes) }.await;
        assert!(read.is_err(), "{size}");
    }
}

fn wrong_bytes(error: io::Error) -> Error {
    byoi::error::FileError::at("read", "layer")(error).into()
}

#[tokio::test]
async fn a_registry_without_the_image_says_so() {
    let registry = TestRegistry::start();
    registry.put_image("base", "1", &image("amd64"));
    let error = open(&registry, "base:2", None).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("base"), "{error}");
    registry.put_manifest("base", Some("text"), "text/plain", r#"{"schemaVersion":2,"mediaType":"text/plain"}"#);
    let error = open(&registry, "base:text", None).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), format!("the manifest of {}/base:text cannot be used", registry.host()));
}
