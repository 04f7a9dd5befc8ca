//! Extensions in an image are to the byte what the real editor's `--install-extension` makes of them, and the editor takes our list of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use byoi::contract::IMAGE_EXTENSIONS;
use byoi::extension::{Extension, ExtensionList, Form, Vsix};
use byoi::image_path::ImagePath;
use byoi::layer::Node;
use byoi::lock::Facts;
use byoi::plan::{Component, Laid};
use byoi::store::Store;
use serde_json::Value;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Where hack/setup, hack/server and hack/vsix put things.
fn work() -> PathBuf {
    std::env::var_os("BYOI_WORK").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".work"), PathBuf::from)
}

/// Runs the real server with these arguments and an extensions directory; gives what it prints.
fn editor(extensions: &Path, arguments: &[&str]) -> String {
    let bin = work().join("server/current/bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let data = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "umask 022; exec \"$0\" \"$@\""])
        .arg(bin.join("sagemaker-code-editor"))
        .args(arguments)
        .arg("--extensions-dir")
        .arg(extensions)
        .arg("--server-data-dir")
        .arg(data.path())
        .env("PATH", path)
        .env("HOME", data.path())
        // No gallery: it would be asked about every extension.
        .env("EXTENSIONS_GALLERY", r#"{"serviceUrl":""}"#)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?} (hack/server makes the server): {out}{err}");
    out.into_owned()
}

/// Type, mode and content of everything in a directory, by path.
type Tree = BTreeMap<String, (char, u32, Vec<u8>)>;

fn tree_of(directory: &Path) -> Tree {
    fn walk(top: &Path, directory: &Path, tree: &mut Tree) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            let mode = metadata.permissions().mode() & 0o7777;
            if metadata.is_dir() {
                tree.insert(name, ('d', mode, Vec::new()));
                walk(top, &path, tree);
            } else {
                assert!(metadata.is_file(), "{name}");
                tree.insert(name, ('f', mode, fs::read(&path).unwrap()));
            }
        }
    }
    let mut tree = Tree::new();
    walk(directory, directory, &mut tree);
    tree
}

/// What a component lays below the image's extensions directory.
fn laid(component: &dyn Component, store: &Store) -> Tree {
    let top = ImagePath::literal(IMAGE_EXTENSIONS);
    let one = |(path, entry): Laid| {
        assert_eq!((entry.uid, entry.gid), (1000, 100), "{path:?}");
        let name = path.strip_prefix(&top).unwrap().to_string();
        let (kind, content) = match entry.node {
            Node::Directory => ('d', Vec::new()),
            Node::File(content) => {
                let mut bytes = Vec::new();
                content.open().unwrap().read_to_end(&mut bytes).unwrap();
                ('f', bytes)
            }
            other => panic!("{path:?}: {other:?}"),
        };
        (name, (kind, u32::from(entry.mode), content))
    };
    component.lay(store).unwrap().into_iter().map(one).collect()
}

fn write_tree(tree: &Tree, directory: &Path) {
    for (name, (kind, mode, content)) in tree {
        let path = directory.join(name);
        if *kind == 'd' {
            fs::create_dir_all(&path).unwrap()
        } else {
            fs::write(&path, content).unwrap()
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
}

/// The extension in a VSIX, which goes into the store.
fn extension(vsix: &Path, store: &Store) -> Extension {
    let mut writer = store.writer().unwrap();
    io::copy(&mut File::open(vsix).unwrap(), &mut writer).unwrap();
    let (sha256, _) = writer.commit().unwrap();
    let opened = Vsix::open(&Arc::new(File::open(vsix).unwrap())).unwrap();
    Extension { id: opened.manifest.id, version: opened.manifest.version, sha256, timestamp: opened.timestamp, form: Form::of(Some("1.100.3")) }
}

/// The time of an installation is ours to choose: the server's, in its own text, becomes the extension's.
fn with_time_of(tree: &mut Tree, extension: &Extension) {
    let (_, _, package) = tree.get_mut(&format!("{}/package.json", extension.directory())).unwrap();
    let text = String::from_utf8(package.clone()).unwrap();
    let stamp = "\"installedTimestamp\": ";
    let (before, after) = text.rsplit_once(stamp).unwrap();
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    *package = format!("{before}{stamp}{}{rest}", extension.timestamp.as_millisecond()).into_bytes();
}

/// The tree of the extension is that of the server.
fn is_what_the_server_installs(vsix: &Path) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("cache")).unwrap();
    let installed = directory.path().join("installed");
    fs::create_dir(&installed).unwrap();
    editor(&installed, &["--install-extension", vsix.to_str().unwrap()]);
    let ours = extension(vsix, &store);
    let mut theirs = tree_of(&installed);
    with_time_of(&mut theirs, &ours);
    let list: Value = serde_json::from_slice(&theirs.remove("extensions.json").unwrap().2).unwrap();
    let tree = laid(&ours, &store);
    assert_eq!(tree.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, (kind, mode, content)) in &tree {
        let (their_kind, their_mode, their_content) = &theirs[name];
        assert_eq!((kind, format!("{mode:o}")), (their_kind, format!("{their_mode:o}")), "{name}");
        assert!(content == their_content, "{name}:\n{}\n{}", String::from_utf8_lossy(content), String::from_utf8_lossy(their_content));
    }

    let our_list: Value = serde_json::from_str(ExtensionList::new(std::slice::from_ref(&ours), &Facts::default()).unwrap().text()).unwrap();
    assert_eq!(normative(&our_list, &ours), normative(&list, &ours));
    tree.len()
}

