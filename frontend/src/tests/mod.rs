//! Whole builds against a daemon in this process: which graph comes out, what is returned, and that nothing a daemon answers makes it hang.

mod fake;

use std::collections::BTreeMap;

use byoi::digest::Digest;
use byoi::image_path::ImagePath;
use byoi::lock::{Base, Directories, DirectoryRule, Extension, Facts, Lock};
use fake::{Built, Fake, Trouble, build};
use serde_json::{Value, json};

use crate::llb::proto::Op;
use crate::messages::{ResolveImageConfig, Return, Solve, Warn};
use crate::status::code;

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

/// Layers that are copied over what lies below them.
fn laid(built: &Built) -> Vec<String> {
    let copies = |op: &Op| op.file.iter().flat_map(|file| &file.actions.0).any(|action| action.copy.is_some());
    built.operations().into_iter().filter(|(_, op)| copies(op) && op.inputs.0.len() == 2).map(|(name, _)| name).collect()
}

#[test]
fn a_locked_build_is_one_step_a_layer_without_network() {
    let built = build(&daemon(), &OPTIONS);
    built.outcome.as_ref().unwrap();
    let operations = built.operations();
    assert_eq!(steps(&built), ["extension acme.hello 1.2.3", "files", "platform"]);
    for (name, op) in &operations {
        if let Some(exec) = &op.exec {
            assert_eq!(exec.network, 2, "{name} has no network");
            assert!(exec.mounts.0.iter().all(|mount| mount.readonly || mount.input == -1), "{name} writes to nothing but its own");
            assert_eq!((exec.mounts.0[1].dest.as_str(), exec.mounts.0[1].input, exec.mounts.0[1].output), ("/out", -1, 0));
        }
    }
    let sources: Vec<_> = operations.iter().filter_map(|(_, op)| op.source.clone()).collect();
    let http = sources.iter().find(|source| source.identifier == "https://example.org/hello.vsix").unwrap();
    assert_eq!(http.attributes["http.checksum"], digest("vsix").to_string());
    let local = sources.iter().find(|source| source.identifier == "local://dockerfile").unwrap();
    assert_eq!(local.attributes["local.followpaths"], r#"["tools"]"#);
    assert!(sources.iter().any(|source| source.identifier == format!("docker-image://example.org/base:1@{}", digest("base"))));
    // Where merging is switched off, layers are copied over each other.
    assert_eq!(laid(&built), ["lay extension acme.hello 1.2.3", "lay extensions.json", "lay files", "lay platform"]);
    assert!(operations.iter().all(|(_, op)| op.merge.is_none()));
}

#[test]
fn the_config_is_that_of_the_command() {
    let built = build(&daemon(), &with(&[("label:b", "2"), ("build-arg:SOURCE_DATE_EPOCH", "1700000000")]));
    let config = config(&built);
    assert_eq!(config["config"]["User"], "1000:100");
    assert_eq!(config["config"]["Labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    let history = config["history"].as_array().unwrap();
    assert_eq!(history.len(), 5);
    assert!(history[1..].iter().all(|item| item["comment"].as_str().unwrap().starts_with("byoi.v1 key=sha256:")));
    let result = built.result();
    assert!(result.metadata.contains_key("containerimage.base.config") && result.metadata.contains_key("refs.platforms"));
    let map = build(&daemon(), &with(&[("multi-platform", "true")])).result();
    assert!(map.references.is_some() && map.metadata.contains_key("containerimage.config/linux/amd64"));
}

#[test]
fn layers_are_merged_where_the_daemon_can() {
    let built = build(&Fake { more: vec!["mergeop"], ..daemon() }, &OPTIONS);
    let operations = built.operations();
    let merged = operations.iter().find_map(|(_, op)| op.merge.clone()).unwrap();
    assert_eq!(merged.inputs.0.len(), 5);
    assert_eq!(laid(&built), [""; 0]);
}

#[test]
fn only_the_layer_that_changes_has_another_step() {
    // Local files lie at the same paths in every build.
    let top = tempfile::tempdir().unwrap();
    let work = top.path().join("work");
    let digests = |fake: &Fake, options: &[(&str, &str)]| -> Vec<(String, Digest)> {
        let definition = fake::build_at(fake, options, &work).of::<Solve>("Solve").pop().unwrap().definition.unwrap();
        let named = fake::operations(&definition).into_iter().zip(&definition.def.0);
        named.filter(|((_, op), _)| op.exec.is_some()).map(|((name, _), bytes)| (name, Digest::of(bytes))).collect()
    };
    let before = digests(&daemon(), &OPTIONS);
    assert_eq!(digests(&daemon(), &with(&[("label:b", "2")])), before);
    let mut changed = daemon();
    let text = DESCRIPTION.replace("welcome", "hello").replace("a = \"1\"", "a = \"2\"");
    changed.files.insert("byoi.toml".to_owned(), text.into_bytes());
    let after = digests(&changed, &OPTIONS);
    let differ: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).map(|(before, _)| before.0.as_str()).collect();
    assert_eq!(differ, ["files"]);

    // Another version of an extension: its own step alone, though its directory has another name and the list of extensions other words.
    let mut lock = lock();
    lock.extensions[0].version = "1.2.4".to_owned();
    lock.extensions[0].sha256 = digest("other vsix");
    let mut changed = daemon();
    changed.files.insert("byoi.lock".to_owned(), lock.to_toml().into_bytes());
    let after = digests(&changed, &OPTIONS);
    let differ: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).map(|(_, after)| after.0.as_str()).collect();
    assert_eq!(differ, ["extension acme.hello 1.2.4"]);
}

#[test]
fn the_list_of_extensions_is_written_without_a_step() {
    let built = build(&daemon(), &OPTIONS);
    let (_, op) = built.operations().into_iter().find(|(name, _)| name == "write extensions.json").unwrap();
    let actions = op.file.unwrap().actions.0;
    assert!(op.inputs.0.is_empty());
    let made: Vec<_> = actions.iter().filter_map(|action| action.mkdir.as_ref()).map(|directory| directory.path.as_str()).collect();
    let data = "/opt/amazon/sagemaker/sagemaker-code-editor-server-data";
    let places = ["/opt", "/opt/amazon", "/opt/amazon/sagemaker", data, &format!("{data}/extensions")];
    assert_eq!(made[..5], places);
    // From below up, each is made a second time, apart, and copied over the first: its time is then as it was said, whatever was made in it.
    let names = places.map(|place| &place[place.rfind('/').unwrap()..]);
    assert_eq!(made[5..], names.into_iter().rev().collect::<Vec<_>>());
    let owners: Vec<_> = actions.iter().filter_map(|action| Some(action.mkdir.as_ref()?.owner.clone()?.user?.by_id)).collect();
    assert_eq!(owners, [1000; 4]);
    let [file] = actions.iter().filter_map(|action| action.mkfile.as_ref()).collect::<Vec<_>>()[..] else { panic!("one file") };
    assert_eq!((file.path.as_str(), file.mode), (&*format!("{data}/extensions/extensions.json"), 0o644));
    assert!(String::from_utf8_lossy(&file.data).contains("acme.hello") && file.timestamp % 1_000_000_000 == 0);
    // Only the last action is the result.
    let outputs: Vec<_> = actions.iter().map(|action| action.output).collect();
    assert!(outputs.ends_with(&[-1, 0]) && outputs.iter().filter(|output| **output == 0).count() == 1);
}

#[test]
fn a_layout_is_packed_by_steps_and_its_base_looked_up() {
    let built = build(&daemon(), &with(&[("target", "oci")]));
    let outcome = built.result();
    assert!(outcome.metadata.is_empty() && outcome.reference.is_some());
    let operations = built.operations();
    let execs: Vec<_> = operations.iter().filter_map(|(name, op)| Some((name.as_str(), op.exec.as_ref()?))).collect();
    let names: Vec<_> = execs.iter().map(|(name, exec)| (*name, exec.network)).collect();
    let packed = ["pack extension acme.hello 1.2.3", "pack extensions.json", "pack files", "pack platform"].map(|name| (name, 2));
    assert_eq!(names[0], ("look up the manifest of example.org/base:1", 0));
    assert_eq!(names[1..5], packed);
    assert_eq!(names[5], ("assemble the OCI layout", 2));
    let lookup = execs[0].1.meta.as_ref().unwrap();
    assert_eq!(lookup.args.0[1..], ["manifest".to_owned(), format!("example.org/base:1@{}", digest("base"))]);
    // The base's layers are no part of it.
    assert!(operations.iter().filter_map(|(_, op)| op.source.as_ref()).all(|source| !source.identifier.contains("example.org/base")));
}

#[test]
fn mirrors_of_the_client_are_where_things_come_from() {
    let mut fake = daemon();
    let moved = format!("mirror.example/x/base:1@{}", digest("base"));
    let config = fake.images.values().next().unwrap().clone();
    fake.images.clear();
    fake.images.insert("example.org/byoi-frontend:1".to_owned(), (digest("frontend").to_string(), b"{}".to_vec()));
    fake.images.insert(moved.clone(), config);
    let mirrors =
        "[mirrors]\n\"https://example.org/\" = \"https://mirror.example/files/\"\n\"example.org\" = [\"away.example\", \"mirror.example/x\"]\n";
    let built = build(&fake, &with(&[("build-arg:BYOI_CONFIG", mirrors)]));
    built.result();
    let sources: Vec<_> = built.operations().into_iter().filter_map(|(_, op)| op.source).map(|source| source.identifier).collect();
    assert!(sources.contains(&"https://mirror.example/files/hello.vsix".to_owned()), "{sources:?}");
    assert!(sources.contains(&format!("docker-image://{moved}")), "{sources:?}");
    let wrong = build(&fake, &with(&[("build-arg:BYOI_CONFIG", "mirors = 1")])).error().message;
    assert!(wrong.contains("unknown key `mirors`"), "{wrong}");
}

/// A lock and a description of so many files at URLs.
fn of_many_files(count: usize) -> Fake {
    let mut fake = daemon();
    let mut lock = lock();
    let mut text = DESCRIPTION.to_owned();
    for number in 0..count {
        let url = format!("https://example.org/{number}");
        text += &format!("[[file]]\nurl = \"{url}\"\ntarget = \"/opt/files/{number}\"\n");
        lock.files.push(byoi::lock::File { requirement: url.parse().unwrap(), sha256: digest(&url), size: 1 });
    }
    fake.files.insert("byoi.toml".to_owned(), text.into_bytes());
    fake.files.insert("byoi.lock".to_owned(), lock.to_toml().into_bytes());
    fake
}

#[test]
fn an_old_daemon_gets_many_inputs_in_batches() {
    let evaluated = |built: &Built| {
        let solves = built.of::<Solve>("Solve").into_iter().filter(|solve| solve.evaluate);
        solves.map(|solve| fake::operations(&solve.definition.unwrap()).len()).collect::<Vec<_>>()
    };
    let mut fake = of_many_files(60);
    let old = build(&fake, &OPTIONS);
    old.result();
    // Each of the files and the extension by itself: a source, and the end of its graph.
    assert_eq!(evaluated(&old), [2; 61]);
    assert!(old.most_at_once <= 16 && old.most_at_once > 1, "{}", old.most_at_once);
    fake.more = vec!["source.metaresolver"];
    assert_eq!(evaluated(&build(&fake, &OPTIONS)), [0; 0]);
    assert_eq!(evaluated(&build(&of_many_files(20), &OPTIONS)), [0; 0]);
}

#[test]
fn without_a_lock_one_step_with_network_makes_one() {
    let mut fake = daemon();
    fake.files.remove("byoi.lock");
    fake.made_lock = Some(lock().to_toml());
    fake.more = vec!["gateway.warnings"];
    let built = build(&fake, &OPTIONS);
    built.result();
    let locking = built.of::<Solve>("Solve").into_iter().flat_map(|solve| fake::operations(&solve.definition.unwrap()));
    let locking: Vec<_> = locking.filter(|(name, op)| op.exec.is_some() && name.starts_with("lock ")).collect();
    let [(name, op)] = locking.as_slice() else { panic!("{locking:?}") };
    assert!(name.contains("not pinned"));
    let exec = op.exec.as_ref().unwrap();
    assert_eq!(exec.network, 0);
    assert!(exec.mounts.0.iter().filter_map(|mount| mount.secret.as_ref()).any(|secret| secret.id == "byoi-docker-config" && secret.optional));
    let warnings = built.of::<Warn>("Warn");
    assert!(warnings.iter().any(|warning| String::from_utf8_lossy(&warning.short).contains("this build is not pinned")));

    let host = build(&fake, &with(&[("force-network-mode", "host"), ("target", "lock")]));
    let made = host.operations().into_iter().find_map(|(_, op)| op.file).unwrap();
    assert_eq!(made.actions.0[0].mkfile.as_ref().unwrap().data, lock().to_toml().into_bytes());
    let networks = host.of::<Solve>("Solve").into_iter().flat_map(|solve| fake::operations(&solve.definition.unwrap()));
    assert_eq!(networks.filter_map(|(_, op)| op.exec).map(|exec| exec.network).collect::<Vec<_>>(), [1]);
}

/// Why no lock could be made is this build's error, with its line; what an earlier build came to is tried again.
#[test]
fn a_lock_that_cannot_be_made_is_an_error_at_its_line() {
    let mut fake = daemon();
    fake.files.remove("byoi.lock");
    let source = std::sync::Arc::new(byoi::error::Source { name: "byoi.toml".to_owned(), text: DESCRIPTION.to_owned() });
    let at = DESCRIPTION.find("url =").unwrap();
    let problem = byoi::error::Problem::new("there is no such file").at(&source, at..at + 5).help("look again");
    let failure = crate::failure::Failure::of(&byoi::error::Error::input(problem), "byoi.toml").to_bytes();
    let attempts = |built: &Built| {
        let graphs = built.of::<Solve>("Solve").into_iter().map(|solve| solve.definition.unwrap());
        let locks = graphs.flat_map(|definition| {
            let named = fake::operations(&definition).into_iter().zip(definition.def.0);
            named
                .filter(|((name, _), _)| name.starts_with("lock "))
                .map(|(_, bytes)| definition.metadata[&Digest::of(bytes).to_string()].ignore_cache)
                .collect::<Vec<_>>()
        });
        locks.collect::<Vec<_>>()
    };
    // It is from before this build began, since it was made just now.
    fake.lock_failure = Some(failure.clone());
    std::thread::sleep(std::time::Duration::from_millis(2));
    let built = build(&fake, &OPTIONS);
    assert_eq!(built.error().message, "byoi.toml:6: there is no such file; look again");
    assert_eq!(attempts(&built), [false, true]);
    let later = String::from_utf8(failure).unwrap();
    let (before, after) = later.split_once("\"at\":").unwrap();
    let rest = &after[after.find(|c: char| !c.is_ascii_digit()).unwrap()..];
    fake.lock_failure = Some(format!("{before}\"at\":99999999999999{rest}").into_bytes());
    let built = build(&fake, &OPTIONS);
    assert_eq!(built.error().message, "byoi.toml:6: there is no such file; look again");
    assert_eq!(attempts(&built), [false]);
}

#[test]
fn a_lock_may_be_demanded() {
    let mut fake = daemon();
    let text = DESCRIPTION.replace("hello.vsix", "other.vsix");
    fake.files.insert("byoi.toml".to_owned(), text.into_bytes());
    let locked = with(&[("build-arg:BYOI_LOCKED", "1")]);
    assert!(build(&fake, &locked).error().message.contains("byoi.lock is stale, and BYOI_LOCKED=1 forbids"));
    fake.files.remove("byoi.lock");
    assert!(build(&fake, &locked).error().message.contains("byoi.lock is not there"));
}

#[test]
fn a_wrong_description_is_an_error_at_its_line() {
    let mut fake = daemon();
    fake.files.insert("byoi.toml".to_owned(), b"# syntax=x\nschema = 1\nbase = \"debian:12\"\nbsae = 1\n".to_vec());
    let built = build(&fake, &OPTIONS);
    let status = built.error();
    assert!(status.message.starts_with("byoi.toml:4: the description's top level has no key `bsae` (did you mean `base`?)"), "{}", status.message);
    let detail: Value = serde_json::from_slice(&status.details.0[0].value).unwrap();
    assert_eq!(detail["ranges"][0]["start"]["line"], 4);
    fake.files.remove("byoi.toml");
    assert!(build(&fake, &OPTIONS).error().message.contains("there is no description byoi.toml"));
}

#[test]
fn only_what_the_description_names_is_read() {
    let built = build(&daemon(), &OPTIONS);
    let read: Vec<String> = built.of::<crate::messages::ReadFile>("ReadFile").into_iter().map(|read| read.path).collect();
    assert!(read.contains(&"tools/sub/data".to_owned()) && !read.iter().any(|path| path.contains("secret")), "{read:?}");
}

#[test]
fn other_platforms_and_targets_are_refused() {
    assert!(build(&daemon(), &with(&[("platform", "linux/arm64")])).error().message.contains("SageMaker Studio runs linux/amd64 alone"));
    assert!(build(&daemon(), &with(&[("target", "x")])).error().message.contains("there is no target `x`"));
}

#[test]
fn a_named_context_takes_the_place_of_the_base() {
    let mut fake = daemon();
    let config = fake.images.values().next().unwrap().1.clone();
    let mirrored = format!("mirror.example/base:1@{}", digest("base"));
    fake.images.insert("mirror.example/base:1".to_owned(), (digest("base").to_string(), config.clone()));
    fake.images.insert(mirrored.clone(), (digest("base").to_string(), config));
    let built = build(&fake, &with(&[("context:example.org/base:1", "docker-image://mirror.example/base:1")]));
    built.result();
    let sources: Vec<_> = built.operations().into_iter().filter_map(|(_, op)| op.source).map(|source| source.identifier).collect();
    assert!(sources.contains(&format!("docker-image://{mirrored}")), "{sources:?}");
    // Another image is another base: the lock is not for it.
    fake.images.get_mut("mirror.example/base:1").unwrap().0 = digest("other").to_string();
    let locked = with(&[("context:base", "docker-image://mirror.example/base:1"), ("build-arg:BYOI_LOCKED", "1")]);
    assert!(build(&fake, &locked).error().message.contains("is stale"));
}

#[test]
fn a_base_for_another_machine_is_refused() {
    let mut fake = daemon();
    let base = fake.images.values_mut().next().unwrap();
    base.1 = br#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    assert!(build(&fake, &OPTIONS).error().message.contains("it is for arm64"));
}

#[test]
fn questions_are_answered() {
    let ask = |fake: &Fake, question: &'static str| build(fake, &with(&[("requestid", question)]));
    let metadata = |built: &Built, name: &str| built.result().metadata[name].clone();
    let lint = ask(&daemon(), "frontend.lint");
    assert_eq!(metadata(&lint, "result.statuscode"), b"0");
    let mut fake = daemon();
    fake.files.insert("byoi.toml".to_owned(), DESCRIPTION.replace("[labels]", "[lables]").into_bytes());
    let lint = ask(&fake, "frontend.lint");
    let result: Value = serde_json::from_slice(&metadata(&lint, "result.json")).unwrap();
    assert_eq!((metadata(&lint, "result.statuscode"), &result["warnings"][0]["location"]["ranges"][0]["start"]["line"]), (b"1".to_vec(), &json!(19)));
    assert!(lint.result().reference.is_none());
    let text = String::from_utf8(metadata(&lint, "result.txt")).unwrap();
    assert!(text.starts_with("byoi.toml:19: the description's top level has no key `lables` (did you mean `labels`?)"), "{text}");
    assert!(result["buildError"]["message"].as_str().unwrap().contains("`lables`"));
    assert_eq!(result["sources"][0]["filename"], "byoi.toml");
    // A lock that is missing or stale is a warning, with the line that asks for what it lacks.
    for (name, lock, line, part) in [
        ("missing", None, 3, "there is no byoi.lock: builds are not pinned"),
        ("stale", Some(lock().to_toml().replace("hello.vsix", "other.vsix")), 6, "hello.vsix"),
    ] {
        let mut fake = daemon();
        fake.files.remove("byoi.lock");
        fake.files.extend(lock.map(|lock| ("byoi.lock".to_owned(), lock.into_bytes())));
        let lint = ask(&fake, "frontend.lint");
        let result: Value = serde_json::from_slice(&metadata(&lint, "result.json")).unwrap();
        let warnings = result["warnings"].as_array().unwrap();
        let found = warnings.iter().find(|warning| warning["detail"].as_str().unwrap().contains(part)).unwrap_or_else(|| panic!("{name}: {result}"));
        assert_eq!(found["location"]["ranges"][0]["start"]["line"].as_i64(), Some(line), "{name}: {found}");
        assert!(result.get("buildError").is_none(), "{name}");
        // Every warning has a place, for clients that follow it without looking.
        assert!(warnings.iter().all(|warning| warning["location"]["sourceIndex"].is_i64() && warning["ruleName"] == "Warning"), "{name}");
        assert_eq!(metadata(&lint, "result.statuscode"), b"1");
    }
    for question in ["frontend.subrequests.describe", "frontend.outline", "frontend.targets"] {
        let answer = metadata(&ask(&daemon(), question), "result.json");
        assert!(serde_json::from_slice::<Value>(&answer).is_ok());
    }
    let unknown = ask(&daemon(), "frontend.magic").error();
    assert!(unknown.code == code::UNIMPLEMENTED && unknown.message.contains("unsupported request frontend.magic"));
    assert!(unknown.details.0.iter().any(|detail| detail.type_url.ends_with("errdefs.Subrequest+json")));
}

#[test]
fn a_daemon_that_lacks_something_is_told_so() {
    let mut fake = daemon();
    fake.images.clear();
    assert!(build(&fake, &OPTIONS).error().message.contains("not found"));
    let context = with(&[("context:base", &*Box::leak(format!("oci-layout://store@{}", digest("base")).into_boxed_str()))]);
    let mut fake = daemon();
    let config = fake.images.values().next().unwrap().1.clone();
    fake.images.insert(format!("docker.io/library/base@{}", digest("base")), (digest("base").to_string(), config));
    assert!(build(&fake, &context).error().message.contains("lacks `source.ocilayout`"));
    fake.more = vec!["source.ocilayout"];
    let built = build(&fake, &context);
    built.result();
    assert!(built.of::<ResolveImageConfig>("ResolveImageConfig").iter().any(|asked| asked.resolver == 1 && asked.store == "store"));
}

#[test]
fn hostile_answers_are_errors_and_never_hang() {
    let troubles = [
        Trouble::TrailersOnly,
        Trouble::LongLength,
        Trouble::Compressed,
        Trouble::Reset,
        Trouble::Gone,
        Trouble::NoStatus,
        Trouble::Garbage,
        Trouble::Endless,
    ];
    for method in ["Ping", "Inputs", "Solve", "ReadFile", "ReadDir", "ResolveImageConfig", "Return"] {
        for trouble in troubles {
            // An answer without fields has no garbage that could be told from it.
            let built = build(&Fake { trouble: Some((method, trouble)), ..daemon() }, &OPTIONS);
            let returned = built.of::<Return>("Return").pop();
            let refused = built.outcome.is_err() || returned.is_some_and(|returned| returned.error.is_some());
            assert!(refused, "{method} {trouble:?}");
        }
        let mut slow = Fake { trouble: Some((method, Trouble::OneByteFrames)), ..daemon() };
        slow.files.insert("tools/sub/data".to_owned(), b"small".to_vec());
        let built = build(&slow, &OPTIONS);
        assert!(built.outcome.is_ok() && built.of::<Return>("Return").pop().unwrap().error.is_none(), "{method} in single bytes");
    }
}
