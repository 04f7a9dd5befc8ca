//! Clients beside `docker build`: compose and bake, with the files of `examples/frontend` as they stand; secrets; and clients that go away.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use byoi::digest::Digest;
use byoi::registry::testing::{TestRegistry, Trouble};
use rustix::process::{Pid, Signal, kill_process};

use super::{name_frontend, project, unique};
use crate::support::base::{editor_base, registry_with_base, write_project};
use crate::support::byoi::Workplace;
use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::frontend::{Builder, Frontend, said};

/// The image that the example's files name.
const EXAMPLE: &str = "registry.example/code-editor:1";

#[test]
fn compose_and_bake_build_it() {
    let (frontend, builder) = (Frontend::publish(), Builder::new("classic"));
    let registry = registry_with_base(2);
    let place = project(&frontend, &registry);
    for file in ["compose.yml", "docker-bake.hcl"] {
        place.write(file, fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/frontend").join(file)).unwrap());
    }
    let labels = |config: &[u8]| serde_json::from_slice::<serde_json::Value>(config).unwrap()["config"]["Labels"].as_object().unwrap().clone();
    for (plugin, words) in [("docker-compose", &["build"][..]), ("docker-buildx", &["bake", "--file", "docker-bake.hcl", "--load"])] {
        let (ok, text) = said(builder.plugin(plugin, &place.home()).args(words).current_dir(place.path("")));
        assert!(ok, "{plugin}: {text}");
        let config = builder.config(EXAMPLE);
        // Compose gives every image labels of its own.
        let own: Vec<_> = labels(&config).into_iter().filter(|(name, _)| name.starts_with("com.docker.compose.")).collect();
        assert_eq!(own.is_empty(), plugin != "docker-compose");
        let own: Vec<String> = own.iter().flat_map(|(name, value)| ["--label".to_owned(), format!("{name}={}", value.as_str().unwrap())]).collect();
        assert_eq!(place.build(&own)["config_digest"], Digest::of(&config).to_string(), "{plugin}: {text}");
        builder.run(&["image", "rm", EXAMPLE]);
    }
}

/// The step that locks reads the accounts of registries from a secret, and no other way: the build's own account does not reach it.
#[test]
fn accounts_reach_the_step_that_locks_as_a_secret() {
    let (frontend, builder) = (Frontend::publish(), Builder::new("classic"));
    let registry = DockerRegistry::start_with_account();
    let place = Workplace::new();
    place.sign_in(registry.host(), USER, PASSWORD);
    let base = format!("docker://{}/base:1", registry.host());
    push(&place, &base);
    write_project(&place, &format!("{}/base:1", registry.host()));
    name_frontend(&frontend, &place);
    let ours = place.build::<&str>(&[]);
    fs::remove_file(place.path("byoi.lock")).unwrap();

    let accounts = place.home().join(".docker");
    let secret = format!("id=byoi-docker-config,src={}", accounts.join("config.json").display());
    let build = |more: &[&str]| {
        let words = ["build", "--progress", "plain", "--network", "host", "--tag", "byoi-test:secret", "--file", "byoi.toml"];
        let mut command = builder.command(&words);
        said(command.args(more).arg(".").env("DOCKER_CONFIG", &accounts).current_dir(place.path("")))
    };
    let (ok, text) = build(&[]);
    assert!(!ok && text.contains("401 Unauthorized"), "{text}");
    let (ok, text) = build(&["--secret", &secret]);
    assert!(ok, "{text}");
    assert_eq!(ours["config_digest"], Digest::of(builder.config("byoi-test:secret")).to_string());
    assert!(!text.contains(PASSWORD));
    builder.run(&["image", "rm", "byoi-test:secret"]);
}

/// Puts the test base into a registry that wants an account.
fn push(place: &Workplace, destination: &str) {
    let source = TestRegistry::start();
    source.put_image("base", "1", &editor_base(2));
    let auth = place.home().join(".docker/config.json");
    let mut skopeo = std::process::Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-authfile"]);
    crate::support::tools::stdout(skopeo.arg(auth).arg(format!("docker://{}/base:1", source.host())).arg(destination));
}

/// What cannot be locked ends the build with the command's diagnostic and its line, also where the daemon remembers the failure; once it can be, the
/// build goes on.
#[test]
fn a_lock_that_cannot_be_made_is_explained() {
    let frontend = Frontend::publish();
    for builder in [Builder::new("classic"), Builder::old()] {
        let registry = TestRegistry::start();
        let place = Workplace::new();
        write_project(&place, &format!("{}/base:1", registry.host()));
        name_frontend(&frontend, &place);
        let command = place.byoi(&["lock"]).message();
        let expected = format!("cannot read the manifest of {}/base:1", registry.host());
        assert!(command.contains(&expected), "{command}");
        for _ in 0..2 {
            let (ok, text) = builder.try_build(&place, &["--network", "host"]);
            let end = text.lines().rev().find(|line| line.contains("failed to solve") || line.contains(&expected)).unwrap_or_default();
            assert!(!ok && end.contains(&expected), "{text}");
            // The step's own lines have it as well.
            assert!(text.lines().any(|line| line.starts_with('#') && line.contains("×") && line.contains("cannot read the manifest")), "{text}");
        }
        registry.put_image("base", "1", &editor_base(2));
        builder.build(&place, &["--network", "host"]);
    }
}

/// Processes of this machine that know a word: by their arguments or their variables.
fn processes(word: &str) -> Vec<String> {
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.ok()?.path();
        path.file_name()?.to_str()?.parse::<u32>().ok()?;
        let read = |name: &str| String::from_utf8_lossy(&fs::read(path.join(name)).unwrap_or_default()).replace('\0', " ");
        let (words, variables) = (read("cmdline"), read("environ"));
        (words.starts_with("/byoi-frontend") && (words.contains(word) || variables.contains(word))).then_some(words)
    };
    fs::read_dir("/proc").unwrap().filter_map(of).collect()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A client that is interrupted leaves neither the frontend nor its step behind, on any daemon.
#[test]
fn an_interrupted_client_leaves_nothing_running() {
    let frontend = Frontend::publish();
    for builder in [Builder::new("classic"), Builder::new("containerd"), Builder::old()] {
        let registry = registry_with_base(2);
        // The lock step waits for an answer that does not come.
        registry.order(Trouble::delay("GET", "/manifests/", Duration::from_secs(600)).always());
        let place = Workplace::new();
        let name = format!("interrupted-{}.toml", unique());
        place.write(&name, frontend.syntax() + &format!("schema = 1\nbase = \"{}/base:1\"\n", registry.host()));
        let mut command = builder.command(&["build", "--network", "host", "--file", &name, "."]);
        let mut client = command.current_dir(place.path("")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the step", || processes(&name).iter().any(|words| words.contains(" lock ")));
        assert!(processes(&name).len() >= 2, "the frontend and its step: {:?}", processes(&name));
        kill_process(Pid::from_child(&client), Signal::INT).unwrap();
        assert!(!client.wait().unwrap().success());
        wait_until("their end", || processes(&name).is_empty());
    }
}
