//! A root filesystem is laid as it is: a tree of all that is awkward, packed by GNU tar in its forms, becomes a layer that umoci unpacks to the
//! same tree; and the table of its directories says what the kernel does. As root, since owners, devices and capabilities are among it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use byoi::base::index::{Attributes, Entry, Index, Node};
use byoi::base::{self, Interest, RootFsComponent};
use byoi::digest::Digest;
use byoi::error::Error;
use byoi::image_path::ImagePath;
use byoi::inputs::Inputs;
use byoi::layer::{Tree, write_tar};
use byoi::plan::{Component, DirectoryTable};
use byoi::progress::Silent;
use byoi::resolve;
use rustix::fs::{CWD, FileType, XattrFlags, lgetxattr, lsetxattr, makedev, mknodat};
use tempfile::TempDir;

const EVERYTHING: Interest = Interest::Everything { digests: true };
/// `cap_net_raw=ep`, and one whose bytes hold a newline: `cap_dac_override,cap_fowner=ep`.
const CAPABILITIES: [&[u8]; 2] = [b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"\x01\0\0\x02\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"];

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}; hack/setup installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What stands at a path, as a line; hard links name the first path of their file.
type Listing = BTreeMap<ImagePath, String>;

#[derive(Default)]
struct Groups(BTreeMap<u64, (ImagePath, usize)>);

impl Groups {
    fn add(&mut self, inode: u64, path: &ImagePath) {
        self.0.entry(inode).or_insert_with(|| (path.clone(), 0)).1 += 1;
    }

    fn name(&self, inode: u64) -> String {
        match &self.0[&inode] {
            (_, 1) => String::new(),
            (first, count) => format!(" one of {count} links to {first:?}"),
        }
    }
}

fn of_index(index: &Index) -> Listing {
    let mut groups = Groups::default();
    for (path, entry) in index.iter() {
        if let Node::File(file) = &entry.node {
            groups.add(file.inode.unwrap().into(), path);
        }
    }
    let line = |(path, entry): (&ImagePath, &Entry)| {
        let Attributes { mode, uid, gid, mtime } = entry.attributes;
        let what = match &entry.node {
            Node::Directory => format!("directory {mode:o}"),
            Node::File(file) => {
                let capability = file.capability.as_ref().map(|capability| format!(" {}", capability.escape_ascii())).unwrap_or_default();
                let links = groups.name(file.inode.unwrap().into());
                format!("file {mode:o} {} {}{capability}{links}", file.size, file.digest.unwrap())
            }
            Node::Symlink(target) => format!("symlink to {}", target.escape_ascii()),
            other => format!("{other:?}"),
        };
        (path.clone(), format!("{what} {uid}:{gid} {mtime}"))
    };
    index.iter().map(line).collect()
}

/// The same, of a directory of this machine.
fn of_directory(root: &Path) -> Listing {
    let mut paths = vec![root.to_owned()];
    let mut found: Vec<(ImagePath, PathBuf)> = Vec::new();
    while let Some(path) = paths.pop() {
        let inside = ImagePath::parse(path.strip_prefix(root).unwrap().as_os_str().as_bytes()).unwrap();
        if path.symlink_metadata().unwrap().is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.push((inside, path));
    }
    found.sort();
    let mut groups = Groups::default();
    for (inside, path) in &found {
        groups.add(path.symlink_metadata().unwrap().ino(), inside);
    }
    let line = |(inside, path): (ImagePath, PathBuf)| {
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.mode() & 0o7777;
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            format!("directory {mode:o}")
        } else if kind.is_file() {
            let mut value = [0; 64];
            let capability = lgetxattr(&path, "security.capability", &mut value).map(|size| format!(" {}", value[..size].escape_ascii()));
            let (digest, links) = (Digest::of(fs::read(&path).unwrap()), groups.name(metadata.ino()));
            format!("file {mode:o} {} {digest}{}{links}", metadata.len(), capability.unwrap_or_default())
        } else if kind.is_symlink() {
            format!("symlink to {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
        } else {
            format!("{kind:?}")
        };
        (inside, format!("{what} {}:{} {}", metadata.uid(), metadata.gid(), metadata.mtime()))
    };
    found.into_iter().map(line).collect()
}

#[track_caller]
fn assert_same(name: &str, index: &Listing, disk: &Listing) {
    let paths: BTreeSet<_> = index.keys().chain(disk.keys()).collect();
    let differences: Vec<_> = paths
        .into_iter()
        .filter(|path| index.get(*path) != disk.get(*path))
        .map(|path| format!("{path:?}\n  byoi: {:?}\n  disk: {:?}", index.get(path), disk.get(path)))
        .collect();
    assert!(differences.is_empty(), "{name}:\n{}", differences.join("\n"));
    assert!(!index.is_empty());
}

