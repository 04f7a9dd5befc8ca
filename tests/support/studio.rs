//! An image in a container, started as Studio starts a space, and looked at with a real browser.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::byoi::Workplace;
use super::docker::Docker;
use super::tools::{self, stdout};

/// What SageMaker sets in the container of a space.
pub const STUDIO: &[&str] = &[
    "SAGEMAKER_APP_TYPE=CodeEditor",
    "SAGEMAKER_APP_TYPE_LOWERCASE=codeeditor",
    "SAGEMAKER_SPACE_NAME=space-1",
    "AWS_REGION=eu-west-1",
    "AWS_DEFAULT_REGION=eu-west-1",
    "AWS_ACCOUNT_ID=111122223333",
];
/// An empty volume, as a new space has it.
pub const EMPTY_HOME: &str = "/home/sagemaker-user:uid=1000,gid=100,mode=0755";
/// How long an extension may take to become active on a busy machine, in seconds; and how long one is waited for that is not there.
const PATIENCE: &str = "60";
pub const DOUBT: &str = "15";

fn screenshot(name: &str) -> PathBuf {
    let directory = tools::work().join("artifacts");
    fs::create_dir_all(&directory).unwrap();
    directory.join(format!("{name}.png"))
}

/// The quickstart as a project, with the inputs that `hack/quickstart` puts beside it.
pub fn quickstart() -> Workplace {
    let workplace = Workplace::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let into = workplace.path("");
    let copy = |from: &Path, to: &Path| stdout(Command::new("cp").arg("-a").arg(from).arg(to));
    copy(&example.join("."), &into);
    copy(&tools::server().join("."), &into.join("editor"));
    copy(&tools::rootfs(), &into.join("rootfs.tar"));
    for name in ["hello-studio-1.2.3", "hello-second-1.0.0"] {
        copy(&tools::vsix(name), &into);
    }
    workplace
}

/// A program in the daemon's network.
pub fn inside(docker: &Docker, program: impl AsRef<OsStr>) -> Command {
    let [enter, network] = docker.inside();
    let mut command = Command::new(enter);
    command.arg(network).arg(program);
    command
}

/// A running container of an image, gone when it is dropped.
pub struct Space<'a> {
    docker: &'a Docker,
    id: String,
    url: String,
}

impl<'a> Space<'a> {
    /// Starts the image with a published port and waits until the editor answers.
    pub fn start(docker: &'a Docker, image: &str, arguments: &[&str]) -> Self {
        let words: Vec<&str> = ["run", "--detach", "--publish", "127.0.0.1::8888"].iter().chain(arguments).copied().chain([image]).collect();
        let id = docker.run(&words);
        let mut space = Space { docker, id, url: String::new() };
        let port = docker.command(&["port", &space.id, "8888/tcp"]).output().unwrap();
        assert!(port.status.success(), "it ended at once:\n{}", space.log());
        let address = String::from_utf8(port.stdout).unwrap();
        space.url = format!("http://{}/codeeditor/default", address.lines().next().unwrap().trim());
        space.wait();
        space
    }

    /// Takes over a container that somebody else started.
    pub fn of(docker: &'a Docker, name: &str, url: &str) -> Self {
        Space { docker, id: name.to_owned(), url: url.to_owned() }
    }

    fn wait(&self) {
        let begun = Instant::now();
        loop {
            let mut curl = inside(self.docker, "curl");
            let code =
                curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", &self.url]).stderr(Stdio::null()).output().unwrap();
            if code.stdout == b"200" {
                return;
            }
            let running = self.docker.run(&["inspect", "--format", "{{.State.Running}}", &self.id]);
            assert!(running == "true" && begun.elapsed() < Duration::from_secs(120), "the editor does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        let mut command = self.docker.command(&["logs", &self.id]);
        let output = command.output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Stops it as `docker stop` does, and gives the exit code.
    pub fn stop(&self) -> String {
        self.docker.run(&["stop", "--time", "60", &self.id]);
        self.docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &self.id])
    }

    /// Whether a browser comes to see all the texts in the workbench's status bar.
    pub fn shows(&self, name: &str, seconds: &str, texts: &[&str]) -> bool {
        let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/workbench.js");
        let playwright = tools::work().join("tools/node_modules/playwright-core");
        let mut command = inside(self.docker, tools::server().join("bin/node"));
        // The page has a slash at its end: without it the workbench asks for some of its parts under a path that it doubles.
        command.arg(probe).arg(playwright).arg(format!("{}/", self.url)).arg(screenshot(name)).arg(seconds).args(texts);
        let output = command.output().unwrap();
        match output.status.code() {
            Some(0) => true,
            Some(1) => false,
            _ => panic!("no workbench at {}: {}{}", self.url, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Demands it, with some patience.
    #[track_caller]
    pub fn must_show(&self, name: &str, texts: &[&str]) {
        assert!(self.shows(name, PATIENCE, texts), "{texts:?} did not come:\n{}", self.log());
    }

    /// What a shell in it prints.
    pub fn exec(&self, script: &str) -> String {
        self.docker.run(&["exec", &self.id, "sh", "-c", script])
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        let _ = self.docker.command(&["rm", "--force", "--volumes", &self.id]).output();
    }
}

/// Starts an image with Studio's user and variables, and what the arguments say of the volume.
pub fn in_studio<'a>(docker: &'a Docker, image: &str, home: &[&str]) -> Space<'a> {
    let variables = STUDIO.iter().flat_map(|variable| ["--env", variable]);
    let arguments: Vec<&str> = ["--user", "1000:100"].into_iter().chain(home.iter().copied()).chain(variables).collect();
    Space::start(docker, image, &arguments)
}
