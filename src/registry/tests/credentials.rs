//! Looking up credentials in files and with helpers.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::error::Fault;
use crate::registry::CredentialsError;

fn files(contents: &[Value]) -> (tempfile::TempDir, Credentials) {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = contents
        .iter()
        .enumerate()
        .map(|(index, content)| {
            let path = directory.path().join(format!("{index}.json"));
            fs::write(&path, content.to_string()).unwrap();
            path
        })
        .collect();
    (directory, Credentials::from_files(paths))
}

/// `user:password` as docker writes it.
fn auth(text: &str) -> Value {
    use base64::Engine as _;
    json!({"auth": base64::engine::general_purpose::STANDARD.encode(text)})
}

async fn user(credentials: &Credentials, registry: &str, repository: &str) -> Option<String> {
    credentials.look_up(registry, repository).await.unwrap().map(|credential| match credential {
        Credential::Password { user, password } => format!("{user}:{}", password.reveal()),
        Credential::IdentityToken(token) => format!("token {}", token.reveal()),
    })
}

#[tokio::test]
async fn the_most_specific_key_wins() {
    let (_directory, credentials) = files(&[json!({"auths": {
        "quay.io": auth("host:1"),
        "quay.io/team": auth("team:2"),
        "quay.io/team/image": auth("image:3"),
        "http://old.example/v1/": auth("old:pass:word"),
        "token.example": {"identitytoken": "abc", "auth": auth("<token>:")["auth"]},
        "plain.example:5000": {"username": "u", "password": "p"},
    }})]);
    for (registry, repository, expected) in [
        ("quay.io", "other/image", Some("host:1")),
        ("quay.io", "team/image2", Some("team:2")),
        ("quay.io", "teams/image", Some("host:1")),
        ("quay.io", "team/image/part", Some("image:3")),
        ("old.example", "x", Some("old:pass:word")),
        ("token.example", "x", Some("token abc")),
        ("plain.example:5000", "x", Some("u:p")),
        ("plain.example", "x", None),
        ("sub.quay.io", "team/image", None),
    ] {
        assert_eq!(user(&credentials, registry, repository).await.as_deref(), expected, "{registry}/{repository}");
    }
}

#[tokio::test]
async fn docker_hub_has_several_names() {
    for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "docker.io/library"] {
        let (_directory, credentials) = files(&[json!({"auths": {key: auth("me:1")}})]);
        assert_eq!(user(&credentials, "docker.io", "library/ubuntu").await.as_deref(), Some("me:1"), "{key}");
    }
}

#[tokio::test]
async fn the_first_file_that_knows_something_wins() {
    let (directory, credentials) = files(&[json!({"auths": {"a.b": auth("one:1")}}), json!({"auths": {"a.b": auth("two:2"), "c.d": auth("two:2")}})]);
    assert_eq!(user(&credentials, "a.b", "x").await.as_deref(), Some("one:1"));
    assert_eq!(user(&credentials, "c.d", "x").await.as_deref(), Some("two:2"));
    let missing = Credentials::from_files([directory.path().join("none"), directory.path().join("0.json/none"), directory.path().join("1.json")]);
    assert_eq!(user(&missing, "a.b", "x").await.as_deref(), Some("two:2"));
    fs::write(directory.path().join("0.json"), "").unwrap();
    assert_eq!(user(&credentials, "a.b", "x").await.as_deref(), Some("two:2"));
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_without_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    for text in
        [r#"{"auths": {"a.b": {"auth": "hunter2"}}}"#, r#"{"auths": {"a.b": {"auth": "hunter2"#, r#"{"auths": {"a.b": {"auth": "aHVudGVyMg=="}}}"#]
    {
        fs::write(&path, text).unwrap();
        let error = Credentials::from_files([path.clone()]).look_up("a.b", "x").await.unwrap_err();
        let text = format!("{error} {error:?} {:?}", error.help());
        assert!(text.contains("config.json") && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_helper_that_cannot_be_run_is_named() {
    let (_directory, credentials) = files(&[json!({"credsStore": "byoi-test-nobody"})]);
    let error = credentials.look_up("a.b", "x").await.unwrap_err();
    assert!(matches!(&error, CredentialsError::Helper { helper, .. } if helper == "byoi-test-nobody"), "{error}");
    assert!(error.help().unwrap().contains("docker-credential-byoi-test-nobody get"));
}
