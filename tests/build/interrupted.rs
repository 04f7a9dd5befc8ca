//! Ctrl-C during a build leaves nothing half-written: no image at the destination, no temporary files, and the next build works.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use byoi::registry::testing::{TestRegistry, Trouble};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::base::{editor_base, write_project};
use crate::support::byoi::{Run, Workplace, files};

/// Longer than any step of the build takes when nothing holds it up.
const LONG: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `done`, while the process lives.
fn wait_until(process: &mut Child, what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "never {what}");
        if let Some(status) = process.try_wait().unwrap() {
            panic!("byoi ended with {status} before it {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn interrupt(process: Child, signal: Signal) -> Run {
    kill_process(Pid::from_child(&process), signal).unwrap();
    Run::from(process.wait_with_output().unwrap())
}

fn spawn(place: &Workplace, arguments: &[&str]) -> Child {
    place.command(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn while_a_layer_of_the_base_is_on_its_way() {
    let registry = TestRegistry::start();
    let (_, base) = registry.put_image("base", "1", &editor_base(3));
    let held = base.layers[1].digest.to_string();
    let other = TestRegistry::start();
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    let expected = place.byoi(&["build"]).ok().out;
    let pushed = format!("docker://{}/out:1", other.host());
    let cases =
        [("oci:layout", "layout/index.json"), ("oci-archive:image.tar", "image.tar"), ("docker-archive:docker.tar", "docker.tar"), (&*pushed, "-")];
    for (round, (destination, trace)) in cases.into_iter().enumerate() {
        registry.order(Trouble::delay("GET", &held, LONG).always());
        registry.clear_log();
        let mut process = spawn(&place, &["build", destination]);
        wait_until(&mut process, "asked for the layer", || !registry.asked("GET", &held).is_empty());
        let run = interrupt(process, if round == 0 { Signal::TERM } else { Signal::INT });
        assert_eq!((run.code, run.out.as_str()), (Some(130), ""), "{destination}: {}", run.err);
        assert!(!place.path(trace).exists(), "{destination}");
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new(), "{destination}");
        assert!(other.manifest("out", "1").is_none());
        registry.calm();
        assert_eq!(place.byoi(&["build", destination]).ok().out, expected, "{destination}");
    }
}

#[test]
fn while_a_layer_is_packed() {
    let registry = TestRegistry::start();
    registry.put_image("base", "1", &editor_base(2));
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    place.byoi(&["lock"]).ok();
    let before = files(&place.cache());
    // A hole, long enough that the signal comes while it is packed.
    std::fs::File::create(place.path("tools/large")).unwrap().set_len(4 << 30).unwrap();
    let mut process = spawn(&place, &["build", "oci:image"]);
    wait_until(&mut process, "wrote a piece of the layer, and more than any other layer has", || {
        files(&place.cache().join("tmp")).iter().any(|path| path.metadata().is_ok_and(|metadata| metadata.len() > 1 << 20))
    });
    let run = interrupt(process, Signal::INT);
    assert_eq!((run.code, run.out.as_str()), (Some(130), ""), "{}", run.err);
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    assert!(!place.path("image/index.json").exists());
    // Layers that were finished before may stay in the cache; the one that was not is not there, and nothing that was there is gone.
    assert!(files(&place.cache()).iter().all(|path| path.metadata().unwrap().len() < 4 << 20), "the layer was finished after all");
    assert!(before.iter().all(|path| path.exists()));
    std::fs::remove_file(place.path("tools/large")).unwrap();
    place.byoi(&["build", "oci:image"]).ok();
}

#[test]
fn while_a_local_file_is_hashed() {
    let registry = TestRegistry::start();
    registry.put_image("base", "1", &editor_base(2));
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    place.byoi(&["lock"]).ok();
    // A hole that takes hours.
    let large = place.path("tools/large");
    std::fs::File::create(&large).unwrap().set_len(8 << 40).unwrap();
    let mut process = spawn(&place, &["build", "oci:image"]);
    let open_files = format!("/proc/{}/fd", process.id());
    wait_until(&mut process, "opened the file", || {
        std::fs::read_dir(&open_files).unwrap().any(|file| std::fs::read_link(file.unwrap().path()).is_ok_and(|path| path == large))
    });
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    let begun = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            process.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = Run::from(process.wait_with_output().unwrap());
    assert_eq!((run.code, run.out.as_str()), (Some(130), ""), "{}", run.err);
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    assert!(!place.path("image").exists());
}

#[test]
fn while_the_base_is_read_for_the_lock() {
    let registry = TestRegistry::start();
    let (_, base) = registry.put_image("base", "1", &editor_base(3));
    let held = base.layers[2].digest.to_string();
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    registry.order(Trouble::delay("GET", &held, LONG).always());
    let mut process = spawn(&place, &["lock"]);
    wait_until(&mut process, "asked for the layer", || !registry.asked("GET", &held).is_empty());
    assert_eq!(interrupt(process, Signal::INT).code, Some(130));
    assert!(!place.path("byoi.lock").exists());
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    registry.calm();
    place.byoi(&["lock"]).ok();
}
