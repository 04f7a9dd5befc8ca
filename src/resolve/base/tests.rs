//! Facts of bases that are made by hand.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::base::index::{Attributes, File};
use crate::lock::{BaseExtension, Text};

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

fn entry(mode: u16, node: Node) -> Entry {
    Entry { attributes: Attributes { mode, uid: 0, gid: 0, mtime: 0 }, node }
}

fn directory(at: &str, mode: u16, uid: u32) -> (ImagePath, Entry) {
    (path(at), Entry { attributes: Attributes { mode, uid, gid: 0, mtime: 0 }, node: Node::Directory })
}

fn link(at: &str, target: &str) -> (ImagePath, Entry) {
    (path(at), entry(0o777, Node::Symlink(target.as_bytes().into())))
}

fn program(at: &str) -> (ImagePath, Entry) {
    (path(at), entry(0o755, Node::File(File::default())))
}

fn text(at: &str, content: impl AsRef<[u8]>) -> (ImagePath, Entry) {
    let content: Arc<[u8]> = content.as_ref().into();
    (path(at), entry(0o644, Node::File(File { size: content.len() as u64, content: Some(content), ..File::default() })))
}

fn config(path: &str) -> Map<String, Value> {
    json!({"config": {"Env": ["A=1", format!("PATH={path}")]}}).as_object().unwrap().clone()
}

fn facts_of(entries: Vec<(ImagePath, Entry)>, config: &Map<String, Value>) -> Facts {
    facts(&entries.into_iter().collect(), config).unwrap().0
}

