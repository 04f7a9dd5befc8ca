//! A `[[file]]` as a component of the image.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::FileProblem;
use super::local::{LocalEntry, LocalKind, Unchanged};
use super::local_tree::LocalTree;
use super::part::Part;
use crate::archive;
use crate::digest::{Digest, Digesting};
use crate::error::{Error, FileError};
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Content, Entry, FileRange, Node};
use crate::lock::DirectoryRule;
use crate::plan::{Component, Laid, MTIME, recipe};
use crate::store::Store;

/// Where the bytes of a component come from.
#[derive(Serialize, Deserialize)]
pub enum Origin {
    /// The text itself.
    Inline(String),
    /// Files of this machine.
    Local(LocalTree),
    /// A file of the store.
    Foreign {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// An archive to unpack.
    Archive {
        /// What the user calls it.
        name: String,
        /// Its digest.
        digest: Digest,
        /// Whether it lies in the store.
        foreign: bool,
        /// Where it lies, if it does not.
        place: Option<PathBuf>,
        /// Leading components that members lose.
        strip: usize,
    },
}

/// A `[[file]]` as a component.
#[derive(Serialize, Deserialize)]
pub struct FileComponent {
    /// The path of the file, or of the directory whose content is laid.
    pub target: ImagePath,
    /// Owner and group.
    pub owner: (u32, u32),
    /// The mode that the description gives to a single file.
    pub mode: Option<u16>,
    /// Where the bytes come from.
    pub origin: Origin,
}

const PLAIN: u16 = 0o644;
const EXECUTABLE: u16 = 0o755;

impl FileComponent {
    /// The component that came as a recipe, with what its place holds here.
    ///
    /// # Errors
    /// As `LocalTree::scan`.
    pub fn restored(mut self, store: &Store) -> Result<Self, Error> {
        if let Origin::Local(tree) = self.origin {
            self.origin = Origin::Local(LocalTree::scan(tree.place, tree.part, tree.exclude, store, &AtomicBool::new(false))?);
        }
        Ok(self)
    }

    /// The files of this machine of which parts may have layers of their own.
    pub(super) fn local(&self) -> Option<&LocalTree> {
        if let Origin::Local(tree) = &self.origin { Some(tree) } else { None }
    }

    /// Takes these parts out, each as a component with its name; what is left is its own part too.
    pub(super) fn divided(mut self, parts: Vec<Part>) -> (Vec<(String, FileComponent)>, FileComponent) {
        let mut taken = Vec::new();
        if let Origin::Local(tree) = &mut self.origin
            && !parts.is_empty()
        {
            tree.part = Part::beside(&parts);
            for part in parts {
                let name = part.name(&self.target);
                let origin = Origin::Local(tree.take(part));
                taken.push((name, FileComponent { target: self.target.clone(), owner: self.owner, mode: self.mode, origin }));
            }
        }
        (taken, self)
    }

    /// Whether nothing of it is left but directories above its parts, which these bring themselves.
    pub(super) fn is_used_up(&self) -> bool {
        let Some(LocalTree { part, entries, .. }) = self.local() else { return false };
        !part.without.is_empty() && entries.iter().all(|entry| entry.kind == LocalKind::Directory && part.is_divided_below(&entry.path))
    }

    /// Whether it is an archive that may lay something at, above or below this path.
    pub(super) fn may_unpack_to(&self, path: &ImagePath) -> bool {
        matches!(self.origin, Origin::Archive { .. }) && (self.target.starts_with(path) || path.starts_with(&self.target))
    }

    fn is_directory(&self) -> bool {
        match &self.origin {
            Origin::Inline(_) | Origin::Foreign { .. } => false,
            Origin::Archive { .. } => true,
            Origin::Local(tree) => tree.entries.first().is_none_or(|entry| !entry.path.is_root() || entry.kind == LocalKind::Directory),
        }
    }

    fn mode_of(&self, kind: &LocalKind) -> u16 {
        match kind {
            LocalKind::File { executable, .. } => self.mode.unwrap_or(if *executable { EXECUTABLE } else { PLAIN }),
            LocalKind::Directory => EXECUTABLE,
            LocalKind::Symlink(_) => 0o777,
        }
    }

    fn place(&self, below: &ImagePath) -> Result<ImagePath, Error> {
        Ok(self.target.join(below.as_bytes()).map_err(|error| FileProblem::Name(error.to_string()))?)
    }

