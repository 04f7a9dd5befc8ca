//! The entrypoint starts the editor's server, under every shell and in every circumstance, and signals reach the server.
//!
//! The launcher in these tests is a bash script that does not `exec` node, as SageMaker's is.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::space::{Space, write_program};
use crate::support::tools;
use serde_json::{Value, json};

/// Time after which a test gives up waiting: what is waited for takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shells that may be an image's `/bin/sh`.
const SHELLS: &[&[&str]] = &[&["/bin/dash"], &["/bin/busybox", "sh"], &["/bin/bash", "--posix"]];

/// A prefix whose server prints its arguments and what it sees of its environment.
fn telling_prefix(space: &Space) -> PathBuf {
    let prefix = space.path("opt/conda");
    write_program(&prefix.join("bin/sagemaker-code-editor"), &fs::read_to_string(tools::server().join("bin/sagemaker-code-editor")).unwrap());
    let server = prefix.join("share/sagemaker-code-editor/out/server-main.js");
    write_program(&server, "console.log(JSON.stringify({ arguments: process.argv.slice(2), parent: process.ppid, env: process.env }));");
    std::os::unix::fs::symlink(tools::server().join("bin/node"), prefix.join("bin/node")).unwrap();
    prefix
}

/// What a telling server says when the entrypoint is started with these arguments by this shell.
fn told(space: &Space, shell: &[&str], arguments: &[&str]) -> Value {
    let prefix = telling_prefix(space);
    let mut command = space.in_container(shell[0], &prefix);
    let text = tools::stdout(command.args(&shell[1..]).arg(space.script()).args(arguments));
    fs::remove_dir_all(&prefix).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn default_arguments() -> Vec<String> {
    byoi::contract::server_command("/codeeditor/default", &["--disable-telemetry".to_owned(), "--locale=it's $HOME".to_owned()])[1..].to_vec()
}

fn space_with_arguments() -> Space {
    Space::new().with_editor("arguments = [\"--disable-telemetry\", \"--locale=it's $HOME\"]")
}

#[test]
fn without_arguments_the_server_gets_those_of_the_image() {
    for shell in SHELLS {
        assert_eq!(told(&space_with_arguments(), shell, &[])["arguments"], json!(default_arguments()), "{shell:?}");
    }
}

#[test]
fn options_follow_those_of_the_image() {
    for shell in SHELLS {
        let expected: Vec<_> = default_arguments().into_iter().chain(["--log".to_owned(), "a b".to_owned()]).collect();
        assert_eq!(told(&space_with_arguments(), shell, &["--log", "a b"])["arguments"], json!(expected), "{shell:?}");
    }
}

#[test]
fn the_launchers_name_starts_the_server_with_its_own_arguments() {
    for shell in SHELLS {
        let space = space_with_arguments();
        assert_eq!(told(&space, shell, &["sagemaker-code-editor", "--port", "1"])["arguments"], json!(["--port", "1"]), "{shell:?}");
        let path = space.path("opt/conda/bin/sagemaker-code-editor");
        assert_eq!(told(&space, shell, &[path.to_str().unwrap()])["arguments"], json!([]), "{shell:?}");
    }
}

#[test]
fn another_first_word_is_run_as_it_stands() {
    for shell in SHELLS {
        let space = Space::new();
        let mut command = space.in_container(shell[0], &tools::server());
        let text = tools::stdout(command.args(&shell[1..]).arg(space.script()).args(["printf", "<%s>", "a b", "-c"]));
        assert_eq!(text, "<a b><-c>", "{shell:?}");
    }
}

#[test]
fn variables_of_studio_have_defaults() {
    let space = Space::new();
    let env = told(&space, SHELLS[0], &[])["env"].clone();
    assert_eq!((&env["SAGEMAKER_APP_TYPE"], &env["SAGEMAKER_APP_TYPE_LOWERCASE"]), (&json!("CodeEditor"), &json!("codeeditor")));

    let prefix = telling_prefix(&space);
    let mut command = space.in_container(space.script(), &prefix);
    let text = tools::stdout(command.env_remove("HOME").env("SAGEMAKER_APP_TYPE", "JupyterLab"));
    let env = &serde_json::from_str::<Value>(&text).unwrap()["env"];
    assert_eq!((&env["SAGEMAKER_APP_TYPE_LOWERCASE"], &env["HOME"]), (&json!("jupyterlab"), &json!(space.home())));
}

#[test]
fn the_bases_own_entrypoint_has_the_last_word() {
    let telling = "#!/bin/sh\necho \"$SAGEMAKER_APP_TYPE\" \"$@\"\nls \"$HOME/data/extensions\"\n";
    for shell in SHELLS {
        let space = Space::new().with_platform_entrypoint(telling);
        space.image_has_made(&[("a.one", "1.0.0")]);
        for arguments in [&[][..], &["--log", "debug"]] {
            let mut command = space.in_container(shell[0], &tools::server());
            let text = tools::stdout(command.args(&shell[1..]).arg(space.script()).args(arguments));
            let expected: Vec<_> = ["CodeEditor"].iter().chain(arguments).copied().collect();
            assert_eq!(text.lines().collect::<Vec<_>>(), [expected.join(" ").as_str(), "a.one-1.0.0", "extensions.json"], "{shell:?}");
        }
        assert_eq!(told(&space, shell, &["sagemaker-code-editor", "--help"])["arguments"], json!(["--help"]), "{shell:?}");
    }
}

#[test]
fn without_node_the_volume_stays_and_the_launcher_is_tried() {
    let space = Space::new();
    space.image_has_made(&[("a.one", "1.0.0")]);
    let prefix = space.path("opt");
    write_program(&prefix.join("bin/sagemaker-code-editor"), "#!/bin/sh\necho launched \"$1\"\n");
    for name in ["sh", "readlink"] {
        std::os::unix::fs::symlink(Path::new("/usr/bin").join(name), prefix.join("bin").join(name)).unwrap();
    }
    let mut command = space.in_container(space.script(), &prefix);
    let output = tools::output(command.env("PATH", prefix.join("bin")));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "launched --host\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no node on the PATH: the volume stays as it is"));
    assert!(!space.volume().exists());
}

