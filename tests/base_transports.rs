//! A base is the same by whatever transport it comes: images of buildah and umoci, copied by skopeo into every form that byoi reads.

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;

use byoi::base::{OpenedImage, docker_archive, layout};
use byoi::digest::Digest;
use byoi::error::Error;
use byoi::manifest::{Compression, Family};
use flate2::read::MultiGzDecoder;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::support::docker::Docker;

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}; hack/setup installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A directory for the images of one test.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Bench(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn skopeo(&self, options: &[&str], from: &str, to: &str) {
        run("skopeo", &[&["copy", "--quiet", "--insecure-policy"], options, &[from, to]].concat());
    }

    /// An image of two layers made by umoci, in the layout `umoci` under the tag `base`.
    fn umoci(&self, architecture: &str) {
        let (image, bundle) = (format!("{}:base", self.path("umoci")), self.path("bundle"));
        run("umoci", &["init", "--layout", &self.path("umoci")]);
        run("umoci", &["new", "--image", &image]);
        run("umoci", &["config", "--image", &image, "--architecture", architecture, "--os", "linux"]);
        for layer in ["one", "two"] {
            run("umoci", &["unpack", "--image", &image, &bundle]);
            fs::write(Path::new(&bundle).join("rootfs").join(layer), layer.repeat(100_000)).unwrap();
            run("umoci", &["repack", "--image", &image, &bundle]);
            fs::remove_dir_all(&bundle).unwrap();
        }
    }

    /// An image of one layer made by buildah.
    fn buildah(&self, format: &str, to: &str) {
        let (root, runroot) = (self.path("containers"), self.path("run"));
        let buildah =
            |arguments: &[&str]| run("buildah", &[&["--storage-driver", "vfs", "--root", &root, "--runroot", &runroot], arguments].concat());
        fs::write(self.path("file"), "buildah").unwrap();
        let container = buildah(&["from", "scratch"]);
        buildah(&["config", "--arch", "amd64", "--os", "linux", &container]);
        buildah(&["copy", "--quiet", &container, &self.path("file"), "/usr/share/file"]);
        buildah(&["commit", "--quiet", "--rm", "--format", format, &container, to]);
    }

    fn layout(&self, name: &str, tag: Option<&str>) -> Result<OpenedImage, Error> {
        layout::open_directory(name, &self.0.path().join(name), tag, None)
    }
}

/// The image after each of its layers was read to its end, where its bytes are held against digest, size and diff id.
async fn read(image: Result<OpenedImage, Error>) -> OpenedImage {
    let image = image.unwrap_or_else(|error| panic!("{error}: {error:?}"));
    for (layer, diff_id) in image.manifest.layers.iter().zip(&image.diff_ids) {
        let mut bytes = Vec::new();
        image.blobs.open(layer).await.unwrap().read_to_end(&mut bytes).await.unwrap();
        assert_eq!(Digest::of(plain(bytes)), *diff_id);
    }
    image
}

/// A layer's tar. The first bytes decide and not the media type, which some tools get wrong.
fn plain(bytes: Vec<u8>) -> Vec<u8> {
    let mut plain = Vec::new();
    match bytes.as_slice() {
        [0x1f, 0x8b, ..] => drop(MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap()),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => plain = zstd::decode_all(Cursor::new(bytes)).unwrap(),
        _ => plain = bytes,
    }
    plain
}

fn compressions(image: &OpenedImage) -> Vec<Compression> {
    image.manifest.layers.iter().map(|layer| layer.compression().unwrap()).collect()
}

