//! The registry client against servers that we did not write, and in environments that a test cannot make in its own process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use byoi::digest::Digest;
use byoi::error::Fault;
use byoi::manifest::{Compression, Descriptor, Document, Family, Manifest, media_type};
use byoi::reference::Reference;
use byoi::registry::http::{Http, HttpOptions};
use byoi::registry::testing::{Access, TestImage, TestLayer, TestRegistry};
use byoi::registry::{Credential, Credentials, Registry, Secret};
use byoi::user_config::UserConfig;
use bytes::Bytes;

use crate::support::certificates::Certificates;
use crate::support::child::{is_child, run_again};
use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::proxy::Proxy;

/// A name that no resolver knows (RFC 6761): only a proxy leads there.
const FAR_AWAY: &str = "registry.byoi-test.invalid";

fn client(credentials: Credentials, config: &str) -> Registry {
    let config = UserConfig::parse("config.toml", config.to_owned(), Path::new("/")).unwrap();
    Registry::new(Http::new(HttpOptions::from(&config)).unwrap(), credentials, &config)
}

fn reference(host: &str, name: &str) -> Reference {
    format!("{host}/{name}").parse().unwrap()
}

fn account() -> Credential {
    Credential::Password { user: USER.to_owned(), password: Secret::new(PASSWORD) }
}

fn image() -> TestImage {
    TestImage::new(vec![TestLayer::of_files(&[("etc/", ""), ("etc/motd", "hello")]), TestLayer::of_files(&[("x", &"y".repeat(100_000))])])
}

/// Pushes an image and gives its manifest.
async fn push(client: &Registry, to: &Reference, image: &TestImage) -> Manifest {
    let mut layers = Vec::new();
    for layer in &image.layers {
        let bytes = layer.blob();
        let descriptor = Descriptor::new(image.family.layer(Compression::Gzip).unwrap(), Digest::of(&bytes), bytes.len() as u64);
        client.push_blob(to, &descriptor.digest, descriptor.size, Arc::new(bytes)).await.unwrap();
        layers.push(descriptor);
    }
    let config = Bytes::from(image.config_bytes());
    let descriptor = Descriptor::new(image.family.config(), Digest::of(&config), config.len() as u64);
    client.push_blob(to, &descriptor.digest, descriptor.size, Arc::new(config)).await.unwrap();
    let manifest = Manifest { family: image.family, config: descriptor, layers, annotations: Default::default() };
    let digest = client.push_manifest(to, manifest.to_bytes(), image.family.manifest()).await.unwrap();
    assert_eq!(digest, Digest::of(manifest.to_bytes()));
    manifest
}

/// Reads an image whole, each part proved by its digest.
async fn pull(client: &Registry, from: &Reference, manifest: &Manifest) {
    let found = client.manifest(from).await.unwrap();
    assert_eq!(Document::parse(&found.bytes, found.content_type.as_deref()).unwrap(), Document::Manifest(manifest.clone()));
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        assert!(client.has_blob(from, &blob.digest).await.unwrap());
        assert_eq!(client.small_blob(from, blob, 1 << 30).await.unwrap().len() as u64, blob.size);
    }
}

async fn round_trip(client: &Registry, host: &str) {
    for family in [Family::Oci, Family::Docker] {
        let image = TestImage { family, ..image() };
        let to = reference(host, "team/image:1");
        let manifest = push(client, &to, &image).await;
        pull(client, &to, &manifest).await;
    }
}

#[tokio::test]
async fn docker_registry_gives_back_what_was_pushed() {
    let registry = DockerRegistry::start();
    let client = client(Credentials::none(), "");
    round_trip(&client, registry.host()).await;
    let to = reference(registry.host(), "team/image:1");
    assert_eq!(client.manifest_if_present(&reference(registry.host(), "team/image:none")).await.unwrap(), None);
    assert_eq!(client.manifest_if_present(&reference(registry.host(), "nobody/none:1")).await.unwrap(), None);
    assert!(!client.has_blob(&to, &Digest::of("none")).await.unwrap());
    let wrong = client.push_blob(&to, &Digest::of("other"), 5, Arc::new(Bytes::from("hello"))).await.unwrap_err();
    assert!(wrong.has_code("DIGEST_INVALID"), "{wrong}");
    let other = Manifest { config: Descriptor::new(media_type::OCI_CONFIG, Digest::of("none"), 4), ..push(&client, &to, &image()).await };
    let wrong = client.push_manifest(&to, other.to_bytes(), media_type::OCI_MANIFEST).await.unwrap_err();
    assert!(wrong.has_code("MANIFEST_BLOB_UNKNOWN"), "{wrong}");
}