    fn lay_local(&self, entries: &[LocalEntry]) -> Result<Vec<Laid>, Error> {
        let (uid, gid) = self.owner;
        let mut laid = Vec::with_capacity(entries.len());
        for LocalEntry { path, place, kind } in entries {
            let entry = match kind {
                LocalKind::Directory => Entry::directory(EXECUTABLE, uid, gid, MTIME),
                LocalKind::Symlink(target) => Entry::symlink(target.clone(), uid, gid, MTIME),
                LocalKind::File { size, digest, stamp, .. } => {
                    let content = Content::new(*size, Unchanged { place: place.clone(), digest: *digest, stamp: *stamp });
                    Entry::file(content, self.mode_of(kind), uid, gid, MTIME)
                }
            };
            laid.push((self.place(path)?, entry));
        }
        Ok(laid)
    }

    fn lay_archive(&self, archive: File, name: &str, strip: usize) -> Result<Vec<Laid>, Error> {
        let members = archive::unpack(archive, name, strip)?;
        members.into_iter().map(|(path, entry)| Ok((self.place(&path)?, self.unpacked(entry)?))).collect()
    }

    /// A member as it lies in the image: owned as the description says, and below the target.
    fn unpacked(&self, entry: Entry) -> Result<Entry, Error> {
        let node = match entry.node {
            Node::HardLink(to) => Node::HardLink(self.place(&to)?),
            node => node,
        };
        let (uid, gid) = self.owner;
        Ok(Entry { uid, gid, node, ..entry })
    }
}

/// A copy of a local archive that nobody else can change, with the bytes that were hashed.
fn unchanged_copy(place: &Path, digest: Digest) -> Result<File, Error> {
    let mut reader = Digesting::new(File::open(place).map_err(FileError::at("read", place))?);
    let mut copy = tempfile::tempfile().map_err(FileError::at("create a file in", std::env::temp_dir()))?;
    io::copy(&mut reader, &mut copy).map_err(FileError::at("copy", place))?;
    if reader.finish().1 != digest {
        return Err(FileProblem::Changed(place.display().to_string()).into());
    }
    Ok(copy)
}

impl Component for FileComponent {
    fn name(&self) -> String {
        format!("file {:?}", self.target)
    }

    fn key(&self) -> Value {
        let origin = match &self.origin {
            Origin::Inline(text) => json!({"sha256": Digest::of(text).hex(), "mode": mode_text(self.mode.unwrap_or(PLAIN))}),
            Origin::Foreign { digest, .. } => json!({"sha256": digest.hex(), "mode": mode_text(self.mode.unwrap_or(PLAIN))}),
            Origin::Archive { digest, strip, .. } => json!({"archive": digest.hex(), "strip": strip}),
            Origin::Local(tree) => {
                let entries: BTreeMap<String, Value> =
                    tree.entries.iter().map(|entry| (entry.path.absolute(), entry_key(&entry.kind, self.mode_of(&entry.kind)))).collect();
                json!({"entries": entries})
            }
        };
        json!({"file": {"target": self.target.absolute(), "owner": format!("{}:{}", self.owner.0, self.owner.1), "origin": origin}})
    }

    fn inputs(&self) -> Vec<Digest> {
        match &self.origin {
            Origin::Foreign { digest, .. } | Origin::Archive { digest, foreign: true, .. } => vec![*digest],
            _ => Vec::new(),
        }
    }

    fn local_files(&self) -> Vec<PathBuf> {
        match &self.origin {
            Origin::Local(tree) => tree.places(),
            Origin::Archive { place: Some(place), .. } => vec![place.clone()],
            _ => Vec::new(),
        }
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        let rule = DirectoryRule { mode: EXECUTABLE, uid: self.owner.0, gid: self.owner.1 };
        if self.is_directory() { vec![(self.target.clone(), rule)] } else { Vec::new() }
    }

    fn claims(&self) -> Vec<ImagePath> {
        match &self.origin {
            Origin::Inline(_) | Origin::Foreign { .. } => vec![self.target.clone()],
            Origin::Archive { .. } => Vec::new(),
            Origin::Local(tree) => {
                let files = tree.entries.iter().filter(|entry| entry.kind != LocalKind::Directory);
                files.filter_map(|entry| self.place(&entry.path).ok()).collect()
            }
        }
    }

    fn recipe(&self) -> Option<Value> {
        recipe("file", self)
    }

