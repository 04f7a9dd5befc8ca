//! Images of umoci, buildah and docker build with all that is awkward in layers: merged-usr links, whiteouts, opaque directories, hard links,
//! long and odd names, odd modes and owners, capabilities, a user `ubuntu`. Each lies under the tag `base` in an OCI layout.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}; hack/setup installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A directory for the images of one test. All of it is gone when it is dropped.
pub struct Images(TempDir);

impl Images {
    /// Three layers of our own, put together by umoci.
    pub fn of_layers() -> Self {
        Self::of([lowest(), middle(), highest()])
    }

    /// Layers that umoci itself made, with its own whiteouts: a tree changed and packed, twice.
    pub fn of_umoci() -> Self {
        Self::packed_by_umoci(|root, step| {
            change(root, step);
            if step == 1 {
                replace_directories(root);
            }
        })
    }

    /// The same without directories that became a file or a link: umoci deletes what lay in them too, and docker fails on such a deletion.
    pub fn of_umoci_for_docker() -> Self {
        Self::packed_by_umoci(change)
    }

    fn packed_by_umoci(change: impl Fn(&Path, u32)) -> Self {
        let images = Self::of([lowest()]);
        let image = format!("{}:base", images.path("images"));
        for step in 0..2 {
            let bundle = images.path("bundle");
            run("umoci", &["unpack", "--image", &image, &bundle]);
            change(&Path::new(&bundle).join("rootfs"), step);
            run("umoci", &["repack", "--image", &image, &bundle]);
            fs::remove_dir_all(&bundle).unwrap();
        }
        images
    }

    /// Layers that buildah made.
    pub fn of_buildah() -> Self {
        let images = Self::empty();
        let (root, runroot) = (images.path("containers"), images.path("run"));
        let buildah =
            |arguments: &[&str]| run("buildah", &[&["--storage-driver", "vfs", "--root", &root, "--runroot", &runroot], arguments].concat());
        fs::write(images.path("lowest.tar"), lowest().bytes()).unwrap();
        let mut from = "scratch".to_owned();
        for step in 0..3 {
            let container = buildah(&["from", "--pull-never", &from]);
            buildah(&["config", "--arch", "amd64", "--os", "linux", &container]);
            let mounted = buildah(&["mount", &container]);
            match step {
                0 => drop(run("tar", &["--xattrs", "--xattrs-include=*", "-xpf", &images.path("lowest.tar"), "-C", &mounted])),
                1 => change(Path::new(&mounted), 0),
                _ => {
                    change(Path::new(&mounted), 1);
                    replace_directories(Path::new(&mounted));
                }
            }
            buildah(&["umount", &container]);
            from = format!("localhost/step{step}");
            buildah(&["commit", "--quiet", "--rm", &container, &from]);
        }
        buildah(&["push", "--quiet", &from, &format!("oci:{}:base", images.path("images"))]);
        images
    }

    /// Layers that docker build made, by BuildKit; what docker saved lies beside the layout as `saved.tar`.
    pub fn of_docker_build() -> Self {
        let images = Self::empty();
        fs::create_dir(images.path("context")).unwrap();
        fs::write(images.path("context/lowest.tar"), lowest().bytes()).unwrap();
        fs::write(images.path("context/Dockerfile"), DOCKERFILE).unwrap();
        let docker_trixie = format!("{}/hack/docker-trixie", env!("CARGO_MANIFEST_DIR"));
        run(&docker_trixie, &["make"]);
        // The one of that chroot is static.
        let busybox = super::tools::work().join("docker-trixie/root/usr/bin/busybox");
        fs::copy(busybox, images.path("context/busybox")).unwrap();
        let (context, saved) = (images.path("context"), images.path("saved.tar"));
        // A name and an id of its own: docker removes an image although another test has just given the same one another name.
        let directory = images.0.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let tag = format!("byoi.test/awkward-{}", directory.trim_start_matches('.'));
        let docker = "set -e; export DOCKER_BUILDKIT=1; \
                      /usr/bin/docker build --quiet --network none --label \"test=$3\" --tag \"$3\" \"$1\" >/dev/null; \
                      /usr/bin/docker save --output \"$2\" \"$3\"; /usr/bin/docker image rm \"$3\" >/dev/null";
        run(&docker_trixie, &["run", "sh", "-c", docker, "-", &context, &saved, &tag]);
        images.skopeo(&[], &format!("docker-archive:{saved}"), &format!("oci:{}:base", images.path("images")));
        images
    }

    fn empty() -> Self {
        Images(tempfile::tempdir().unwrap())
    }