#[tokio::test]
async fn docker_registry_gets_each_blob_by_one_post_and_one_put() {
    let registry = DockerRegistry::start();
    let client = client(Credentials::none(), "");
    push(&client, &reference(registry.host(), "x:1"), &image()).await;
    let count = client.http().traffic().requests as usize;
    while registry.requests().len() < count {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let methods: Vec<_> = registry.requests().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["POST", "PUT", "POST", "PUT", "POST", "PUT", "PUT"]);
    assert!(registry.requests().iter().all(|line| line.ends_with(" 201") || line.ends_with(" 202")));
}

#[tokio::test]
async fn docker_registry_mounts_and_is_copied_to() {
    let (registry, ours) = (DockerRegistry::start(), TestRegistry::start_on_disk());
    let client = client(Credentials::none(), "");
    let base = reference(registry.host(), "base:1");
    let manifest = push(&client, &base, &image()).await;
    let layer = &manifest.layers[1];
    let before = client.http().traffic();
    assert!(client.mount(&reference(registry.host(), "x:1"), &base, &layer.digest).await.unwrap());
    assert_eq!((client.http().traffic() - before).uploaded, 0);
    assert!(client.has_blob(&reference(registry.host(), "x:1"), &layer.digest).await.unwrap());
    // A blob that the source does not have: the registry answers 202, and its upload serves the copy.
    let absent = Bytes::from("not there");
    assert!(!client.mount(&reference(registry.host(), "x:1"), &base, &Digest::of(&absent)).await.unwrap());
    client.push_blob(&reference(registry.host(), "x:1"), &Digest::of(&absent), 9, Arc::new(absent)).await.unwrap();
    let there = reference(ours.host(), "copy:1");
    let back = reference(registry.host(), "back:1");
    client.copy_blob(&base, &there, layer).await.unwrap();
    client.copy_blob(&there, &back, layer).await.unwrap();
    assert!(client.has_blob(&back, &layer.digest).await.unwrap());
}

#[tokio::test]
async fn docker_registry_with_a_password_wants_it() {
    let registry = DockerRegistry::start_with_account();
    round_trip(&client(Credentials::none().with(registry.host(), account()), ""), registry.host()).await;
    let error = client(Credentials::none(), "").manifest(&reference(registry.host(), "team/image:1")).await.unwrap_err();
    assert!(error.status().unwrap() == 401 && error.help().unwrap().contains("docker login"), "{error}");
}

#[tokio::test]
async fn a_registry_whose_authority_is_configured_is_trusted_and_no_other() {
    let certificates = Certificates::for_names(&["IP:127.0.0.1"]);
    let registry = DockerRegistry::start_with_tls(&certificates.certificate(), &certificates.key());
    let bundle = certificates.authority();
    let https = format!("[registry]\nhttps = ['{}']\n", registry.host());
    round_trip(&client(Credentials::none(), &format!("{https}ca-bundle = '{}'", bundle.display())), registry.host()).await;
    let to = reference(registry.host(), "team/image:1");
    let error = client(Credentials::none(), &https).manifest(&to).await.unwrap_err();
    assert!(error.help().unwrap().contains("ca-bundle") && !error.is_temporary(), "{error} {:?}", error.help());
    let plain = client(Credentials::none(), "").manifest(&to).await.unwrap_err();
    assert!(plain.help().unwrap().contains("https = "), "{plain} {:?}", plain.help());
}

#[test]
fn a_plain_registry_far_away_is_reached_by_the_proxy_and_loopback_is_not() {
    if is_child() {
        return in_child(&format!("[registry]\nplain-http = ['{FAR_AWAY}']"), async |client| {
            client.manifest(&reference(FAR_AWAY, "team/image:1")).await.unwrap();
            client.manifest(&reference(&std::env::var("BYOI_TEST_HOST").unwrap(), "team/image:1")).await.unwrap();
        });
    }
    let registry = TestRegistry::start();
    registry.put_image("team/image", "1", &image());
    let proxy = Proxy::to(registry.host());
    run_again(
        "registry::a_plain_registry_far_away_is_reached_by_the_proxy_and_loopback_is_not",
        &[("HTTP_PROXY", proxy.url().as_ref()), ("HTTPS_PROXY", proxy.url().as_ref()), ("BYOI_TEST_HOST", registry.host().as_ref())],
    );
    assert_eq!(proxy.lines(), [format!("GET http://{FAR_AWAY}/v2/team/image/manifests/1 HTTP/1.1")]);
    assert_eq!(registry.log().len(), 2);
}

