//! `byoi run` with podman: the same command as docker's, with answers of its own.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::byoi::{Run, Workplace};
use crate::support::run::is_healthy;
use crate::support::studio::quickstart;

/// Runs byoi in a network and a mount table of its own, and says on standard error what podman has afterwards.
const SCRIPT: &str = r#"
ip link set lo up
"$@"
code=$?
{ podman ps --all --quiet; podman volume ls --quiet; podman images --quiet; } | sed 's/^/left: /' >&2
exit $code
"#;

/// podman as root with storage of its own. crun needs a machine with cgroups of one version, and raised limits a privilege: neither is the test's
/// matter.
fn run(place: &Workplace, arguments: &[&str]) -> Run {
    let storage = place.path("storage.conf");
    let text = |name: &str| place.path(name).display().to_string();
    place.write("storage.conf", format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", text("graph"), text("run")));
    let engine = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
    place.write("containers.conf", format!("{engine}[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n"));
    let words = [&["run", "--engine", "podman"], arguments].concat();
    let mut command: Command = place.through(&["unshare", "--net", "--mount", "sh", "-c", SCRIPT, "sh"], &words);
    command.env("CONTAINERS_STORAGE_CONF", storage).env("CONTAINERS_CONF", place.path("containers.conf"));
    Run::of(command.stdin(Stdio::null()))
}

#[test]
fn the_quickstart_passes_and_nothing_is_left() {
    let place = quickstart();
    let passed = run(&place, &["--json"]).ok();
    is_healthy(&passed.json());
    assert!(!passed.err.contains("left:"), "{}", passed.err);
    place.write("config.json", r#"{"CodeEditorAppImageConfig": {"ContainerConfig": {"ContainerEntrypoint": ["/nowhere"]}}}"#);
    let failed = run(&place, &["--json", "--app-image-config", "config.json"]);
    assert_eq!(failed.code, Some(1), "{}", failed.err);
    let step: &Value = &failed.json()["steps"][0];
    assert_eq!((&step["outcome"], &step["cause"]), (&"failed".into(), &"no-program".into()), "{step:#}");
    assert!(!failed.err.contains("left:"), "{}", failed.err);
}