    fn lay(&self, inputs: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let (uid, gid) = self.owner;
        let mode = self.mode.unwrap_or(PLAIN);
        match &self.origin {
            Origin::Inline(text) => Ok(vec![(self.target.clone(), Entry::file(Content::inline(text.as_bytes()), mode, uid, gid, MTIME))]),
            Origin::Foreign { digest, size } => {
                let range = FileRange { file: Arc::new(inputs.open(digest)?), offset: 0, size: *size };
                Ok(vec![(self.target.clone(), Entry::file(Content::new(*size, range), mode, uid, gid, MTIME))])
            }
            Origin::Local(tree) => self.lay_local(&tree.entries),
            Origin::Archive { name, digest, place, strip, .. } => {
                let archive = match place {
                    Some(place) => unchanged_copy(place, *digest)?,
                    None => inputs.open(digest)?,
                };
                self.lay_archive(archive, name, *strip)
            }
        }
    }
}

fn entry_key(kind: &LocalKind, mode: u16) -> Value {
    match kind {
        LocalKind::Directory => json!("directory"),
        LocalKind::Symlink(target) => json!({"link": target.escape_ascii().to_string()}),
        LocalKind::File { digest, .. } => json!({"sha256": digest.hex(), "mode": mode_text(mode)}),
    }
}

fn mode_text(mode: u16) -> String {
    format!("{mode:04o}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{self, Description};
    use crate::layer::Tree;
    use crate::lock::Directories;
    use crate::plan::{Components, DirectoryTable, Plan, build_tree, check_claims};
    use crate::store::Store;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    struct Project {
        top: tempfile::TempDir,
        store: Store,
    }

    impl Project {
        fn new() -> Self {
            let top = tempfile::tempdir().unwrap();
            fs::create_dir_all(top.path().join("tree/sub")).unwrap();
            fs::write(top.path().join("tree/plain"), "plain").unwrap();
            fs::write(top.path().join("tree/sub/run"), "#!/bin/sh\n").unwrap();
            fs::set_permissions(top.path().join("tree/sub/run"), fs::Permissions::from_mode(0o4710)).unwrap();
            fs::hard_link(top.path().join("tree/plain"), top.path().join("tree/same")).unwrap();
            symlink("../../elsewhere", top.path().join("tree/sub/link")).unwrap();
            let store = Store::open(top.path().join("cache")).unwrap();
            Project { top, store }
        }

        fn description(&self, files: &str) -> Description {
            description::parse("byoi.toml", &format!("schema = 1\nbase = \"debian:12\"\n{files}")).unwrap()
        }

        fn files(&self, files: &str, most: usize) -> Result<super::super::Files, Error> {
            super::super::components(&self.description(files), self.top.path(), &[], most, &self.store, &AtomicBool::new(false))
        }

        fn components(&self, files: &str) -> Result<Vec<Arc<dyn Component>>, Error> {
            super::super::components(&self.description(files), self.top.path(), &[], 8, &self.store, &AtomicBool::new(false))
                .map(|files| files.others)
        }

        fn tree(&self, files: &str) -> Result<Tree, Error> {
            let files = self.components(files)?;
            let plan = Plan::new(Components { files, ..Components::default() }, DirectoryTable::new(&Directories::default()), 40);
            check_claims(&plan.layers, &plan.directories)?;
            build_tree(&plan.layers[0], &plan.directories, &self.store)
        }

        fn lines(&self, files: &str) -> Vec<String> {
            let tree = self.tree(files).unwrap();
            // Opening every file proves that hard links lead to something and contents can be read.
            let line = |step: crate::layer::Step<'_>| {
                let what = match (&step.entry.node, step.link_to) {
                    (_, Some(to)) => format!("= {to}"),
                    (Node::File(content), None) => io::read_to_string(content.open().unwrap()).unwrap(),
                    (Node::Symlink(target), None) => format!("-> {}", target.escape_ascii()),
                    _ => "/".to_owned(),
                };
                format!("{} {:o} {}:{} {} {what}", step.path, step.entry.mode, step.entry.uid, step.entry.gid, step.entry.mtime - MTIME)
            };
            tree.walk().unwrap().map(line).collect()
        }

        fn key(&self, files: &str) -> String {
            self.components(files).unwrap()[0].key().to_string()
        }
    }

    #[test]
    fn a_directory_keeps_links_and_executables() {
        let lines = Project::new().lines("[[file]]\nsource = \"tree\"\ntarget = \"/opt/x\"\nowner = \"1000:100\"\n");
        assert_eq!(
            lines,
            [
                "opt 755 0:0 0 /",
                "opt/x 755 1000:100 0 /",
                "opt/x/plain 644 1000:100 0 plain",
                "opt/x/same 644 1000:100 0 plain",
                "opt/x/sub 755 1000:100 0 /",
                "opt/x/sub/link 777 1000:100 0 -> ../../elsewhere",
                "opt/x/sub/run 755 1000:100 0 #!/bin/sh\n",
            ]
        );
    }

    #[test]
    fn single_files_and_texts_have_the_mode_that_is_asked_for() {
        let project = Project::new();
        let text =
            "[[file]]\ncontent = \"hi\"\ntarget = \"/etc/hi\"\nmode = \"0600\"\n[[file]]\nsource = \"tree/sub/run\"\ntarget = \"/usr/bin/run\"\n";
        let lines = project.lines(text);
        assert_eq!(lines[1], "etc/hi 600 0:0 0 hi");
        assert_eq!(lines[4], "usr/bin/run 755 0:0 0 #!/bin/sh\n");
    }

    #[test]
    fn an_archive_is_unpacked_below_its_target() {
        let project = Project::new();
        let tar = ["-C", ".", "--mtime=@1700000000", "--owner=7", "--group=7", "-cJf", "x.tar.xz", "tree"];
        assert!(Command::new("tar").args(tar).current_dir(project.top.path()).status().unwrap().success());
        let lines = project.lines("[[file]]\nsource = \"x.tar.xz\"\ntarget = \"/opt/x\"\nowner = \"1:2\"\nunpack = true\nstrip = 1\n");
        let time = 1_700_000_000 - MTIME;
        assert_eq!(lines[1], "opt/x 755 1:2 0 /");
        assert_eq!(lines[2], format!("opt/x/plain 644 1:2 {time} plain"));
        assert_eq!(lines[3], format!("opt/x/same 644 1:2 {time} = opt/x/plain"));
        assert!(lines[6].starts_with("opt/x/sub/run 710 1:2"), "{lines:?}");
    }

    #[test]
    fn the_key_follows_whatever_decides_the_bytes() {
        let project = Project::new();
        let item = |more: &str| format!("[[file]]\nsource = \"tree\"\ntarget = \"/opt/x\"\n{more}");
        let first = project.key(&item(""));
        assert_eq!(project.key(&item("")), first);
        let mut keys = std::collections::BTreeSet::from([first]);
        let mut differs = |key: String| assert!(keys.insert(key.clone()), "{key}");
        differs(project.key(&item("owner = \"1:1\"\n")));
        differs(project.key(&item("exclude = [\"sub\"]\n")));
        differs(project.key(&item("").replace("/opt/x", "/opt/y")));
        let change = |act: &dyn Fn(&Path)| {
            act(&project.top.path().join("tree"));
            project.key(&item(""))
        };
        differs(change(&|tree| fs::write(tree.join("plain"), "other").unwrap()));
        differs(change(&|tree| fs::set_permissions(tree.join("plain"), fs::Permissions::from_mode(0o755)).unwrap()));
        differs(change(&|tree| fs::rename(tree.join("plain"), tree.join("renamed")).unwrap()));
        differs(change(&|tree| symlink("a", tree.join("new")).unwrap()));
        differs(change(&|tree| fs::remove_file(tree.join("new")).and_then(|()| symlink("b", tree.join("new"))).unwrap()));
    }

    #[test]
    fn a_file_that_changes_after_it_was_hashed_is_an_error() {
        let project = Project::new();
        let components = project.components("[[file]]\nsource = \"tree\"\ntarget = \"/opt/x\"\n").unwrap();
        fs::write(project.top.path().join("tree/plain"), "PLAIN").unwrap();
        let laid = components[0].lay(&project.store).unwrap();
        let (_, entry) = laid.iter().find(|(path, _)| path.name() == b"plain").unwrap();
        let Node::File(content) = &entry.node else { panic!() };
        assert!(io::read_to_string(content.open().unwrap()).unwrap_err().to_string().contains("changed while it was read"));
    }

    /// A directory of 100 MiB in two large files, one below another directory, and something small beside each.
    fn large() -> (Project, &'static str) {
        let project = Project::new();
        for (path, size) in [("tree/sub/large", 60 << 20), ("tree/large", 40 << 20)] {
            fs::File::create(project.top.path().join(path)).unwrap().set_len(size).unwrap();
        }
        (project, "[[file]]\nsource = \"tree\"\ntarget = \"/opt/x\"\nowner = \"1000:100\"\n")
    }

    #[test]
    fn large_parts_are_apart_and_nothing_is_lost() {
        let (project, text) = large();
        let (whole, divided) = (project.files(text, 0).unwrap(), project.files(text, 8).unwrap());
        assert!(whole.parts.is_empty() && whole.others.len() == 1 && divided.others.len() == 1);
        assert_eq!(divided.parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["files /opt/x/large", "files /opt/x/sub"]);
        let paths = |components: &[&Arc<dyn Component>]| {
            let laid = components.iter().flat_map(|component| component.lay(&project.store).unwrap());
            let mut paths: Vec<_> = laid.map(|(path, entry)| (path, entry.mode, entry.uid, entry.gid)).collect();
            paths.sort();
            paths
        };
        let all: Vec<_> = divided.parts.iter().map(|(_, component)| component).chain(&divided.others).collect();
        assert_eq!(paths(&all), paths(&[&whole.others[0]]));
        for (component, places) in all.iter().zip([&["tree/large"][..], &["tree/sub"], &["tree/plain", "tree/same"]]) {
            assert_eq!(
                component.local_files(),
                places.iter().map(|place| project.top.path().canonicalize().unwrap().join(place)).collect::<Vec<_>>()
            );
        }
        let plan = Plan::new(
            Components { file_parts: divided.parts, files: divided.others, ..Components::default() },
            DirectoryTable::new(&Directories::default()),
            40,
        );
        let names: Vec<_> = plan.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["byoi: files", "byoi: files /opt/x/large", "byoi: files /opt/x/sub"]);
        for layer in &plan.layers {
            let tree = build_tree(layer, &plan.directories, &project.store).unwrap();
            let directory = tree.get(&ImagePath::literal("opt/x")).unwrap();
            assert_eq!((directory.mode, directory.uid, directory.gid), (0o755, 1000, 100), "{}", layer.name);
        }
    }

