//! The command line of `byoi build`: exit codes, `--locked`, what stands on stdout, options that change the image.

use std::fs;

use byoi::digest::Digest;
use byoi::manifest::{Compression, Family};
use byoi::registry::testing::TestRegistry;
use serde_json::Value;

use crate::support::base::{editor_base, registry_with_base, write_project};
use crate::support::byoi::{Run, Workplace};
use crate::support::readers;

fn project(registry: &TestRegistry) -> Workplace {
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    place
}

fn config(place: &Workplace, layout: &str) -> Value {
    serde_json::from_slice(&readers::skopeo_config(&format!("oci:{}", place.path(layout).display()))).unwrap()
}

#[test]
fn stdout_has_the_digest_and_nothing_else() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    let quiet = place.byoi(&["build", "--quiet", "oci:image"]).ok();
    assert_eq!(quiet.err, "");
    let digest: Digest = quiet.out.strip_suffix('\n').unwrap().parse().unwrap();
    let verbose = place.byoi(&["build", "--verbose", "oci:image"]).ok();
    assert_eq!(verbose.out, quiet.out);
    assert_eq!(Digest::of(readers::skopeo_manifest(&format!("oci:{}", place.path("image").display()))), digest);
}

#[test]
fn json_has_one_object_of_a_known_shape() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    let built = place.build(&["oci:image:tag", &format!("docker://{}/out:1", registry.host())]);
    let keys: Vec<&String> = built.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["bytes_downloaded", "bytes_uploaded", "config_digest", "destinations", "digest", "judged", "layers", "requests", "seconds"]);
    for layer in built["layers"].as_array().unwrap() {
        let keys: Vec<&str> = layer.as_object().unwrap().keys().map(String::as_str).collect();
        let ours = ["components", "diff_id", "digest", "key", "name", "origin", "size"];
        let expected: &[&str] = if layer["origin"] == "base" { &["diff_id", "digest", "origin", "size"] } else { &ours };
        assert_eq!(keys, expected);
    }
    let destinations: Vec<&str> = built["destinations"].as_array().unwrap().iter().map(|one| one["destination"].as_str().unwrap()).collect();
    assert_eq!(destinations, ["oci:image:tag", &format!("docker://{}/out:1", registry.host())]);
    assert_eq!(built["destinations"][1]["changed"], true);
    assert!(built["seconds"].as_object().unwrap().values().all(|seconds| seconds.as_f64().unwrap() >= 0.0));
    let uploaded: u64 = registry.log().iter().map(|one| one.bytes_in).sum();
    assert_eq!(built["bytes_uploaded"], uploaded);
}

#[test]
fn locked_demands_a_current_lock() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    let lock = place.path("byoi.lock");
    let in_ci = |arguments: &[&str]| Run::of(place.command(arguments).env("CI", "true"));
    for run in [place.byoi(&["build", "--locked", "oci:image"]), in_ci(&["build", "oci:image"])] {
        run.fails(1, &["byoi.lock is not there", "--locked", "run `byoi lock`"]);
        assert!(!lock.exists() && !place.path("image").exists());
    }
    assert_eq!(registry.log().len(), 0);

    in_ci(&["check"]).fails(1, &["there is no lock", "run `byoi lock`"]);
    for run in [in_ci(&["check", "--no-locked"]), place.byoi(&["check"])] {
        assert!(run.ok().out.contains("absent"));
    }

    in_ci(&["build", "--no-locked", "oci:image"]).ok();
    in_ci(&["check"]).ok();
    in_ci(&["build", "oci:image"]).ok();
    place.byoi(&["lock", "--locked"]).ok();

    let current = fs::read(&lock).unwrap();
    let url = registry.put_file("/files/notes.txt", "text/plain", "notes\n");
    let description = fs::read_to_string(place.path("byoi.toml")).unwrap();
    place.write("byoi.toml", format!("{description}\n[[file]]\nurl = \"{url}\"\ntarget = \"/etc/notes\"\n"));
    for run in [place.byoi(&["build", "--locked", "oci:image"]), in_ci(&["build", "oci:image"]), place.byoi(&["lock", "--locked"])] {
        run.fails(1, &["byoi.lock is stale", &format!("the file {url} is not locked"), "run `byoi lock`"]);
        assert_eq!(fs::read(&lock).unwrap(), current);
    }
    let run = place.byoi(&["lock"]).ok();
    assert!(run.err.contains("notes.txt"), "{}", run.err);
    in_ci(&["build", "oci:image"]).ok();
}

