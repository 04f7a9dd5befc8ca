//! A space: the image's server data, the volume's, and the entrypoint that stands between them, all in a temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use byoi::description;
use byoi::entrypoint::{Entrypoint, Roots};
use byoi::image_path::ImagePath;
use byoi::lock::Facts;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tools;

/// A space on this machine.
pub struct Space {
    folder: TempDir,
    /// The base's own `entrypoint-code-editor`.
    platform: Option<PathBuf>,
    /// The `[editor]` table.
    editor: String,
}

impl Space {
    /// A space with an image without extensions and an empty volume.
    pub fn new() -> Self {
        let space = Space { folder: TempDir::new().unwrap(), platform: None, editor: String::new() };
        fs::create_dir_all(space.image().join("extensions")).unwrap();
        fs::create_dir_all(space.home()).unwrap();
        space
    }

    /// The same with a script of the base's own.
    pub fn with_platform_entrypoint(mut self, text: &str) -> Self {
        let path = self.path("opt/entrypoint-code-editor");
        write_program(&path, text);
        self.platform = Some(path);
        self
    }

    /// The same with an `[editor]` table.
    pub fn with_editor(mut self, table: &str) -> Self {
        self.editor = format!("[editor]\n{table}\n");
        self
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Server data of the image.
    pub fn image(&self) -> PathBuf {
        self.path("image")
    }

    /// Server data on the volume.
    pub fn volume(&self) -> PathBuf {
        self.home().join("data")
    }

    /// A path in the volume's extensions directory.
    pub fn installed(&self, name: &str) -> PathBuf {
        self.volume().join("extensions").join(name)
    }

    /// The entrypoint's script, written anew, and its path.
    pub fn script(&self) -> PathBuf {
        let description = description::parse("byoi.toml", &format!("schema = 1\nbase = \"scratch\"\n{}", self.editor)).unwrap();
        let own = self.platform.as_ref().map(|path| ImagePath::parse(path.as_os_str().as_encoded_bytes()).unwrap());
        let entrypoint = Entrypoint::new(&description, &Facts { entrypoint: own, ..Facts::default() }).unwrap();
        let update_volume = self.path("volume.js");
        fs::write(&update_volume, entrypoint.update_volume()).unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let roots =
            Roots { image_data: text(self.image()), volume_data: text(self.volume()), home: text(self.home()), update_volume: text(update_volume) };
        let script = self.path("byoi-entrypoint");
        write_program(&script, &entrypoint.script_in(&roots));
        script
    }

    /// `program` with the environment of a container in which `prefix` is on the PATH.
    pub fn in_container(&self, program: impl AsRef<std::ffi::OsStr>, prefix: &Path) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/sbin:/usr/bin:/bin", prefix.join("bin").display());
        command.env_clear().env("PATH", path).env("EXTENSIONS_GALLERY", r#"{"serviceUrl":""}"#).env("HOME", self.home());
        command
    }

    /// A start that ends at once: the volume is brought up to date, then `true` runs. What the entrypoint logged.
    pub fn start(&self) -> String {
        let output = tools::output(self.in_container(self.script(), &tools::server()).arg("true"));
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        log
    }

    /// The server's list of the volume's extensions, by the server itself: `id@version`, sorted.
    pub fn listed(&self) -> Vec<String> {
        let text = tools::stdout(&mut self.editor(&["--list-extensions", "--show-versions"]));
        let mut lines: Vec<_> = text.lines().filter(|line| line.contains('@')).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The user installs a VSIX from the command line.
    pub fn user_installs(&self, vsix: &str) {
        let vsix = tools::vsix(vsix);
        tools::stdout(&mut self.editor(&["--install-extension", vsix.to_str().unwrap(), "--force"]));
    }

    /// The user uninstalls an extension from the command line.
    pub fn user_uninstalls(&self, id: &str) {
        tools::stdout(&mut self.editor(&["--uninstall-extension", id]));
    }

    fn editor(&self, arguments: &[&str]) -> Command {
        let mut command = tools::editor(arguments);
        command.arg("--server-data-dir").arg(self.volume()).env("HOME", self.home());
        command
    }

    /// Gives the image exactly these extensions, as the real server installs them.
    pub fn image_has(&self, vsix: &[&str]) {
        let extensions = self.image().join("extensions");
        fs::remove_dir_all(&extensions).unwrap();
        copy(&installed_by_the_server(vsix), &extensions);
    }

    /// Gives the image exactly these extensions, made by hand: `(id, version)`, the id with one dot.
    pub fn image_has_made(&self, extensions: &[(&str, &str)]) {
        let directory = self.image().join("extensions");
        fs::remove_dir_all(&directory).unwrap();
        fs::create_dir_all(&directory).unwrap();
        let entries: Vec<_> = extensions.iter().map(|(id, version)| make_extension(&directory, id, version)).collect();
        fs::write(directory.join("extensions.json"), Value::from(entries).to_string()).unwrap();
    }

    /// What `start-code-editor` of sagemaker-distribution does to an empty volume, and the server after it: links, and a list made from them.
    pub fn filled_by_sagemaker_distribution(&self) {
        fs::create_dir_all(self.installed("")).unwrap();
        for entry in fs::read_dir(self.image().join("extensions")).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                symlink(entry.path(), self.installed(entry.file_name().to_str().unwrap())).unwrap();
            }
        }
        self.listed();
    }

