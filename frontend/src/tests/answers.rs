//! What the client is told: errors with their lines, answers to its questions; and that no answer of a daemon makes it wait for ever.

use serde_json::{Value, json};

use super::fake::{Built, Fake, Trouble, build};
use super::{DESCRIPTION, OPTIONS, daemon, lock, with};
use crate::messages::Return;
use crate::status::code;

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
fn other_platforms_and_targets_are_refused() {
    assert!(build(&daemon(), &with(&[("platform", "linux/arm64")])).error().message.contains("SageMaker Studio runs linux/amd64 alone"));
    assert!(build(&daemon(), &with(&[("target", "x")])).error().message.contains("there is no target `x`"));
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
