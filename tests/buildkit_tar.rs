//! Layers have the diff ids that a real BuildKit gives: 0.13.2, out of Debian 13's docker, to which a tree goes as `FROM scratch`,
//! `ADD tree.tar /`. The archive is made with the `tar` crate, not with the writer that is on trial.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use byoi::image_path::ImagePath;
use byoi::layer::specimens::{GOLDEN, trees};
use byoi::layer::{Entry, Node, Tree, diff_id};
use tar::{Builder, EntryType, Header};

#[test]
fn awkward_trees_have_buildkits_diff_ids() {
    let trees = trees();
    assert!(trees.len() >= 30);
    let theirs = buildkit_diff_ids(trees.iter().map(|(_, tree)| tree));
    let mut wrong = Vec::new();
    for ((name, tree), theirs) in trees.iter().zip(&theirs) {
        let ours = diff_id(tree).unwrap();
        let golden = GOLDEN.iter().find(|golden| golden.name == *name).map(|golden| golden.diff_id);
        if ours.to_string() != *theirs || golden != Some(&ours.hex()) {
            wrong.push(format!("{name}: BuildKit {theirs}, byoi {ours}, committed {golden:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The diff id of each tree as BuildKit gives it.
fn buildkit_diff_ids<'a>(trees: impl Iterator<Item = &'a Tree>) -> Vec<String> {
    let context = tempfile::tempdir().unwrap();
    let mut dockerfile = String::new();
    let mut stages = Vec::new();
    for (number, tree) in trees.enumerate() {
        let name = format!("tree{number}");
        archive(tree, &context.path().join(format!("{name}.tar")));
        dockerfile += &format!("FROM scratch AS {name}\nADD {name}.tar /\n");
        stages.push(name);
    }
    fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    let daemon = Daemon::lease();
    stages.iter().map(|stage| daemon.layer_of(context.path(), stage)).collect()
}

/// A dockerd that lives as long as somebody leases it.
struct Daemon {
    lease: Child,
    host: String,
}

impl Daemon {
    fn lease() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/docker-trixie");
        // `cat` ends, and with it the lease, when this process does, however it ends.
        let holder = r#"echo "$DOCKER_HOST"; exec cat"#;
        let mut lease = Command::new(script).args(["run", "sh", "-c", holder]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
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

    /// Builds one stage and gives the diff id of its only layer.
    fn layer_of(&self, context: &Path, stage: &str) -> String {
        let context = context.to_str().unwrap();
        let image = self.docker(&["build", "--quiet", "--no-cache", "--target", stage, context]);
        let layers = self.docker(&["image", "inspect", "--format", "{{join .RootFS.Layers \" \"}}", &image]);
        self.docker(&["image", "rm", &image]);
        layers
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
    let mut builder = Builder::new(BufWriter::new(File::create(to).unwrap()));
    let (links, others): (Vec<_>, Vec<_>) = tree.iter().partition(|(_, entry)| matches!(entry.node, Node::HardLink(_)));
    for (path, entry) in others.into_iter().chain(links) {
        append(&mut builder, tree, path, entry);
    }
    builder.into_inner().unwrap();
}

fn append(builder: &mut Builder<BufWriter<File>>, tree: &Tree, path: &ImagePath, entry: &Entry) {
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
