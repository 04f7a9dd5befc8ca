//! A small base with an editor, made with the `tar` crate, and descriptions that stand on it.

use std::fs;
use std::io::Write;
use std::path::Path;

use byoi::registry::testing::{TestImage, TestLayer, TestRegistry};
use byoi::verify::specimen::elf;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::byoi::Workplace;

/// The time of all members of the base.
const TIME: u64 = 1_700_000_000;

/// A layer in the making.
pub struct LayerTar(Builder<Vec<u8>>);

impl LayerTar {
    pub fn new() -> Self {
        LayerTar(Builder::new(Vec::new()))
    }

    pub fn directory(mut self, path: &str, mode: u32, owner: (u64, u64)) -> Self {
        self.append(path, EntryType::Directory, mode, owner, None, b"");
        self
    }

    pub fn file(mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.append(path, EntryType::Regular, mode, (0, 0), None, content.as_ref());
        self
    }

    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.append(path, EntryType::Symlink, 0o777, (0, 0), Some(target), b"");
        self
    }

    pub fn hard_link(mut self, path: &str, target: &str) -> Self {
        self.append(path, EntryType::Link, 0o755, (0, 0), Some(target), b"");
        self
    }

    fn append(&mut self, path: &str, kind: EntryType, mode: u32, (uid, gid): (u64, u64), target: Option<&str>, content: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(TIME);
        header.set_size(content.len() as u64);
        match target {
            Some(target) => self.0.append_link(&mut header, path, target).unwrap(),
            None => self.0.append_data(&mut header, path, content).unwrap(),
        }
    }

    pub fn layer(self) -> TestLayer {
        TestLayer::of_tar(self.0.into_inner().unwrap())
    }
}

/// `e_machine` of x86-64: its programs are headers alone.
const X86_64: u16 = 62;

/// A merged-usr system with account files and odd modes and owners.
fn system() -> TestLayer {
    let long = format!("usr/share/{}/", "a-rather-long-directory-name".repeat(4));
    LayerTar::new()
        .directory("usr/", 0o755, (0, 0))
        .directory("usr/bin/", 0o755, (0, 0))
        .file("usr/bin/sh", 0o755, elf(X86_64))
        .file("usr/bin/node", 0o755, elf(X86_64))
        .file("usr/bin/su", 0o4755, "placeholder\n")
        .hard_link("usr/bin/rsh", "usr/bin/sh")
        .symlink("bin", "usr/bin")
        .directory("usr/share/", 0o755, (0, 0))
        .directory(&long, 0o755, (0, 0))
        .file(&format!("{long}{}", "and-a-long-file-name".repeat(5)), 0o644, "long\n")
        .file("usr/share/naïve — 名前.txt", 0o640, "names\n")
        .directory("etc/", 0o755, (0, 0))
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")
        .file("etc/group", 0o644, "root:x:0:\nusers:x:100:\n")
        .file("etc/shadow", 0o600, "root:*:19000:0:99999:7:::\n")
        .directory("home/", 0o755, (0, 0))
        .directory("opt/", 0o755, (0, 0))
        .directory("srv/", 0o2770, (33, 1000))
        .directory("tmp/", 0o1777, (0, 0))
        .layer()
}

/// The editor, as conda-forge's package lays it below its prefix.
fn editor() -> TestLayer {
    let package = json!({"name": "code-server-oss", "version": "1.101.2", "type": "module"}).to_string();
    LayerTar::new()
        .directory("usr/local/", 0o755, (0, 0))
        .directory("usr/local/bin/", 0o755, (0, 0))
        .file("usr/local/bin/sagemaker-code-editor", 0o755, "#!/bin/sh\nnode /usr/local/share/sagemaker-code-editor/out/server-main.js \"$@\"\n")
        .directory("usr/local/share/", 0o755, (0, 0))
        .directory("usr/local/share/sagemaker-code-editor/", 0o755, (0, 0))
        .file("usr/local/share/sagemaker-code-editor/package.json", 0o644, package)
        .directory("usr/local/share/sagemaker-code-editor/out/", 0o755, (0, 0))
        .file("usr/local/share/sagemaker-code-editor/out/server-main.js", 0o644, "// the server\n")
        .layer()
}

/// A base with an editor, of so many layers.
pub fn editor_base(layers: usize) -> TestImage {
    let more = (2..layers).map(|number| {
        LayerTar::new()
            .directory("usr/", 0o755, (0, 0))
            .directory("usr/share/", 0o755, (0, 0))
            .file(&format!("usr/share/layer-{number}"), 0o644, format!("{number}\n"))
            .layer()
    });
    let mut image = TestImage::new([system(), editor()].into_iter().chain(more).collect());
    image.config = json!({"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"], "Cmd": ["/bin/sh"]});
    image
}

/// A registry that has [`editor_base`] as `base:1`.
pub fn registry_with_base(layers: usize) -> TestRegistry {
    let registry = TestRegistry::start();
    registry.put_image("base", "1", &editor_base(layers));
    registry
}

/// A VSIX of the extension in `tests/fixtures/hello-studio`.
pub fn hello_vsix() -> Vec<u8> {
    hello_vsix_of(HELLO_VERSION, "")
}

/// The version of [`hello_vsix`].
const HELLO_VERSION: &str = "1.2.3";

/// The same in another version, with a note in its README.
pub fn hello_vsix_of(version: &str, note: &str) -> Vec<u8> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hello-studio");
    let manifest = r#"<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata><Identity Language="en-US" Id="hello-studio" Version="1.2.3" Publisher="acme-labs"/></Metadata>
</PackageManifest>
"#;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("extension.vsixmanifest", manifest.replace(HELLO_VERSION, version).as_bytes());
    for name in ["package.json", "extension.js", "themes/hello.json", "README.md"] {
        let text = fs::read_to_string(fixture.join(name)).unwrap() + if name == "README.md" { note } else { "" };
        add(&format!("extension/{name}"), text.replace(HELLO_VERSION, version).as_bytes());
    }
    zip.finish().unwrap().into_inner()
}

/// A description on `base` with an extension, inline text, a directory of files and settings; with all that it names.
pub fn write_project(workplace: &Workplace, base: &str) {
    let description = format!(
        r#"schema = 1
base = "{base}"

[[extension]]
path = "hello.vsix"

[[file]]
content = "welcome\n"
target = "/etc/motd"

[[file]]
source = "tools"
target = "/opt/tools"

[settings.machine]
"telemetry.telemetryLevel" = "off"

[env]
EDITOR = "nano"

[labels]
"org.opencontainers.image.title" = "test"
"#
    );
    workplace.write("byoi.toml", description);
    workplace.write("hello.vsix", hello_vsix());
    workplace.write("tools/run", "#!/bin/sh\necho run\n");
    set_mode(&workplace.path("tools/run"), 0o755);
    workplace.write("tools/data/table — ü.csv", "1,2\n");
    // Over more than one block of the compressor, and not the same in each.
    let numbers: Vec<u8> = (0..700_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[..].to_vec()).collect();
    workplace.write("tools/data/numbers", numbers);
    if !workplace.path("tools/table").is_symlink() {
        std::os::unix::fs::symlink("data/table — ü.csv", workplace.path("tools/table")).unwrap();
    }
}

/// Sets a file's mode.
pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
