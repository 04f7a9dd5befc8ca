//! Writing blobs and manifests, mounts, copies.

use bytes::Bytes;

use super::*;
use crate::digest::Digest;
use crate::error::Fault;
use crate::manifest::{Descriptor, media_type};
use crate::registry::RegistryError;
use crate::registry::http::HttpError;
use crate::registry::testing::{Access, Rules, TestImage, TestLayer, Trouble};

fn source(bytes: &[u8]) -> Arc<dyn crate::registry::http::Source> {
    Arc::new(Bytes::copy_from_slice(bytes))
}

fn lines(registry: &TestRegistry) -> Vec<String> {
    registry.log().iter().map(|logged| format!("{} {}", logged.method, logged.status)).collect()
}

#[tokio::test]
async fn a_blob_is_one_post_and_one_whole_put() {
    let registry = TestRegistry::start();
    let bytes = noise(400_000);
    for absolute_locations in [true, false] {
        registry.clear_log();
        registry.set_rules(Rules { absolute_locations, ..Rules::docker() });
        let client = client();
        client.push_blob(&at(&registry, "a/b"), &Digest::of(&bytes), bytes.len() as u64, source(&bytes)).await.unwrap();
        assert_eq!(lines(&registry), ["POST 202", "PUT 201"]);
        assert_eq!(registry.log()[1].bytes_in, 400_000);
        assert_eq!(registry.log()[1].headers["content-length"], "400000");
        assert_eq!(client.http().traffic().uploaded, 400_000);
        assert_eq!(registry.blob("a/b", &Digest::of(&bytes)).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_file_is_pushed_as_it_is_read() {
    let registry = TestRegistry::start_on_disk();
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(1 << 20);
    let path = directory.path().join("layer");
    std::fs::write(&path, &bytes).unwrap();
    let reference = at(&registry, "x");
    client().push_blob(&reference, &Digest::of(&bytes), bytes.len() as u64, Arc::new(path.clone())).await.unwrap();
    assert_eq!(registry.blob("x", &Digest::of(&bytes)).unwrap(), bytes);
    std::fs::remove_file(&path).unwrap();
    let error = client().push_blob(&reference, &Digest::of(&bytes), bytes.len() as u64, Arc::new(path.clone())).await.unwrap_err();
    let RegistryError::Http { cause: HttpError::Source { cause, .. }, .. } = &error else { panic!("{error}") };
    assert!(cause.to_string().contains(&path.display().to_string()), "{cause}");
}

#[tokio::test]
async fn an_empty_blob_is_pushed_too() {
    let registry = TestRegistry::start();
    client().push_blob(&at(&registry, "x"), &Digest::of(""), 0, source(b"")).await.unwrap();
    assert_eq!(registry.blob("x", &Digest::of("")).unwrap(), b"");
}

#[tokio::test]
async fn a_failed_upload_begins_anew() {
    let registry = TestRegistry::start();
    let bytes = noise(100_000);
    registry.order(Trouble::status("PUT", "/blobs/uploads/", 503));
    registry.order(Trouble::drop("PUT", "/blobs/uploads/"));
    registry.order(Trouble::status("POST", "/blobs/uploads/", 500));
    let client = client();
    client.push_blob(&at(&registry, "x"), &Digest::of(&bytes), bytes.len() as u64, source(&bytes)).await.unwrap();
    let posts = registry.asked("POST", "").len();
    assert_eq!((posts, registry.asked("PUT", "").len()), (4, 3));
    assert_eq!(registry.blob("x", &Digest::of(&bytes)).unwrap(), bytes);
}

#[tokio::test]
async fn a_source_of_another_size_is_an_error() {
    let registry = TestRegistry::start();
    for size in [9, 11] {
        let error = client().push_blob(&at(&registry, "x"), &Digest::of("0123456789"), size, source(b"0123456789")).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Http { cause: HttpError::Source { .. }, .. }), "{error}");
    }
    assert!(registry.blob("x", &Digest::of("0123456789")).is_none());
}

#[tokio::test]
async fn a_manifest_is_pushed_under_its_tag() {
    let registry = TestRegistry::start();
    let (digest, manifest) = registry.put_image("x", "one", &TestImage::new(vec![TestLayer::of_files(&[("a", "b")])]));
    let client = client();
    assert_eq!(client.push_manifest(&at(&registry, "x:two"), manifest.to_bytes(), media_type::OCI_MANIFEST).await.unwrap(), digest);
    assert_eq!(registry.manifest("x", "two").unwrap().1, manifest.to_bytes());
    let error = client.push_manifest(&at(&registry, "y:two"), manifest.to_bytes(), media_type::OCI_MANIFEST).await.unwrap_err();
    assert!(error.has_code("MANIFEST_BLOB_UNKNOWN"), "{error}");
    registry.order(Trouble::header("PUT", "/manifests/", "docker-content-digest", &Digest::of("other").to_string()));
    assert!(client.push_manifest(&at(&registry, "x:two"), manifest.to_bytes(), media_type::OCI_MANIFEST).await.is_err());
}

#[tokio::test]
async fn a_mount_moves_nothing() {
    let registry = TestRegistry::start();
    let digest = registry.put_blob("base", "hello");
    let client = client();
    assert!(client.mount(&at(&registry, "x"), &at(&registry, "base"), &digest).await.unwrap());
    assert_eq!(registry.blob("x", &digest).unwrap(), b"hello");
    assert_eq!((lines(&registry), client.http().traffic().uploaded), (vec!["POST 201".to_owned()], 0));
}

#[tokio::test]
async fn a_mount_that_is_answered_with_an_upload_is_not_mounted_and_the_upload_is_used() {
    let registry = TestRegistry::start();
    registry.set_rules(Rules { mounts: false, ..Rules::docker() });
    let digest = registry.put_blob("base", "hello");
    let client = client();
    assert!(!client.mount(&at(&registry, "x"), &at(&registry, "base"), &digest).await.unwrap());
    assert_eq!(registry.open_uploads(), 1);
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest, 5);
    client.copy_blob(&at(&registry, "base"), &at(&registry, "x"), &descriptor).await.unwrap();
    assert_eq!(lines(&registry), ["POST 202", "GET 200", "PUT 201"]);
    assert_eq!((registry.open_uploads(), registry.blob("x", &digest).unwrap()), (0, b"hello".to_vec()));
}

