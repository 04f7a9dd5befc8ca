//! The two sample Dockerfiles of the platform's documentation, compiled: `examples/from-scratch` and `examples/distribution-scrapy-vim` are built as
//! they stand, with stand-ins for the places that they name. The images run in a real docker as Studio runs them, and a browser opens them.

use std::path::Path;
use std::process::Command;

use crate::support::byoi::Workplace;
use crate::support::conda_base::Base;
use crate::support::docker::Docker;
use crate::support::examples::StandIns;
use crate::support::file_tree::{self, FileTree, Item};
use crate::support::rattler;
use crate::support::studio::{EMPTY_HOME, Space, in_studio};
use crate::support::tools;

/// The stand-ins, and a docker with a network of its own, for published ports.
struct World {
    places: StandIns,
    docker: Docker,
}

impl World {
    fn new() -> Self {
        World { places: StandIns::start(), docker: Docker::start_with_network() }
    }

    /// Builds into the registry, and gives the image to docker.
    fn build(&self, place: &Workplace, tag: &str) -> String {
        let image = format!("{}/code-editor:{tag}", self.places.registry.host());
        place.byoi(&["build", &format!("docker://{image}")]).ok();
        let judged = place.byoi(&["verify", &format!("docker://{image}")]).ok();
        assert!(judged.out.contains("breaks no rule"), "{}", judged.out);
        self.pull(&image);
        image
    }

    /// The registry is not in docker's network: skopeo carries the image over.
    fn pull(&self, image: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "--dest-daemon-host", &self.docker.host()]);
        tools::stdout(skopeo.arg(format!("docker://{image}")).arg(format!("docker-daemon:{image}")));
    }
}

#[test]
fn an_environment_from_nothing_has_the_editor() {
    let world = World::new();
    world.places.micromamba();
    let place = world.places.example("from-scratch");
    let image = world.build(&place, "from-scratch");

    let space = in_studio(&world.docker, &image, &["--read-only", "--tmpfs", "/tmp", "--tmpfs", EMPTY_HOME]);
    space.must_show("conda-from-scratch", &[]);
    assert_eq!(
        space.exec("id -u; id -g; command -v node; command -v sagemaker-code-editor"),
        "1000\n100\n/opt/conda/bin/node\n/opt/conda/bin/sagemaker-code-editor"
    );
    let variables = space.exec("echo $CONDA_PREFIX $CONDA_DEFAULT_ENV $SAGEMAKER_APP_TYPE_LOWERCASE");
    assert_eq!(variables, "/opt/conda base codeeditor");
    assert_eq!(space.stop(), "143");

    // Nothing of it is made anew for the same lock, and a plain `docker run` works as well.
    assert_eq!(place.build(&[format!("docker://{image}")])["bytes_uploaded"], 0);
    Space::start(&world.docker, &image, &[]).must_show("conda-from-scratch-plain", &[]);
}

#[test]
fn scrapy_and_vim_come_to_the_distribution() {
    let world = World::new();
    let base = world.places.distribution();
    world.pull(&base);
    let place = world.places.example("distribution-scrapy-vim");
    let image = world.build(&place, "scrapy-vim");

    what_the_base_has_stays(&world.docker, &base, &image);
    let space = in_studio(
        &world.docker,
        &image,
        &["--read-only", "--tmpfs", "/tmp", "--tmpfs", "/run/supervisord:uid=1000", "--tmpfs", EMPTY_HOME, "--tmpfs", "/var/log/studio:uid=1000"],
    );
    // The base's own extension and the new one.
    space.must_show("conda-scrapy-vim", &["VIM ACTIVE", "SECOND ACTIVE"]);
    assert_eq!(space.exec("id -u; id -g"), "1000\n100");
    assert_eq!(
        space.exec("python -c 'import scrapy, ssl, sqlite3, lxml.etree, cryptography.hazmat.bindings._rust, sys; print(sys.prefix)'"),
        "/opt/conda"
    );
    assert!(space.exec("scrapy version").starts_with("Scrapy 2."));
    shipped_bytecode_is_used(&space);
    package_managers_see_them(&world.docker, &image, &space);
}

