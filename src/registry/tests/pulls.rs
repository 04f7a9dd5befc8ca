//! Reading manifests and blobs.

use std::pin::pin;

use futures_util::TryStreamExt;

use super::*;
use crate::digest::Digest;
use crate::error::Fault;
use crate::manifest::{Compression, Descriptor, Document, Family, MAX_MANIFEST_SIZE, media_type};
use crate::registry::RegistryError;
use crate::registry::http::HttpError;
use crate::registry::testing::{TestImage, TestLayer, Trouble};

fn image() -> TestImage {
    TestImage::new(vec![TestLayer::of_files(&[("etc/", ""), ("etc/motd", "hello")])])
}

fn blob_of(bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, Digest::of(bytes), bytes.len() as u64)
}

async fn read_all(client: &Registry, reference: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>, RegistryError> {
    let mut stream = pin!(client.blob(reference, descriptor).await?);
    let mut all = Vec::new();
    while let Some(bytes) = stream.try_next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn reads_an_image_by_tag_and_by_digest() {
    let registry = TestRegistry::start();
    for (tag, family, compression) in [("a", Family::Oci, Compression::Zstd), ("b", Family::Docker, Compression::Gzip)] {
        let mut image = image();
        image.family = family;
        image.layers[0].compression = compression;
        let (digest, manifest) = registry.put_image("team/image", tag, &image);
        let client = client();
        let reference = at(&registry, &format!("team/image:{tag}"));
        let found = client.manifest(&reference).await.unwrap();
        assert_eq!((found.digest, found.content_type.as_deref()), (digest, Some(family.manifest())));
        assert_eq!(client.manifest(&reference.with_digest(digest)).await.unwrap(), found);
        assert_eq!(Document::parse(&found.bytes, found.content_type.as_deref()).unwrap(), Document::Manifest(manifest.clone()));
        assert_eq!(client.small_blob(&reference, &manifest.config, 1 << 20).await.unwrap(), image.config_bytes());
        assert_eq!(read_all(&client, &reference, &manifest.layers[0]).await.unwrap(), image.layers[0].blob());
        assert!(client.small_blob(&reference, &manifest.config, 3).await.is_err());
    }
}

#[tokio::test]
async fn counts_requests_and_bytes_exactly() {
    let registry = TestRegistry::start();
    let bytes = noise(300_000);
    registry.put_blob("x", bytes.clone());
    let client = client();
    read_all(&client, &at(&registry, "x"), &blob_of(&bytes)).await.unwrap();
    assert!(client.has_blob(&at(&registry, "x"), &Digest::of(&bytes)).await.unwrap());
    let traffic = client.http().traffic();
    assert_eq!((traffic.requests, traffic.downloaded, traffic.uploaded), (2, 300_000, 0));
    assert_eq!(registry.log().iter().map(|logged| logged.bytes_out).sum::<u64>(), 300_000);
    assert!(registry.log().iter().all(|logged| logged.headers["user-agent"].starts_with("byoi/")));
}

#[tokio::test]
async fn what_is_absent_is_none_for_a_manifest_and_false_for_a_blob() {
    let registry = TestRegistry::start();
    registry.create_repository("x");
    let client = client();
    assert_eq!(client.manifest_if_present(&at(&registry, "x:none")).await.unwrap(), None);
    assert_eq!(client.manifest_if_present(&at(&registry, "y:none")).await.unwrap(), None);
    assert!(!client.has_blob(&at(&registry, "x"), &Digest::of("none")).await.unwrap());
    let error = client.manifest(&at(&registry, "y:none")).await.unwrap_err();
    assert!(error.has_code("NAME_UNKNOWN") && error.help().unwrap().contains("check the name `y`"), "{error}");
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let registry = TestRegistry::start();
    let (digest, _) = registry.put_image("x", "tag", &image());
    let client = client();
    registry.order(Trouble::corrupt("GET", "/manifests/").times(2));
    for reference in [at(&registry, "x:tag"), at(&registry, &format!("x@{digest}"))] {
        let error = client.manifest(&reference).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Digest { expected, .. } if *expected == digest), "{error}");
    }
    registry.order(Trouble::header("GET", "/manifests/", "docker-content-digest", &Digest::of("other").to_string()));
    assert!(matches!(client.manifest(&at(&registry, "x:tag")).await, Err(RegistryError::Digest { .. })));
    assert!(client.manifest(&at(&registry, "x:tag")).await.is_ok());
}

