//! A docker daemon of this machine's own docker, with a socket and data of its own; it ends with the test.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::file_tree::{self, FileTree};

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bridge of daemons that publish ports, and its address: docker's own bridge is removed by any daemon that starts without one.
const BRIDGE: &str = "byoi0";
const BRIDGE_ADDRESS: &str = "172.31.77.1/24";

/// A running daemon.
pub struct Docker {
    process: Child,
    directory: TempDir,
}

impl Docker {
    /// Starts one, as root. It touches neither bridge nor firewall; its containers have no network.
    pub fn start() -> Self {
        Self::start_on("none")
    }

    /// Starts one whose containers' ports can be published, by a proxy process and not by the firewall. One such daemon at a time.
    pub fn start_with_bridge() -> Self {
        let make = format!("ip link add {BRIDGE} type bridge 2>/dev/null; ip addr replace {BRIDGE_ADDRESS} dev {BRIDGE} && ip link set {BRIDGE} up");
        assert!(Command::new("sh").args(["-c", &make]).status().unwrap().success(), "cannot make the bridge {BRIDGE}; it needs root");
        Self::start_on(BRIDGE)
    }

    fn start_on(bridge: &str) -> Self {
        // Below /tmp, since a socket's path is short, and overlay file systems do not lie on each other.
        let directory = tempfile::Builder::new().prefix("byoi-docker-").tempdir_in("/tmp").unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let log = File::create(path("log")).unwrap();
        // The daemon ends with this thread, however that ends.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "dockerd", "--host", &format!("unix://{}", path("docker.sock"))])
            .args(["--data-root", &path("data"), "--exec-root", &path("run"), "--pidfile", &path("pid")])
            .args([&format!("--bridge={bridge}"), "--iptables=false", "--ip-forward=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut docker = Docker { process, directory };
        let begun = std::time::Instant::now();
        while !docker.command(&["version"]).output().unwrap().status.success() {
            let alive = docker.process.try_wait().unwrap().is_none();
            let log = std::fs::read_to_string(docker.directory.path().join("log")).unwrap();
            assert!(alive && begun.elapsed() < PATIENCE, "dockerd does not run; it needs root:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        docker
    }

    /// The value for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("docker.sock").display())
    }

    /// The client with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // Debian's own client: another one on the path may be too new for its daemon.
        let mut command = Command::new("/usr/bin/docker");
        command.args(arguments).env("DOCKER_HOST", self.host());
        command
    }

    /// Runs the client and gives what it prints.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `docker load`.
    pub fn load(&self, file: &Path) {
        self.run(&["load", "--quiet", "--input", file.to_str().unwrap()]);
    }

    /// The image's id, which is the digest of its config.
    pub fn id(&self, image: &str) -> String {
        self.run(&["image", "inspect", "--format", "{{.Id}}", image])
    }

    /// The files of an image, without those that docker itself makes in each container.
    pub fn tree(&self, image: &str) -> FileTree {
        let container = self.run(&["create", "--network", "none", image]);
        let file = self.directory.path().join("export.tar");
        self.run(&["export", "--output", file.to_str().unwrap(), &container]);
        self.run(&["rm", &container]);
        let mut tree = FileTree::new();
        file_tree::apply(&mut tree, File::open(&file).unwrap());
        tree.retain(|path, _| !is_dockers(path));
        tree
    }
}

fn is_dockers(path: &Path) -> bool {
    let files = [".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab"];
    ["dev", "proc", "sys"].iter().any(|directory| path.starts_with(directory)) || files.iter().any(|file| path == Path::new(file))
}

impl Drop for Docker {
    fn drop(&mut self) {
        let process = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}