    #[test]
    fn a_part_with_links_of_its_own_is_read_from_its_source() {
        let (project, text) = large();
        symlink("plain", project.top.path().join("tree/link")).unwrap();
        let files = project.files(text, 8).unwrap();
        assert_eq!(files.others[0].local_files(), [project.top.path().canonicalize().unwrap().join("tree")]);
    }

    #[test]
    fn what_an_archive_may_collide_with_is_not_divided() {
        let (project, text) = large();
        fs::write(project.top.path().join("x.tar"), [0; 1024]).unwrap();
        for (target, parts) in [("/opt", 0), ("/opt/x/sub/deep", 0), ("/opt/xy", 2)] {
            let text = format!("{text}[[file]]\nsource = \"x.tar\"\ntarget = \"{target}\"\nunpack = true\n");
            let files = project.files(&text, 8).unwrap();
            assert_eq!(files.parts.len(), parts, "{target}");
        }
    }

    #[test]
    fn a_directory_that_its_parts_use_up_leaves_nothing() {
        let project = Project::new();
        fs::create_dir(project.top.path().join("big")).unwrap();
        for name in ["big/a", "big/b"] {
            fs::File::create(project.top.path().join(name)).unwrap().set_len(40 << 20).unwrap();
        }
        let text = "[[file]]\nsource = \"big\"\ntarget = \"/opt/x\"\n";
        let files = project.files(text, 8).unwrap();
        assert_eq!((files.parts.len(), files.others.len()), (2, 0));
    }

