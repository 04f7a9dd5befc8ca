//! The whole way: the quickstart's description becomes an image, goes through a real registry into a real docker, runs there as Studio would
//! run it, and a real browser shows that the extension is active.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::byoi::Workplace;
use crate::support::docker::Docker;
use crate::support::docker_registry::DockerRegistry;
use crate::support::tools::{self, stdout};
use tempfile::TempDir;

/// What SageMaker sets in the container of a space.
const STUDIO: &[&str] = &[
    "SAGEMAKER_APP_TYPE=CodeEditor",
    "SAGEMAKER_APP_TYPE_LOWERCASE=codeeditor",
    "SAGEMAKER_SPACE_NAME=space-1",
    "AWS_REGION=eu-west-1",
    "AWS_DEFAULT_REGION=eu-west-1",
    "AWS_ACCOUNT_ID=111122223333",
];
/// An empty volume, as a new space has it.
const EMPTY_HOME: &str = "/home/sagemaker-user:uid=1000,gid=100,mode=0755";
const FIRST: &str = "HELLO-STUDIO ACTIVE";
const SECOND: &str = "SECOND ACTIVE";
/// How long an extension may take to become active on a busy machine, in seconds; and how long one is waited for that is not there.
const PATIENCE: &str = "60";
const DOUBT: &str = "15";

/// The quickstart as a project, with the inputs that `hack/quickstart` puts beside it.
fn project() -> Workplace {
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

fn describe(workplace: &Workplace, change: impl Fn(&str) -> String) {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/byoi.toml")).unwrap();
    workplace.write("byoi.toml", change(&example));
}

fn screenshot(name: &str) -> PathBuf {
    let directory = tools::work().join("artifacts");
    fs::create_dir_all(&directory).unwrap();
    directory.join(format!("{name}.png"))
}

/// A program in the daemon's network.
fn inside(docker: &Docker, program: impl AsRef<OsStr>) -> Command {
    let [enter, network] = docker.inside();
    let mut command = Command::new(enter);
    command.arg(network).arg(program);
    command
}

/// A running container of an image, gone when it is dropped.
struct Space<'a> {
    docker: &'a Docker,
    id: String,
    url: String,
}

impl<'a> Space<'a> {
    /// Starts the image with a published port and waits until the editor answers.
    fn start(docker: &'a Docker, image: &str, arguments: &[&str]) -> Self {
        let words: Vec<&str> = ["run", "--detach", "--publish", "127.0.0.1::8888"].iter().chain(arguments).copied().chain([image]).collect();
        let id = docker.run(&words);
        let address = docker.run(&["port", &id, "8888/tcp"]);
        let space = Space { docker, url: format!("http://{}/codeeditor/default", address.lines().next().unwrap().trim()), id };
        space.wait();
        space
    }

    /// Takes over a container that somebody else started.
    fn of(docker: &'a Docker, name: &str, url: &str) -> Self {
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

    fn log(&self) -> String {
        let mut command = self.docker.command(&["logs", &self.id]);
        let output = command.output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Stops it as `docker stop` does, and gives the exit code.
    fn stop(&self) -> String {
        self.docker.run(&["stop", "--time", "60", &self.id]);
        self.docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &self.id])
    }

    /// Whether a browser comes to see all the texts in the workbench's status bar.
    fn shows(&self, name: &str, seconds: &str, texts: &[&str]) -> bool {
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

    #[track_caller]
    fn must_show(&self, name: &str, texts: &[&str]) {
        assert!(self.shows(name, PATIENCE, texts), "{texts:?} did not come:\n{}", self.log());
    }

    fn exec(&self, script: &str) -> String {
        self.docker.run(&["exec", &self.id, "sh", "-c", script])
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        let _ = self.docker.command(&["rm", "--force", "--volumes", &self.id]).output();
    }
}

fn in_studio<'a>(docker: &'a Docker, image: &str, home: &[&str]) -> Space<'a> {
    let variables = STUDIO.iter().flat_map(|variable| ["--env", variable]);
    let arguments: Vec<&str> = ["--user", "1000:100"].into_iter().chain(home.iter().copied()).chain(variables).collect();
    Space::start(docker, image, &arguments)
}