#[test]
fn exit_codes_say_whose_fault_it_was() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    place.byoi(&["build", "oci:image"]).ok();
    for (code, arguments) in [
        (2, &["build", "--no-such-option"][..]),
        (2, &["build", "nowhere:image"]),
        (2, &["build", "--media-types", "tarball"]),
        (2, &["build", "--threads", "0"]),
        (2, &["build", "--label", "no value"]),
        (2, &["build", "docker-daemon:team/UPPER"]),
        (1, &["build", "-f", "missing.toml"]),
        (3, &["build", "oci-archive:no/such/directory/image.tar"]),
    ] {
        place.byoi(arguments).fails(code, &[]);
    }
    let run = Run::of(place.command(&["build", "docker-daemon:a"]).env("DOCKER_HOST", "ssh://elsewhere"));
    run.fails(2, &["ssh://elsewhere", "docker-archive"]);
    let run = Run::of(place.command(&["build", "docker-daemon:a"]).env("DOCKER_HOST", "unix:///no/such/socket"));
    run.fails(3, &["/no/such/socket", "docker-archive"]);
    let run = Run::of(place.command(&["build"]).env("SOURCE_DATE_EPOCH", "yesterday"));
    run.fails(2, &["SOURCE_DATE_EPOCH", "yesterday"]);
    place.configure("[registry]\nplain-htp = []\n");
    place.byoi(&["build"]).fails(1, &["plain-htp"]);
    place.configure("");
    place.write("byoi.toml", "schema = 1\nbase = \"scratch\"\nextra = 1\n");
    place.byoi(&["build"]).fails(1, &["extra"]);
}

