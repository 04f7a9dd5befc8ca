//! Basic and Bearer: what is asked for, what is shown, and to whom.

use super::*;
use crate::digest::Digest;
use crate::error::Fault;
use crate::manifest::{Descriptor, media_type};
use crate::registry::RegistryError;
use crate::registry::testing::{Access, BearerAccess, Rules, TestImage, TestLayer, Trouble};

fn image() -> TestImage {
    TestImage::new(vec![TestLayer::of_files(&[("a", "b")])])
}

fn bearer(change: impl FnOnce(&mut BearerAccess)) -> Access {
    let mut access = BearerAccess::account("me", "hunter2");
    change(&mut access);
    Access::Bearer(access)
}

/// The scopes of a request for a token.
fn scopes(query: &str) -> Vec<String> {
    url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "scope").map(|(_, value)| value.into_owned()).collect()
}

#[tokio::test]
async fn basic_is_shown_when_it_is_asked_for_and_from_then_on() {
    let registry = TestRegistry::start();
    registry.put_image("x", "1", &image());
    registry.set_access(Access::Basic { user: "me".to_owned(), password: "hunter2".to_owned() });
    let client = client_with(account(&registry, "me", "hunter2"));
    for _ in 0..2 {
        client.manifest(&at(&registry, "x:1")).await.unwrap();
    }
    let log: Vec<_> = registry.log().iter().map(|logged| (logged.status, logged.headers.contains_key("authorization"))).collect();
    assert_eq!(log, [(401, false), (200, true), (200, true)]);
}