fn editor(prefix: &str) -> Vec<(ImagePath, Entry)> {
    let share = format!("{prefix}/share/sagemaker-code-editor");
    vec![
        program(&format!("{prefix}/bin/sagemaker-code-editor")),
        text(&format!("{share}/package.json"), r#"{"name": "code-oss-dev", "version": "1.101.2"}"#),
        text(&format!("{share}/extensions/b/package.json"), r#"{"publisher": "VSCode", "name": "Bat"}"#),
        text(&format!("{share}/extensions/a/package.json"), r#"{"publisher": "aws", "name": "sync"}"#),
        text(&format!("{share}/extensions/a/node_modules/package.json"), r#"{"publisher": "no", "name": "extension"}"#),
        text(&format!("{share}/extensions/broken/package.json"), "{"),
    ]
}

#[test]
fn nothing_is_known_of_nothing() {
    let (facts, directories) = facts(&Index::default(), &Map::new()).unwrap();
    assert_eq!(facts, Facts::default());
    assert_eq!(directories.rules.keys().collect::<Vec<_>>(), [&ImagePath::root()]);
}

#[test]
fn the_editor_is_found_on_the_path() {
    let facts = facts_of(editor("srv/tools"), &config("/usr/bin:relative:/srv/tools/bin"));
    assert_eq!(facts.editor.as_deref(), Some("1.101.2"));
    assert_eq!(facts.launcher, Some(path("srv/tools/bin/sagemaker-code-editor")));
    assert_eq!(facts.builtin_extensions, ["aws.sync", "vscode.bat"]);
    assert_eq!(facts_of(editor("srv/tools"), &config("/usr/bin")).launcher, None);
}

#[test]
fn the_editor_of_conda_is_found_without_a_path() {
    assert_eq!(facts_of(editor("opt/conda"), &config("/usr/bin")).editor.as_deref(), Some("1.101.2"));
}

#[test]
fn a_link_on_the_path_leads_to_the_editor() {
    let mut entries = editor("opt/real");
    entries.extend([link("usr/local/bin/sagemaker-code-editor", "../../../opt/now/bin/sagemaker-code-editor"), link("opt/now", "real")]);
    let facts = facts_of(entries, &Map::new());
    assert_eq!(facts.launcher, Some(path("opt/real/bin/sagemaker-code-editor")));
    assert_eq!(facts.editor.as_deref(), Some("1.101.2"));
}

#[test]
fn a_launcher_without_a_server_beside_it_has_no_version() {
    let facts = facts_of(vec![program("usr/local/bin/sagemaker-code-editor")], &Map::new());
    assert_eq!((facts.editor, facts.launcher.is_some()), (None, true));
}

#[test]
fn what_cannot_be_executed_is_no_program() {
    assert_eq!(facts_of(vec![text("usr/local/bin/sagemaker-code-editor", "")], &Map::new()).launcher, None);
    assert_eq!(facts_of(vec![directory("usr/local/bin/sagemaker-code-editor", 0o755, 0)], &Map::new()).launcher, None);
    assert_eq!(facts_of(vec![link("usr/local/bin/sagemaker-code-editor", "gone")], &Map::new()).launcher, None);
}

#[test]
fn programs_are_found_through_merged_directories() {
    let entries = vec![
        link("bin", "usr/bin"),
        directory("usr/bin", 0o755, 0),
        link("usr/bin/sh", "dash"),
        program("usr/bin/dash"),
        program("usr/bin/sudo"),
        program("usr/local/bin/entrypoint-code-editor"),
    ];
    let facts = facts_of(entries, &Map::new());
    assert!(facts.shell && facts.sudo);
    assert_eq!(facts.entrypoint, Some(path("usr/local/bin/entrypoint-code-editor")));
}

#[test]
fn byois_own_script_is_not_the_bases() {
    let entries = vec![program("usr/local/bin/byoi-entrypoint"), link("usr/local/bin/entrypoint-code-editor", contract::ENTRYPOINT)];
    assert_eq!(facts_of(entries, &Map::new()).entrypoint, None);
}

#[test]
fn extensions_of_the_image_are_listed_by_directory() {
    let at = |rest: &str| format!("{}/{rest}", contract::IMAGE_EXTENSIONS);
    let entries = vec![
        text(&at("Acme.Hello-1.2.3/package.json"), r#"{"publisher": "Acme", "name": "Hello", "version": "1.2.3"}"#),
        text(&at(".tmp/package.json"), r#"{"publisher": "a", "name": "b", "version": "1"}"#),
        text(&at("no-version/package.json"), r#"{"publisher": "a", "name": "c"}"#),
        text(&at("extensions.json"), "[]"),
        text(&at(".obsolete"), r#"{"acme.hello-1.0.0":true}"#),
    ];
    let facts = facts_of(entries, &Map::new());
    let hello = BaseExtension { id: "acme.hello".to_owned(), version: "1.2.3".to_owned() };
    assert_eq!(facts.extensions, BTreeMap::from([("Acme.Hello-1.2.3".to_owned(), hello)]));
    assert_eq!(facts.texts[&path(&at("extensions.json"))].content, "[]");
    assert_eq!(facts.texts[&path(&at(".obsolete"))].content, r#"{"acme.hello-1.0.0":true}"#);
}

#[test]
fn texts_keep_mode_and_owner_and_secrets_stay_out() {
    let shadow =
        |content: &str| (path("etc/shadow"), Entry { attributes: Attributes { mode: 0o640, uid: 0, gid: 42, mtime: 0 }, ..text("x", content).1 });
    let open =
        facts_of(vec![text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), shadow("root:*:1::::::\n"), text("etc/gshadow", "root:*::\n")], &Map::new());
    assert_eq!(open.texts[&path("etc/shadow")], Text { mode: 0o640, owner: (0, 42), content: "root:*:1::::::\n".to_owned() });
    assert_eq!(open.texts.len(), 3);
    let closed = facts_of(vec![text("etc/group", "root:x:0:\n"), shadow("root:$6$a$b:1::::::\n"), text("etc/gshadow", "root:*::\n")], &Map::new());
    assert_eq!(closed.texts.keys().collect::<Vec<_>>(), [&path("etc/group")]);
}

#[test]
fn a_text_that_no_lock_can_hold_is_an_error() {
    let index: Index = [text("etc/passwd", b"\xff")].into_iter().collect();
    assert!(facts(&index, &Map::new()).unwrap_err().to_string().contains("/etc/passwd"));
    let index: Index = [program("etc/group")].into_iter().collect();
    assert!(facts(&index, &Map::new()).is_err());
}

#[test]
fn glibc_is_found_in_packages_banners_and_names() {
    let status = "Package: libc-bin\nStatus: install ok installed\nVersion: 2.99-1\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u10\n";
    assert_eq!(facts_of(vec![text("var/lib/dpkg/status", status)], &Map::new()).glibc.as_deref(), Some("2.36"));
    let library = b"\x7fELF\0\xffGNU C Library (GNU libc) stable release version 2.34.\nCopyright";
    let entries = vec![link("lib64", "usr/lib64"), text("usr/lib64/libc.so.6", library)];
    assert_eq!(facts_of(entries, &Map::new()).glibc.as_deref(), Some("2.34"));
    let entries = vec![link("lib64/libc.so.6", "libc-2.28.so"), program("lib64/libc-2.28.so")];
    assert_eq!(facts_of(entries, &Map::new()).glibc.as_deref(), Some("2.28"));
    assert_eq!(facts_of(vec![program("opt/conda/x86_64-conda-linux-gnu/sysroot/lib64/libc-2.17.so")], &Map::new()).glibc, None);
    assert_eq!(facts_of(vec![program("lib/ld-musl-x86_64.so.1")], &Map::new()).glibc, None);
}

#[test]
fn directories_become_rules_and_links() {
    let index: Index = [
        directory("", 0o755, 0),
        directory("usr", 0o755, 0),
        directory("usr/bin", 0o755, 0),
        directory("tmp", 0o1777, 0),
        directory("srv", 0o750, 7),
        directory("srv/data", 0o755, 7),
        link("bin", "usr/bin"),
        link("alias", "/bin"),
        link("gone", "nowhere"),
        link("file", "usr/bin/x"),
        program("usr/bin/x"),
        link("odd\u{e9}", "./srv/../tmp"),
    ]
    .into_iter()
    .collect();
    let (_, directories) = facts(&index, &Map::new()).unwrap();
    let rules: Vec<_> = directories.rules.iter().map(|(path, rule)| format!("{path:?} {:o} {}", rule.mode, rule.uid)).collect();
    assert_eq!(rules, ["/ 755 0", "/srv 750 7", "/tmp 1777 0"]);
    let links: Vec<_> = directories.links.iter().map(|(path, target)| format!("{path} {target}")).collect();
    assert_eq!(links, ["alias /bin", "bin usr/bin", "odd\u{e9} ./srv/../tmp"]);
}

#[test]
fn all_that_the_facts_are_made_from_is_asked_for() {
    let Interest::Patterns { content, presence, .. } = interest() else { panic!("it keeps everything") };
    for pattern in ["etc/passwd", "var/lib/dpkg/status", "opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/*/package.json"] {
        assert!(content.contains(&pattern.to_owned()), "{pattern}");
    }
    assert!(presence.contains(&"**/sagemaker-code-editor".to_owned()));
}
