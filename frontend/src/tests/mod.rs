//! Whole builds against a daemon in this process: which graph comes out, what is returned, and that nothing a daemon answers makes it hang.

mod answers;
mod fake;
mod graphs;
mod hashing;
mod locks;
mod places;

use std::collections::BTreeMap;

use byoi::digest::Digest;
use byoi::image_path::ImagePath;
use byoi::lock::{Base, Directories, DirectoryRule, Extension, Facts, Lock};
use fake::{Built, Fake};
use serde_json::{Value, json};

const DESCRIPTION: &str = r#"# syntax=example.org/byoi-frontend:1
schema = 1
base = "example.org/base:1"

[[extension]]
url = "https://example.org/hello.vsix"

[[file]]
content = "welcome\n"
target = "/etc/motd"

[[file]]
source = "tools"
target = "/opt/tools"

[settings.machine]
"telemetry.telemetryLevel" = "off"

[labels]
a = "1"
"#;

fn digest(name: &str) -> Digest {
    Digest::of(name)
}

fn lock() -> Lock {
    let root = (ImagePath::root(), DirectoryRule { mode: 0o755, uid: 0, gid: 0 });
    let facts = Facts {
        editor: Some("1.101.2".to_owned()),
        launcher: Some(ImagePath::literal("usr/local/bin/sagemaker-code-editor")),
        shell: true,
        ..Facts::default()
    };
    let base = Base {
        requirement: "example.org/base:1".to_owned(),
        digest: Some(digest("base")),
        index: None,
        timestamp: "2026-01-02T03:04:05Z".parse().unwrap(),
        facts,
        directories: Directories { rules: BTreeMap::from([root]), links: BTreeMap::new() },
    };
    let extension = Extension {
        requirement: "url:https://example.org/hello.vsix".to_owned(),
        id: "acme.hello".to_owned(),
        version: "1.2.3".to_owned(),
        url: "https://example.org/hello.vsix".parse().unwrap(),
        sha256: digest("vsix"),
        size: 7,
        engine: "^1.80.0".to_owned(),
        platform: None,
        timestamp: "2026-02-02T03:04:05Z".parse().unwrap(),
    };
    Lock { base, conda: None, extensions: vec![extension], files: Vec::new() }
}

fn daemon() -> Fake {
    let base_config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin"]}, "created": "2026-01-02T03:04:05Z",
        "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "base"}],
        "rootfs": {"type": "layers", "diff_ids": [digest("base tar")]},
    });
    let base = format!("example.org/base:1@{}", digest("base"));
    let own = ("example.org/byoi-frontend:1".to_owned(), (digest("frontend").to_string(), b"{}".to_vec()));
    Fake {
        files: BTreeMap::from([
            ("byoi.toml".to_owned(), DESCRIPTION.as_bytes().to_vec()),
            ("byoi.lock".to_owned(), lock().to_toml().into_bytes()),
            ("tools/run".to_owned(), b"#!/bin/sh\n".to_vec()),
            ("tools/sub/data".to_owned(), vec![7; 2_200_000]),
            ("unrelated/secret".to_owned(), b"x".to_vec()),
        ]),
        images: BTreeMap::from([(base, (digest("base").to_string(), base_config.to_string().into_bytes())), own]),
        ..Fake::default()
    }
}

const OPTIONS: [(&str, &str); 2] = [("source", "example.org/byoi-frontend:1"), ("filename", "byoi.toml")];

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    OPTIONS.into_iter().chain(more.iter().copied()).collect()
}

fn config(built: &Built) -> Value {
    serde_json::from_slice(&built.result().metadata["containerimage.config"]).unwrap()
}

fn steps(built: &Built) -> Vec<String> {
    built.operations().into_iter().filter(|(_, op)| op.exec.is_some()).map(|(name, _)| name).collect()
}