/// Every file of the base that nobody asked to change is as it was.
fn what_the_base_has_stays(docker: &Docker, base: &str, image: &str) {
    let (before, after) = (docker.tree(base), docker.tree(image));
    let changed: Vec<_> = before.iter().filter(|(path, item)| after.get(*path) != Some(item)).map(|(path, _)| path.to_str().unwrap()).collect();
    let data = "opt/amazon/sagemaker/sagemaker-code-editor-server-data";
    // The account gets its line in shadow.
    let expected = ["etc/shadow", &format!("{data}/extensions/extensions.json"), "opt/conda/conda-meta/history"];
    assert!(changed.iter().all(|path| expected.contains(path)), "{changed:?}");
    let python = Path::new("opt/conda/bin/python3.11");
    assert!(matches!(before.get(python), Some(Item::File { .. })) && after.contains_key(Path::new("opt/conda/bin/scrapy")));
    let new = |tree: &FileTree| tree.keys().filter(|path| path.starts_with("opt/conda/conda-meta")).count();
    assert!(new(&after) > new(&before) + 30, "{} packages before, {} after", new(&before), new(&after));
}

/// The `.pyc` files that packages of the platform ship are read, those of the base and those that came.
fn shipped_bytecode_is_used(space: &Space<'_>) {
    let said = space.exec("python -v -c 'import json, lxml.html' 2>&1");
    for module in ["lib/python3.11/json/__pycache__/__init__.cpython-311.pyc", "site-packages/lxml/html/__pycache__/__init__.cpython-311.pyc"] {
        assert!(said.lines().any(|line| line.contains(module) && line.contains("matches")), "{module} is not read:\n{said}");
    }
    assert!(!said.contains("stale"), "{said}");
}

/// pip sees the packages; rattler reads all records of the environment as they are in the image, and each path that they name is there.
fn package_managers_see_them(docker: &Docker, image: &str, space: &Space<'_>) {
    let listed = space.exec("python -m pip list --disable-pip-version-check 2>/dev/null");
    assert!(
        ["Scrapy", "lxml", "supervisor", "pip"].iter().all(|name| listed.lines().any(|line| line.split_whitespace().next() == Some(name))),
        "{listed}"
    );
    assert_eq!(space.exec("python -m pip check --disable-pip-version-check"), "No broken requirements found.");

    let out = tempfile::tempdir().unwrap();
    let container = docker.run(&["create", image]);
    docker.run(&["cp", &format!("{container}:/opt/conda"), out.path().to_str().unwrap()]);
    docker.run(&["rm", &container]);
    let prefix = out.path().join("conda");
    let records = rattler::installed(&prefix);
    let tree = file_tree::of_directory(&prefix);
    assert!(records.iter().any(|record| record.repodata_record.package_record.name.as_normalized() == "scrapy"));
    for record in &records {
        let missing: Vec<_> = record.files.iter().filter(|path| !tree.contains_key(*path)).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", record.repodata_record.package_record.name.as_normalized());
        assert!(record.extracted_package_dir.is_none() && record.repodata_record.url.as_str().starts_with(rattler::CONDA_FORGE));
    }
    // What a user installs into the running space: rattler in the place of micromamba.
    let present: Vec<_> = records.iter().map(|record| rattler::in_channel(&record.repodata_record)).collect();
    let specs: Vec<String> =
        present.iter().map(|record| record.package_record.name.as_normalized().to_owned()).chain(["t-noarch".to_owned()]).collect();
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    rattler::install(&prefix, "/opt/conda", &rattler::solve_beside(&rattler::channel(), &specs, &present));
    assert_eq!(rattler::installed(&prefix).len(), records.len() + 1);
    let after = file_tree::of_directory(&prefix);
    assert!(after.contains_key(Path::new("bin/t-noarch")) && tree.keys().all(|path| after.contains_key(path)));
}

/// The stand-ins are worth something: without byoi, the distribution's starts its editor by its own script, as Studio would start it.
#[test]
fn the_stand_in_for_the_distribution_runs_by_itself() {
    let docker = Docker::start_with_network();
    let base = Base::distribution();
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--insecure-policy", "--dest-daemon-host", &docker.host(), &format!("oci:{}", base.image())]);
    tools::stdout(skopeo.arg("docker-daemon:distribution:1"));
    let space = in_studio(&docker, "distribution:1", &["--tmpfs", EMPTY_HOME, "--entrypoint", "entrypoint-code-editor"]);
    space.must_show("conda-distribution", &["SECOND ACTIVE"]);
    assert_eq!(space.exec("command -v supervisord; command -v python"), "/opt/conda/bin/supervisord\n/opt/conda/bin/python");
}
