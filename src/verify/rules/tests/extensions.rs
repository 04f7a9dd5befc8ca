//! Extensions: where they lie, their list, and whether the editor runs them.

use serde_json::{Value, json};

use super::Case;
use crate::contract::{BASE_PATH, GID, IMAGE_EXTENSIONS, UID, server_command};
use crate::verify::specimen::{Specimen, listed};

const USER: (u32, u32) = (UID, GID);
const ROOT: (u32, u32) = (0, 0);

/// The good image, whose server reads the image's own directory: by a link, since the path itself is longer than an argument may be.
fn read() -> Specimen {
    let more = ["--extensions-dir", "/opt/extensions"].map(str::to_owned);
    Specimen::good().link("opt/extensions", IMAGE_EXTENSIONS).set("Cmd", json!(server_command(BASE_PATH, &more)))
}

fn at(name: &str) -> String {
    format!("{}/{name}", &IMAGE_EXTENSIONS[1..])
}

fn manifest(name: &str, version: &str, more: Value) -> String {
    let mut manifest = json!({"publisher": "acme", "name": name, "version": version, "engines": {"vscode": "^1.90.0"}});
    manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    manifest.to_string()
}

/// With an extension in a directory of this name.
fn with(image: Specimen, directory: &str, manifest: &str) -> Specimen {
    image.owned(&at(&format!("{directory}/package.json")), 0o644, USER, manifest)
}

/// With another list.
fn list(image: Specimen, text: impl AsRef<[u8]>) -> Specimen {
    image.owned(&at("extensions.json"), 0o644, USER, text)
}

/// An entry of the extension that the good image has, with changes.
fn entry(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut entries: Value = serde_json::from_str(&listed(&[("acme.hello", "1.2.3")])).unwrap();
    change(entries[0].as_object_mut().unwrap());
    entries.to_string()
}

fn both() -> String {
    listed(&[("acme.hello", "1.2.3"), ("acme.more", "1.0.0")])
}