    /// The entries of the volume's `extensions.json`.
    pub fn entries(&self) -> Vec<Value> {
        serde_json::from_str(&fs::read_to_string(self.installed("extensions.json")).unwrap()).unwrap()
    }

    /// Folder → link target (none for a real folder) of all that lies in the volume's extensions directory and is an extension.
    pub fn folders(&self) -> BTreeMap<String, Option<PathBuf>> {
        let entries = fs::read_dir(self.installed("")).unwrap().map(Result::unwrap);
        entries
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.') && entry.file_name() != "extensions.json")
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_link(entry.path()).ok()))
            .collect()
    }
}

/// Writes an executable file.
pub fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes the folder of an extension that the server would delete if it were not listed, and gives its entry for `extensions.json`.
pub fn make_extension(directory: &Path, id: &str, version: &str) -> Value {
    let (publisher, name) = id.split_once('.').unwrap();
    let folder = format!("{id}-{version}");
    let manifest = json!({
        "publisher": publisher, "name": name, "version": version, "engines": { "vscode": "*" },
        "__metadata": { "installedTimestamp": 1, "targetPlatform": "undefined", "size": 1 },
    });
    fs::create_dir_all(directory.join(&folder)).unwrap();
    fs::write(directory.join(&folder).join("package.json"), manifest.to_string()).unwrap();
    json!({
        "identifier": { "id": id }, "version": version, "relativeLocation": folder,
        "location": { "$mid": 1, "path": directory.join(&folder), "scheme": "file" },
        "metadata": { "installedTimestamp": 1, "pinned": true, "source": "vsix" },
    })
}

/// An extensions directory into which the real server installed these; made once for each set.
fn installed_by_the_server(vsix: &[&str]) -> PathBuf {
    static MADE: OnceLock<std::sync::Mutex<BTreeMap<String, TempDir>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Default::default).lock().unwrap();
    let folder = made.entry(vsix.join(" ")).or_insert_with(|| {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("extensions")).unwrap();
        for name in vsix {
            let file = tools::vsix(name);
            let mut install = tools::editor(&["--install-extension", file.to_str().unwrap(), "--extensions-dir"]);
            install.arg(folder.path().join("extensions")).arg("--server-data-dir").arg(folder.path());
            tools::stdout(install.env("HOME", folder.path()));
        }
        folder
    });
    folder.path().join("extensions")
}

fn copy(from: &Path, to: &Path) {
    tools::stdout(Command::new("cp").arg("-a").arg(from).arg(to));
}
