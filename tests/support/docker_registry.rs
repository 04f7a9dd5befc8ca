//! Debian's `docker-registry` (distribution 2.8), started on a free port of this machine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

/// The account of [`DockerRegistry::start_with_account`].
pub const USER: &str = "me";
/// Its password.
pub const PASSWORD: &str = "hunter2";
/// The line of htpasswd for both: bcrypt, the only hash that the registry takes (`perl -e 'print crypt("hunter2", "\$2y\$05\$…")'`).
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

/// A running registry. It is stopped, and what it holds deleted, when it is dropped.
pub struct DockerRegistry {
    process: Child,
    host: String,
    /// Its content and its log; deleted with it.
    _directory: TempDir,
    log: PathBuf,
}

/// What is not the default.
#[derive(Default)]
struct Options<'a> {
    account: bool,
    /// Certificate and key.
    tls: Option<(&'a Path, &'a Path)>,
    /// What starts it: a program and its arguments, before its own.
    through: &'a [String],
}

impl DockerRegistry {
    /// An open registry.
    pub fn start() -> Self {
        Self::start_as(&Options::default())
    }

    /// One that wants [`USER`] and [`PASSWORD`] by HTTP Basic.
    pub fn start_with_account() -> Self {
        Self::start_as(&Options { account: true, ..Options::default() })
    }

    /// An open one that speaks https.
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        Self::start_as(&Options { tls: Some((certificate, key)), ..Options::default() })
    }

    /// An open one, started through another program: in another network, say.
    pub fn start_through(program: &[String]) -> Self {
        Self::start_as(&Options { through: program, ..Options::default() })
    }

    fn start_as(options: &Options<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        // Port 0: the registry says in its log which one it got.
        let mut config = format!("version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n", path("data"));
        config += "http:\n  addr: 127.0.0.1:0\n";
        if let Some((certificate, key)) = options.tls {
            config += &format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
        }
        if options.account {
            fs::write(path("htpasswd"), HTPASSWD).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path("htpasswd"));
        }
        fs::write(path("config.yml"), config).unwrap();
        let serve = ["docker-registry".to_owned(), "serve".to_owned(), path("config.yml")];
        let mut words = options.through.iter().chain(&serve);
        let mut process = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is installed: hack/setup does it");
        // Its access log goes to stdout, the rest to stderr.
        let log = directory.path().join("access.log");
        let mut access = fs::File::create(&log).unwrap();
        let mut stdout = process.stdout.take().unwrap();
        thread::spawn(move || std::io::copy(&mut stdout, &mut access));
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = line.split("listening on ").nth(1).map(|rest| rest.chars().take_while(|c| !['"', ','].contains(c)).collect::<String>());
            seen.push(line);
            address
        });
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let host = address.unwrap_or_else(|| panic!("docker-registry did not start:\n{}", seen.join("\n")));
        DockerRegistry { process, host, _directory: directory, log }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The requests so far, out of its access log: `GET /v2/ 200`. A request is there soon after its answer.
    pub fn requests(&self) -> Vec<String> {
        // 127.0.0.1 - - [date] "GET /v2/ HTTP/1.1" 200 2 "" "byoi/0.1.0"
        let request = |line: &str| {
            let mut parts = line.split('"').skip(1);
            let (request, answer) = (parts.next()?, parts.next()?);
            Some(format!("{} {}", request.strip_suffix(" HTTP/1.1")?, answer.split_whitespace().next()?))
        };
        fs::read_to_string(&self.log).unwrap().lines().filter_map(request).collect()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have died already: the test that noticed has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
