//! Layers have the diff ids that a real BuildKit gives: 0.13.2, out of Debian 13's docker, to which a tree goes as `FROM scratch`,
//! `ADD tree.tar.gz /`. The archive is made with the `tar` crate, not with the writer that is on trial.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use byoi::digest::Digest;
use byoi::image_path::ImagePath;
use byoi::layer::specimens::{Family, GOLDEN, Golden, big_file, far_times, trees, whiteouts};
use byoi::layer::{Entry, Node, Tree, pack};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

#[test]
fn awkward_trees_have_buildkits_diff_ids() {
    let trees = trees();
    assert!(trees.len() >= 30);
    compare_added(&Daemon::lease("classic"), &trees);
}

#[test]
#[ignore = "the trees above once more, in the other store: costly for CI; hack/golden runs it"]
fn awkward_trees_have_the_diff_ids_of_the_containerd_store() {
    compare_added(&Daemon::lease("containerd"), &trees());
}

#[test]
#[ignore = "takes 20 GB of disk and minutes; hack/golden runs it"]
fn a_file_over_8_gib_has_buildkits_diff_id() {
    let trees = vec![big_file()];
    compare_added(&Daemon::lease("classic"), &trees);
}

/// Gives each tree to `ADD` as an archive of its own.
fn compare_added(daemon: &Daemon, trees: &Family) {
    let context = tempfile::tempdir().unwrap();
    let mut dockerfile = String::new();
    for (number, (_, tree)) in trees.iter().enumerate() {
        archive(tree, &context.path().join(format!("{number}.tar.gz")));
        dockerfile += &format!("FROM scratch AS tree{number}\nADD {number}.tar.gz /\n");
    }
    compare(daemon, trees, context.path(), &dockerfile);
}

/// Times that no archive brings in: a step sets them.
#[test]
fn far_times_have_buildkits_diff_ids() {
    let trees = far_times();
    let daemon = Daemon::lease("classic");
    let (context, mut dockerfile) = daemon.busybox();
    for (number, (_, tree)) in trees.iter().enumerate() {
        fs::write(context.path().join(format!("{number}.sh")), script("/out", tree)).unwrap();
        dockerfile += &format!("FROM tools AS work{number}\nCOPY {number}.sh /script\nRUN --network=none [\"/bin/busybox\", \"sh\", \"/script\"]\n");
        dockerfile += &format!("FROM scratch AS tree{number}\nCOPY --from=work{number} /out/ /\n");
    }
    compare(&daemon, &trees, context.path(), &dockerfile);
}

/// Deletions, as a step makes them over what another step made.
#[test]
fn whiteouts_have_buildkits_diff_ids() {
    let trees = whiteouts();
    let daemon = Daemon::lease("containerd");
    let (context, mut dockerfile) = daemon.busybox();
    for (number, (_, tree)) in trees.iter().enumerate() {
        let deleted = tree.iter().filter(|(_, entry)| matches!(entry.node, Node::Whiteout)).map(|(path, _)| path.absolute());
        let before = deleted.map(|path| format!("/bin/busybox mkdir -p $(/bin/busybox dirname {path}); echo >{path}\n")).collect::<String>();
        fs::write(context.path().join(format!("before{number}.sh")), before).unwrap();
        fs::write(context.path().join(format!("{number}.sh")), script("/", tree)).unwrap();
        dockerfile += &format!("FROM tools AS tree{number}\nCOPY before{number}.sh {number}.sh /\n");
        for script in [format!("before{number}"), number.to_string()] {
            dockerfile += &format!("RUN --network=none [\"/bin/busybox\", \"sh\", \"/{script}.sh\"]\n");
        }
    }
    compare(&daemon, &trees, context.path(), &dockerfile);
}