fn name(bytes: &[u8]) -> PathBuf {
    std::ffi::OsString::from_vec(bytes.to_vec()).into()
}

/// A tree in the making.
struct Files(PathBuf);

impl Files {
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    fn directory(&self, path: impl AsRef<Path>, mode: u32, uid: u32, gid: u32) {
        let path = self.at(path);
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn file(&self, path: impl AsRef<Path>, content: &str, mode: u32, uid: u32, gid: u32) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, &path).unwrap();
        lchown(&path, Some(7), Some(8)).unwrap();
    }

    fn hard_link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        fs::create_dir_all(self.at(path.as_ref()).parent().unwrap()).unwrap();
        fs::hard_link(self.at(target), self.at(path)).unwrap();
    }

    fn capability(&self, path: impl AsRef<Path>, capability: &[u8]) {
        lsetxattr(self.at(path), "security.capability", capability, XattrFlags::empty()).unwrap();
    }

    /// A system with merged directories, Ubuntu's user, and whatever is awkward.
    fn fill(&self) {
        self.directory("", 0o755, 0, 0);
        for directory in ["dev", "usr/bin", "usr/sbin", "usr/lib", "usr/share/doc", "var/lib", "opt"] {
            self.directory(directory, 0o755, 0, 0);
        }
        for (link, target) in
            [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "/usr/lib"), ("usr/lib64", "lib"), ("usr/bin/up", "../../../.."), ("loop", "loop")]
        {
            self.link(link, target);
        }
        self.directory("tmp", 0o1777, 0, 0);
        self.directory("srv/private", 0o700, 5, 6);
        self.directory("srv/setgid/below", 0o2775, 0, 100);
        self.directory("home/ubuntu", 0o750, 1000, 1000);
        self.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n", 0o644, 0, 0);
        self.file("etc/group", "root:x:0:\nusers:x:100:\nubuntu:x:1000:\n", 0o644, 0, 0);
        self.file("etc/shadow", "root:*:19000:0:99999:7:::\n", 0o640, 0, 42);
        self.file("usr/bin/ping", "ping", 0o755, 0, 0);
        self.capability("usr/bin/ping", CAPABILITIES[0]);
        self.file("usr/bin/newline", "a capability with a newline", 0o755, 0, 0);
        self.capability("usr/bin/newline", CAPABILITIES[1]);
        self.file("usr/bin/su", "su", 0o4755, 0, 0);
        self.hard_link("opt/z/su-too", "usr/bin/su");
        self.hard_link("a-first", "usr/bin/su");
        self.file("opt/empty", "", 0o600, 12345, 54321);
        self.file("opt/ids", "large ids", 0o644, 3_000_000, 4_000_000);
        self.directory("opt/empty-directory", 0o711, 3, 3);
        let long = format!("opt/{}/{}/{}", "l".repeat(120), "o".repeat(200), "ng".repeat(60));
        self.file(&long, "a long path", 0o644, 0, 0);
        self.link("opt/long-target", format!("{}/x", "t".repeat(150)));
        self.file("opt/gr\u{fc}\u{df}e/\u{65e5}\u{672c}\u{8a9e}", "hello", 0o644, 0, 0);
        self.file(name(b"opt/not-utf8-\xff\xfe"), "bytes", 0o644, 0, 0);
        self.file("opt/with\\backslash and\nnewline", "odd", 0o644, 0, 0);
        self.file("usr/share/doc/a/copyright", "doc", 0o644, 0, 0);
        self.link("usr/share/doc/b", "a");
        self.link("opt/dangling", "nowhere");
        self.link("opt/to-a-file", "../etc/passwd");
    }
}

/// A directory for the images of one test.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        // Not below a mount that forbids devices or attributes.
        Bench(tempfile::Builder::new().prefix("byoi-base-").tempdir_in("/var/tmp").unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// The files that umoci unpacks of an image with this one layer.
    fn unpacked(&self, name: &str, layer: &str) -> Listing {
        let (layout, bundle) = (self.path(&format!("image{name}")), self.path(&format!("bundle{name}")));
        let image = format!("{layout}:base");
        run("umoci", &["init", "--layout", &layout]);
        run("umoci", &["new", "--image", &image]);
        run("umoci", &["raw", "add-layer", "--image", &image, layer]);
        run("umoci", &["unpack", "--image", &image, &bundle]);
        of_directory(&Path::new(&bundle).join("rootfs"))
    }
}

struct NoInputs;