#[tokio::test]
async fn an_image_of_umoci_is_the_same_in_every_form() {
    let bench = Bench::new();
    bench.umoci("amd64");
    let original = read(bench.layout("umoci", Some("base"))).await;
    assert_eq!((compressions(&original), original.manifest.family), (vec![Compression::Gzip; 2], Family::Oci));
    assert!(original.created().is_some());

    let from = format!("oci:{}:base", bench.path("umoci"));
    let archive = bench.path("oci.tar");
    bench.skopeo(&[], &from, &format!("oci-archive:{archive}"));
    assert_eq!(read(layout::open_archive("oci.tar", Path::new(&archive), None)).await.digest, original.digest);

    bench.skopeo(&["--dest-compress-format", "zstd"], &from, &format!("oci:{}", bench.path("zstd")));
    let zstd = read(bench.layout("zstd", None)).await;
    assert_eq!((compressions(&zstd), &zstd.diff_ids), (vec![Compression::Zstd; 2], &original.diff_ids));

    let archive = bench.path("docker.tar");
    bench.skopeo(&[], &from, &format!("docker-archive:{archive}:byoi/test:1"));
    let docker = read(docker_archive::open("docker.tar", Path::new(&archive), None)).await;
    assert_eq!((compressions(&docker), &docker.diff_ids), (vec![Compression::None; 2], &original.diff_ids));
    assert_eq!(docker.manifest.family, Family::Docker);

    let plain = format!("oci:{}:plain", bench.path("plain"));
    bench.skopeo(&["--dest-oci-accept-uncompressed-layers"], &format!("docker-archive:{archive}"), &plain);
    let plain = read(bench.layout("plain", Some("plain"))).await;
    // skopeo 1.9 writes gzip's media type here.
    let digests: Vec<_> = plain.manifest.layers.iter().map(|layer| layer.digest).collect();
    assert_eq!((&digests, &plain.diff_ids), (&original.diff_ids, &original.diff_ids));
}

#[tokio::test]
async fn images_of_buildah_are_read_in_both_forms() {
    let bench = Bench::new();
    for format in ["oci", "docker"] {
        bench.buildah(format, &format!("oci:{}:{format}", bench.path("buildah")));
        let image = read(bench.layout("buildah", Some(format))).await;
        // In a layout all manifests are OCI, in a docker archive none.
        assert_eq!((image.manifest.family, image.diff_ids.len()), (Family::Oci, 1));
        let archive = bench.path(&format!("{format}.tar"));
        bench.buildah(format, &format!("docker-archive:{archive}:byoi/test:1"));
        let archived = read(docker_archive::open("x", Path::new(&archive), None)).await;
        assert_eq!((archived.manifest.family, archived.diff_ids.len()), (Family::Docker, 1));
    }
}

#[tokio::test]
async fn what_an_older_docker_saves_is_read() {
    let bench = Bench::new();
    fs::create_dir(bench.path("context")).unwrap();
    fs::write(bench.path("context/one"), "1").unwrap();
    // The second and third layer are equal, and docker before version 25 saves the third as a link to the second.
    fs::write(bench.path("context/Dockerfile"), "FROM scratch\nCOPY one /\nCOPY one /\nCOPY one /\nCMD [\"/one\"]\n").unwrap();
    let docker = Docker::start();
    docker.run(&["build", "--quiet", "--tag", "saved", &bench.path("context")]);
    let archive = bench.path("saved.tar");
    docker.run(&["save", "--output", &archive, "saved"]);
    assert!(run("tar", &["-tvf", &archive]).lines().any(|line| line.starts_with('l') && line.contains("layer.tar -> ")));
    let image = read(docker_archive::open("saved.tar", Path::new(&archive), None)).await;
    assert_eq!((image.diff_ids.len(), image.manifest.config.digest.to_string()), (3, docker.id("saved")));
    assert_eq!(image.diff_ids[1], image.diff_ids[2]);
}

#[test]
fn an_image_for_another_platform_is_refused() {
    let bench = Bench::new();
    bench.umoci("arm64");
    let error = bench.layout("umoci", Some("base")).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("is not for linux/amd64, which is what SageMaker Studio runs; it is for linux/arm64"), "{error}");
    assert_eq!(error.fault().kind().exit_code(), 1);
}