#[tokio::test]
async fn nothing_is_mounted_across_registries() {
    let (a, b) = (TestRegistry::start(), TestRegistry::start());
    let digest = a.put_blob("base", "hello");
    assert!(!client().mount(&at(&b, "x"), &at(&a, "base"), &digest).await.unwrap());
    assert!(a.log().is_empty() && b.log().is_empty());
}

#[tokio::test]
async fn a_copy_streams_from_registry_to_registry() {
    let (a, b) = (TestRegistry::start_on_disk(), TestRegistry::start_on_disk());
    let bytes = noise(5 << 20);
    let digest = a.put_blob("base", bytes.clone());
    a.order(Trouble::broken_after("GET", "/blobs/", 3 << 20));
    let client = client();
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest, bytes.len() as u64);
    client.copy_blob(&at(&a, "base"), &at(&b, "x"), &descriptor).await.unwrap();
    assert_eq!(b.blob("x", &digest).unwrap(), bytes);
    let traffic = client.http().traffic();
    assert_eq!((lines(&b), traffic.uploaded), (vec!["POST 202".to_owned(), "PUT 201".to_owned()], 5 << 20));
}

#[tokio::test]
async fn many_copies_at_once_do_not_wait_for_each_other_for_ever() {
    let (a, b) = (TestRegistry::start(), TestRegistry::start());
    let client = client();
    let copies: Vec<_> = (0..40)
        .map(|index| {
            let bytes = format!("blob {index}").repeat(10_000);
            let descriptor = Descriptor::new(media_type::OCI_LAYER, a.put_blob("base", bytes.clone()), bytes.len() as u64);
            let (client, from, to) = (client.clone(), at(&a, "base"), at(&b, "x"));
            tokio::spawn(async move { client.copy_blob(&from, &to, &descriptor).await })
        })
        .collect();
    for copy in copies {
        copy.await.unwrap().unwrap();
    }
    assert_eq!(b.asked("PUT", "").len(), 40);
}

#[tokio::test]
async fn a_damaged_source_is_never_completed_at_the_destination() {
    let (a, b) = (TestRegistry::start(), TestRegistry::start());
    let bytes = noise(300_000);
    let digest = a.put_blob("base", bytes.clone());
    a.order(Trouble::corrupt("GET", "/blobs/").always());
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest, bytes.len() as u64);
    let error = client().copy_blob(&at(&a, "base"), &at(&b, "x"), &descriptor).await.unwrap_err();
    let RegistryError::Http { cause: HttpError::Source { cause, .. }, .. } = &error else { panic!("{error}") };
    assert!(cause.to_string().contains("has the digest"), "{cause}");
    assert!(b.asked("PUT", "").iter().all(|logged| logged.status == 0), "no upload was answered");
    assert!(error.help().is_some());
}

#[tokio::test]
async fn ecr_takes_what_we_push_and_its_refusals_say_what_to_do() {
    let registry = TestRegistry::start_ecr();
    registry.set_rules(Rules { immutable_tags: true, ..Rules::ecr() });
    let client = client_with(account(&registry, "AWS", "ecr-password"));
    let image = TestImage::new(vec![TestLayer::of_files(&[("a", "b")])]);
    let layer = image.layers[0].blob();
    let layer_digest = Digest::of(&layer);
    let to = at(&registry, "team/image:1");
    let error = client.push_blob(&to, &layer_digest, layer.len() as u64, Arc::new(layer.clone())).await.unwrap_err();
    assert!(error.has_code("NAME_UNKNOWN"), "{error}");
    registry.create_repository("team/image");
    registry.put_blob("base", layer.clone());
    assert!(!client.mount(&to, &at(&registry, "base"), &layer_digest).await.unwrap());
    client.push_blob(&to, &layer_digest, layer.len() as u64, Arc::new(layer.clone())).await.unwrap();
    let config = Bytes::from(image.config_bytes());
    client.push_blob(&to, &Digest::of(&config), config.len() as u64, Arc::new(config.clone())).await.unwrap();
    let manifest = crate::manifest::Manifest {
        family: image.family,
        config: Descriptor::new(image.family.config(), Digest::of(&config), config.len() as u64),
        layers: vec![Descriptor::new(media_type::OCI_LAYER_GZIP, layer_digest, layer.len() as u64)],
        annotations: Default::default(),
    };
    client.push_manifest(&to, manifest.to_bytes(), media_type::OCI_MANIFEST).await.unwrap();
    let error = client.push_manifest(&to, manifest.to_bytes(), media_type::OCI_MANIFEST).await.unwrap_err();
    assert!(error.help().unwrap().contains("immutable"), "{error}");
    assert!(registry.asked("PATCH", "").is_empty());
    registry.set_access(Access::Basic { user: "AWS".to_owned(), password: "another".to_owned() });
    let error = client.manifest(&to).await.unwrap_err();
    assert!(error.help().unwrap().contains("expired"), "{error}");
}
