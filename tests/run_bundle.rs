//! `byoi run` without docker: byoi unpacks the image itself and runs it with runc, as root of the machine or of a user namespace.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::byoi::{Run, Workplace};
use crate::support::run::is_healthy;
use crate::support::studio::quickstart;
use crate::support::tools::stdout;

const PATIENCE: Duration = Duration::from_secs(120);

fn run(place: &Workplace, arguments: &[&str]) -> Run {
    place.byoi(&[&["run", "--engine", "runc"], arguments].concat())
}

fn spawn(place: &Workplace, arguments: &[&str]) -> Child {
    let words = [&["run", "--engine", "runc"], arguments].concat();
    place.command(&words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Neither files, nor mounts, nor processes that know of the place.
#[track_caller]
fn nothing_is_left(place: &Workplace) {
    assert_eq!(place.temporary(), Vec::<PathBuf>::new());
    let temporary = place.cache().with_file_name("temporary").display().to_string();
    let knows = |path: PathBuf| fs::read(path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(&temporary));
    assert!(!knows("/proc/self/mountinfo".into()));
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    assert_eq!(processes.filter(|path| knows(path.clone())).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn the_quickstart_passes_and_nothing_is_left() {
    let place = quickstart();
    let report = run(&place, &["--json"]).ok().json();
    is_healthy(&report);
    assert!(report["engine"].as_str().unwrap().starts_with("runc 1."), "{report:#}");
    nothing_is_left(&place);
    place.byoi(&["build", "oci:image"]).ok();
    a_directory_that_stays(&place);
    failures(&place);
    interrupted(&place);
    in_a_user_namespace(&place);
    without_rights();
}

fn a_directory_that_stays(place: &Workplace) {
    is_healthy(&run(place, &["oci:image", "--volume", "./home", "--json"]).ok().json());
    assert!(place.path("home/sagemaker-code-editor-server-data/extensions/acme-labs.hello-studio-1.2.3").is_symlink());
    run(place, &["oci:image", "--volume", "home"]).fails(2, &["there is no volume home", "--volume ./home"]);
    nothing_is_left(place);
}

fn failures(place: &Workplace) {
    let cases: [(&str, &[&str], &str, &str); 3] = [
        ("sagemaker-code-editor", &["--port", "8888", "--without-connection-token"], "listener", "localhost-bind"),
        ("/bin/bash", &[], "listener", "shell"),
        ("/nowhere", &[], "start", "no-program"),
    ];
    for (entrypoint, arguments, step, cause) in cases {
        let container = json!({"ContainerEntrypoint": [entrypoint], "ContainerArguments": arguments});
        place.write("config.json", json!({"CodeEditorAppImageConfig": {"ContainerConfig": container}}).to_string());
        let run = run(place, &["oci:image", "--app-image-config", "config.json", "--json"]);
        assert_eq!(run.code, Some(1), "{}\n{}", run.out, run.err);
        let report = run.json();
        let failed = report["steps"].as_array().unwrap().iter().find(|step| step["outcome"] == "failed").unwrap();
        assert_eq!((&failed["step"], &failed["cause"]), (&json!(step), &json!(cause)), "{report:#}");
        nothing_is_left(place);
    }
}

/// Ctrl-C while layers are unpacked, while steps are taken, and while it stays for a browser.
fn interrupted(place: &Workplace) {
    let below = |name: &str| place.temporary().first().is_some_and(|directory| directory.join(name).exists());
    for reached in ["rootfs/usr", "config.json"] {
        let mut process = spawn(place, &["oci:image"]);
        let begun = Instant::now();
        while !below(reached) {
            assert!(begun.elapsed() < PATIENCE && process.try_wait().unwrap().is_none(), "never {reached}");
        }
        kill_process(Pid::from_child(&process), Signal::INT).unwrap();
        let run = Run::from(process.wait_with_output().unwrap());
        assert_eq!(run.code, Some(130), "{reached}: {}", run.err);
        nothing_is_left(place);
    }
    let mut process = spawn(place, &["oci:image", "--open"]);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| line.ok().filter(|line| line.starts_with("http://"))).unwrap();
    assert!(stdout(Command::new("curl").args(["-s", &address])).contains("<html"));
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130));
    nothing_is_left(place);
}

/// Ids 0 to 65535 of a user namespace are others outside: what the machine's root has stays out of reach.
fn in_a_user_namespace(place: &Workplace) {
    let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/user_namespace.py");
    let own = tempfile::tempdir().unwrap();
    stdout(Command::new("cp").arg("-a").arg(place.path("image")).arg(own.path()));
    fs::copy(env!("CARGO_BIN_EXE_byoi"), own.path().join("byoi")).unwrap();
    stdout(Command::new("chown").args(["-R", "100000:100000"]).arg(own.path()));
    let words = ["run", "--engine", "runc", "oci:image", "--json"];
    let mut command = Command::new("python3");
    command.arg(probe).arg(own.path().join("byoi")).args(words).current_dir(own.path());
    let run = Run::of(command.env("HOME", own.path()).env("TMPDIR", own.path()).env_remove("BYOI_CACHE")).ok();
    is_healthy(&run.json());
    let left: Vec<_> = fs::read_dir(own.path()).unwrap().map(|entry| entry.unwrap().file_name()).filter(|name| *name != ".cache").collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

fn without_rights() {
    let own = tempfile::tempdir().unwrap();
    stdout(Command::new("chown").args(["1000:1000"]).arg(own.path()));
    // Not where only root gets to.
    let byoi = own.path().join("byoi");
    fs::copy(env!("CARGO_BIN_EXE_byoi"), &byoi).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1000", "--regid=1000", "--clear-groups"]).arg(&byoi).args(["run", "--engine", "runc", "oci:image"]);
    Run::of(command.current_dir(own.path()).env("HOME", own.path()).env_remove("BYOI_CACHE"))
        .fails(3, &["runc: only root can give files to the users that an image names", "unshare --user"]);
}
