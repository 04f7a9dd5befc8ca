//! Tools that are not ours, reading images: skopeo, umoci, ocipkg.

use std::path::Path;
use std::process::Command;

use byoi::digest::Digest;
use flate2::read::MultiGzDecoder;
use ocipkg::image::{Image as _, OciArchive};

use super::file_tree::{self, FileTree};

/// Runs a tool and gives what it prints.
#[track_caller]
pub fn tool(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}; hack/setup installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// `skopeo copy`, into an OCI layout whose image is tagged `copy`.
#[track_caller]
pub fn skopeo_copy(from: &str, to: &Path) {
    tool("skopeo", &["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", from, &format!("oci:{}:copy", to.display())]);
}

/// The manifest as skopeo sees it.
#[track_caller]
pub fn skopeo_manifest(of: &str) -> Vec<u8> {
    tool("skopeo", &["inspect", "--raw", "--tls-verify=false", of])
}

/// The config as skopeo sees it.
#[track_caller]
pub fn skopeo_config(of: &str) -> Vec<u8> {
    tool("skopeo", &["inspect", "--raw", "--config", "--tls-verify=false", of])
}

/// The files of an image in an OCI layout, as `umoci unpack` lays them down.
#[track_caller]
pub fn umoci_tree(layout: &Path, tag: &str) -> FileTree {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle");
    tool("umoci", &["unpack", "--image", &format!("{}:{tag}", layout.display()), bundle.to_str().unwrap()]);
    file_tree::of_directory(&bundle.join("rootfs"))
}

/// The files of an image anywhere that skopeo can read.
#[track_caller]
pub fn skopeo_tree(of: &str) -> FileTree {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    skopeo_copy(of, &layout);
    umoci_tree(&layout, "copy")
}

/// The digest of the config and the files of an OCI archive, as ocipkg reads it.
pub fn ocipkg_archive(file: &Path) -> (Digest, FileTree) {
    let mut archive = OciArchive::new(file).unwrap();
    let manifest = archive.get_manifest().unwrap();
    let config = archive.get_blob(manifest.config().digest()).unwrap();
    let mut tree = FileTree::new();
    for layer in manifest.layers() {
        let blob = archive.get_blob(layer.digest()).unwrap();
        file_tree::apply(&mut tree, MultiGzDecoder::new(&blob[..]));
    }
    (Digest::of(config), tree)
}
