//! The frontend's image in a registry of its own, and daemons that build with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::byoi::Workplace;
use super::docker::Docker;
use super::docker_registry::DockerRegistry;
use super::tools;

/// A registry that has the frontend as `byoi-frontend:1`. It also takes bases.
pub struct Frontend {
    registry: DockerRegistry,
}

impl Frontend {
    /// Packs the binary that `hack/frontend-image` built.
    pub fn publish() -> Self {
        let registry = DockerRegistry::start();
        let binary = tools::made_by("hack/frontend-image", tools::work().join("frontend/byoi-frontend"));
        let destination = format!("docker://{}/byoi-frontend:1", registry.host());
        let home = tempfile::tempdir().unwrap();
        let packed = Command::new(&binary)
            .arg("image")
            .args([binary.as_os_str(), "/etc/ssl/certs/ca-certificates.crt".as_ref(), destination.as_ref()])
            .env("HOME", home.path())
            .output()
            .unwrap();
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        Frontend { registry }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        self.registry.host()
    }

    /// The first line of a description that is built with it.
    pub fn syntax(&self) -> String {
        format!("# syntax={}/byoi-frontend:1\n", self.host())
    }
}

/// A daemon that builds.
pub enum Builder {
    /// Debian 12's docker 20.10.
    Old(Docker),
    /// Debian 13's docker 26.1, leased from `hack/docker-trixie`.
    New { lease: Child, host: String },
}

/// What a build printed, step by step.
#[derive(Debug)]
pub struct Progress {
    /// Everything.
    pub text: String,
    /// Names of all steps, cached ones too, in the order in which they are named.
    pub steps: Vec<String>,
    /// Names of steps whose result was made.
    pub executed: Vec<String>,
}

impl Builder {
    /// Debian 12's docker.
    pub fn old() -> Self {
        Builder::Old(Docker::start())
    }

    /// Debian 13's docker with images in the `classic` or the `containerd` store.
    pub fn new(store: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/docker-trixie");
        // `cat` ends, and with it the lease, when this process does, however it ends.
        let holder = r#"echo "$DOCKER_HOST"; exec cat"#;
        let mut command = Command::new(script);
        command.args(["run", "sh", "-c", holder]).env("BYOI_DOCKER_STORE", store).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut lease = command.spawn().unwrap();
        let mut host = String::new();
        BufReader::new(lease.stdout.take().unwrap()).read_line(&mut host).unwrap();
        assert!(host.starts_with("unix://"), "hack/docker-trixie did not start the daemon");
        Builder::New { lease, host: host.trim().to_owned() }
    }

    fn host(&self) -> String {
        match self {
            Builder::Old(docker) => docker.host(),
            Builder::New { host, .. } => host.clone(),
        }
    }

    /// The client with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/docker");
        command.args(arguments).env("DOCKER_HOST", self.host()).env("DOCKER_BUILDKIT", "1");
        command
    }

    /// A client of Debian 13, `docker-buildx` or `docker-compose`, which knows no account of this machine's user.
    pub fn plugin(&self, name: &str, config: &Path) -> Command {
        let plugins = tools::work().join("docker-trixie/root/usr/libexec/docker/cli-plugins");
        let mut command = Command::new(tools::made_by("hack/docker-trixie make", plugins.join(name)));
        command.env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", config).env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        command
    }

    /// Runs the client and gives what it prints.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `docker build` of the project's description.
    #[track_caller]
    pub fn build(&self, place: &Workplace, arguments: &[&str]) -> Progress {
        let (ok, text) = self.try_build(place, arguments);
        assert!(ok, "{text}");
        Progress::read(text)
    }

    /// Like [`Builder::build`], with what it printed even if it failed.
    pub fn try_build(&self, place: &Workplace, arguments: &[&str]) -> (bool, String) {
        said(self.command(&["build"]).args(BUILD).args(arguments).arg(place.path("")).current_dir(place.path("")))
    }

    /// `docker buildx build` of the project's description: newer than [`Builder::build`], with named contexts.
    #[track_caller]
    pub fn buildx(&self, place: &Workplace, arguments: &[&str]) -> Progress {
        let mut buildx = self.plugin("docker-buildx", &place.home());
        let (ok, text) = said(buildx.arg("build").args(BUILD).args(arguments).arg(".").current_dir(place.path("")));
        assert!(ok, "{text}");
        Progress::read(text)
    }

    /// The bytes of an image's config.
    pub fn config(&self, image: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("saved.tar");
        self.run(&["save", "--output", file.to_str().unwrap(), image]);
        let unpacked = directory.path().join("saved");
        fs::create_dir(&unpacked).unwrap();
        tar::Archive::new(fs::File::open(&file).unwrap()).unpack(&unpacked).unwrap();
        let manifest: Value = serde_json::from_slice(&fs::read(unpacked.join("manifest.json")).unwrap()).unwrap();
        fs::read(unpacked.join(manifest[0]["Config"].as_str().unwrap())).unwrap()
    }
}

/// What every build is told.
const BUILD: [&str; 4] = ["--progress", "plain", "--file", "byoi.toml"];

/// Runs a command; gives whether it succeeded, and all that it said.
pub fn said(command: &mut Command) -> (bool, String) {
    let output = tools::output(command);
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout))
}

impl Drop for Builder {
    fn drop(&mut self) {
        if let Builder::New { lease, .. } = self {
            drop(lease.stdin.take());
            let _ = lease.wait();
        }
    }
}

/// How names of steps begin that start no program: look-ups, fetches, what the daemon writes by itself, and its exporter.
const NO_PROGRAM: [&str; 11] = [
    "[internal]",
    "[auth]",
    "base ",
    "docker-image:",
    "exporting ",
    "fetch ",
    "lay ",
    "put the layers together",
    "remove ",
    "resolve image config",
    "write ",
];

impl Progress {
    /// Names of the programs that were run, sorted: whatever is not known to be something else.
    pub fn programs(&self) -> Vec<&str> {
        let others = |name: &&str| !NO_PROGRAM.iter().any(|begin| name.starts_with(begin));
        let mut programs: Vec<_> = self.executed.iter().map(String::as_str).filter(others).collect();
        programs.sort_unstable();
        programs
    }

    /// Reads `--progress plain`: `#4 NAME`, again after each line of another step; later `#4 CACHED` or `#4 DONE 0.1s`, which some clients say
    /// again when a step is looked at again.
    fn read(text: String) -> Self {
        let (mut names, mut cached, mut done) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut executed = Vec::new();
        for line in text.lines() {
            let Some((number, rest)) = line.strip_prefix('#').and_then(|rest| rest.split_once(' ')) else { continue };
            let Ok(number) = number.parse::<u32>() else { continue };
            let name = names.entry(number).or_insert_with(|| rest.to_owned()).clone();
            if rest == "CACHED" {
                cached.insert(number);
            } else if rest.starts_with("DONE ") && !cached.contains(&number) && done.insert(number) {
                executed.push(name);
            }
        }
        Progress { text, steps: names.into_values().collect(), executed }
    }
}