/// Builds the stages `tree0`, `tree1`, …; the diff id of the last layer must be ours and the committed one.
fn compare(daemon: &Daemon, trees: &Family, context: &Path, dockerfile: &str) {
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    let mut wrong = Vec::new();
    for (number, (name, tree)) in trees.iter().enumerate() {
        let theirs = daemon.layer_of(context, &format!("tree{number}"));
        let mut bytes = Vec::new();
        let ours = pack(tree, NonZeroUsize::MIN, &mut bytes, &|_| {}).unwrap();
        println!("{name}: {theirs}");
        let golden = GOLDEN.iter().find(|golden| golden.name == *name);
        let (diff_id, digest) = (ours.diff_id.hex(), Digest::of(&bytes).hex());
        if ours.diff_id.to_string() != theirs || golden != Some(&Golden { name, diff_id: &diff_id, digest: &digest }) {
            wrong.push(format!("{name}: BuildKit {theirs}, byoi {ours:?}, committed {golden:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Shell commands that make a tree of root's plain files, directories and deletions at `root`; times from below up, as making a file changes its
/// directory's.
fn script(root: &str, tree: &Tree) -> String {
    let mut script = format!("set -e; b() {{ /bin/busybox \"$@\"; }}; b mkdir -p {root}; cd {root}\n");
    let mut times = String::new();
    for (path, entry) in tree.iter() {
        assert_eq!((entry.uid, entry.gid), (0, 0));
        match &entry.node {
            Node::Directory => script += &format!("b mkdir -p {path}\n"),
            Node::File(content) => {
                let mut text = String::new();
                content.open().unwrap().read_to_string(&mut text).unwrap();
                script += &format!("b printf %s '{text}' >{path}\n");
            }
            Node::Whiteout => {
                script += &format!("b rm {path}\n");
                continue;
            }
            other => panic!("{other:?}"),
        }
        times = format!("b chmod {:o} {path}; b touch -d @{} {path}\n", entry.mode, entry.mtime) + &times;
    }
    script + &times
}

/// A dockerd that lives as long as somebody leases it.
struct Daemon {
    lease: Child,
    host: String,
}

impl Daemon {
    /// A context for `docker build`, and the beginning of its Dockerfile: a stage `tools` that has busybox.
    fn busybox(&self) -> (TempDir, String) {
        let work = std::env::var_os("BYOI_WORK").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".work"), PathBuf::from);
        let context = tempfile::tempdir().unwrap();
        fs::copy(work.join("docker-trixie/root/usr/bin/busybox"), context.path().join("busybox")).unwrap();
        (context, "FROM scratch AS tools\nCOPY busybox /bin/busybox\n".to_owned())
    }

    /// With images in the `classic` or the `containerd` store.
    fn lease(store: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/docker-trixie");
        // `cat` ends, and with it the lease, when this process does, however it ends.
        let holder = r#"echo "$DOCKER_HOST"; exec cat"#;
        let mut lease = Command::new(script)
            .args(["run", "sh", "-c", holder])
            .env("BYOI_DOCKER_STORE", store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut host = String::new();
        BufReader::new(lease.stdout.take().unwrap()).read_line(&mut host).unwrap();
        assert!(host.starts_with("unix://"), "hack/docker-trixie did not start the daemon");
        Daemon { lease, host: host.trim().to_owned() }
    }

    fn docker(&self, arguments: &[&str]) -> String {
        // Debian's own client: another one on the path may lack what BuildKit needs.
        let output = Command::new("/usr/bin/docker").args(arguments).env("DOCKER_HOST", &self.host).env("DOCKER_BUILDKIT", "1").output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Builds one stage and gives the diff id of its last layer.
    fn layer_of(&self, context: &Path, stage: &str) -> String {
        let context = context.to_str().unwrap();
        let image = self.docker(&["build", "--quiet", "--no-cache", "--target", stage, context]);
        let layers = self.docker(&["image", "inspect", "--format", "{{join .RootFS.Layers \" \"}}", &image]);
        self.docker(&["image", "rm", &image]);
        layers.split(' ').next_back().unwrap().to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.lease.stdin.take());
        let _ = self.lease.wait();
    }
}

/// Writes the tree as an archive: long names, links and big numbers as PAX records, hard links after what they name.
fn archive(tree: &Tree, to: &Path) {
    let mut builder = Builder::new(GzEncoder::new(BufWriter::new(File::create(to).unwrap()), Compression::fast()));
    let (links, others): (Vec<_>, Vec<_>) = tree.iter().partition(|(_, entry)| matches!(entry.node, Node::HardLink(_)));
    for (path, entry) in others.into_iter().chain(links) {
        append(&mut builder, tree, path, entry);
    }
    builder.into_inner().unwrap().finish().unwrap().into_inner().unwrap();
}

fn append(builder: &mut Builder<impl Write>, tree: &Tree, path: &ImagePath, entry: &Entry) {
    let mut header = Header::new_ustar();
    let mut records = vec![("path", path.as_bytes().to_vec())];
    let mut content: Box<dyn Read> = Box::new(std::io::empty());
    header.set_size(0);
    // In an archive a hard link has owner, mode and time too, and they are given to the file.
    let mut metadata = entry;
    match &entry.node {
        Node::Directory => header.set_entry_type(EntryType::Directory),
        Node::File(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.size());
            content = bytes.open().unwrap();
        }
        Node::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            records.push(("linkpath", target.to_vec()));
        }
        Node::HardLink(to) => {
            header.set_entry_type(EntryType::Link);
            records.push(("linkpath", holder(tree, to).as_bytes().to_vec()));
            metadata = tree.get(holder(tree, to)).unwrap();
        }
        Node::Whiteout => panic!("`ADD` carries no whiteouts"),
    }
    header.set_mode(metadata.mode.into());
    header.set_cksum();
    for (key, number) in [("mtime", metadata.mtime), ("uid", metadata.uid.into()), ("gid", metadata.gid.into())] {
        records.push((key, number.to_string().into_bytes()));
    }
    records.extend(metadata.capability.iter().map(|capability| ("SCHILY.xattr.security.capability", capability.to_vec())));
    builder.append_pax_extensions(records.iter().map(|(key, value)| (*key, value.as_slice()))).unwrap();
    builder.append(&header, content).unwrap();
}

/// The path that has the content, behind links to links.
fn holder<'a>(tree: &'a Tree, to: &'a ImagePath) -> &'a ImagePath {
    match &tree.get(to).unwrap().node {
        Node::HardLink(next) => holder(tree, next),
        _ => to,
    }
}
