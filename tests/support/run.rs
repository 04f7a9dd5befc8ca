//! `byoi run` in tests: started beside a daemon, and its report.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::byoi::{Run, Workplace};
use super::docker::Docker;

/// Steps that Code-OSS alone does not pass: SageMaker's patches bring their pages.
const NOT_IN_CODE_OSS: [&str; 2] = ["health", "idle"];

/// `byoi run` beside the daemon.
pub fn command(docker: &Docker, place: &Workplace, arguments: &[&str]) -> Command {
    let network = docker.inside();
    let words: Vec<&str> = ["run"].iter().chain(arguments).copied().collect();
    let mut command = place.through(&network.each_ref().map(String::as_str), &words);
    // Debian's own client: another one on the path may be too new for its daemon.
    command.env("DOCKER_HOST", docker.host()).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").stdin(Stdio::null());
    command
}

pub fn run(docker: &Docker, place: &Workplace, arguments: &[&str]) -> Run {
    Run::of(&mut command(docker, place, arguments))
}

/// All that a daemon has: containers, volumes, names of images.
pub fn inventory(docker: &Docker) -> [String; 3] {
    [&["ps", "--all", "--format", "{{.Names}}"][..], &["volume", "ls", "--quiet"], &["images", "--format", "{{.Repository}}:{{.Tag}}"]]
        .map(|words| docker.run(words))
}

/// The outcome of each step, `step=outcome`.
pub fn outcomes(report: &Value) -> Vec<String> {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    report["steps"].as_array().unwrap().iter().map(|step| format!("{}={}", text(step, "step"), text(step, "outcome"))).collect()
}

/// Demands that an image passed every step.
#[track_caller]
pub fn is_healthy(report: &Value) {
    let outcomes = outcomes(report);
    assert_eq!(outcomes.len(), 12);
    for outcome in outcomes {
        let expected = if NOT_IN_CODE_OSS.iter().any(|step| outcome.starts_with(step)) { "skipped" } else { "passed" };
        assert!(outcome.ends_with(expected), "{report:#}");
    }
    assert_eq!(report["healthy"], true);
}
