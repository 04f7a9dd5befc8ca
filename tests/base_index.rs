//! The index of a base's layers is the tree that `umoci unpack` lays down: images of umoci, buildah and docker build, with all that is awkward
//! in layers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use byoi::base::index::{Index, Node};
use byoi::base::{self, Interest, OpenedImage, docker_archive, layout};
use byoi::digest::{Digest, Digesting};
use byoi::image_path::ImagePath;
use byoi::progress::Silent;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// What both sides say of a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Row {
    kind: &'static str,
    /// None for symbolic links: what a layer says of theirs has no effect.
    mode: Option<u16>,
    owner: (u32, u32),
    mtime: i64,
    size: u64,
    target: Vec<u8>,
    capability: Vec<u8>,
    digest: Option<Digest>,
    /// The first path of the same file.
    same_as: Option<ImagePath>,
}

type Rows = BTreeMap<ImagePath, Row>;

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}; hack/setup installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What the index says.
async fn indexed(image: &OpenedImage) -> Rows {
    let interest = Interest::Everything { digests: true };
    let index = base::read(&image.manifest.layers, &image.diff_ids, &*image.blobs, &interest, &Silent).await;
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

/// What lies in a directory of this machine.
fn unpacked(root: &Path) -> Rows {
    let mut rows = Rows::new();
    let mut first = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let at = root.join(&path);
        let metadata = fs::symlink_metadata(&at).unwrap();
        if metadata.is_dir() {
            left.extend(fs::read_dir(&at).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
        }
        rows.insert(ImagePath::parse(path.as_os_str().as_bytes()).unwrap(), lstat(&at, &metadata));
    }
    for (path, row) in &mut rows {
        if row.kind == "file" {
            let inode = fs::symlink_metadata(root.join(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())))).unwrap().ino();
            row.same_as = Some(first.entry(inode).or_insert_with(|| path.clone()).clone());
        }
    }
    rows
}

