//! Mirrors of registries and URLs.

use super::*;
use crate::digest::Digest;
use crate::manifest::{Descriptor, media_type};
use crate::registry::http::{Expected, Request};
use crate::registry::testing::{Access, Asked, TestImage, TestLayer, Trouble};

fn image() -> TestImage {
    TestImage::new(vec![TestLayer::of_files(&[("a", "b")])])
}

fn mirrored(text: &str) -> Registry {
    let config = config(text);
    let http = Http::new(HttpOptions { retry: hasty().retry, ..HttpOptions::from(&config) }).unwrap();
    Registry::new(http, Credentials::none(), &config)
}

/// A port of this machine where nobody listens.
fn nobody() -> String {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_is_read_from_its_mirror() {
    let mirror = TestRegistry::start();
    let (digest, manifest) = mirror.put_image("hub/library/ubuntu", "24.04", &image());
    let client = mirrored(&format!("[mirrors]\n'docker.io' = {{ mirrors = '{}/hub', original = false }}", mirror.host()));
    let reference: Reference = "ubuntu:24.04".parse().unwrap();
    assert_eq!(client.manifest(&reference).await.unwrap().digest, digest);
    assert_eq!(client.small_blob(&reference, &manifest.config, 1 << 20).await.unwrap(), image().config_bytes());
}

#[tokio::test]
async fn mirrors_are_tried_in_order_and_the_original_last() {
    let (first, second, original) = (TestRegistry::start(), TestRegistry::start(), TestRegistry::start());
    let (digest, _) = original.put_image("team/image", "1", &image());
    let client = mirrored(&format!("[mirrors]\n'{}/team' = ['{}/a', '{}/b']", original.host(), first.host(), second.host()));
    assert_eq!(client.manifest(&at(&original, "team/image:1")).await.unwrap().digest, digest);
    let paths = [&first, &second, &original].map(|registry| registry.log().iter().map(|logged| logged.path.clone()).collect::<Vec<_>>());
    assert_eq!(paths, [["/v2/a/image/manifests/1"], ["/v2/b/image/manifests/1"], ["/v2/team/image/manifests/1"]]);
    second.put_image("b/image", "1", &image());
    original.clear_log();
    client.manifest(&at(&original, "team/image:1")).await.unwrap();
    assert!(original.log().is_empty());
}

#[tokio::test]
async fn a_mirror_that_is_down_is_given_up_and_the_original_serves() {
    let original = TestRegistry::start();
    original.put_image("x", "1", &image());
    let config = config(&format!("[mirrors]\n'{}' = '{}'", original.host(), nobody()));
    let (http, retries) = watched_http(hasty());
    let client = Registry::new(http, Credentials::none(), &config);
    for _ in 0..3 {
        client.manifest(&at(&original, "x:1")).await.unwrap();
    }
    assert_eq!(retries.lock().unwrap().len(), 4, "the attempts at the mirror are made once");
}

#[tokio::test]
async fn a_mirror_with_wrong_bytes_is_not_believed() {
    let (mirror, original) = (TestRegistry::start(), TestRegistry::start());
    let (digest, _) = original.put_image("x", "1", &image());
    mirror.put_image("x", "1", &image());
    mirror.order(Trouble::corrupt("GET", "/manifests/").always());
    let client = mirrored(&format!("[mirrors]\n'{}' = '{}'", original.host(), mirror.host()));
    assert_eq!(client.manifest(&at(&original, "x:1").with_digest(digest)).await.unwrap().digest, digest);
    assert_eq!(mirror.log().len(), 1);
}

#[tokio::test]
async fn what_is_pushed_goes_to_the_registry_itself() {
    let (mirror, original) = (TestRegistry::start(), TestRegistry::start());
    let client = mirrored(&format!("[mirrors]\n'{}' = '{}'", original.host(), mirror.host()));
    let bytes = bytes::Bytes::from_static(b"hello");
    let digest = Digest::of(&bytes);
    let to = at(&original, "x:1");
    client.push_blob(&to, &digest, 5, Arc::new(bytes)).await.unwrap();
    assert!(client.has_blob(&to, &digest).await.unwrap());
    assert_eq!(client.without_mirrors().manifest_if_present(&to).await.unwrap(), None);
    client.without_mirrors().small_blob(&to, &Descriptor::new(media_type::OCI_LAYER, digest, 5), 5).await.unwrap();
    assert!(mirror.log().is_empty());
}

#[tokio::test]
async fn urls_come_from_their_mirrors_without_authorization() {
    let (mirror, original) = (TestRegistry::start(), TestRegistry::start());
    mirror.put_file("/gh/o/r/x.vsix", "application/zip", "hello");
    let config = config(&format!("[mirrors]\n'{}' = '{}'", original.url("/"), mirror.url("/gh/")));
    let http = Http::new(HttpOptions { retry: hasty().retry, ..HttpOptions::from(&config) }).unwrap();
    let request = Request::get(original.url("/o/r/x.vsix").parse().unwrap()).authorization(Some(Secret::new("Bearer hunter2")));
    assert_eq!(http.fetch_url(&request, 10).await.unwrap().body, "hello");
    let download = http.download(&request, Expected::exactly(Digest::of("hello"), 5)).await.unwrap();
    assert_eq!(download.url().as_str(), mirror.url("/gh/o/r/x.vsix"));
    assert!(mirror.log().iter().all(|logged| !logged.headers.contains_key("authorization")));
    assert!(original.log().is_empty());
    original.on("/o/r/y.json", |asked| Asked::json(&serde_json::json!(asked.headers.get("authorization"))));
    let request = Request::get(original.url("/o/r/y.json").parse().unwrap()).authorization(Some(Secret::new("Bearer hunter2")));
    assert_eq!(http.fetch_url(&request, 100).await.unwrap().body, "\"Bearer hunter2\"");
    assert_eq!(mirror.log().len(), 3);
}

#[tokio::test]
async fn credentials_of_the_original_stay_with_the_original() {
    let (mirror, original) = (TestRegistry::start(), TestRegistry::start());
    for registry in [&mirror, &original] {
        registry.set_access(Access::Basic { user: "me".to_owned(), password: "hunter2".to_owned() });
        registry.put_image("x", "1", &image());
    }
    let config = config(&format!("[mirrors]\n'{}' = '{}'", original.host(), mirror.host()));
    let client = Registry::new(http(), account(&original, "me", "hunter2"), &config);
    client.manifest(&at(&original, "x:1")).await.unwrap();
    assert!(mirror.log().iter().all(|logged| logged.status == 401 && !logged.headers.contains_key("authorization")));
    assert_eq!(original.log().last().unwrap().status, 200);
}