    fn of(layers: impl IntoIterator<Item = LayerTar>) -> Self {
        let images = Self::empty();
        let image = format!("{}:base", images.path("images"));
        run("umoci", &["init", "--layout", &images.path("images")]);
        run("umoci", &["new", "--image", &image]);
        run("umoci", &["config", "--image", &image, "--architecture", "amd64", "--os", "linux"]);
        for layer in layers {
            fs::write(images.path("layer.tar"), layer.bytes()).unwrap();
            run("umoci", &["raw", "add-layer", "--image", &image, &images.path("layer.tar")]);
        }
        images
    }

    /// A path in the directory; `images` is the layout.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// `skopeo copy`.
    #[track_caller]
    pub fn skopeo(&self, options: &[&str], from: &str, to: &str) {
        run("skopeo", &[&["copy", "--quiet", "--insecure-policy"], options, &[from, to]].concat());
    }
}

/// A layer's tar in the making.
struct LayerTar(Builder<Vec<u8>>);

impl LayerTar {
    fn new() -> Self {
        LayerTar(Builder::new(Vec::new()))
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn entry(&mut self, path: impl AsRef<[u8]>, kind: EntryType, mode: u32, owner: (u64, u64), target: Option<&str>, content: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(1_600_000_000 + u64::from(mode));
        header.set_size(content.len() as u64);
        let path = Path::new(std::ffi::OsStr::from_bytes(path.as_ref()));
        match target {
            Some(target) => self.0.append_link(&mut header, path, target).unwrap(),
            None => self.0.append_data(&mut header, path, content).unwrap(),
        }
    }

    fn directories(&mut self, paths: &[&str]) {
        paths.iter().for_each(|path| self.entry(path, EntryType::Directory, 0o755, (0, 0), None, b""));
    }

    fn files(&mut self, paths: &[&str]) {
        paths.iter().for_each(|path| self.entry(path, EntryType::Regular, 0o644, (0, 0), None, path.as_bytes()));
    }

    fn links(&mut self, links: &[(&str, &str)]) {
        links.iter().for_each(|(path, target)| self.entry(path, EntryType::Symlink, 0o777, (0, 0), Some(target), b""));
    }

    fn hard_links(&mut self, links: &[(&str, &str)]) {
        links.iter().for_each(|(path, target)| self.entry(path, EntryType::Link, 0o644, (0, 0), Some(target), b""));
    }

    fn records(&mut self, records: &[(&str, &[u8])]) {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
    }
}

/// `cap_net_bind_service` and others, with a newline among its bytes.
pub const CAPABILITY: &[u8] = &[1, 0, 0, 2, 10, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A merged-usr system with a user `ubuntu`, and everything that the later layers change.
fn lowest() -> LayerTar {
    let mut tar = LayerTar::new();
    tar.directories(&["./", "usr", "usr/bin", "usr/lib", "etc", "home"]);
    tar.links(&[("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "/usr/lib"), ("dangling", "nowhere/at/all"), ("circle", "circle")]);
    tar.entry("etc/passwd", EntryType::Regular, 0o664, (0, 0), None, b"root:x:0:0::/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n");
    tar.entry("home/ubuntu", EntryType::Directory, 0o750, (1000, 1000), None, b"");
    tar.entry("home/ubuntu/.profile", EntryType::Regular, 0o600, (1000, 1000), None, b"umask 022\n");
    tar.entry("tmp", EntryType::Directory, 0o1777, (0, 0), None, b"");
    tar.entry("srv", EntryType::Directory, 0o2770, (33, 1000), None, b"");
    tar.entry("root", EntryType::Directory, 0o700, (0, 0), None, b"");
    tar.entry("usr/bin/su", EntryType::Regular, 0o4755, (0, 0), None, b"su");
    tar.entry("usr/bin/wall", EntryType::Regular, 0o2755, (0, 5), None, b"wall");
    tar.records(&[("SCHILY.xattr.security.capability", CAPABILITY)]);
    tar.entry("usr/bin/ping", EntryType::Regular, 0o755, (0, 0), None, b"ping");
    tar.entry("usr/bin/empty", EntryType::Regular, 0o000, (65_534, 65_534), None, b"");
    tar.entry("usr/lib/pipe", EntryType::Fifo, 0o620, (0, 5), None, b"");
    tar.entry(b"usr/lib/bytes-\xff\xfe", EntryType::Regular, 0o644, (0, 0), None, b"not UTF-8");
    let long = format!("usr/lib/{}", "a-long-name-of-a-directory-".repeat(9));
    tar.directories(&["usr/lib/naïve", &long]);
    tar.files(&["usr/lib/naïve/名前 🎉.txt", "usr/lib/with\nnewline", &format!("{long}/{}", "f".repeat(255))]);
    tar.links(&[("usr/lib/far", &"target/".repeat(40))]);
    tar.directories(&["a", "a/dir", "a/dir/below", "opaque", "opaque/sub", "directory-to-file", "directory-to-link", "whole"]);
    tar.files(&["a/keep", "a/gone", "a/dir/x", "a/dir/below/y", "opaque/old", "opaque/sub/deep", "file-to-directory", "file-to-link"]);
    tar.files(&["directory-to-file/in", "directory-to-link/in", "whole/one", "whole/two", "hard-1", "touched"]);
    tar.links(&[("link-to-directory", "usr"), ("link-to-file", "a/keep")]);
    tar.hard_links(&[("hard-2", "hard-1"), ("usr/lib/hard-3", "hard-2"), ("a/hard-4", "hard-1")]);
    tar
}

/// Replaces everything by something of another type, deletes, and hides a directory's old content, with entries before the mark and after it.
fn middle() -> LayerTar {
    let mut tar = LayerTar::new();
    tar.directories(&["a", "opaque"]);
    tar.files(&["a/.wh.gone", "a/.wh.dir", "opaque/before", "opaque/.wh..wh..opq", "opaque/after"]);
    tar.directories(&["opaque/sub", "file-to-directory", "link-to-directory"]);
    tar.files(&["opaque/sub/new", "file-to-directory/in", "link-to-directory/in", "directory-to-file", "link-to-file"]);
    tar.links(&[("file-to-link", "a/keep"), ("directory-to-link", "a")]);
    // The other names of the first layer's file keep its content; a new name joins one of them.
    tar.entry("hard-1", EntryType::Regular, 0o600, (7, 7), None, b"changed");
    tar.hard_links(&[("hard-5", "hard-2")]);
    tar.entry("touched", EntryType::Regular, 0o640, (1000, 100), None, b"changed");
    tar
}

/// Deletes what it makes anew in the same layer, and changes a directory alone.
fn highest() -> LayerTar {
    let mut tar = LayerTar::new();
    tar.files(&[".wh.whole"]);
    tar.entry("whole", EntryType::Directory, 0o700, (3, 4), None, b"");
    tar.files(&["whole/three"]);
    tar.directories(&["a"]);
    tar.files(&["a/.wh.keep", "a/.wh.never-was"]);
    tar.entry("home/ubuntu", EntryType::Directory, 0o711, (1001, 1001), None, b"");
    tar
}

/// Changes a tree as people do.
fn change(root: &Path, step: u32) {
    let at = |path: &str| root.join(path);
    if step == 0 {
        fs::remove_dir_all(at("a/dir")).unwrap();
        fs::remove_file(at("a/gone")).unwrap();
        fs::remove_dir_all(at("opaque")).unwrap();
        fs::create_dir(at("opaque")).unwrap();
        fs::write(at("opaque/new"), "new").unwrap();
        fs::write(at("file-to-link"), "changed").unwrap();
    } else {
        fs::remove_file(at("file-to-directory")).unwrap();
        fs::create_dir(at("file-to-directory")).unwrap();
        fs::hard_link(at("touched"), at("usr/lib/touched")).unwrap();
        fs::set_permissions(at("srv"), fs::Permissions::from_mode(0o1775)).unwrap();
        std::os::unix::fs::lchown(at("whole/one"), Some(1000), Some(100)).unwrap();
    }
}

fn replace_directories(root: &Path) {
    fs::remove_dir_all(root.join("directory-to-file")).unwrap();
    fs::write(root.join("directory-to-file"), "file").unwrap();
    fs::remove_dir_all(root.join("directory-to-link")).unwrap();
    std::os::unix::fs::symlink("a", root.join("directory-to-link")).unwrap();
}

const DOCKERFILE: &str = r#"FROM scratch AS whole
ADD lowest.tar /
COPY busybox /usr/bin/busybox
RUN ["/usr/bin/busybox", "sh", "-c", "/usr/bin/busybox rm -r /a/dir /a/gone; /usr/bin/busybox rm -r /opaque; /usr/bin/busybox mkdir -m 0711 /opaque; echo new >/opaque/new"]
RUN ["/usr/bin/busybox", "sh", "-c", "/usr/bin/busybox rm /file-to-directory; /usr/bin/busybox mkdir /file-to-directory; /usr/bin/busybox rm -r /directory-to-file; echo x >/directory-to-file"]
RUN ["/usr/bin/busybox", "sh", "-c", "/usr/bin/busybox chown 1000:100 /whole /whole/one; /usr/bin/busybox chmod 1775 /srv; /usr/bin/busybox ln /touched /usr/lib/touched; /usr/bin/busybox ln -sf a/keep /link-to-directory"]
RUN ["/usr/bin/busybox", "rm", "-r", "/whole", "/home/ubuntu"]
COPY --chown=5:6 lowest.tar /whole/copied/file
"#;