#[test]
fn another_layout_is_left_to_the_launcher() {
    let space = Space::new();
    let prefix = telling_prefix(&space);
    fs::remove_dir_all(prefix.join("share")).unwrap();
    write_program(&prefix.join("bin/sagemaker-code-editor"), "#!/bin/sh\necho launched \"$1\"\n");
    assert_eq!(tools::stdout(&mut space.in_container(space.script(), &prefix)), "launched --host\n");
}

#[test]
fn no_editor_at_all_is_said() {
    let space = Space::new();
    let output = tools::output(&mut space.in_container(space.script(), Path::new("/nowhere")));
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no sagemaker-code-editor on the PATH (/nowhere/bin:"));
}

/// A command in a mount namespace of its own, where these directories are read-only.
fn with_read_only(space: &Space, directories: &[PathBuf], prefix: &Path, arguments: &[&str]) -> Command {
    let mut command = space.in_container("unshare", prefix);
    command.args(unprivileged()).args(["--mount", "sh", "-ec"]);
    command.arg("while [ \"$1\" != -- ]; do mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"; shift; done; shift; exec \"$@\"");
    command.arg("sh").args(directories).arg("--").arg(space.script()).args(arguments);
    command
}

/// What lets a user who is not root make namespaces.
fn unprivileged() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] }
}

#[test]
fn a_read_only_image_serves() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3"]);
    let output = tools::output(&mut with_read_only(&space, &[space.image()], &tools::server(), &["true"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(space.listed(), ["acme-labs.hello-studio@1.2.3"]);
}

#[test]
fn a_volume_that_cannot_be_written_does_not_keep_the_editor_from_starting() {
    let space = Space::new();
    space.image_has_made(&[("a.one", "1.0.0")]);
    let prefix = telling_prefix(&space);
    for is_empty in [true, false] {
        let output = tools::output(&mut with_read_only(&space, &[space.home()], &prefix, &[]));
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains("cannot update the extensions of the volume: EROFS"), "{log}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["arguments"][0], json!("--host"));
        if is_empty {
            space.start();
            space.image_has_made(&[("a.one", "2.0.0")]);
        }
    }
}

#[test]
fn any_umask_serves() {
    for umask in ["000", "027", "077"] {
        let space = Space::new();
        space.image_has(&["hello-studio-1.2.3"]);
        let mut command = space.in_container("sh", &tools::server());
        tools::stdout(command.args(["-c", "umask $1; shift; exec \"$@\"", "sh", umask]).arg(space.script()).arg("true"));
        assert_eq!(space.listed(), ["acme-labs.hello-studio@1.2.3"], "{umask}");
    }
}

/// The real server, started by the entrypoint on a free port, ended with the test.
struct Server {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Server { child, lines }
    }

    /// Waits for a line with this text and gives what follows it.
    fn wait_for(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let line =
                self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap_or_else(|_| panic!("the server never said `{text}`"));
            if let Some((_, rest)) = line.split_once(text) {
                return rest.trim().to_owned();
            }
        }
    }

    fn port(&self) -> u16 {
        self.wait_for("Extension host agent listening on").parse().unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not end:\n{}", described(self.child.id(), 0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        drop(self.child.wait());
    }
}

fn signal(pid: u32, signal: &str) {
    tools::stdout(Command::new("kill").args(["-s", signal, &pid.to_string()]));
}

