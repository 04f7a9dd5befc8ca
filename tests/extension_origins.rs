//! Extensions and files from GitHub, Open VSX and plain URLs are found, locked by digest and refused with reasons; served here by a mirror on this
//! machine, as a company would.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Output};

use byoi::digest::Digest;
use byoi::lock::{self, Lock};
use byoi::registry::testing::{Asked, TestRegistry};
use serde_json::json;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A VSIX whose `package.json` has these properties beside those that every one needs.
fn vsix(name: &str, version: &str, more: &str, identity: &str) -> Vec<u8> {
    let package = format!(r#"{{"name":"{name}","publisher":"Acme","version":"{version}","engines":{{"vscode":"^1.90.0"}}{more}}}"#);
    let manifest = format!("<PackageManifest><Metadata><Identity Id=\"x\" {identity}/></Metadata></PackageManifest>");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let time = zip::DateTime::from_date_and_time(2024, 5, 6, 7, 8, 10).unwrap();
    for (name, text) in [("extension.vsixmanifest", &manifest), ("extension/package.json", &package)] {
        writer.start_file(name, SimpleFileOptions::default().last_modified_time(time)).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A folder with a description, an editor of version 1.95.0 beside it, and a configuration that has everything come from a test registry.
struct Project {
    directory: tempfile::TempDir,
    registry: TestRegistry,
}

impl Project {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = TestRegistry::start();
        let mirror = |name: &str| format!("{{ mirrors = [\"{}\"], original = false }}", registry.url(&format!("/{name}/")));
        let mirrors = [
            ("https://github.com/", "github"),
            ("https://api.github.com/", "api"),
            ("https://open-vsx.org/", "vsx"),
            ("https://files.example/", "files"),
        ];
        let lines: String = mirrors.iter().map(|(url, name)| format!("\"{url}\" = {}\n", mirror(name))).collect();
        fs::write(directory.path().join("config.toml"), format!("[mirrors]\n{lines}")).unwrap();
        let editor = directory.path().join("editor");
        for (name, text) in [
            ("bin/sagemaker-code-editor", "#!/bin/bash\n"),
            ("share/sagemaker-code-editor/package.json", r#"{"version":"1.95.0"}"#),
            ("share/sagemaker-code-editor/out/server-main.js", ""),
        ] {
            fs::create_dir_all(editor.join(name).parent().unwrap()).unwrap();
            fs::write(editor.join(name), text).unwrap();
        }
        Project { directory, registry }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn describe(&self, tables: &str) {
        let editor = "[[file]]\nsource = \"editor\"\ntarget = \"/usr/local\"\n";
        let shell = "[[file]]\ncontent = \"\"\ntarget = \"/bin/sh\"\n";
        fs::write(self.path().join("byoi.toml"), format!("schema = 1\nbase = \"scratch\"\n{editor}{shell}{tables}")).unwrap();
    }

    fn run(&self, arguments: &[&str], token: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_byoi"));
        command.args(arguments).current_dir(self.path()).env_remove("CI").env_remove("GITHUB_TOKEN");
        command.env("BYOI_CONFIG", self.path().join("config.toml")).env("BYOI_CACHE", self.path().join("cache"));
        command.envs(token.map(|token| ("GITHUB_TOKEN", token)));
        command.output().unwrap()
    }

    fn lock(&self) -> Lock {
        self.lock_with(None)
    }

    fn lock_with(&self, token: Option<&str>) -> Lock {
        let output = self.run(&["lock"], token);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lock::parse("byoi.lock", &fs::read_to_string(self.path().join("byoi.lock")).unwrap()).unwrap()
    }

    /// The exit code and the message of a lock that fails; no lock and nothing half-fetched stays.
    fn refusal(&self) -> (i32, String) {
        let output = self.run(&["lock"], None);
        assert!(!self.path().join("byoi.lock").exists());
        assert_eq!(fs::read_dir(self.path().join("cache/tmp")).unwrap().count(), 0);
        // As one line, whatever the renderer breaks.
        let text = String::from_utf8_lossy(&output.stderr).replace(['│', '·', '\n'], " ");
        (output.status.code().unwrap(), text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

const GITHUB: &str = "[[extension]]\ngithub = \"acme/hello\"\ntag = \"v1.2.3\"\nasset = \"hello 1.2.3.vsix\"\n";
const OPEN_VSX: &str = "[[extension]]\nopen-vsx = \"Acme.Second\"\nversion = \"2.0.0\"\n";

#[test]
fn a_public_release_is_locked_by_its_digest() {
    let project = Project::new();
    let bytes = vsix("Hello", "1.2.3", "", "");
    project.registry.put_file("/github/acme/hello/releases/download/v1.2.3/hello%201.2.3.vsix", "application/zip", bytes.clone());
    project.describe(GITHUB);
    let [entry] = &project.lock().extensions[..] else { panic!() };
    assert_eq!((entry.id.as_str(), entry.version.as_str(), entry.size), ("acme.hello", "1.2.3", bytes.len() as u64));
    assert_eq!(entry.sha256, Digest::of(&bytes));
    assert_eq!(entry.url.as_str(), "https://github.com/acme/hello/releases/download/v1.2.3/hello%201.2.3.vsix");
    assert_eq!(entry.timestamp.to_string(), "2024-05-06T07:08:10Z");

    // With the lock and the cache, nothing is asked again.
    project.registry.clear_log();
    assert_eq!(project.lock().extensions.len(), 1);
    assert!(project.registry.log().is_empty());
}

#[test]
fn a_token_goes_to_the_api_and_never_to_a_mirror() {
    let project = Project::new();
    let bytes = vsix("Hello", "1.2.3", "", "");
    let asset = json!({"assets": [{"name": "other", "url": "https://api.github.com/x"}, {"name": "hello 1.2.3.vsix", "url": "https://api.github.com/repos/acme/hello/releases/assets/7"}]});
    project.registry.on("/api/repos/acme/hello/releases/tags/v1.2.3", move |_| Asked::json(&asset));
    project.registry.put_file("/api/repos/acme/hello/releases/assets/7", "application/octet-stream", bytes.clone());
    project.describe(GITHUB);
    let entry = project.lock_with(Some("secret-token")).extensions[0].clone();
    assert_eq!(entry.sha256, Digest::of(&bytes));
    // The lock names the address that everybody knows.
    assert_eq!(entry.url.as_str(), "https://github.com/acme/hello/releases/download/v1.2.3/hello%201.2.3.vsix");
    let asked = project.registry.asked("GET", "/assets/7");
    assert_eq!(asked[0].headers["accept"], "application/octet-stream");
    assert!(project.registry.log().iter().all(|logged| !logged.headers.contains_key("authorization")));
}

#[test]
fn a_token_that_does_not_reach_a_public_release_does_no_harm() {
    let project = Project::new();
    project.registry.put_file("/github/acme/hello/releases/download/v1.2.3/hello%201.2.3.vsix", "application/zip", vsix("Hello", "1.2.3", "", ""));
    project.registry.on("/api/repos/acme/hello/releases/tags/v1.2.3", |_| Asked { status: 401, headers: Vec::new(), body: "{}".into() });
    project.describe(GITHUB);
    assert_eq!(project.lock_with(Some("expired")).extensions.len(), 1);
}

/// Open VSX's answer for a file, and the file with its digest.
fn publish(project: &Project, platform: &str, bytes: &[u8], stated: &str) {
    let at = |name: &str| format!("https://open-vsx.org/api/Acme/Second{platform}/2.0.0/file/{name}");
    let answer = json!({"version": "2.0.0", "files": {"download": at("x.vsix"), "sha256": at("x.sha256")}});
    project.registry.on(&format!("/vsx/api/Acme/Second{platform}/2.0.0"), move |_| Asked::json(&answer));
    project.registry.put_file(&format!("/vsx/api/Acme/Second{platform}/2.0.0/file/x.vsix"), "application/zip", bytes.to_vec());
    project.registry.put_file(&format!("/vsx/api/Acme/Second{platform}/2.0.0/file/x.sha256"), "text/plain", stated.to_owned());
}

#[test]
fn open_vsx_gives_the_file_for_studios_platform_else_the_universal_one() {
    let project = Project::new();
    let universal = vsix("second", "2.0.0", "", "");
    publish(&project, "", &universal, &Digest::of(&universal).hex());
    project.describe(OPEN_VSX);
    assert_eq!(project.lock().extensions[0].sha256, Digest::of(&universal));

    let special = vsix("second", "2.0.0", ",\"x\":1", "TargetPlatform=\"linux-x64\"");
    publish(&project, "/linux-x64", &special, &Digest::of(&special).hex());
    fs::remove_file(project.path().join("byoi.lock")).unwrap();
    let entry = project.lock().extensions[0].clone();
    assert_eq!((entry.sha256, entry.platform.as_deref()), (Digest::of(&special), Some("linux-x64")));
}

#[test]
fn open_vsx_is_held_to_what_it_states_and_to_what_was_asked_for() {
    let project = Project::new();
    let other = vsix("third", "2.0.0", "", "");
    project.describe(OPEN_VSX);
    publish(&project, "", &other, &Digest::of("something else").hex());
    let (code, message) = project.refusal();
    assert!(code == 1 && message.contains("has the digest"), "{code} {message}");
    publish(&project, "", &other, &Digest::of(&other).hex());
    let (code, message) = project.refusal();
    assert!(code == 1 && message.contains("its VSIX is of acme.third 2.0.0"), "{code} {message}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_nothing_stays() {
    let project = Project::new();
    let file = |name: &str, bytes: Vec<u8>| drop(project.registry.put_file(&format!("/files/{name}"), "application/zip", bytes));
    file("arm.vsix", vsix("arm", "1.0.0", "", "TargetPlatform=\"linux-arm64\""));
    file("needy.vsix", vsix("needy", "1.0.0", r#","extensionPack":["ms-python.python"]"#, ""));
    file("page.vsix", b"<html>log in</html>".to_vec());
    let new = vsix("new", "1.0.0", "", "");
    file("demanded.vsix", new);
    let url = |name: &str| format!("[[extension]]\nurl = \"https://files.example/{name}.vsix\"\n");
    let demanded = format!("{}sha256 = \"{}\"\n", url("demanded"), Digest::of("another").hex());
    project.describe(&format!("{}{}{}{demanded}", url("arm"), url("page"), url("absent")));
    let (code, message) = project.refusal();
    assert_eq!(code, 1, "{message}");
    for expected in ["acme.arm 1.0.0 is made for linux-arm64", "it is no zip archive", "answered 404", "has the digest"] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    project.describe(&url("needy"));
    let (code, message) = project.refusal();
    assert!(code == 1 && message.contains("needs extensions that are neither in the description nor in the base: ms-python.python"), "{message}");
}

#[test]
fn the_editor_of_a_file_is_what_engines_are_held_against() {
    let project = Project::new();
    let bytes = vsix("new", "1.0.0", "", "");
    project.registry.put_file("/files/new.vsix", "application/zip", bytes);
    project.describe("[[extension]]\nurl = \"https://files.example/new.vsix\"\n");
    fs::write(project.path().join("editor/share/sagemaker-code-editor/package.json"), r#"{"version":"1.89.1"}"#).unwrap();
    let (code, message) = project.refusal();
    assert!(code == 1 && message.contains("it needs the editor in version ^1.90.0, and the editor is 1.89.1"), "{message}");
}

#[test]
fn a_server_that_fails_is_no_mistake_of_the_description() {
    let project = Project::new();
    project.registry.on("/files/x.vsix", |_| Asked { status: 403, headers: Vec::new(), body: "no".into() });
    project.describe("[[extension]]\nurl = \"https://files.example/x.vsix\"\n");
    let (code, message) = project.refusal();
    assert!(code == 3 && message.contains("403"), "{code} {message}");
}

#[test]
fn a_file_at_a_url_is_locked_and_laid() {
    let project = Project::new();
    project.registry.put_file("/files/tool", "application/octet-stream", "a tool");
    let sha256 = Digest::of("a tool");
    let item = |sha256: &str| {
        format!("[[file]]\nurl = \"https://files.example/tool\"\nsha256 = \"{sha256}\"\ntarget = \"/usr/local/bin/tool\"\nmode = \"0755\"\n")
    };
    project.describe(&item(&Digest::of("another tool").hex()));
    let (code, message) = project.refusal();
    assert!(code == 1 && message.contains("has the digest"), "{code} {message}");
    project.describe(&item(&sha256.hex()));
    let lock = project.lock();
    assert_eq!((lock.files[0].sha256, lock.files[0].size), (sha256, 6));

    // An empty cache: the file is fetched again, by what the lock says.
    fs::remove_dir_all(project.path().join("cache")).unwrap();
    let output = project.run(&["build", "--locked", "--allow", "BYOI065", "oci:image"], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    project.registry.put_file("/files/tool", "application/octet-stream", "a t00l");
    fs::remove_dir_all(project.path().join("cache")).unwrap();
    fs::remove_dir_all(project.path().join("image")).unwrap();
    let output = project.run(&["build", "--locked", "--allow", "BYOI065", "oci:image"], None);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("digest"));
}
