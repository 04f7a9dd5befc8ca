//! Where a build's parts come from: named contexts in the base's place, and a remote git repository in the description's.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use byoi::digest::Digest;
use byoi::registry::testing::TestRegistry;
use serde_json::Value;

use super::project;
use crate::support::base::{editor_base, registry_with_base};
use crate::support::byoi::Workplace;
use crate::support::file_tree::assert_same;
use crate::support::frontend::{Builder, Frontend, said};
use crate::support::tools;

#[test]
fn another_registry_stands_in_for_the_bases() {
    let frontend = Frontend::publish();
    let (registry, other) = (registry_with_base(2), registry_with_base(2));
    let place = project(&frontend, &registry);
    let ours = place.build::<&str>(&[]);
    for (store, name) in [("classic", "base".to_owned()), ("containerd", format!("{}/base:1", registry.host()))] {
        let builder = Builder::new(store);
        let context = format!("{name}=docker-image://{}/base:1", other.host());
        stands_in(&builder, &place, &registry, &context, "byoi-test:context", &ours);
    }
}

/// A layout of the client, where the daemon can: docker with containerd's image store. What it holds has to be the locked base.
#[test]
fn a_layout_of_the_client_stands_in_for_the_base() {
    let frontend = Frontend::publish();
    let registry = registry_with_base(2);
    let place = project(&frontend, &registry);
    let ours = place.build::<&str>(&[]);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", &format!("docker://{}/base:1", registry.host())]);
    tools::stdout(skopeo.arg(format!("oci:{}:base", place.path("layout").display())));
    let context = format!("base=oci-layout://{}:base", place.path("layout").display());
    stands_in(&Builder::new("containerd"), &place, &registry, &context, "byoi-test:layout", &ours);
}

/// A build with the context in the base's place makes the command's image, and does not ask the base's own registry.
#[track_caller]
fn stands_in(builder: &Builder, place: &Workplace, registry: &TestRegistry, context: &str, tag: &str, ours: &Value) {
    registry.clear_log();
    let progress = builder.buildx(place, &["--load", "--tag", tag, "--build-context", context]);
    assert_eq!(ours["config_digest"], Digest::of(builder.config(tag)).to_string(), "{}", progress.text);
    assert!(registry.log().is_empty(), "the base's own registry is not asked: {:?}", registry.log());
    builder.run(&["image", "rm", tag]);
}

/// Another image under the base's name is another base: the lock is not for it, and one is made for this build.
#[test]
fn another_image_in_the_bases_place_is_locked_anew() {
    let frontend = Frontend::publish();
    let (registry, other) = (registry_with_base(2), registry_with_base(2));
    other.put_image("base", "1", &editor_base(4));
    let place = project(&frontend, &registry);
    let builder = Builder::new("classic");
    let context = format!("base=docker-image://{}/base:1", other.host());
    let progress = builder.buildx(&place, &["--load", "--network", "host", "--tag", "byoi-test:other", "--build-context", &context]);
    assert!(progress.text.contains("byoi.lock is stale"), "{}", progress.text);
    let config: serde_json::Value = serde_json::from_slice(&builder.config("byoi-test:other")).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 4 + 4, "{config}");
    builder.run(&["image", "rm", "byoi-test:other"]);
}

/// A git server of this machine for the repositories in a directory; it ends with the test.
struct GitDaemon {
    process: Child,
    port: u16,
}

impl GitDaemon {
    fn serve(directory: &Path) -> Self {
        // Nobody else gets the port between these two lines but by bad luck; git itself cannot say which one it chose.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        // Not by `git daemon`, whose child would outlive it.
        let programs = tools::stdout(Command::new("git").arg("--exec-path"));
        let mut command = Command::new(Path::new(programs.trim()).join("git-daemon"));
        command.args(["--export-all", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}")]);
        let process = command.arg(format!("--base-path={}", directory.display())).stderr(Stdio::null()).spawn().unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        GitDaemon { process, port }
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn commit(place: &Workplace) {
    for words in [&["init", "--quiet", "--initial-branch", "main"][..], &["add", "--all", "--force"], &["commit", "--quiet", "--message", "all"]] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=me", "-c", "user.email=me@example.org"]).args(words).current_dir(place.path(""));
        tools::stdout(&mut git);
    }
}

/// `docker build` of a repository's URL; nothing is on the client's machine.
#[track_caller]
fn build_remote(builder: &Builder, url: &str, tag: &str) {
    let (ok, text) = said(&mut builder.command(&["build", "--progress", "plain", "--file", "byoi.toml", "--tag", tag, url]));
    assert!(ok, "{text}");
}

/// Description, lock and local files come from a repository, or from a folder of one.
#[test]
fn a_remote_repository_is_the_folder() {
    let frontend = Frontend::publish();
    let registry = registry_with_base(2);
    let place = project(&frontend, &registry);
    let ours = place.build::<&str>(&[]);
    let repository = Workplace::new();
    for folder in ["images/editor", "."] {
        std::fs::create_dir_all(repository.path(folder)).unwrap();
        tools::stdout(Command::new("cp").arg("-a").arg(place.path(".")).arg(repository.path(folder)));
    }
    commit(&repository);
    let git = GitDaemon::serve(&repository.path(""));
    let url = |fragment: &str| format!("git://127.0.0.1:{}/.git#main{fragment}", git.port);

    let builder = Builder::new("classic");
    for fragment in ["", ":images/editor"] {
        build_remote(&builder, &url(fragment), "byoi-test:git");
        assert_eq!(ours["config_digest"], Digest::of(builder.config("byoi-test:git")).to_string(), "{fragment}");
        builder.run(&["image", "rm", "byoi-test:git"]);
    }

    // Docker 20.10 itself takes whole repositories alone.
    let old = Builder::old();
    let Builder::Old(docker) = &old else { unreachable!() };
    place.byoi(&["build", "docker-archive:image.tar:byoi-test:git-ours"]).ok();
    docker.load(&place.path("image.tar"));
    build_remote(&old, &url(""), "byoi-test:git");
    assert_same("docker's", &docker.tree("byoi-test:git-ours"), &docker.tree("byoi-test:git"));
}
