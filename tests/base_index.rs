//! The index of a base's layers is the tree that `umoci unpack` lays down: images of umoci, buildah and docker build, with all that is awkward
//! in layers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use byoi::base::index::{Index, Node};
use byoi::base::{self, Interest, OpenedImage, docker_archive, layout};
use byoi::image_path::ImagePath;
use byoi::progress::Silent;

use crate::support::awkward::{CAPABILITY, Images};
use crate::support::listing::{Row, Rows, unpacked};
use crate::support::readers::tool;

/// What the index says.
async fn indexed(image: &OpenedImage) -> Rows {
    let interest = Interest::Everything { digests: true };
    let index = base::read(&image.manifest.layers, &image.diff_ids, &*image.blobs, &interest, None, &Silent).await;
    let index = index.unwrap_or_else(|error| panic!("{error}: {error:?}"));
    rows_of(&index)
}

fn rows_of(index: &Index) -> Rows {
    let mut first = BTreeMap::new();
    let mut row = |path: &ImagePath, entry: &byoi::base::index::Entry| {
        let attributes = entry.attributes;
        let mut row = Row { mode: Some(attributes.mode), owner: (attributes.uid, attributes.gid), mtime: attributes.mtime, ..Row::default() };
        match &entry.node {
            Node::Directory => row.kind = "directory",
            Node::Fifo => row.kind = "fifo",
            Node::CharDevice { .. } => row.kind = "character device",
            Node::BlockDevice { .. } => row.kind = "block device",
            Node::Symlink(target) => (row.kind, row.mode, row.target) = ("link", None, target.to_vec()),
            Node::File(file) => {
                let same_as = file.inode.map(|inode| first.entry(inode).or_insert_with(|| path.clone()).clone());
                let capability = file.capability.clone().unwrap_or_default().into_vec();
                row = Row { kind: "file", size: file.size, digest: file.digest, capability, same_as, ..row };
            }
        }
        row
    };
    index.iter().map(|(path, entry)| (path.clone(), row(path, entry))).collect()
}

#[track_caller]
fn assert_equal(ours: &Rows, theirs: &Rows) {
    let paths: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    // The time of a root that no layer names is nobody's: byoi and umoci each make one up.
    let named = |rows: &Rows, path: &ImagePath| {
        let mut row = rows.get(path).cloned()?;
        if path.is_root() && [0, byoi::plan::MTIME].contains(&row.mtime) {
            row.mtime = 0;
        }
        Some(row)
    };
    let different: Vec<_> = paths
        .into_iter()
        .filter(|path| named(ours, path) != named(theirs, path))
        .map(|path| format!("{path:?}\n  index: {:?}\n  umoci: {:?}", ours.get(path), theirs.get(path)))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn open(images: &Images, layout: &str) -> OpenedImage {
    layout::open_directory(layout, Path::new(&images.path(layout)), Some("base"), None).unwrap_or_else(|error| panic!("{error}: {error:?}"))
}

/// The image as umoci unpacks it.
fn umoci_unpack(images: &Images) -> Rows {
    let bundle = images.path("bundle");
    tool("umoci", &["unpack", "--image", &format!("{}:base", images.path("images")), &bundle]);
    let rows = unpacked(&Path::new(&bundle).join("rootfs"));
    fs::remove_dir_all(&bundle).unwrap();
    rows
}

#[tokio::test]
async fn awkward_layers_merge_as_umoci_merges_them() {
    let images = Images::of_layers();
    let ours = indexed(&open(&images, "images")).await;
    assert_equal(&ours, &umoci_unpack(&images));
    // The comparison would also hold if both had lost these.
    let at = |path: &str| ours.get(&ImagePath::parse(path).unwrap());
    assert_eq!(at("usr/bin/ping").unwrap().capability, CAPABILITY);
    assert_eq!(at("hard-5").unwrap().same_as, at("a/hard-4").unwrap().same_as);
    assert!(at("opaque/before").is_some() && at("opaque/after").is_some() && at("opaque/sub/new").is_some());
    assert!(["opaque/old", "opaque/sub/deep", "a/dir", "a/gone", "a/keep", "whole/one"].iter().all(|path| at(path).is_none()));

    // The same tree, however the layers are stored.
    let from = format!("oci:{}:base", images.path("images"));
    images.skopeo(&["--dest-compress-format", "zstd"], &from, &format!("oci:{}:base", images.path("zstd")));
    assert_equal(&indexed(&open(&images, "zstd")).await, &ours);
    let archive = images.path("docker.tar");
    images.skopeo(&[], &from, &format!("docker-archive:{archive}:byoi/test:1"));
    assert_equal(&indexed(&docker_archive::open("docker.tar", Path::new(&archive), None).unwrap()).await, &ours);
}

#[tokio::test]
async fn an_image_of_umoci_itself_is_read_as_umoci_reads_it() {
    let images = Images::of_umoci();
    let ours = indexed(&open(&images, "images")).await;
    assert_equal(&ours, &umoci_unpack(&images));
    assert!(!ours.contains_key(&ImagePath::parse("a/dir").unwrap()));
}

#[tokio::test]
async fn an_image_of_buildah_is_read_as_umoci_reads_it() {
    let images = Images::of_buildah();
    let image = open(&images, "images");
    assert!(image.diff_ids.len() >= 3);
    let ours = indexed(&image).await;
    assert_equal(&ours, &umoci_unpack(&images));
    assert_eq!(ours[&ImagePath::parse("usr/bin/ping").unwrap()].capability, CAPABILITY);
}

#[tokio::test]
async fn an_image_of_docker_build_is_read_as_umoci_reads_it() {
    let images = Images::of_docker_build();
    let theirs = umoci_unpack(&images);
    let saved = docker_archive::open("saved.tar", Path::new(&images.path("saved.tar")), None).unwrap_or_else(|error| panic!("{error}: {error:?}"));
    assert!(saved.diff_ids.len() >= 7);
    let ours = indexed(&saved).await;
    assert_equal(&ours, &theirs);
    assert_eq!(ours[&ImagePath::parse("usr/bin/ping").unwrap()].capability, CAPABILITY);
    assert_equal(&indexed(&open(&images, "images")).await, &theirs);
}

#[test]
fn the_comparison_sees_a_difference() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("x"), "1").unwrap();
    let before = unpacked(directory.path());
    fs::set_permissions(directory.path().join("x"), fs::Permissions::from_mode(0o604)).unwrap();
    let after = unpacked(directory.path());
    assert!(std::panic::catch_unwind(|| assert_equal(&before, &after)).is_err());
}