#[tokio::test]
async fn an_open_registry_sees_no_credentials() {
    let registry = TestRegistry::start();
    registry.put_image("x", "1", &image());
    client_with(account(&registry, "me", "hunter2")).manifest(&at(&registry, "x:1")).await.unwrap();
    assert!(!registry.log()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn wrong_credentials_are_shown_once_and_named_in_no_error() {
    let registry = TestRegistry::start();
    registry.set_access(Access::Basic { user: "me".to_owned(), password: "other".to_owned() });
    let error = client_with(account(&registry, "me", "hunter2")).manifest(&at(&registry, "x:1")).await.unwrap_err();
    assert_eq!((error.status().unwrap().as_u16(), registry.log().len()), (401, 2));
    let text = format!("{error} {error:?} {:?}", error.help());
    assert!(text.contains("expired") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn nobody_signed_in_is_told_how_to() {
    let registry = TestRegistry::start();
    for access in [Access::Basic { user: "me".to_owned(), password: "hunter2".to_owned() }, bearer(|_| {})] {
        registry.set_access(access);
        let error = client().manifest(&at(&registry, "x:1")).await.unwrap_err();
        assert!(error.help().unwrap().contains(&format!("docker login {}", registry.host())), "{error} {:?}", error.help());
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_serves_what_it_covers() {
    let registry = TestRegistry::start();
    let (_, manifest) = registry.put_image("team/x", "1", &image());
    registry.set_access(bearer(|_| {}));
    let client = client_with(account(&registry, "me", "hunter2"));
    let reference = at(&registry, "team/x:1");
    for _ in 0..2 {
        client.manifest(&reference).await.unwrap();
        client.small_blob(&reference, &manifest.config, 1 << 20).await.unwrap();
    }
    let tokens = registry.asked("GET", "/token");
    assert_eq!(tokens.len(), 1);
    assert_eq!(scopes(&tokens[0].query), ["repository:team/x:pull"]);
    assert!(tokens[0].query.contains("service=test+registry") && tokens[0].query.contains("account=me"));
    client.push_manifest(&reference, manifest.to_bytes(), media_type::OCI_MANIFEST).await.unwrap();
    client.has_blob(&reference, &manifest.config.digest).await.unwrap();
    let tokens = registry.asked("GET", "/token");
    assert_eq!(tokens.iter().map(|token| scopes(&token.query)).collect::<Vec<_>>()[1..], [["repository:team/x:pull,push"]]);
    let passwords =
        registry.log().iter().filter(|logged| logged.headers.get("authorization").is_some_and(|value| value.starts_with("Basic"))).count();
    assert_eq!(passwords, 2, "the password goes to the token endpoint alone");
}

#[tokio::test]
async fn anonymous_pulls_get_a_token_too() {
    let registry = TestRegistry::start();
    let (_, manifest) = registry.put_image("x", "1", &image());
    registry.set_access(bearer(|access| access.anonymous_pull = true));
    client().manifest(&at(&registry, "x:1")).await.unwrap();
    assert!(!registry.asked("GET", "/token")[0].headers.contains_key("authorization"));
    let error = client().push_manifest(&at(&registry, "x:1"), manifest.to_bytes(), media_type::OCI_MANIFEST).await.unwrap_err();
    assert!(error.status().unwrap() == 401 && error.help().unwrap().contains("docker login"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced() {
    let registry = TestRegistry::start();
    registry.put_image("x", "1", &image());
    registry.set_access(bearer(|_| {}));
    let client = client_with(account(&registry, "me", "hunter2"));
    client.manifest(&at(&registry, "x:1")).await.unwrap();
    registry.forget_tokens();
    client.manifest(&at(&registry, "x:1")).await.unwrap();
    assert_eq!(registry.asked("GET", "/token").len(), 2);
}

#[tokio::test]
async fn an_upload_whose_token_expired_is_sent_again() {
    let registry = TestRegistry::start();
    registry.set_access(bearer(|_| {}));
    let client = client_with(account(&registry, "me", "hunter2"));
    let bytes = bytes::Bytes::from(noise(100_000));
    registry.order(
        Trouble::answer("PUT", "/blobs/uploads/", 401, "")
            .with("www-authenticate", &format!("Bearer realm=\"{}\",service=\"test registry\",error=\"invalid_token\"", registry.url("/token"))),
    );
    client.push_blob(&at(&registry, "x"), &Digest::of(&bytes), 100_000, Arc::new(bytes.clone())).await.unwrap();
    let statuses: Vec<_> = registry.asked("", "/v2/").iter().map(|logged| logged.status).collect();
    assert_eq!((statuses, registry.asked("", "/token").len()), (vec![401, 202, 401, 201], 2));
    assert_eq!(registry.blob("x", &Digest::of(&bytes)).unwrap(), bytes);
}

#[tokio::test]
async fn an_identity_token_is_posted_to_the_token_endpoint_alone() {
    let registry = TestRegistry::start();
    registry.put_image("x", "1", &image());
    registry.set_access(bearer(|access| access.identity_token = Some("identity&hunter3".to_owned())));
    let credentials = Credentials::none().with(registry.host(), Credential::IdentityToken(Secret::new("identity&hunter3")));
    client_with(credentials).manifest(&at(&registry, "x:1")).await.unwrap();
    let log = registry.log();
    assert_eq!(log.iter().map(|logged| logged.line()).collect::<Vec<_>>(), ["GET /v2/x/manifests/1", "POST /token", "GET /v2/x/manifests/1"]);
    assert!(log[1].query.is_empty() && log[1].bytes_in > 0 && !log[1].headers.contains_key("authorization"));
    assert!(log.iter().all(|logged| !format!("{logged:?}").contains("hunter3")));
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories() {
    let registry = TestRegistry::start();
    let digest = registry.put_blob("team/base", "hello");
    registry.set_access(bearer(|_| {}));
    let client = client_with(account(&registry, "me", "hunter2"));
    assert!(client.mount(&at(&registry, "team/x"), &at(&registry, "team/base"), &digest).await.unwrap());
    assert_eq!(scopes(&registry.asked("GET", "/token")[0].query), ["repository:team/x:pull,push", "repository:team/base:pull"]);
}

#[tokio::test]
async fn a_mount_that_is_not_allowed_is_no_mount() {
    let registry = TestRegistry::start();
    let digest = registry.put_blob("secret", "hello");
    for status in [401, 403, 404] {
        registry.order(Trouble::status("POST", "/blobs/uploads/", status));
        assert!(!client().mount(&at(&registry, "x"), &at(&registry, "secret"), &digest).await.unwrap());
    }
    registry.order(Trouble::status("POST", "/blobs/uploads/", 409));
    assert!(client().mount(&at(&registry, "x"), &at(&registry, "secret"), &digest).await.is_err());
}

#[tokio::test]
async fn many_tasks_at_once_share_one_token() {
    let registry = TestRegistry::start();
    let digest = registry.put_blob("x", "hello");
    registry.set_access(bearer(|_| {}));
    let client = client_with(account(&registry, "me", "hunter2"));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (client, reference) = (client.clone(), at(&registry, "x"));
            tokio::spawn(async move { client.has_blob(&reference, &digest).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap());
    }
    assert_eq!(registry.asked("", "/token").len(), 1);
}

#[tokio::test]
async fn credentials_never_cross_a_redirect() {
    let (registry, storage) = (TestRegistry::start(), TestRegistry::start());
    for access in [Access::Basic { user: "me".to_owned(), password: "hunter2".to_owned() }, bearer(|_| {})] {
        registry.set_access(access);
        storage.clear_log();
        let bytes = noise(100_000);
        let descriptor = Descriptor::new(media_type::OCI_LAYER, registry.put_blob("x", bytes.clone()), bytes.len() as u64);
        storage.put_blob("x", bytes.clone());
        let client = client_with(account(&registry, "me", "hunter2"));
        // Signed in first, then sent elsewhere, where the body breaks once.
        client.has_blob(&at(&registry, "x"), &descriptor.digest).await.unwrap();
        registry.order(Trouble::redirect("GET", "/blobs/", &storage.url("")).times(2));
        storage.order(Trouble::broken_after("GET", "/blobs/", 50_000));
        assert_eq!(client.small_blob(&at(&registry, "x"), &descriptor, 1 << 20).await.unwrap(), bytes);
        let log = storage.log();
        assert_eq!(log.len(), 2);
        assert!(log[1].headers.contains_key("range"));
        assert!(log.iter().all(|logged| !logged.headers.contains_key("authorization") && logged.query == "signature=secret"), "{log:?}");
        registry.calm();
    }
}

#[tokio::test]
async fn a_challenge_of_another_host_gets_no_answer() {
    let (registry, storage) = (TestRegistry::start(), TestRegistry::start());
    let digest = registry.put_blob("x", "hello");
    storage.set_access(Access::Basic { user: "me".to_owned(), password: "hunter2".to_owned() });
    registry.order(Trouble::redirect("GET", "/blobs/", &storage.url("")).always());
    let client = client_with(account(&registry, "me", "hunter2"));
    let error = client.small_blob(&at(&registry, "x"), &Descriptor::new("x", digest, 5), 5).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 401);
    assert!(storage.log().iter().all(|logged| !logged.headers.contains_key("authorization")));
}

#[tokio::test]
async fn an_upload_elsewhere_is_made_without_credentials() {
    let (registry, storage) = (TestRegistry::start(), TestRegistry::start());
    registry.set_access(Access::Basic { user: "me".to_owned(), password: "hunter2".to_owned() });
    let client = client_with(account(&registry, "me", "hunter2"));
    registry.order(Trouble::header("POST", "/blobs/uploads/", "location", &storage.url("/v2/x/blobs/uploads/7?_state=opaque%3D7")).times(2));
    let error = client.push_blob(&at(&registry, "x"), &Digest::of("hello"), 5, Arc::new(bytes::Bytes::from("hello"))).await.unwrap_err();
    assert!(error.has_code("BLOB_UPLOAD_UNKNOWN"), "{error}");
    let log = storage.log();
    assert_eq!(log.len(), 1);
    assert!(!log[0].headers.contains_key("authorization") && log[0].query.starts_with("_state=opaque%3D7&digest="), "{log:?}");
}

#[tokio::test]
async fn a_realm_in_the_open_gets_nothing() {
    let registry = TestRegistry::start();
    for realm in ["http://auth.example/token", "ftp://127.0.0.1/token", "no URL"] {
        registry.set_access(bearer(|access| access.realm = Some(realm.to_owned())));
        let client = client_with(account(&registry, "me", "hunter2"));
        let error = client.manifest(&at(&registry, "x:1")).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Protocol { .. }), "{error}");
        assert_eq!(client.http().traffic().requests, 1);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_talks_nonsense_is_an_error() {
    let registry = TestRegistry::start();
    registry.set_access(bearer(|_| {}));
    for body in ["", "<html>", "{}", r#"{"token": 7}"#, r#"{"token": ""}"#] {
        registry.order(Trouble::answer("GET", "/token", 200, body));
        let error = client().manifest(&at(&registry, "x:1")).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Protocol { .. }), "{body}: {error}");
    }
}

#[tokio::test]
async fn an_unknown_challenge_is_named() {
    let registry = TestRegistry::start();
    registry.order(Trouble::status("GET", "/manifests/", 401));
    let error = client().manifest(&at(&registry, "x:1")).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Refused { .. }), "{error}");
    registry.order(Trouble::answer("GET", "/manifests/", 401, "").with("www-authenticate", "Negotiate"));
    let error = client().manifest(&at(&registry, "x:1")).await.unwrap_err();
    assert!(error.to_string().contains("Negotiate"), "{error}");
}

#[tokio::test]
async fn a_session_that_a_mount_left_and_that_expired_costs_nothing_but_a_request() {
    let registry = TestRegistry::start();
    registry.set_rules(Rules { mounts: false, ..Rules::docker() });
    let digest = registry.put_blob("base", "hello");
    let client = client();
    client.mount(&at(&registry, "x"), &at(&registry, "base"), &digest).await.unwrap();
    registry.order(Trouble::answer("PUT", "/blobs/uploads/", 404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#));
    client.push_blob(&at(&registry, "x"), &digest, 5, Arc::new(bytes::Bytes::from("hello"))).await.unwrap();
    assert_eq!(registry.log().iter().map(|logged| logged.status).collect::<Vec<_>>(), [202, 404, 202, 201]);
}
