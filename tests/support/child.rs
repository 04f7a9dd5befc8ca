//! A test that runs a second time in a process of its own, with another environment: a process cannot safely change its own.

use std::env;
use std::ffi::OsStr;
use std::process::Command;

/// Set in the second process.
const MARK: &str = "BYOI_TEST_CHILD";

/// Whether this is the second process.
pub fn is_child() -> bool {
    env::var_os(MARK).is_some()
}

/// Runs the test `name` (`file::test`) again with these variables, and fails if it fails.
pub fn run_again(name: &str, variables: &[(&str, &OsStr)]) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(MARK, "1").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{name} failed in its own process:\n{text}");
}