#[tokio::test]
async fn a_manifest_has_a_largest_size() {
    let registry = TestRegistry::start();
    registry.put_manifest("x", Some("big"), media_type::OCI_MANIFEST, vec![b' '; MAX_MANIFEST_SIZE as usize + 1]);
    let error = client().manifest(&at(&registry, "x:big")).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Http { cause: HttpError::TooLarge { .. }, .. }), "{error}");
}

#[tokio::test]
async fn garbage_is_not_taken_for_a_manifest() {
    let registry = TestRegistry::start();
    registry.order(Trouble::answer("GET", "/manifests/", 200, "<html>Please sign in to the hotel's network</html>"));
    let error = client().manifest(&at(&registry, "x:tag")).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Protocol { .. }) && error.help().unwrap().contains("/v2/"), "{error}");
}

#[tokio::test]
async fn a_blob_with_another_digest_never_comes_whole() {
    let registry = TestRegistry::start();
    let bytes = noise(200_000);
    registry.put_blob("x", bytes.clone());
    registry.order(Trouble::corrupt("GET", "/blobs/").always());
    let client = client();
    let mut stream = client.blob(&at(&registry, "x"), &blob_of(&bytes)).await.unwrap();
    let mut received = 0;
    let error = loop {
        match stream.try_next().await {
            Ok(Some(piece)) => received += piece.len(),
            Ok(None) => panic!("the stream ended well"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, RegistryError::Transfer(HttpError::Digest { .. })), "{error}");
    assert!(received < bytes.len());
    assert_eq!(registry.asked("GET", "/blobs/").len(), 1, "wrong bytes are not asked for again");
}

#[tokio::test]
async fn a_blob_of_another_size_is_refused() {
    let registry = TestRegistry::start();
    let bytes = noise(1000);
    registry.put_blob("x", bytes.clone());
    let client = client();
    for size in [999, 1001] {
        let wrong = Descriptor { size, ..blob_of(&bytes) };
        let error = read_all(&client, &at(&registry, "x"), &wrong).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Transfer(HttpError::Size { .. })), "{error}");
    }
    registry.order(Trouble::longer("GET", "/blobs/"));
    let error = read_all(&client, &at(&registry, "x"), &blob_of(&bytes)).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Transfer(HttpError::Size { found: 1001, .. })), "{error}");
}

#[tokio::test]
async fn a_broken_blob_goes_on_where_it_broke() {
    let registry = TestRegistry::start();
    let bytes = noise(500_000);
    registry.put_blob("x", bytes.clone());
    registry.order(Trouble::broken_after("GET", "/blobs/", 200_000));
    registry.order(Trouble::broken_after("GET", "/blobs/", 100_000));
    let client = client();
    assert_eq!(read_all(&client, &at(&registry, "x"), &blob_of(&bytes)).await.unwrap(), bytes);
    let ranges: Vec<_> = registry.asked("GET", "/blobs/").iter().map(|logged| logged.headers.get("range").cloned()).collect();
    assert_eq!(ranges.len(), 3);
    assert!(ranges[0].is_none() && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
    assert!(client.http().traffic().downloaded <= 500_000);
}

#[tokio::test]
async fn a_large_blob_is_read_from_disk_in_pieces() {
    let registry = TestRegistry::start_on_disk();
    let bytes = noise(3 << 20);
    registry.put_blob("x", bytes.clone());
    registry.order(Trouble::broken_after("GET", "/blobs/", 2 << 20));
    assert_eq!(read_all(&client(), &at(&registry, "x"), &blob_of(&bytes)).await.unwrap(), bytes);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let registry = TestRegistry::start();
    for (status, words) in [(401, "docker login"), (403, "docker login"), (404, "check the name"), (429, "mirror"), (500, "later")] {
        registry.calm();
        registry.order(Trouble::answer("GET", "", status, r#"{"errors":[{"code":"X","message":"no such luck"}]}"#).always());
        let error = client().manifest(&at(&registry, "x:tag")).await.unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert!(error.to_string().contains("no such luck (X)"), "{error}");
        assert!(error.help().unwrap().contains(words), "{status}: {:?}", error.help());
    }
}
