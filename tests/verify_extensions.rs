//! What `byoi verify` says of an image's extensions is what the real editor's server makes of them: each layout is unpacked and listed by the server as
//! user 1000.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use byoi::contract::{BASE_PATH, GID, IMAGE_EXTENSIONS, UID, server_command};
use byoi::verify::specimen::{Specimen, listed};
use serde_json::{Value, json};

use crate::support::tools;
use crate::support::unpacked::Unpacked;

const USER: (u32, u32) = (UID, GID);
const ROOT: (u32, u32) = (0, 0);

/// The good image, with a server that reads the image's own directory: by a link, since the path itself is longer than an argument may be.
fn good() -> Specimen {
    let more = ["--extensions-dir", "/opt/extensions"].map(str::to_owned);
    Specimen::good().link("opt/extensions", IMAGE_EXTENSIONS).set("Cmd", json!(server_command(BASE_PATH, &more)))
}

fn at(name: &str) -> String {
    format!("{}/{name}", &IMAGE_EXTENSIONS[1..])
}

fn extension(image: Specimen, directory: &str, name: &str, version: &str) -> Specimen {
    let manifest = json!({"publisher": "acme", "name": name, "version": version, "engines": {"vscode": "^1.60.0"}});
    image.owned(&at(&format!("{directory}/package.json")), 0o644, USER, manifest.to_string())
}

fn list(image: Specimen, text: impl AsRef<[u8]>) -> Specimen {
    image.owned(&at("extensions.json"), 0o644, USER, text)
}

/// The good image's list, with a change to its entry.
fn changed(change: impl FnOnce(&mut Value)) -> Specimen {
    let mut entries: Value = serde_json::from_str(&listed(&[("acme.hello", "1.2.3")])).unwrap();
    change(&mut entries[0]);
    list(good(), entries.to_string())
}

fn text_alone(entry: &mut Value) {
    entry["location"] = "/x".into();
    entry.as_object_mut().unwrap().remove("relativeLocation");
}

/// What the server lists of the image's extensions, sorted; nothing where it fails.
fn shown(image: &Specimen) -> Vec<String> {
    let files = Unpacked::of(image);
    let (extensions, data) = (files.path(IMAGE_EXTENSIONS), files.beside("data"));
    fs::create_dir(&data).unwrap();
    chown(&data, Some(UID), Some(GID)).unwrap();

    let server = tools::editor(&["--list-extensions", "--extensions-dir", extensions.to_str().unwrap(), "--server-data-dir", data.to_str().unwrap()]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &UID.to_string(), "--regid", &GID.to_string(), "--clear-groups"]).arg(server.get_program()).args(server.get_args());
    let variables = server.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = command.envs(variables).env("HOME", data).output().unwrap();
    let text = if output.status.success() { String::from_utf8(output.stdout).unwrap() } else { String::new() };
    let mut ids: Vec<String> = text.lines().filter(|line| line.starts_with("acme.")).map(str::to_lowercase).collect();
    ids.sort();
    ids
}

#[test]
fn the_server_shows_what_breaks_no_rule_and_loses_what_does() {
    let second = |image| extension(image, "acme.more-1.0.0", "more", "1.0.0");
    let unlisted = || good().without(&at("extensions.json"));
    let rows: Vec<(&str, Specimen, &[&str], &[&str])> = vec![
        ("as an editor leaves it", good(), &["acme.hello"], &[]),
        ("no list, and the directory is writable", second(unlisted()), &["acme.hello", "acme.more"], &[]),
        ("no list, and it is not", unlisted().directory(&at(""), 0o755, ROOT), &[], &["BYOI085"]),
        ("a list without a directory that is there", second(good()), &["acme.hello"], &["BYOI088"]),
        ("no location", changed(|entry| drop(entry.as_object_mut().unwrap().remove("location"))), &[], &["BYOI086"]),
        ("a location that is a text", changed(text_alone), &[], &["BYOI087", "BYOI088"]),
        ("beside a right relative one", changed(|entry| entry["location"] = "/x".into()), &["acme.hello"], &[]),
        ("a wrong location, but the relative one is right", changed(|entry| entry["location"]["path"] = "/wrong".into()), &["acme.hello"], &[]),
        ("an id in other case", changed(|entry| entry["identifier"]["id"] = "Acme.Hello".into()), &["acme.hello"], &[]),
        ("a list that is none", list(good(), "["), &[], &["BYOI086"]),
        ("an object", list(good(), "{}"), &[], &["BYOI086"]),
        ("closed to the user", good().directory(&at(""), 0o700, ROOT), &[], &["BYOI082"]),
        ("two versions and no list", extension(unlisted(), "acme.hello-1.0.0", "hello", "1.0.0"), &["acme.hello"], &["BYOI091"]),
        ("no JSON", unlisted().owned(&at("acme.hello-1.2.3/package.json"), 0o644, USER, "{"), &[], &["BYOI093"]),
    ];
    for (name, image, expected, rules) in rows {
        assert_eq!(image.broken(), rules, "{name}: the rules");
        assert_eq!(shown(&image), expected, "{name}: the server");
    }
}