fn lstat(at: &Path, metadata: &fs::Metadata) -> Row {
    let kind = metadata.file_type();
    let mode = Some((metadata.permissions().mode() & 0o7777) as u16);
    let mut row = Row { mode, owner: (metadata.uid(), metadata.gid()), mtime: metadata.mtime(), ..Row::default() };
    if kind.is_dir() {
        row.kind = "directory";
    } else if kind.is_symlink() {
        (row.kind, row.mode, row.target) = ("link", None, fs::read_link(at).unwrap().into_os_string().as_bytes().to_vec());
    } else if kind.is_fifo() {
        row.kind = "fifo";
    } else if kind.is_char_device() {
        row.kind = "character device";
    } else if kind.is_block_device() {
        row.kind = "block device";
    } else {
        let mut reader = Digesting::new(fs::File::open(at).unwrap());
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        let (_, digest, size) = reader.finish();
        let mut capability = vec![0; 64];
        let length = rustix::fs::lgetxattr(at, "security.capability", &mut capability[..]).unwrap_or(0);
        capability.truncate(length);
        row = Row { kind: "file", digest: Some(digest), size, capability, ..row };
    }
    row
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

/// A layer's tar in the making.
struct LayerTar(Builder<Vec<u8>>);

impl LayerTar {
    fn new() -> Self {
        LayerTar(Builder::new(Vec::new()))
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
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 10, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

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

    /// The image `tag` of the layout `images`, as umoci unpacks it.
    fn umoci_unpack(&self, tag: &str) -> Rows {
        let bundle = self.path(&format!("bundle-{tag}"));
        run("umoci", &["unpack", "--image", &format!("{}:{tag}", self.path("images")), &bundle]);
        let rows = unpacked(&Path::new(&bundle).join("rootfs"));
        fs::remove_dir_all(&bundle).unwrap();
        rows
    }

    fn open(&self, layout: &str, tag: &str) -> OpenedImage {
        layout::open_directory(layout, &self.0.path().join(layout), Some(tag), None).unwrap_or_else(|error| panic!("{error}: {error:?}"))
    }

    /// An image of these layers under the tag `base`, put together by umoci.
    fn umoci_image(&self, layers: impl IntoIterator<Item = LayerTar>) {
        let image = format!("{}:base", self.path("images"));
        run("umoci", &["init", "--layout", &self.path("images")]);
        run("umoci", &["new", "--image", &image]);
        run("umoci", &["config", "--image", &image, "--architecture", "amd64", "--os", "linux"]);
        for layer in layers {
            fs::write(self.path("layer.tar"), layer.0.into_inner().unwrap()).unwrap();
            run("umoci", &["raw", "add-layer", "--image", &image, &self.path("layer.tar")]);
        }
    }
}

#[tokio::test]
async fn awkward_layers_merge_as_umoci_merges_them() {
    let bench = Bench::new();
    bench.umoci_image([lowest(), middle(), highest()]);
    let ours = indexed(&bench.open("images", "base")).await;
    assert_equal(&ours, &bench.umoci_unpack("base"));
    // The comparison would also hold if both had lost these.
    let at = |path: &str| ours.get(&ImagePath::parse(path).unwrap());
    assert_eq!(at("usr/bin/ping").unwrap().capability, CAPABILITY);
    assert_eq!(at("hard-5").unwrap().same_as, at("a/hard-4").unwrap().same_as);
    assert!(at("opaque/before").is_some() && at("opaque/after").is_some() && at("opaque/sub/new").is_some());
    assert!(["opaque/old", "opaque/sub/deep", "a/dir", "a/gone", "a/keep", "whole/one"].iter().all(|path| at(path).is_none()));

    // The same tree, however the layers are stored.
    let from = format!("oci:{}:base", bench.path("images"));
    bench.skopeo(&["--dest-compress-format", "zstd"], &from, &format!("oci:{}:base", bench.path("zstd")));
    assert_equal(&indexed(&bench.open("zstd", "base")).await, &ours);
    let archive = bench.path("docker.tar");
    bench.skopeo(&[], &from, &format!("docker-archive:{archive}:byoi/test:1"));
    assert_equal(&indexed(&docker_archive::open("docker.tar", Path::new(&archive), None).unwrap()).await, &ours);
}

#[tokio::test]
async fn an_image_of_umoci_itself_is_read_as_umoci_reads_it() {
    let bench = Bench::new();
    bench.umoci_image([lowest()]);
    let image = format!("{}:base", bench.path("images"));
    // umoci's own whiteouts, made by its repack.
    for step in 0..2 {
        let bundle = bench.path("bundle");
        run("umoci", &["unpack", "--image", &image, &bundle]);
        change(&Path::new(&bundle).join("rootfs"), step);
        run("umoci", &["repack", "--image", &image, &bundle]);
        fs::remove_dir_all(&bundle).unwrap();
    }
    let ours = indexed(&bench.open("images", "base")).await;
    assert_equal(&ours, &bench.umoci_unpack("base"));
    assert!(!ours.contains_key(&ImagePath::parse("a/dir").unwrap()));
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
        fs::remove_dir_all(at("directory-to-file")).unwrap();
        fs::write(at("directory-to-file"), "file").unwrap();
        fs::remove_dir_all(at("directory-to-link")).unwrap();
        std::os::unix::fs::symlink("a", at("directory-to-link")).unwrap();
        fs::hard_link(at("touched"), at("usr/lib/touched")).unwrap();
        fs::set_permissions(at("srv"), fs::Permissions::from_mode(0o1775)).unwrap();
        std::os::unix::fs::lchown(at("whole/one"), Some(1000), Some(100)).unwrap();
    }
}

#[tokio::test]
async fn an_image_of_buildah_is_read_as_umoci_reads_it() {
    let bench = Bench::new();
    let (root, runroot) = (bench.path("containers"), bench.path("run"));
    let buildah = |arguments: &[&str]| run("buildah", &[&["--storage-driver", "vfs", "--root", &root, "--runroot", &runroot], arguments].concat());
    fs::write(bench.path("lowest.tar"), lowest().0.into_inner().unwrap()).unwrap();
    let mut from = "scratch".to_owned();
    for step in 0..3 {
        let container = buildah(&["from", "--pull-never", &from]);
        buildah(&["config", "--arch", "amd64", "--os", "linux", &container]);
        let mounted = buildah(&["mount", &container]);
        match step {
            0 => drop(run("tar", &["--xattrs", "--xattrs-include=*", "-xpf", &bench.path("lowest.tar"), "-C", &mounted])),
            step => change(Path::new(&mounted), step - 1),
        }
        buildah(&["umount", &container]);
        from = format!("localhost/step{step}");
        buildah(&["commit", "--quiet", "--rm", &container, &from]);
    }
    buildah(&["push", "--quiet", &from, &format!("oci:{}:base", bench.path("images"))]);
    let image = bench.open("images", "base");
    assert!(image.diff_ids.len() >= 3);
    let ours = indexed(&image).await;
    assert_equal(&ours, &bench.umoci_unpack("base"));
    assert_eq!(ours[&ImagePath::parse("usr/bin/ping").unwrap()].capability, CAPABILITY);
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

#[tokio::test]
async fn an_image_of_docker_build_is_read_as_umoci_reads_it() {
    let bench = Bench::new();
    fs::create_dir(bench.path("context")).unwrap();
    fs::write(bench.path("context/lowest.tar"), lowest().0.into_inner().unwrap()).unwrap();
    fs::write(bench.path("context/Dockerfile"), DOCKERFILE).unwrap();
    let docker_trixie = format!("{}/hack/docker-trixie", env!("CARGO_MANIFEST_DIR"));
    run(&docker_trixie, &["make"]);
    // The one of that chroot is static.
    let work = std::env::var("BYOI_WORK").unwrap_or_else(|_| format!("{}/.work", env!("CARGO_MANIFEST_DIR")));
    fs::copy(format!("{work}/docker-trixie/root/usr/bin/busybox"), bench.path("context/busybox")).unwrap();
    let (context, saved) = (bench.path("context"), bench.path("saved.tar"));
    let docker = "set -e; export DOCKER_BUILDKIT=1; id=$(/usr/bin/docker build --quiet --network none \"$1\"); \
                  /usr/bin/docker save --output \"$2\" \"$id\"; /usr/bin/docker image rm \"$id\" >/dev/null";
    run(&docker_trixie, &["run", "sh", "-c", docker, "-", &context, &saved]);
    bench.skopeo(&[], &format!("docker-archive:{saved}"), &format!("oci:{}:base", bench.path("images")));
    let theirs = bench.umoci_unpack("base");
    let saved = docker_archive::open("saved.tar", Path::new(&saved), None).unwrap_or_else(|error| panic!("{error}: {error:?}"));
    assert!(saved.diff_ids.len() >= 7);
    let ours = indexed(&saved).await;
    assert_equal(&ours, &theirs);
    assert_eq!(ours[&ImagePath::parse("usr/bin/ping").unwrap()].capability, CAPABILITY);
    assert_equal(&indexed(&bench.open("images", "base")).await, &theirs);
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