    #[test]
    fn items_that_cannot_be_used_are_errors_at_their_place() {
        let project = Project::new();
        fs::write(project.top.path().join("x.tar"), "no tar").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, project.top.path().join("tree/pipe"), rustix::fs::Mode::RUSR).unwrap();
        let wrong = "[[file]]\nsource = \"none\"\ntarget = \"/a\"\n[[file]]\nsource = \"tree\"\ntarget = \"/b\"\n[[file]]\nsource = \"tree/sub\"\ntarget = \"/c\"\nmode = \"0644\"\n\
                     [[file]]\nsource = \"tree/sub\"\ntarget = \"/d\"\nunpack = true\n[[file]]\nsource = \"tree/sub/run\"\ntarget = \"/e\"\nexclude = [\"x\"]\n";
        let Err(error) = project.components(wrong) else { panic!() };
        let found: Vec<_> = error.fault().problems().iter().map(|problem| problem.message.clone()).collect();
        assert_eq!(found.len(), 5, "{found:?}");
        for (message, expected) in
            found.iter().zip(["there is no file or directory", "is a socket, fifo", "`mode` is for", "`unpack` is for", "`exclude` is for"])
        {
            assert!(message.contains(expected), "{message}");
        }
        let error = project.tree("[[file]]\nsource = \"x.tar\"\ntarget = \"/a\"\nunpack = true\n").unwrap_err();
        assert_eq!(error.fault().kind(), crate::error::Kind::Input);
    }
}