/// Ids of the processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// What the kernel says of a process, its threads and the processes below it: enough to see who waits for what, and where a signal is held.
fn described(pid: u32, depth: usize) -> String {
    const SAID: [&str; 8] = ["Name:", "State:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "NSpid:"];
    let mut text = String::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let status = read("status");
        let said: Vec<_> = status.lines().filter(|line| SAID.iter().any(|key| line.starts_with(key))).collect();
        let (thread, indent) = (task.file_name(), "  ".repeat(depth));
        text += &format!("{indent}{pid} thread {}: {} waits in {}\n", thread.display(), said.join(" ").replace('\t', " "), read("wchan"));
        text += &read("children").split_whitespace().map(|child| described(child.parse().unwrap(), depth + 1)).collect::<String>();
    }
    text
}

fn status_of(port: u16, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Write::write_all(&mut stream, format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).take(15).read_to_string(&mut answer).unwrap();
    answer
}

const ANY_PORT: &[&str] = &["--host", "127.0.0.1", "--port", "0"];

#[test]
fn the_real_server_answers_under_the_base_path() {
    let space = Space::new();
    let mut command = space.in_container(space.script(), &tools::server());
    command.args(ANY_PORT);
    let server = Server::start(command);
    let port = server.port();
    assert_eq!(status_of(port, "/codeeditor/default"), "HTTP/1.1 200 OK");
    assert_eq!(status_of(port, "/other/default"), "HTTP/1.1 404 No");
}

#[test]
fn new_extensions_outlive_the_servers_own_cleaning() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3"]);
    space.start();
    space.image_has(&["hello-studio-1.3.0", "hello-second-1.0.0"]);
    // The server marks at one start, and deletes at the next, what it finds unlisted.
    for _ in 0..3 {
        let mut command = space.in_container(space.script(), &tools::server());
        command.args(ANY_PORT).args(["--log", "debug"]);
        let server = Server::start(command);
        server.wait_for("No extensions are marked as removed");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(!space.installed(".obsolete").exists());
    assert_eq!(space.folders().into_keys().collect::<Vec<_>>(), ["acme-labs.hello-second-1.0.0", "acme-labs.hello-studio-1.3.0"]);
    assert!(space.installed("acme-labs.hello-second-1.0.0/package.json").exists());
}

#[test]
fn as_an_ordinary_process_the_entrypoint_becomes_the_server() {
    for shell in SHELLS {
        let space = Space::new();
        let mut command = space.in_container(shell[0], &tools::server());
        command.args(&shell[1..]).arg(space.script()).args(ANY_PORT);
        let mut server = Server::start(command);
        server.port();
        let program = fs::read_link(format!("/proc/{}/exe", server.child.id())).unwrap();
        assert_eq!(program, tools::server().join("bin/node"), "{shell:?}");
        signal(server.child.id(), "TERM");
        assert_eq!(server.wait().signal(), Some(15), "{shell:?}");
    }
}

/// The entrypoint as the first process of a PID namespace, as in a container; the id of that process outside.
fn as_first_process(space: &Space, shell: &[&str]) -> (Server, u32) {
    // Whoever runs tests in the background has the signal of an interrupt ignored, and a shell can trap none that it found ignored.
    let mut command = space.in_container("env", &tools::server());
    command.args(["--default-signal", "unshare"]).args(unprivileged()).args(["--pid", "--fork", "--mount-proc"]);
    command.args(shell).arg(space.script()).args(ANY_PORT);
    let server = Server::start(command);
    server.port();
    let first = children(server.child.id())[0];
    (server, first)
}

#[test]
fn as_the_first_process_of_a_container_it_ends_the_server_on_a_signal() {
    for shell in SHELLS {
        for (name, number) in [("TERM", 15), ("INT", 2)] {
            let space = Space::new();
            let (mut server, first) = as_first_process(&space, shell);
            signal(first, name);
            // Not 137, which would be a KILL.
            assert_eq!(server.wait().code(), Some(128 + number), "{shell:?} {name}");
        }
    }
}

#[test]
fn as_the_first_process_of_a_container_it_gives_the_servers_own_end_on() {
    for shell in SHELLS {
        let space = Space::new();
        let (mut server, first) = as_first_process(&space, shell);
        signal(children(first)[0], "KILL");
        assert_eq!(server.wait().code(), Some(137), "{shell:?}");
    }
}

#[test]
fn as_the_first_process_of_a_container_it_takes_in_orphans() {
    for shell in SHELLS {
        let space = Space::new();
        let (server, first) = as_first_process(&space, shell);
        let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--preserve-credentials"] };
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &first.to_string(), "--pid"]).args(user);
        tools::stdout(enter.args(["sh", "-c", "sleep 0.2 & sleep 0.2 &"]));
        let end = Instant::now() + PATIENCE;
        while children(first).len() > 1 {
            assert!(Instant::now() < end, "{shell:?}: {:?} stay", children(first));
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(server);
    }
}
