//! Runs the command in a place of its own: an own home, configuration and cache, and nothing of the environment but the `PATH`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A user's machine, as far as byoi sees it. All of it is gone when it is dropped.
pub struct Workplace {
    directory: TempDir,
}

impl Workplace {
    /// An empty project, an empty cache, no credentials.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["project", "home", "cache", "temporary"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("config.toml"), "").unwrap();
        Workplace { directory }
    }

    /// A path in the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("project").join(name)
    }

    /// The cache.
    pub fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// What lies in the directory for temporary files, directories too.
    pub fn temporary(&self) -> Vec<PathBuf> {
        fs::read_dir(self.directory.path().join("temporary")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes the user's configuration.
    pub fn configure(&self, text: &str) {
        fs::write(self.directory.path().join("config.toml"), text).unwrap();
    }

    /// The user's configuration.
    pub fn configuration(&self) -> String {
        fs::read_to_string(self.directory.path().join("config.toml")).unwrap()
    }

    /// Signs in at a registry, as `docker login` does without a helper.
    pub fn sign_in(&self, registry: &str, user: &str, password: &str) {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let config = serde_json::json!({"auths": {registry: {"auth": auth}}});
        fs::create_dir_all(self.home().join(".docker")).unwrap();
        fs::write(self.home().join(".docker/config.json"), config.to_string()).unwrap();
    }

    /// Empties the cache: the next run is one of a fresh machine.
    pub fn forget(&self) {
        fs::remove_dir_all(self.cache()).unwrap();
        fs::create_dir(self.cache()).unwrap();
    }

    /// The command with these arguments, in the project.
    pub fn command<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        self.through(&[], arguments)
    }

    /// The same, started by another program (`sh -c …`), which gets byoi and its arguments as its own.
    pub fn through<S: AsRef<str>>(&self, program: &[&str], arguments: &[S]) -> Command {
        let words: Vec<&str> = program.iter().copied().chain([env!("CARGO_BIN_EXE_byoi")]).collect();
        self.start(&words, arguments)
    }

    /// Another build of the command with these arguments, in the project.
    pub fn with_program<S: AsRef<str>>(&self, program: &Path, arguments: &[S]) -> Command {
        self.start(&[program.to_str().unwrap()], arguments)
    }

    fn start<S: AsRef<str>>(&self, words: &[&str], arguments: &[S]) -> Command {
        let mut words = words.iter();
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(arguments.iter().map(AsRef::as_ref)).current_dir(self.path("")).env_clear();
        for (name, value) in [("HOME", "home"), ("BYOI_CACHE", "cache"), ("BYOI_CONFIG", "config.toml"), ("TMPDIR", "temporary")] {
            command.env(name, self.directory.path().join(value));
        }
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Runs the command to its end.
    pub fn byoi<S: AsRef<str>>(&self, arguments: &[S]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Builds into these destinations and gives the summary.
    pub fn build<S: AsRef<str>>(&self, arguments: &[S]) -> Value {
        let words: Vec<&str> = ["build", "--json"].into_iter().chain(arguments.iter().map(AsRef::as_ref)).collect();
        self.byoi(&words).ok().json()
    }

    /// Files that somebody began and did not end: byoi's temporary names, anywhere in the project, and all in the directories for such.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let begun = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let mut found = files(&self.path(""));
        found.retain(|path| begun(path));
        found.extend(files(&self.cache().join("tmp")));
        found.extend(files(&self.directory.path().join("temporary")));
        found
    }
}

/// All files below a directory; none where it is not there.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Demands success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// Demands this exit code, nothing on stdout, and a message that has all these parts, wherever its lines break.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        assert_eq!(self.out, "");
        let message = self.message();
        for part in parts {
            assert!(message.contains(part), "no `{part}` in\n{}", self.err);
        }
        self
    }

    /// Standard error with all white space and the frame's lines made one space.
    pub fn message(&self) -> String {
        self.err.split_whitespace().filter(|word| !matches!(*word, "│" | "╰─▶" | "├─▶")).collect::<Vec<_>>().join(" ")
    }

    /// The object of `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
