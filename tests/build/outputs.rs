//! Each output is read by a tool of its own kind, and all of them give the same image and the same files.

use byoi::digest::Digest;
use serde_json::Value;

use crate::support::base::{registry_with_base, write_project};
use crate::support::byoi::Workplace;
use crate::support::docker::Docker;
use crate::support::file_tree::{FileTree, Item, assert_same};
use crate::support::readers;

#[test]
fn every_output_is_the_same_image_to_its_own_tools() {
    let registry = registry_with_base(4);
    let docker = Docker::start();
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    let pushed = format!("docker://{}/out:1", registry.host());
    let destinations = [
        &pushed,
        "oci:layout:tag",
        "oci-archive:image.tar",
        "docker-archive:docker.tar:example.com/archived:1",
        "docker-daemon:example.com/direct:1",
    ];
    let mut command = place.command(&[&["build", "--json"], &destinations[..]].concat());
    let run = crate::support::byoi::Run::of(command.env("DOCKER_HOST", docker.host())).ok();
    let summary = run.json();
    let (digest, config) = (digest(&summary["digest"]), digest(&summary["config_digest"]));

    let layout = place.path("layout");
    let in_layout = format!("oci:{}:tag", layout.display());
    let in_archive = format!("oci-archive:{}", place.path("image.tar").display());
    let in_docker_archive = format!("docker-archive:{}", place.path("docker.tar").display());
    for image in [&pushed, &in_layout, &in_archive] {
        assert_eq!(Digest::of(readers::skopeo_manifest(image)), digest, "{image}");
    }
    for image in [&pushed, &in_layout, &in_archive, &in_docker_archive] {
        assert_eq!(Digest::of(readers::skopeo_config(image)), config, "{image}");
    }
    docker.load(&place.path("docker.tar"));
    for name in ["example.com/archived:1", "example.com/direct:1"] {
        assert_eq!(docker.id(name), config.to_string(), "{name}");
    }
    let (config_in_ocipkg, tree_in_ocipkg) = readers::ocipkg_archive(&place.path("image.tar"));
    assert_eq!(config_in_ocipkg, config);

    let tree = readers::umoci_tree(&layout, "tag");
    expect_files(&tree);
    for image in [&pushed, &in_layout, &in_archive, &in_docker_archive] {
        assert_same(image, &tree, &readers::skopeo_tree(image));
    }
    assert_same("ocipkg", &tree, &tree_in_ocipkg);
    for name in ["example.com/archived:1", "example.com/direct:1"] {
        assert_same(name, &without_dockers_own(&tree), &docker.tree(name));
    }
}

fn digest(value: &Value) -> Digest {
    value.as_str().unwrap().parse().unwrap()
}

/// What the description asks for is there: else all trees could be equal and wrong.
fn expect_files(tree: &FileTree) {
    let file = |path: &str| match tree.get(std::path::Path::new(path)) {
        Some(Item::File { mode, owner, content, .. }) => (*mode, *owner, *content),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(file("etc/motd"), (0o644, (0, 0), Digest::of("welcome\n")));
    assert_eq!(file("opt/tools/run"), (0o755, (0, 0), Digest::of("#!/bin/sh\necho run\n")));
    assert_eq!(file("opt/tools/data/table — ü.csv").2, Digest::of("1,2\n"));
    assert_eq!(file("usr/bin/su").0, 0o4755);
    assert_eq!(file("usr/local/bin/byoi-entrypoint").0, 0o755);
    let extension = "opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/acme-labs.hello-studio-1.2.3/extension.js";
    assert_eq!(file(extension).1, (1000, 100));
    assert_eq!(tree[std::path::Path::new("home/sagemaker-user")], Item::Directory { mode: 0o755, owner: (1000, 100) });
    assert_eq!(tree[std::path::Path::new("tmp")], Item::Directory { mode: 0o1777, owner: (0, 0) });
}

/// The tree without paths that docker makes in each container, as the one that it exports.
fn without_dockers_own(tree: &FileTree) -> FileTree {
    let mut tree = tree.clone();
    tree.retain(|path, _| !["dev", "proc", "sys"].iter().any(|directory| path.starts_with(directory)));
    tree
}

#[test]
fn a_second_build_leaves_an_up_to_date_layout_as_it_is() {
    let registry = registry_with_base(3);
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    let first = place.build(&["oci:layout:a"]);
    let again = place.build(&["oci:layout:a"]);
    assert_eq!(
        (&again["digest"], &again["destinations"][0]["changed"], &again["destinations"][0]["blobs_written"]),
        (&first["digest"], &false.into(), &0.into())
    );
    // Another image of the same layout keeps the first one whole.
    place.write("tools/run", "#!/bin/sh\necho other\n");
    let other = place.build(&["oci:layout:b"]);
    assert_ne!(other["digest"], first["digest"]);
    for (tag, summary) in [("a", &first), ("b", &other)] {
        let manifest = readers::skopeo_manifest(&format!("oci:{}:{tag}", place.path("layout").display()));
        assert_eq!(Digest::of(manifest), digest(&summary["digest"]));
    }
}

#[test]
fn a_directory_with_other_things_in_it_is_left_alone() {
    let registry = registry_with_base(2);
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    place.write("precious/thesis.txt", "all of it");
    place.byoi(&["build", "oci:precious"]).fails(1, &["precious", "not an OCI image layout"]);
    assert_eq!(crate::support::byoi::files(&place.path("precious")), [place.path("precious/thesis.txt")]);
}
