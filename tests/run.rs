//! `byoi run`: the quickstart's image passes every step; each failure that users report is made and recognised; nothing is left afterwards.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::byoi::{Run, Workplace};
use crate::support::docker::Docker;
use crate::support::studio::{inside, quickstart};
use crate::support::tools::stdout;

const PATIENCE: Duration = Duration::from_secs(120);
/// Steps that Code-OSS alone does not pass: SageMaker's patches bring their pages.
const NOT_IN_CODE_OSS: [&str; 2] = ["health", "idle"];

/// `byoi run` beside the daemon.
fn command(docker: &Docker, place: &Workplace, arguments: &[&str]) -> Command {
    let network = docker.inside();
    let words: Vec<&str> = ["run"].iter().chain(arguments).copied().collect();
    let mut command = place.through(&network.each_ref().map(String::as_str), &words);
    // Debian's own client: another one on the path may be too new for its daemon.
    command.env("DOCKER_HOST", docker.host()).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").stdin(Stdio::null());
    command
}

fn run(docker: &Docker, place: &Workplace, arguments: &[&str]) -> Run {
    Run::of(&mut command(docker, place, arguments))
}

/// All that a daemon has: containers, volumes, names of images.
fn inventory(docker: &Docker) -> [String; 3] {
    [&["ps", "--all", "--format", "{{.Names}}"][..], &["volume", "ls", "--quiet"], &["images", "--format", "{{.Repository}}:{{.Tag}}"]]
        .map(|words| docker.run(words))
}

/// The outcome of each step, `step=outcome`.
fn outcomes(report: &Value) -> Vec<String> {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    report["steps"].as_array().unwrap().iter().map(|step| format!("{}={}", text(step, "step"), text(step, "outcome"))).collect()
}

/// Demands that an image passed every step.
#[track_caller]
fn is_healthy(report: &Value) {
    let outcomes = outcomes(report);
    assert_eq!(outcomes.len(), 11);
    for outcome in outcomes {
        let expected = if NOT_IN_CODE_OSS.iter().any(|step| outcome.starts_with(step)) { "skipped" } else { "passed" };
        assert!(outcome.ends_with(expected), "{report:#}");
    }
    assert_eq!(report["healthy"], true);
}

#[test]
fn the_quickstart_passes_and_nothing_is_left() {
    let docker = Docker::start_with_network();
    let place = quickstart();
    let before = inventory(&docker);
    let lines = run(&docker, &place, &[]).ok().out;
    assert_eq!(lines.lines().count(), 11, "{lines}");
    assert!(lines.contains("passed   base-path     GET /codeeditor/default answers 200\n"), "{lines}");
    assert!(lines.contains("passed   second-start  SIGTERM ended it; on the same home it listens on 0.0.0.0:8888"), "{lines}");
    assert_eq!(inventory(&docker), before);
    place.byoi(&["build", "oci:image", "docker-archive:image.tar", "oci-archive:oci.tar"]).ok();
    for source in ["oci:image", "docker-archive:image.tar", "oci-archive:oci.tar"] {
        let report = run(&docker, &place, &[source, "--json"]).ok().json();
        is_healthy(&report);
        assert!(report["engine"].as_str().unwrap().starts_with("docker "));
    }
    assert_eq!(inventory(&docker), before);
    assert_eq!(place.temporary(), Vec::<PathBuf>::new());
    a_kept_volume(&docker, &place);
}

/// A home that an image without the extension has left, under the image with it.
fn a_kept_volume(docker: &Docker, place: &Workplace) {
    let description = std::fs::read_to_string(place.path("byoi.toml")).unwrap();
    place.write("older.toml", description.replace("[[extension]]\npath = \"hello-studio-1.2.3.vsix\"\n", ""));
    let older = run(docker, place, &["older.toml", "--volume", "space", "--json"]).ok().json();
    assert!(outcomes(&older).contains(&"extensions=skipped".to_owned()), "{older:#}");
    assert_eq!(docker.run(&["volume", "ls", "--quiet"]), "space");
    is_healthy(&run(docker, place, &["--volume", "space", "--json"]).ok().json());
    let directory = place.path("home");
    std::fs::create_dir(&directory).unwrap();
    is_healthy(&run(docker, place, &["--volume", "./home", "--json"]).ok().json());
    assert!(directory.join("sagemaker-code-editor-server-data/extensions/acme-labs.hello-studio-1.2.3").is_symlink());
    assert_eq!(docker.run(&["volume", "ls", "--quiet"]), "space");
    docker.run(&["volume", "rm", "space"]);
}

#[test]
fn nothing_is_left_when_it_is_interrupted() {
    let (docker, place) = (&Docker::start_with_network(), &quickstart());
    place.byoi(&["build", "oci:image"]).ok();
    let before = inventory(docker);
    let reached: [(&str, &dyn Fn() -> bool); 3] = [
        ("made a volume", &|| inventory(docker)[1] != before[1]),
        ("made a container", &|| inventory(docker)[0] != before[0]),
        ("named the image", &|| inventory(docker)[2] != before[2]),
    ];
    for (what, reached) in reached {
        let mut process = command(docker, place, &["oci:image"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while !reached() {
            assert!(begun.elapsed() < PATIENCE && process.try_wait().unwrap().is_none(), "never {what}");
        }
        kill_process(Pid::from_child(&process), Signal::INT).unwrap();
        let run = Run::from(process.wait_with_output().unwrap());
        assert_eq!(run.code, Some(130), "{what}: {}", run.err);
        assert_eq!(inventory(docker), before, "{what}");
    }
    let mut process = command(docker, place, &["oci:image", "--open"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| line.ok().filter(|line| line.starts_with("http://"))).unwrap();
    assert!(address.ends_with("/codeeditor/default/"), "{address}");
    assert!(stdout(inside(docker, "curl").args(["-s", &address])).contains("<html"));
    assert_ne!(inventory(docker), before);
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert_eq!(inventory(docker), before);
    assert_eq!(place.temporary(), Vec::<PathBuf>::new());
}
