//! A docker daemon of this machine's own docker, with a socket and data of its own; it ends with the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::file_tree::{self, FileTree};

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon.
pub struct Docker {
    process: Child,
    directory: TempDir,
}

impl Docker {
    /// Starts one, as root. It touches neither bridge nor firewall; its containers have no network.
    pub fn start() -> Self {
        Self::start_by(&["dockerd"], &["--bridge=none", "--iptables=false", "--ip-forward=false"])
    }

    /// Starts one, as root, in a network of its own, which is that of a machine without any other: its containers have a bridge, and their
    /// ports can be published, while this machine's own network stays as it is. What talks to them is started by [`Docker::inside`].
    pub fn start_with_network() -> Self {
        Self::start_by(&["unshare", "--net", "sh", "-c", "ip link set lo up && exec dockerd \"$@\"", "dockerd"], &[])
    }

    fn start_by(program: &[&str], options: &[&str]) -> Self {
        // Below /tmp, since a socket's path is short, and overlay file systems do not lie on each other.
        let directory = tempfile::Builder::new().prefix("byoi-docker-").tempdir_in("/tmp").unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let log = File::create(path("log")).unwrap();
        // The daemon ends with this thread, however that ends.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .args(program)
            .args(["--host", &format!("unix://{}", path("docker.sock"))])
            .args(["--data-root", &path("data"), "--exec-root", &path("run"), "--pidfile", &path("pid")])
            .args(options)
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

    /// What starts a program in the daemon's network: it stands before the program and its arguments.
    pub fn inside(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.process.id())]
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
        let mut tree = FileTree::new();
        file_tree::apply(&mut tree, File::open(self.export(image, self.directory.path())).unwrap());
        tree.retain(|path, _| !is_own(path));
        tree
    }

    /// `docker export` of a container of the image, into a tar in `directory`.
    pub fn export(&self, image: &str, directory: &Path) -> PathBuf {
        // Docker wants a command, which is never started.
        let container = self.run(&["create", "--network", "none", image, "never"]);
        let file = directory.join("export.tar");
        self.run(&["export", "--output", file.to_str().unwrap(), &container]);
        self.run(&["rm", &container]);
        file
    }
}

/// Whether docker itself makes this path in each container.
pub fn is_own(path: &Path) -> bool {
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
