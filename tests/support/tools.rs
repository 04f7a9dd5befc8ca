//! The work folder and what the scripts in `hack` put there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The work folder: `$BYOI_WORK`, or `.work` in the repository.
pub fn work() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".work");
    std::env::var_os("BYOI_WORK").map_or_else(default, PathBuf::from)
}

/// A path that must be there, since a script makes it.
pub fn made_by(script: &str, path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run hack/setup and {script}", path.display());
    path
}

/// The prefix of the real editor server: `bin/sagemaker-code-editor`, `bin/node`, `share/sagemaker-code-editor`.
pub fn server() -> PathBuf {
    made_by("hack/server", work().join("server/current")).canonicalize().unwrap()
}

/// A Debian root filesystem as a tar.
pub fn rootfs() -> PathBuf {
    made_by("hack/rootfs", work().join("rootfs/bookworm.tar"))
}

/// A conda channel with scrapy's environment and packages for awkward cases.
pub fn channel() -> PathBuf {
    made_by("hack/channel", work().join("channel"))
}

/// The interpreter that has conda as a module.
pub fn conda() -> PathBuf {
    made_by("hack/conda", work().join("conda/bin/python"))
}

/// A VSIX, by its name without suffix.
pub fn vsix(name: &str) -> PathBuf {
    made_by("hack/vsix", work().join("vsix").join(format!("{name}.vsix")))
}

/// The command as a static binary.
pub fn static_byoi() -> PathBuf {
    made_by("hack/static", work().join("static/byoi"))
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// The standard output of a command that must succeed.
///
/// # Panics
/// When it fails: with all that it said.
pub fn stdout(command: &mut Command) -> String {
    let output = output(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The real editor's launcher with these arguments, kept away from every gallery.
pub fn editor(arguments: &[&str]) -> Command {
    let prefix = server();
    let path = format!("{}:/usr/bin:/bin", prefix.join("bin").display());
    let mut command = Command::new(prefix.join("bin/sagemaker-code-editor"));
    command.args(arguments).env("PATH", path).env("EXTENSIONS_GALLERY", r#"{"serviceUrl":""}"#);
    command
}