/// The parts of a list that do not say where and when.
fn normative(list: &Value, extension: &Extension) -> Vec<Value> {
    let entry = |entry: &Value| {
        let mut entry = entry.clone();
        let place = entry["location"]["path"].as_str().unwrap();
        assert!(place.starts_with('/') && place.ends_with(&extension.directory()), "{place}");
        let location = entry["location"].as_object_mut().unwrap();
        // The server writes these two where it has computed them meanwhile.
        for key in ["path", "fsPath", "external"] {
            location.remove(key);
        }
        assert!(entry["metadata"]["installedTimestamp"].is_i64());
        entry["metadata"]["installedTimestamp"] = Value::Null;
        entry
    };
    list.as_array().unwrap().iter().map(entry).collect()
}

/// A VSIX with everything odd that the editor takes.
fn odd_vsix(place: &Path) {
    let package = r#"{"name":"Odd","publisher":"Acme-Labs","version":"1.0.0-beta.2","engines":{"vscode":"^1.80.0"},"main":"./x.js",
        "numbers":{"10":1.0,"2":1e21,"z":1e-7,"y":[0.1,-0,123456789012345678901,1.7976931348623157e308,5e-324,1e20,1.5e300],"z":3,"1.5":0},
        "text":"é\u2028\/\u0001\ud83d\ude00<&>\u007f","empty":[[],{},[{}]],"__proto__":{"a":1},"__metadata":{"id":"x","pinned":true}}"#;
    let mut writer = ZipWriter::new(File::create(place).unwrap());
    let mut add = |name: &str, mode: u32, content: &str| {
        writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    };
    add("[Content_Types].xml", 0o644, "<Types/>");
    add("extension.vsixmanifest", 0o664, "<PackageManifest/>");
    add("extension/package.json", 0o660, package);
    add("extension/run.sh", 0o775, "#!/bin/sh\n");
    add("extension/private", 0o600, "x");
    add("extension/all", 0o777, "x");
    add("extension/é/ü.txt", 0o644, "é");
    add("extension//double/./slash", 0o644, "x");
    add("extension.extra", 0o644, "x");
    add("extensionfoo/bar", 0o644, "x");
    add("other/left-out", 0o644, "x");
    writer.add_directory("extension/empty/directory", SimpleFileOptions::default()).unwrap();
    writer.add_symlink("extension/link", "run.sh", SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap();
}

#[test]
fn the_small_extension_is_laid_as_the_server_installs_it() {
    assert!(is_what_the_server_installs(&work().join("vsix/hello-studio-1.2.3.vsix")) > 3);
}

#[test]
fn an_extension_of_more_than_a_thousand_files_is_laid_as_the_server_installs_it() {
    assert!(is_what_the_server_installs(&work().join("vsix/material-icon-theme-5.38.1.vsix")) > 1000);
}

#[test]
fn an_odd_extension_is_laid_as_the_server_installs_it() {
    let directory = tempfile::tempdir().unwrap();
    let vsix = directory.path().join("odd.vsix");
    odd_vsix(&vsix);
    assert!(is_what_the_server_installs(&vsix) > 10);
}

#[test]
fn the_server_takes_our_list_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("cache")).unwrap();
    let place = directory.path().join("extensions");
    fs::create_dir(&place).unwrap();
    let mut extensions: Vec<_> = ["hello-studio-1.2.3", "hello-second-1.0.0", "material-icon-theme-5.38.1"]
        .iter()
        .map(|name| extension(&work().join(format!("vsix/{name}.vsix")), &store))
        .collect();
    extensions.sort_by(|a, b| a.id.cmp(&b.id));
    for extension in &extensions {
        write_tree(&laid(extension, &store), &place);
    }
    write_tree(&laid(&ExtensionList::new(&extensions, &Facts::default()).unwrap(), &store), &place);
    let before = tree_of(&place);

    let printed = editor(&place, &["--list-extensions", "--show-versions"]);
    let expected: Vec<_> = extensions.iter().map(|extension| format!("{}@{}", extension.id, extension.version)).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    assert!(tree_of(&place) == before);
}