#[test]
fn an_https_registry_far_away_is_reached_by_the_proxy_with_the_authority_of_the_environment() {
    if is_child() {
        return in_child("", async |client| round_trip(&client, FAR_AWAY).await);
    }
    let certificates = Certificates::for_names(&[&format!("DNS:{FAR_AWAY}")]);
    let registry = DockerRegistry::start_with_tls(&certificates.certificate(), &certificates.key());
    let proxy = Proxy::to(registry.host());
    run_again(
        "registry::an_https_registry_far_away_is_reached_by_the_proxy_with_the_authority_of_the_environment",
        &[("HTTPS_PROXY", proxy.url().as_ref()), ("SSL_CERT_FILE", certificates.authority().as_ref())],
    );
    assert!(!proxy.lines().is_empty());
    assert!(proxy.lines().iter().all(|line| *line == format!("CONNECT {FAR_AWAY}:443 HTTP/1.1")), "{:?}", proxy.lines());
}

#[test]
fn loopback_works_on_a_machine_without_any_authority() {
    if is_child() {
        return in_child("", async |client| {
            client.manifest(&reference(&std::env::var("BYOI_TEST_HOST").unwrap(), "team/image:1")).await.unwrap();
        });
    }
    let registry = TestRegistry::start();
    registry.put_image("team/image", "1", &image());
    run_again(
        "registry::loopback_works_on_a_machine_without_any_authority",
        &[("SSL_CERT_FILE", "/nonexistent".as_ref()), ("BYOI_TEST_HOST", registry.host().as_ref())],
    );
}

/// The files of the environment, and a helper on the PATH that notes what it is asked.
#[test]
fn credentials_come_from_the_files_and_helpers_that_the_environment_names() {
    if is_child() {
        return in_child("", async |client| {
            let host = std::env::var("BYOI_TEST_HOST").unwrap();
            for name in ["podman/image:1", "helped/image:1"] {
                client.manifest(&reference(&host, name)).await.unwrap();
            }
            let credentials = Credentials::from_environment();
            let token = credentials.look_up("token.example", "x").await.unwrap();
            assert_eq!(token, Some(Credential::IdentityToken(Secret::new("hunter3"))));
            assert_eq!(credentials.look_up("unknown.example", "a/b").await.unwrap(), None);
            let error = credentials.look_up("broken.example", "x").await.unwrap_err();
            let text = format!("{error} {error:?} {:?}", error.help());
            assert!(text.contains("docker-credential-byoi-test") && !text.contains("hunter"), "{text}");
        });
    }
    let registry = TestRegistry::start();
    registry.set_access(Access::Basic { user: USER.to_owned(), password: PASSWORD.to_owned() });
    for name in ["podman/image", "helped/image"] {
        registry.put_image(name, "1", &image());
    }
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let host = registry.host();
    // `me:hunter2`
    file("config/containers/auth.json", format!(r#"{{"auths": {{"{host}/podman": {{"auth": "bWU6aHVudGVyMg=="}}}}}}"#));
    file("docker/config.json", format!(r#"{{"auths": {{"{host}": {{}}}}, "credHelpers": {{"{host}/helped": "byoi-test"}}}}"#));
    file("auth.json", r#"{"credHelpers": {"token.example": "byoi-test", "broken.example": "byoi-test", "unknown.example": "byoi-test"}}"#.to_owned());
    let helper = format!(
        r#"#!/bin/sh
read -r server
echo "$1 $server" >>"{log}"
case "$server" in
  {host}/helped) echo '{{"ServerURL": "x", "Username": "me", "Secret": "hunter2"}}' ;;
  token.example) echo '{{"ServerURL": "x", "Username": "<token>", "Secret": "hunter3"}}' ;;
  broken.example) echo "hunter4"; echo "hunter5" >&2; exit 2 ;;
  *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"#,
        log = directory.path().join("helper.log").display(),
    );
    let helper = file("bin/docker-credential-byoi-test", helper);
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", directory.path().join("bin").display(), std::env::var("PATH").unwrap());
    run_again(
        "registry::credentials_come_from_the_files_and_helpers_that_the_environment_names",
        &[
            ("PATH", path.as_ref()),
            ("BYOI_TEST_HOST", host.as_ref()),
            ("REGISTRY_AUTH_FILE", directory.path().join("auth.json").as_ref()),
            ("DOCKER_CONFIG", directory.path().join("docker").as_ref()),
            ("XDG_CONFIG_HOME", directory.path().join("config").as_ref()),
            ("XDG_RUNTIME_DIR", directory.path().join("none").as_ref()),
        ],
    );
    let asked = fs::read_to_string(directory.path().join("helper.log")).unwrap();
    assert_eq!(asked.lines().next(), Some(format!("get {host}/helped").as_str()));
}

/// Runs a test's part in the second process, with a client that reads the environment.
fn in_child(config: &str, part: impl AsyncFnOnce(Registry)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(part(client(Credentials::from_environment(), config)));
}
