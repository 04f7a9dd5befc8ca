//! The whole way: the quickstart's description becomes an image, goes through a real registry into a real docker, runs there as Studio would
//! run it, and a real browser shows that the extension is active.

use std::fs;
use std::path::Path;

use crate::support::byoi::Workplace;
use crate::support::docker::Docker;
use crate::support::docker_registry::DockerRegistry;
use crate::support::studio::{DOUBT, EMPTY_HOME, Space, in_studio, inside, quickstart};
use crate::support::tools::{self, stdout};
use tempfile::TempDir;

const FIRST: &str = "HELLO-STUDIO ACTIVE";
const SECOND: &str = "SECOND ACTIVE";

fn describe(workplace: &Workplace, change: impl Fn(&str) -> String) {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/byoi.toml")).unwrap();
    workplace.write("byoi.toml", change(&example));
}

#[test]
fn an_image_runs_as_studio_runs_it() {
    let workplace = quickstart();
    let docker = Docker::start_with_network();
    let network = docker.inside();
    let registry = DockerRegistry::start_through(&network);
    let image = |tag: &str| format!("{}/code-editor:{tag}", registry.host());
    let push = |tag: &str| {
        let destination = format!("docker://{}", image(tag));
        stdout(&mut workplace.through(&network.each_ref().map(String::as_str), &["build", &destination]));
        docker.run(&["pull", "--quiet", &image(tag)]);
    };
    push("one");
    describe(&workplace, |text| text.replace("[[extension]]\npath = \"hello-studio-1.2.3.vsix\"\n", ""));
    push("none");
    describe(&workplace, |text| format!("{text}\n[[extension]]\npath = \"hello-second-1.0.0.vsix\"\n"));
    push("two");

    a_new_space(&docker, &image("one"));
    a_new_space_without_the_extension(&docker, &image("none"));
    a_volume_under_another_image(&docker, &image("one"), &image("two"));
    without_studio(&docker, &image("two"));
    a_read_only_container(&docker, &image("one"));
}

fn a_new_space(docker: &Docker, image: &str) {
    let space = in_studio(docker, image, &["--tmpfs", EMPTY_HOME]);
    space.must_show("one-extension", &[FIRST]);
    let who = space.exec("id -u; id -g; id -un; echo $HOME; pwd");
    assert_eq!(who.split_whitespace().collect::<Vec<_>>(), ["1000", "100", "sagemaker-user", "/home/sagemaker-user", "/home/sagemaker-user"]);
    assert_eq!(space.exec("cat $HOME/sagemaker-code-editor-server-data/data/Machine/settings.json").matches("startupEditor").count(), 1);
    // SIGTERM ended it, and no SIGKILL after it: that would be 137.
    assert_eq!(space.stop(), "143");
}

/// The probe can fail: without the extension it does.
fn a_new_space_without_the_extension(docker: &Docker, image: &str) {
    let space = in_studio(docker, image, &["--tmpfs", EMPTY_HOME]);
    assert!(!space.shows("no-extension", DOUBT, &[FIRST]));
}

/// An image with one more extension: both are active. And back: the one of before is.
fn a_volume_under_another_image(docker: &Docker, image: &str, other: &str) {
    docker.run(&["volume", "create", "space"]);
    let home = ["--volume", "space:/home/sagemaker-user"];
    for (image, name, texts) in [(image, "volume-before", &[FIRST][..]), (other, "volume-after", &[FIRST, SECOND]), (image, "volume-back", &[FIRST])]
    {
        let space = in_studio(docker, image, &home);
        space.must_show(name, texts);
        let folders = space.exec("ls $HOME/sagemaker-code-editor-server-data/extensions");
        assert_eq!(folders.contains("hello-second"), texts.contains(&SECOND), "{folders}");
        space.stop();
    }
}

/// Anybody's `docker run -p`: no variables of SageMaker's, no user, no volume.
fn without_studio(docker: &Docker, image: &str) {
    let space = Space::start(docker, image, &[]);
    space.must_show("plain", &[FIRST, SECOND]);
    assert_eq!(space.exec("id -u; id -g"), "1000\n100");
}

fn a_read_only_container(docker: &Docker, image: &str) {
    let space = in_studio(docker, image, &["--read-only", "--tmpfs", "/tmp", "--tmpfs", EMPTY_HOME]);
    space.must_show("read-only", &[FIRST]);
}

#[test]
fn the_quickstart_starts_what_it_promises() {
    let docker = Docker::start_with_network();
    let cache = TempDir::new().unwrap();
    let mut quickstart = inside(&docker, Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/quickstart"));
    quickstart
        .env("DOCKER_HOST", docker.host())
        .env("BYOI", env!("CARGO_BIN_EXE_byoi"))
        .env("BYOI_CACHE", cache.path())
        .env("BYOI_WORK", tools::work());
    let said = stdout(&mut quickstart);
    assert!(said.contains("It runs. Open http://127.0.0.1:8888/codeeditor/default/"), "{said}");
    let space = Space::of(&docker, "byoi-quickstart", "http://127.0.0.1:8888/codeeditor/default");
    space.must_show("quickstart", &[FIRST]);
}