#[test]
fn labels_and_the_epoch_move_no_layer() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    let plain = place.build(&["oci:plain"]);
    let labelled = place.build(&["--label", "a=b=c", "--label", "org.opencontainers.image.title=other", "oci:labelled"]);
    let mut command = place.command(&["build", "--json", "oci:dated"]);
    let dated = Run::of(command.env("SOURCE_DATE_EPOCH", "1000000000")).ok().json();

    let layers = |built: &Value| built["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect::<Vec<_>>();
    assert_eq!(layers(&plain), layers(&labelled));
    assert_eq!(layers(&plain), layers(&dated));
    let labels = config(&place, "labelled")["config"]["Labels"].clone();
    assert_eq!((&labels["a"], &labels["org.opencontainers.image.title"]), (&"b=c".into(), &"other".into()));
    assert_eq!(config(&place, "plain")["config"]["Labels"]["org.opencontainers.image.title"], "test");

    let dated = config(&place, "dated");
    assert_eq!(dated["created"], "2001-09-09T01:46:40Z");
    let history = dated["history"].as_array().unwrap();
    let of_base: Vec<_> = history[..2].iter().map(|item| &item["created"]).collect();
    assert_eq!(of_base, ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"]);
    assert!(history[2..].iter().all(|item| item["created"] == "2001-09-09T01:46:40Z"));
}

#[test]
fn the_config_is_the_platforms() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    place.build(&["oci:image"]);
    let config = config(&place, "image")["config"].clone();
    assert_eq!((&config["User"], &config["WorkingDir"]), (&"1000:100".into(), &"/home/sagemaker-user".into()));
    assert_eq!(config["ExposedPorts"], serde_json::json!({"8888/tcp": {}}));
    assert_eq!(config["Entrypoint"], serde_json::json!(["/usr/local/bin/byoi-entrypoint"]));
    let cmd: Vec<&str> = config["Cmd"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(cmd[..5], ["sagemaker-code-editor", "--host", "0.0.0.0", "--port", "8888"]);
    assert!(cmd.iter().all(|word| word.len() <= 64));
    let env: Vec<&str> = config["Env"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(env[0].starts_with("PATH=") && env[0].contains("/usr/local/bin:/usr/bin:/bin") && env[1] == "LANG=C.UTF-8", "{env:?}");
    for expected in ["EDITOR=nano", "HOME=/home/sagemaker-user", "USER=sagemaker-user"] {
        assert!(env.contains(&expected), "{env:?}");
    }
}

/// All media types of an image in a registry: its manifest's, its config's, its layers'.
fn media_types(registry: &TestRegistry, repository: &str) -> Vec<String> {
    let (served, bytes) = registry.manifest(repository, "1").unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let inner = [&manifest["mediaType"], &manifest["config"]["mediaType"]]
        .into_iter()
        .chain(manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["mediaType"]));
    let inner = inner.map(|value| value.as_str().unwrap().to_owned());
    [served].into_iter().chain(inner).collect()
}

#[test]
fn media_types_are_the_bases_or_as_asked_never_mixed() {
    let registry = TestRegistry::start();
    for (family, name) in [(Family::Oci, "oci"), (Family::Docker, "docker")] {
        let mut image = editor_base(2);
        image.family = family;
        registry.put_image("base", "1", &image);
        for (asked, repository) in [(None, "same"), (Some("oci"), "as-oci"), (Some("docker"), "as-docker")] {
            let place = project(&registry);
            let repository = format!("{name}/{repository}");
            let destination = format!("docker://{}/{repository}:1", registry.host());
            let mut arguments = vec![destination.as_str()];
            arguments.extend(asked.into_iter().flat_map(|asked| ["--media-types", asked]));
            place.build(&arguments);
            let word = if asked.unwrap_or(name) == "oci" { "vnd.oci.image." } else { "vnd.docker." };
            let types = media_types(&registry, &repository);
            assert!(types.iter().all(|one| one.contains(word)), "{name} as {asked:?}: {types:?}");
            readers::skopeo_tree(&destination);
        }
    }
}

#[test]
fn a_zstd_base_stays_zstd_and_cannot_become_docker() {
    let registry = TestRegistry::start();
    let mut image = editor_base(2);
    image.layers[0].compression = Compression::Zstd;
    image.layers[1].compression = Compression::None;
    registry.put_image("base", "1", &image);
    let place = project(&registry);
    place.byoi(&["build", "--media-types", "docker", "oci:image"]).fails(1, &["zstd"]);
    place.build(&[&format!("docker://{}/out:1", registry.host())]);
    let types = media_types(&registry, "out");
    assert!(types[3].ends_with("tar+zstd") && types[4].ends_with("layer.v1.tar") && types[5].ends_with("tar+gzip"), "{types:?}");
}

#[test]
fn inspect_shows_what_was_built() {
    let registry = registry_with_base(2);
    let place = project(&registry);
    let reference = format!("{}/out:1", registry.host());
    let built = place.build(&["oci:layout:tag", "oci-archive:image.tar", "docker-archive:docker.tar", &format!("docker://{reference}")]);
    for source in ["oci:layout:tag", "oci-archive:image.tar", "docker-archive:docker.tar", &reference] {
        let shown = place.byoi(&["inspect", source]).ok().out;
        assert!(shown.contains("1000:100") && shown.contains("byoi-entrypoint") && shown.contains("acme-labs.hello-studio"), "{source}: {shown}");
    }
    let shown = place.byoi(&["inspect", "oci:layout:tag"]).ok().out;
    assert!(shown.contains(built["digest"].as_str().unwrap()), "{shown}");
    // Images that are not ours too.
    place.byoi(&["inspect", &format!("{}/base:1", registry.host())]).ok();
    place.byoi(&["inspect", "oci:nothing"]).fails(1, &["nothing/index.json"]);
}