pub(super) fn cases() -> Vec<Case> {
    let good = Specimen::good;
    let more = || manifest("more", "1.0.0", json!({}));
    let volume = "home/sagemaker-user/sagemaker-code-editor-server-data/extensions";
    let vsix = |platform: &str| format!("<PackageManifest><Metadata><Identity Id=\"x\" TargetPlatform=\"{platform}\"/></Metadata></PackageManifest>");
    vec![
        ("BYOI080", good().owned(&format!("{volume}/acme.more-1.0.0/package.json"), 0o644, USER, more())),
        ("BYOI081", good().directory("root", 0o700, ROOT).file("root/.code-editor-server/extensions/acme.more-1.0.0/package.json", 0o644, more())),
        ("BYOI081", good().file("srv/extensions/acme.more-1.0.0/package.json", 0o644, more())),
        ("BYOI082", good().directory(&at(""), 0o700, ROOT)),
        ("BYOI082", good().directory(&at("acme.hello-1.2.3"), 0o750, ROOT)),
        ("BYOI082", good().file(&at("acme.hello-1.2.3/out/main.js"), 0o600, "")),
        ("BYOI084", good().owned(&at(".0a1b/package.json"), 0o644, USER, more())),
        ("BYOI085", read().without(&at("extensions.json")).directory(&at(""), 0o755, ROOT)),
        ("BYOI086", list(read(), "[")),
        ("BYOI087", list(read(), both())),
        ("BYOI088", with(read(), "acme.more-1.0.0", &more())),
        ("BYOI089", list(read(), entry(|entry| entry["version"] = "1.2.2".into()))),
        ("BYOI090", read().owned(&at(".obsolete"), 0o644, USER, r#"{"acme.hello-1.2.3":true}"#)),
        ("BYOI091", with(good().without(&at("extensions.json")), "acme.hello-1.3.0", &manifest("hello", "1.3.0", json!({})))),
        ("BYOI092", with(good(), "acme.more-1.0.0", &more())),
        ("BYOI092", list(good().link(&at("linked"), "/srv/linked").file("srv/linked/package.json", 0o644, more()), linked())),
        ("BYOI093", list(with(good(), "acme.more-1.0.0", "{"), both())),
        ("BYOI094", list(with(good(), "acme.more-1.0.0", &newer()), both())),
        ("BYOI095", good().owned(&at("acme.hello-1.2.3/.vsixmanifest"), 0o644, USER, vsix("linux-arm64"))),
        ("BYOI096", list(with(good(), "acme.more-1.0.0", &manifest("more", "1.0.0", json!({"extensionDependencies": ["ms.Py"]}))), both())),
    ]
}

fn text_alone(entry: &mut serde_json::Map<String, Value>) {
    entry["location"] = at("acme.hello-1.2.3").into();
    entry.remove("relativeLocation");
}

fn newer() -> String {
    manifest("more", "1.0.0", json!({"engines": {"vscode": "^1.102.0"}, "main": "./main.js"}))
}

fn linked() -> String {
    both().replace("acme.more-1.0.0", "linked")
}

/// What the editor's server made of each layout of its directory, in versions 1.90.2, 1.100.3 and 1.117.0, and what is said of it.
#[test]
fn every_layout_that_loses_extensions_is_found() {
    let hello = || manifest("hello", "1.2.3", json!({}));
    let owned_by_root = read().without(&IMAGE_EXTENSIONS[1..]).file(&at("acme.hello-1.2.3/package.json"), 0o644, hello());
    let without_list = || read().without(&at("extensions.json"));
    let to_root = || without_list().without(&at("acme.hello-1.2.3")).file("srv/x/package.json", 0o644, hello());
    let arbitrary = || with(read().without(&at("acme.hello-1.2.3")), "anything", &hello());
    let second = || manifest("more", "1.0.0", json!({}));
    let rows: Vec<(&str, Specimen, &[&str])> = vec![
        ("unpacked, full list, the user's", read(), &[]),
        ("root's", owned_by_root.clone().file(&at("extensions.json"), 0o644, listed(&[("acme.hello", "1.2.3")])), &[]),
        ("no list, writable", without_list(), &[]),
        ("no list, not writable", owned_by_root, &["BYOI085"]),
        ("links to root's directory, no list", to_root().link(&at("acme.hello-1.2.3"), "/srv/x"), &[]),
        ("a directory is not listed", with(read(), "acme.more-1.0.0", &second()), &["BYOI088"]),
        ("listed and obsolete", read().owned(&at(".obsolete"), 0o644, USER, r#"{"acme.hello-1.2.3":true}"#), &["BYOI090"]),
        ("no location", list(read(), entry(|entry| drop(entry.remove("location")))), &["BYOI086"]),
        ("no relativeLocation", list(read(), entry(|entry| drop(entry.remove("relativeLocation")))), &[]),
        ("a wrong location beside a right relative one", list(read(), entry(|entry| entry["location"]["path"] = "/wrong".into())), &[]),
        ("an empty one", list(read(), entry(|entry| entry["location"]["path"] = "".into())), &[]),
        ("a location that is a text alone", list(read(), entry(text_alone)), &["BYOI087", "BYOI088"]),
        ("beside a right relative one", list(read(), entry(|entry| entry["location"] = "/x".into())), &[]),
        ("no JSON", list(read(), "no list"), &["BYOI086"]),
        ("an object", list(read(), "{}"), &["BYOI086"]),
        ("another name", list(arbitrary(), entry(|entry| entry["relativeLocation"] = "anything".into())), &[]),
        ("another name, no list", arbitrary().without(&at("extensions.json")), &[]),
        ("a listed directory is missing", list(read(), both()), &["BYOI087"]),
        ("another version", list(read(), entry(|entry| entry["version"] = "1.2.2".into())), &["BYOI089"]),
        ("another case", list(read(), entry(|entry| entry["identifier"]["id"] = "Acme.Hello".into())), &[]),
        ("too new", list(with(read(), "acme.more-1.0.0", &newer()), both()), &["BYOI094"]),
        ("two versions, no list", with(without_list(), "acme.hello-1.0.0", &manifest("hello", "1.0.0", json!({}))), &["BYOI091"]),
        ("name, publisher and version", with(read(), "acme.hello-1.2.3", r#"{"name":"hello","publisher":"acme","version":"1.2.3"}"#), &[]),
        ("closed", read().directory(&at(""), 0o700, ROOT), &["BYOI082"]),
        ("an empty list, and nothing there", list(read().without(&at("acme.hello-1.2.3")), ""), &[]),
    ];
    for (name, specimen, expected) in rows {
        assert_eq!(specimen.broken(), expected, "{name}");
    }
}

#[test]
fn what_an_editor_installed_is_said_to_be_deleted() {
    let fate = |more: Value| with(read(), "acme.more-1.0.0", &manifest("more", "1.0.0", more)).found("BYOI088").remove(0);
    assert!(fate(json!({})).ends_with("marks it as obsolete"));
    assert!(fate(json!({"__metadata": {"installedTimestamp": 1}})).ends_with("deletes it at its second start"));
}

#[test]
fn dependencies_are_met_in_any_case_and_by_what_the_editor_brings() {
    let needs = |ids: &[&str]| {
        let image = with(Specimen::good(), "acme.more-1.0.0", &manifest("more", "1.0.0", json!({"extensionDependencies": ids})));
        let built_in = "opt/conda/share/sagemaker-code-editor/extensions/git/package.json";
        list(image, both()).file(built_in, 0o644, r#"{"publisher":"vscode","name":"git","version":"1.0.0"}"#)
    };
    assert!(needs(&["ACME.Hello", "vscode.GIT"]).broken().is_empty());
    assert_eq!(needs(&["acme.hello", "other.x", "other.y"]).found("BYOI096").len(), 1);
}

#[test]
fn a_directory_that_only_a_running_shell_knows_is_nobodys_fault() {
    let extension =
        |place: &str| Specimen::good().file(&format!("{place}/extensions/acme.more-1.0.0/package.json"), 0o644, manifest("more", "1.0.0", json!({})));
    let command = json!([
        "/bin/sh",
        "-c",
        "sagemaker-code-editor --host 0.0.0.0 --port 8888 --without-connection-token \
        --base-path /codeeditor/default --extensions-dir \"$(cat /etc/place)\""
    ]);
    assert!(extension("srv").set("Cmd", command.clone()).found("BYOI081").is_empty());
    assert_eq!(extension("root/.code-editor-server").set("Cmd", command).found("BYOI081").len(), 1);
    // Extensions that come with another server are its own.
    assert!(extension("srv").file("srv/product.json", 0o644, "{}").broken().is_empty());
}
