//! `byoi run` with docker: the quickstart's image passes every step, on a home of another image too, and nothing is left afterwards.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::byoi::{Run, Workplace};
use crate::support::docker::Docker;
use crate::support::run::{command, inventory, is_healthy, outcomes, run};
use crate::support::studio::{inside, quickstart};
use crate::support::tools::stdout;

const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_quickstart_passes_and_nothing_is_left() {
    let docker = Docker::start_with_network();
    let place = quickstart();
    let before = inventory(&docker);
    let lines = run(&docker, &place, &[]).ok().out;
    assert_eq!(lines.lines().count(), 12, "{lines}");
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

/// What is waited for, and whether it has come.
type Reached<'a> = (&'static str, &'a dyn Fn(&Child) -> bool);

/// The words of the processes that a process has started.
fn children(process: &Child) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.id())).into_iter().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let numbers = lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    numbers.filter_map(|number| fs::read_to_string(format!("/proc/{number}/cmdline")).ok()).collect()
}

#[test]
fn nothing_is_left_when_it_is_interrupted() {
    let (docker, place) = (&Docker::start_with_network(), &quickstart());
    place.byoi(&["build", "oci:image"]).ok();
    let before = inventory(docker);
    let reached: [Reached; 4] = [
        ("sent the image", &|process| children(process).iter().any(|command| command.contains("load"))),
        ("made a volume", &|_| inventory(docker)[1] != before[1]),
        ("made a container", &|_| inventory(docker)[0] != before[0]),
        ("named the image", &|_| inventory(docker)[2] != before[2]),
    ];
    for (what, reached) in reached {
        let mut process = command(docker, place, &["oci:image"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while !reached(&process) {
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
