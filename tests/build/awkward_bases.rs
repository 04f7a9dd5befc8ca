//! Building on an awkward base changes nothing that was not asked for: each file, link and directory of the base is in the image as it was in
//! the base, as a real docker exports both. Who lays a file into a directory changes that directory's time, and no more.

use std::collections::BTreeSet;
use std::path::Path;

use byoi::contract::IMAGE_SERVER_DATA;
use byoi::image_path::ImagePath;

use crate::support::awkward::{CAPABILITY, Images};
use crate::support::base::{hello_vsix, set_mode};
use crate::support::byoi::Workplace;
use crate::support::docker::Docker;
use crate::support::listing::{Row, Rows, unpacked};
use crate::support::readers::tool;

/// The shell and one directory lie under links of the base; the shell, and the editor, are what an image has to have.
const DESCRIPTION: &str = r#"
[[extension]]
path = "hello.vsix"

[[file]]
content = "a shell\n"
target = "/bin/sh"
mode = "0755"

[[file]]
source = "editor"
target = "/lib64/editor"

[[file]]
content = "changed\n"
target = "/a/keep"
mode = "0604"
owner = "3:4"

[settings.machine]
"telemetry.telemetryLevel" = "off"
"#;

/// All that the description asks for, and what every image gets, at the places where it really lies; directories are new ones.
const ASKED: &[&str] = &[
    "a/keep",
    "etc/group",
    "etc/passwd",
    "home/sagemaker-user",
    "opt",
    "opt/amazon",
    "opt/amazon/sagemaker",
    "usr/bin/sh",
    "usr/lib/editor",
    "usr/lib/editor/bin",
    "usr/lib/editor/bin/sagemaker-code-editor",
    "usr/local",
    "usr/local/bin",
    "usr/local/bin/byoi-entrypoint",
    "usr/local/bin/entrypoint-code-editor",
    "usr/local/lib",
    "usr/local/lib/byoi",
    "usr/local/lib/byoi/volume.js",
];

/// The same below the image's server data.
const ASKED_SERVER_DATA: &[&str] = &[
    "",
    "data",
    "data/Machine",
    "data/Machine/settings.json",
    "extensions",
    "extensions/acme-labs.hello-studio-1.2.3",
    "extensions/acme-labs.hello-studio-1.2.3/.vsixmanifest",
    "extensions/acme-labs.hello-studio-1.2.3/README.md",
    "extensions/acme-labs.hello-studio-1.2.3/extension.js",
    "extensions/acme-labs.hello-studio-1.2.3/package.json",
    "extensions/acme-labs.hello-studio-1.2.3/themes",
    "extensions/acme-labs.hello-studio-1.2.3/themes/hello.json",
    "extensions/extensions.json",
];

#[test]
fn layers_of_umoci_stay_as_they_are() {
    compare(&Images::of_umoci_for_docker());
}

#[test]
fn layers_of_buildah_stay_as_they_are() {
    compare(&Images::of_buildah());
}

#[test]
fn layers_of_docker_build_stay_as_they_are() {
    compare(&Images::of_docker_build());
}

fn compare(images: &Images) {
    let place = Workplace::new();
    place.write("byoi.toml", format!("schema = 1\nbase = \"oci:{}:base\"\n{DESCRIPTION}", images.path("images")));
    place.write("hello.vsix", hello_vsix());
    place.write("editor/bin/sagemaker-code-editor", "#!/bin/sh\n");
    set_mode(&place.path("editor/bin/sagemaker-code-editor"), 0o755);
    // The editor is none, and lies where nobody looks for it.
    place.byoi(&["build", "--allow", "BYOI064", "docker-archive:image.tar:byoi.test/image:1"]).ok();
    images.skopeo(&[], &format!("oci:{}:base", images.path("images")), &format!("docker-archive:{}:byoi.test/base:1", images.path("base.tar")));

    let docker = Docker::start();
    docker.load(Path::new(&images.path("base.tar")));
    docker.load(&place.path("image.tar"));
    let (base, image) = (exported(&docker, "byoi.test/base:1"), exported(&docker, "byoi.test/image:1"));
    // The comparison would also hold if docker had lost these in both.
    let at = |path: &str| base.get(&ImagePath::parse(path).unwrap()).unwrap_or_else(|| panic!("{path}"));
    assert_eq!(at("usr/bin/ping").capability, CAPABILITY);
    assert_eq!((at("usr/bin/su").mode, at("srv").owner), (Some(0o4755), (33, 1000)));
    assert_eq!(at("a/hard-4").same_as, at("hard-2").same_as);
    assert!(at("usr/lib/with\nnewline").kind == "file" && at("bin").kind == "link");

    let server_data = ImagePath::literal(IMAGE_SERVER_DATA);
    let asked = ASKED.iter().map(|path| ImagePath::literal(path)).chain(ASKED_SERVER_DATA.iter().map(|path| server_data.join(path).unwrap()));
    let asked: BTreeSet<ImagePath> = asked.collect();
    assert_eq!(different(&base, &image), asked);
}

/// The files of a container of the image, as `docker export` gives them and GNU tar lays them down; without those that docker makes in each.
fn exported(docker: &Docker, image: &str) -> Rows {
    let directory = tempfile::tempdir().unwrap();
    let archive = docker.export(image, directory.path());
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-permissions", "--same-owner", "--extract", "--file"];
    tool("tar", &[&options[..], &[archive.to_str().unwrap(), "--directory", root.to_str().unwrap()]].concat());
    let mut rows = unpacked(&root);
    rows.retain(|path, _| !crate::support::docker::is_own(Path::new(&path.to_string())));
    rows
}

/// Paths at which the two are not the same, the times of directories that something was laid into apart.
fn different(base: &Rows, image: &Rows) -> BTreeSet<ImagePath> {
    let paths: BTreeSet<&ImagePath> = base.keys().chain(image.keys()).collect();
    let timeless =
        |rows: &Rows, path: &ImagePath| rows.get(path).map(|row| Row { mtime: if row.kind == "directory" { 0 } else { row.mtime }, ..row.clone() });
    let changed: BTreeSet<ImagePath> =
        paths.iter().filter(|path| timeless(base, path) != timeless(image, path)).map(|path| (*path).clone()).collect();
    let above: BTreeSet<ImagePath> = changed.iter().flat_map(ImagePath::ancestors).collect();
    let moved = paths.into_iter().filter(|path| !above.contains(path) && base.get(path) != image.get(path)).cloned();
    changed.iter().cloned().chain(moved).collect()
}
