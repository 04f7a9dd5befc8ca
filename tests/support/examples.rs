//! The descriptions in `examples/`, as they stand: their real names lead to stand-ins on this machine, through the mirrors of a user's configuration.
//! A registry has the bases; a web server has conda-forge's channel, GitHub's release and Open VSX's answers.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use byoi::digest::Digest;
use byoi::registry::testing::{Asked, TestRegistry};
use serde_json::json;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::byoi::Workplace;
use super::conda_base::Base;
use super::docker_registry::DockerRegistry;
use super::{rattler, tools};

/// Stand-ins for all places that examples name.
pub struct StandIns {
    web: TestRegistry,
    pub registry: DockerRegistry,
}

impl StandIns {
    /// Starts them, without bases.
    pub fn start() -> Self {
        let web = TestRegistry::start();
        web.serve_directory("/conda-forge/", rattler::channel());
        let vim = fs::read(tools::vsix("vim-1.27.2")).unwrap();
        web.put_file("/github/VSCodeVim/Vim/releases/download/v1.27.2/vim-1.27.2.vsix", "application/octet-stream", vim);
        publish_ruff(&web);
        StandIns { web, registry: DockerRegistry::start() }
    }

    /// Puts the stand-in for micromamba's image where the mirrors lead.
    pub fn micromamba(&self) {
        Base::micromamba().push(&format!("{}/docker/mambaorg/micromamba:2.6.1", self.registry.host()));
    }

    /// The same for sagemaker-distribution; gives the place.
    pub fn distribution(&self) -> String {
        let place = format!("{}/ecr/sagemaker/sagemaker-distribution:4.4.1-cpu", self.registry.host());
        Base::distribution().push(&place);
        place
    }

    /// An example with all that it names, in a place whose configuration leads its names to this machine and never to their own places.
    pub fn example(&self, name: &str) -> Workplace {
        let place = Workplace::new();
        copy(&directory().join(name).join("."), &place.path(""));
        if name == "quickstart" {
            copy(&tools::server().join("."), &place.path("editor"));
            copy(&tools::rootfs(), &place.path("rootfs.tar"));
            copy(&tools::vsix("hello-studio-1.2.3"), &place.path(""));
        }
        let registry = self.registry.host();
        let rule = |from: &str, to: &str| format!("\"{from}\" = {{ mirrors = [\"{to}\"], original = false }}\n");
        let rules = [
            rule("docker.io", &format!("{registry}/docker")),
            rule("public.ecr.aws", &format!("{registry}/ecr")),
            rule("https://conda.anaconda.org/conda-forge/", &self.web.url("/conda-forge/")),
            rule("https://github.com/", &self.web.url("/github/")),
            rule("https://open-vsx.org/", &self.web.url("/vsx/")),
        ];
        place.configure(&format!("[mirrors]\n{}", rules.concat()));
        place
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The names of all examples that are descriptions.
pub fn names() -> Vec<String> {
    let folders = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> =
        folders.filter(|path| path.join("byoi.toml").is_file()).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    tools::stdout(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// An extension of that name as Open VSX has one: for every platform, with nothing in it.
fn publish_ruff(web: &TestRegistry) {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let time = zip::DateTime::from_date_and_time(2024, 5, 6, 7, 8, 10).unwrap();
    for (name, text) in [
        ("extension.vsixmanifest", "<PackageManifest><Metadata><Identity Id=\"ruff\"/></Metadata></PackageManifest>"),
        ("extension/package.json", r#"{"name":"ruff","publisher":"charliermarsh","version":"2024.56.0","engines":{"vscode":"^1.75.0"}}"#),
    ] {
        writer.start_file(name, SimpleFileOptions::default().last_modified_time(time)).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let at = "api/charliermarsh/ruff/2024.56.0";
    let file = |name: &str| format!("https://open-vsx.org/{at}/file/{name}");
    let answer = json!({"version": "2024.56.0", "files": {"download": file("x.vsix"), "sha256": file("x.sha256")}});
    web.on(&format!("/vsx/{at}"), move |_| Asked::json(&answer));
    let digest = Digest::of(&bytes).hex();
    web.put_file(&format!("/vsx/{at}/file/x.vsix"), "application/zip", bytes);
    web.put_file(&format!("/vsx/{at}/file/x.sha256"), "text/plain", digest);
}