impl Inputs for NoInputs {
    fn open(&self, _: &Digest) -> Result<File, Error> {
        unreachable!("a root filesystem is a file of the user's")
    }
}

#[test]
fn a_root_filesystem_becomes_a_layer_as_it_is() {
    let bench = Bench::new();
    let files = Files(bench.0.path().join("files"));
    files.fill();
    // The only thing that is left out.
    mknodat(CWD, files.at("dev/null"), FileType::CharacterDevice, 0o666.into(), makedev(1, 3)).unwrap();
    let mut disk = of_directory(&files.0);
    disk.remove(&ImagePath::literal("dev/null")).unwrap();
    assert!(disk.len() > 40, "{disk:?}");
    for (format, packing) in [("pax", "--no-auto-compress"), ("gnu", "--xz"), ("pax", "--gzip"), ("pax", "--zstd")] {
        let tar = bench.path("rootfs.tar");
        let xattrs: &[&str] = if format == "pax" { &["--xattrs", "--xattrs-include=*"] } else { &[] };
        let form = format!("--format={format}");
        run("tar", &[&["--create", &form, packing], xattrs, &["--file", &tar, "--directory", &bench.path("files"), "."]].concat());
        let found = base::inspect(Path::new(&tar), &EVERYTHING, &Silent).unwrap();
        let expected = if format == "pax" { disk.clone() } else { without_capabilities(&disk) };
        assert_same(packing, &of_index(&found.index), &expected);

        let tree: Tree = RootFsComponent::new(&tar, found.digest).lay(&NoInputs).unwrap().into_iter().collect();
        let layer = bench.path("layer.tar");
        write_tar(&tree, &mut File::create(&layer).unwrap()).unwrap();
        let mut laid = bench.unpacked(packing, &layer);
        // A layer says nothing of the root.
        laid.insert(ImagePath::root(), expected[&ImagePath::root()].clone());
        assert_same(packing, &laid, &expected);
    }
}

/// GNU tar's own form cannot hold them.
fn without_capabilities(listing: &Listing) -> Listing {
    let strip =
        |line: &String| CAPABILITIES.iter().fold(line.clone(), |line, capability| line.replace(&format!(" {}", capability.escape_ascii()), ""));
    listing.iter().map(|(path, line)| (path.clone(), strip(line))).collect()
}

/// Mode and owner of every directory follow from the lock's few rules, and every link that leads to a directory leads where the kernel says.
#[test]
fn the_table_of_directories_says_what_the_kernel_does() {
    let bench = Bench::new();
    let files = Files(bench.0.path().join("files"));
    files.fill();
    let tar = bench.path("rootfs.tar");
    run("tar", &["--create", "--file", &tar, "--directory", &bench.path("files"), "."]);
    let index = base::inspect(Path::new(&tar), &resolve::base::interest(), &Silent).unwrap().index;
    let (facts, directories) = resolve::base::facts(&index, &serde_json::Map::new()).unwrap();
    assert_eq!(facts.texts.keys().map(ImagePath::absolute).collect::<Vec<_>>(), ["/etc/group", "/etc/passwd", "/etc/shadow"]);
    let table = DirectoryTable::new(&directories);
    let (mut seen, mut followed) = (0, 0);
    for inside in of_directory(&files.0).into_keys() {
        let path = files.at(Path::new(std::ffi::OsStr::from_bytes(inside.as_bytes())));
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            let rule = table.rule(&inside);
            assert_eq!((u32::from(rule.mode), rule.uid, rule.gid), (metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), "{inside:?}");
            seen += 1;
        } else if metadata.is_symlink() {
            let real = real_directory(&files.0, &inside);
            assert_eq!(directories.links.contains_key(&inside), real.is_some(), "{inside:?}");
            if let Some(real) = real {
                assert_eq!(table.resolve_directory(&inside).unwrap(), real, "{inside:?}");
                followed += 1;
            }
        }
    }
    assert!(directories.rules.len() < seen && seen > 20 && followed > 5, "{} rules, {seen}, {followed}", directories.rules.len());
}

/// Where the kernel gets to from `inside` when `root` is the root, if that is a directory.
fn real_directory(root: &Path, inside: &ImagePath) -> Option<ImagePath> {
    let root = File::open(root).unwrap();
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
    let opened = rustix::fs::openat2(&root, inside.as_bytes(), flags, rustix::fs::Mode::empty(), rustix::fs::ResolveFlags::IN_ROOT).ok()?;
    let path = |file: &dyn std::os::fd::AsRawFd| fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    let (root, real) = (path(&root), path(&opened));
    Some(ImagePath::parse(real.strip_prefix(root).unwrap().as_os_str().as_bytes()).unwrap())
}
