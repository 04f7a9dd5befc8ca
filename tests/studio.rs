//! The whole way: the quickstart's description becomes an image, goes through a real registry into a real docker, runs there as Studio would
//! run it, and a real browser shows that the extension is active.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::byoi::Workplace;
use crate::support::docker::Docker;
use crate::support::docker_registry::DockerRegistry;
use crate::support::tools::{self, stdout};

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

/// Whether a browser sees all the texts in the workbench's status bar.
fn shows(url: &str, name: &str, seconds: &str, texts: &[&str]) -> bool {
    let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/workbench.js");
    let playwright = tools::work().join("tools/node_modules/playwright-core");
    let mut command = Command::new(tools::server().join("bin/node"));
    let output = command.arg(probe).arg(playwright).arg(url).arg(screenshot(name)).arg(seconds).args(texts).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => panic!("no workbench at {url}: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
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

    fn wait(&self) {
        let begun = Instant::now();
        loop {
            let mut curl = Command::new("curl");
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
        self.docker.run(&["stop", "--time", "20", &self.id]);
        self.docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &self.id])
    }

    fn page(&self) -> String {
        format!("{}/", self.url)
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
    let registry = DockerRegistry::start();
    let docker = Docker::start_with_bridge();
    let image = |tag: &str| format!("{}/code-editor:{tag}", registry.host());
    let push = |tag: &str| {
        workplace.build(&[&format!("docker://{}", image(tag))]);
        docker.run(&["pull", "--quiet", &image(tag)]);
    };

    // A new space: the extension is active.
    push("one");
    {
        let space = in_studio(&docker, &image("one"), &["--tmpfs", EMPTY_HOME]);
        assert!(shows(&space.page(), "one-extension", PATIENCE, &[FIRST]), "{}", space.log());
        let who = docker.run(&["exec", &space.id, "sh", "-c", "id -u; id -g; echo $HOME; pwd"]);
        assert_eq!(who.split_whitespace().collect::<Vec<_>>(), ["1000", "100", "/home/sagemaker-user", "/home/sagemaker-user"]);
    }

    // The probe can fail: without the extension it does.
    describe(&workplace, |text| text.replace("[[extension]]\npath = \"hello-studio-1.2.3.vsix\"\n", ""));
    push("none");
    {
        let space = in_studio(&docker, &image("none"), &["--tmpfs", EMPTY_HOME]);
        assert!(!shows(&space.page(), "no-extension", DOUBT, &[FIRST]));
    }

    // The same volume under an image with one more extension: both are active.
    docker.run(&["volume", "create", "space"]);
    let home = ["--volume", "space:/home/sagemaker-user"];
    {
        let space = in_studio(&docker, &image("one"), &home);
        assert!(shows(&space.page(), "volume-before", PATIENCE, &[FIRST]), "{}", space.log());
        let code = space.stop();
        assert_ne!(code, "137", "the editor had to be killed");
    }
    describe(&workplace, |text| format!("{text}\n[[extension]]\npath = \"hello-second-1.0.0.vsix\"\n"));
    push("two");
    {
        let space = in_studio(&docker, &image("two"), &home);
        assert!(shows(&space.page(), "volume-after", PATIENCE, &[FIRST, SECOND]), "{}", space.log());
    }

    // Anybody's `docker run -p`: no variables of SageMaker's, no volume.
    let space = Space::start(&docker, &image("two"), &[]);
    assert!(shows(&space.page(), "plain", PATIENCE, &[FIRST, SECOND]), "{}", space.log());
}