#[test]
fn an_image_runs_as_studio_runs_it() {
    let workplace = project();
    let docker = Docker::start_with_network();
    let network = docker.inside();
    let registry = DockerRegistry::start_through(&network);
    let image = |tag: &str| format!("{}/code-editor:{tag}", registry.host());
    let push = |tag: &str| {
        let destination = format!("docker://{}", image(tag));
        stdout(&mut workplace.through(&network.each_ref().map(String::as_str), &["build", &destination]));
        docker.run(&["pull", "--quiet", &image(tag)]);
    };
    push("one");
    describe(&workplace, |text| text.replace("[[extension]]\npath = \"hello-studio-1.2.3.vsix\"\n", ""));
    push("none");
    describe(&workplace, |text| format!("{text}\n[[extension]]\npath = \"hello-second-1.0.0.vsix\"\n"));
    push("two");

    a_new_space(&docker, &image("one"));
    a_new_space_without_the_extension(&docker, &image("none"));
    a_volume_under_another_image(&docker, &image("one"), &image("two"));
    without_studio(&docker, &image("two"));
    a_read_only_container(&docker, &image("one"));
}

fn a_new_space(docker: &Docker, image: &str) {
    let space = in_studio(docker, image, &["--tmpfs", EMPTY_HOME]);
    space.must_show("one-extension", &[FIRST]);
    let who = space.exec("id -u; id -g; id -un; echo $HOME; pwd");
    assert_eq!(who.split_whitespace().collect::<Vec<_>>(), ["1000", "100", "sagemaker-user", "/home/sagemaker-user", "/home/sagemaker-user"]);
    assert_eq!(space.exec("cat $HOME/sagemaker-code-editor-server-data/data/Machine/settings.json").matches("startupEditor").count(), 1);
    // SIGTERM ended it, and no SIGKILL after it: that would be 137.
    assert_eq!(space.stop(), "143");
}

/// The probe can fail: without the extension it does.
fn a_new_space_without_the_extension(docker: &Docker, image: &str) {
    let space = in_studio(docker, image, &["--tmpfs", EMPTY_HOME]);
    assert!(!space.shows("no-extension", DOUBT, &[FIRST]));
}

/// An image with one more extension: both are active. And back: the one of before is.
fn a_volume_under_another_image(docker: &Docker, image: &str, other: &str) {
    docker.run(&["volume", "create", "space"]);
    let home = ["--volume", "space:/home/sagemaker-user"];
    for (image, name, texts) in [(image, "volume-before", &[FIRST][..]), (other, "volume-after", &[FIRST, SECOND]), (image, "volume-back", &[FIRST])]
    {
        let space = in_studio(docker, image, &home);
        space.must_show(name, texts);
        let folders = space.exec("ls $HOME/sagemaker-code-editor-server-data/extensions");
        assert_eq!(folders.contains("hello-second"), texts.contains(&SECOND), "{folders}");
        space.stop();
    }
}

/// Anybody's `docker run -p`: no variables of SageMaker's, no user, no volume.
fn without_studio(docker: &Docker, image: &str) {
    let space = Space::start(docker, image, &[]);
    space.must_show("plain", &[FIRST, SECOND]);
    assert_eq!(space.exec("id -u; id -g"), "1000\n100");
}

fn a_read_only_container(docker: &Docker, image: &str) {
    let space = in_studio(docker, image, &["--read-only", "--tmpfs", "/tmp", "--tmpfs", EMPTY_HOME]);
    space.must_show("read-only", &[FIRST]);
}

#[test]
fn the_quickstart_starts_what_it_promises() {
    let docker = Docker::start_with_network();
    let cache = TempDir::new().unwrap();
    let mut quickstart = inside(&docker, Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/quickstart"));
    quickstart
        .env("DOCKER_HOST", docker.host())
        .env("BYOI", env!("CARGO_BIN_EXE_byoi"))
        .env("BYOI_CACHE", cache.path())
        .env("BYOI_WORK", tools::work());
    let said = stdout(&mut quickstart);
    assert!(said.contains("It runs. Open http://127.0.0.1:8888/codeeditor/default/"), "{said}");
    let space = Space::of(&docker, "byoi-quickstart", "http://127.0.0.1:8888/codeeditor/default");
    space.must_show("quickstart", &[FIRST]);
}
