//! A root filesystem as a tar (plain, or packed with gzip, xz or zstd) in the place of a base: what is in it, and the layer that it becomes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::index::{Attributes, Index};
use super::interest::{Filter, Interest};
use super::members::{Kind, Member, Members, damaged};
use super::pass::Bounded;
use super::scan::Scanner;
use super::tree::{Child, Directory, IMPLIED, Leaf, LeafNode};
use super::{BaseError, extract};
use crate::archive::Packing;
use crate::digest::{Digest, Digesting};
use crate::error::{Error, FileError};
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Content, Entry, FileRange, Node};
use crate::lock::DirectoryRule;
use crate::plan::{Component, Laid, recipe};
use crate::progress::{Counted, Silent, Task};

const BUFFER: usize = 256 << 10;
/// Whatever is no file, directory or link is left out here: runtimes mount a file system of their own there.
const DEVICES: &str = "dev";
const WHITEOUT: &[u8] = b".wh.";

/// What is known of a root filesystem.
#[derive(Debug, Clone)]
pub struct RootFs {
    /// The digest of the file as it is.
    pub digest: Digest,
    /// The time of its newest member.
    pub timestamp: Timestamp,
    /// What the interest asked for.
    pub index: Index,
}

/// Reads the tar once, to its end, and tells `task` of it.
///
/// # Errors
/// A file that cannot be read, is no tar, or holds what no root filesystem may: names of whiteouts, sparse files, devices outside `/dev`.
pub fn inspect(file: &Path, interest: &Interest, task: &dyn Task) -> Result<RootFs, Error> {
    let filter = Filter::new(interest).map_err(BaseError::Interest)?;
    let opened = Arc::new(File::open(file).map_err(FileError::at("read", file))?);
    let mut scanner = Scanner::new(&filter);
    let mut newest = i64::MIN;
    let refused = |why: String| BaseError::RootFs { file: file.display().to_string(), why };
    let passed = pass(&opened, false, task, |member, content| {
        newest = newest.max(member.mtime);
        scanner.put(member, content)
    });
    let (digest, _) = passed.map_err(|error| refused(reason(&error)))?;
    let mut tree = Directory::default();
    scanner.layer.lay_over(&mut tree).map_err(|error| refused(reason(&error)))?;
    let index = extract::index(tree, &filter).map_err(refused)?;
    // Without members there is no newest one, and times that no calendar has are cut.
    let newest = if newest == i64::MIN { 0 } else { newest.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second()) };
    Ok(RootFs { digest, timestamp: Timestamp::from_second(newest).unwrap_or(Timestamp::UNIX_EPOCH), index })
}

fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof { "it ends too early".to_owned() } else { error.to_string() }
}

/// Gives each member that a root filesystem may have to `visit`. The digest of the file, and the plain tar: the file itself, or a copy in an
/// unnamed temporary file if `keep` asks for it.
fn pass(
    file: &Arc<File>,
    keep: bool,
    task: &dyn Task,
    mut visit: impl FnMut(Member, &mut Members<Spooling<Box<dyn Read + '_>>>) -> io::Result<()>,
) -> io::Result<(Digest, Arc<File>)> {
    let range = FileRange { file: file.clone(), offset: 0, size: file.metadata()?.len() };
    let mut head = Vec::new();
    range.clone().take(Packing::HEAD).read_to_end(&mut head)?;
    let packing = Packing::of_head(&head);
    let mut raw = Digesting::new(Counted::new(range, task));
    let unpacked = packing.unpacked(BufReader::with_capacity(BUFFER, &mut raw))?;
    let copy = if keep && packing != Packing::Plain { Some(BufWriter::with_capacity(BUFFER, tempfile::tempfile()?)) } else { None };
    let source: Box<dyn Read + '_> = Box::new(BufReader::with_capacity(BUFFER, Bounded::new(unpacked)));
    let mut members = Members::new(Spooling { source, copy });
    while let Some(member) = members.next()? {
        if is_taken(&member)? {
            visit(member, &mut members)?;
        }
    }
    let Spooling { mut source, copy } = members.into_inner();
    io::copy(&mut source, &mut io::sink())?;
    drop(source);
    let plain = match copy {
        Some(copy) => Arc::new(copy.into_inner().map_err(io::IntoInnerError::into_error)?),
        None => file.clone(),
    };
    io::copy(&mut raw, &mut io::sink())?;
    let (_, digest, _) = raw.finish();
    Ok((digest, plain))
}

/// Writes what is read to a copy, if there is one.
struct Spooling<R> {
    source: R,
    copy: Option<BufWriter<File>>,
}

impl<R: Read> Read for Spooling<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buffer[..count])?;
        }
        Ok(count)
    }
}

/// Whether the member becomes part of the image.
fn is_taken(member: &Member) -> io::Result<bool> {
    let path = &member.path;
    if path.components().any(|name| name.starts_with(WHITEOUT)) {
        return Err(damaged(format!("{path:?} has a name that means a deletion in an image")));
    }
    let what = match member.kind {
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "device",
        Kind::Fifo => "named pipe",
        Kind::Directory | Kind::File | Kind::Symlink(_) | Kind::HardLink(_) => return Ok(true),
    };
    if path.starts_with(&ImagePath::literal(DEVICES)) {
        return Ok(false);
    }
    Err(damaged(format!("{path:?} is a {what}, which is left out of /dev and refused elsewhere")))
}

/// The root filesystem as the first layer of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFsComponent {
    file: PathBuf,
    digest: Digest,
}

impl RootFsComponent {
    /// The tar in `file`, which must have this digest when it is laid.
    pub fn new(file: impl Into<PathBuf>, digest: Digest) -> Self {
        RootFsComponent { file: file.into(), digest }
    }

    fn refused(&self, error: &io::Error) -> BaseError {
        BaseError::RootFs { file: self.file.display().to_string(), why: reason(error) }
    }
}

impl Component for RootFsComponent {
    fn name(&self) -> String {
        "rootfs".to_owned()
    }

    fn key(&self) -> Value {
        json!({"rootfs": self.digest})
    }

    fn local_files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        Vec::new()
    }

    fn claims(&self) -> Vec<ImagePath> {
        Vec::new()
    }

    fn is_base(&self) -> bool {
        true
    }

    fn recipe(&self) -> Option<Value> {
        recipe("rootfs", self)
    }

    fn lay(&self, _: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let file = Arc::new(File::open(&self.file).map_err(FileError::at("read", &self.file))?);
        let filter = Filter::new(&Interest::Everything { digests: false }).map_err(BaseError::Interest)?;
        let mut scanner = Scanner::new(&filter);
        // Where the content of each file lies in the plain tar, by the number that the scanner gives it.
        let mut places = Vec::new();
        let passed = pass(&file, true, &Silent, |member, members| {
            if member.kind == Kind::File {
                places.push((members.offset(), member.size));
            }
            scanner.put(member, members)
        });
        let (found, plain) = passed.map_err(|error| self.refused(&error))?;
        if found != self.digest {
            return Err(BaseError::Changed { image: self.file.display().to_string(), locked: self.digest, found }.into());
        }
        let mut tree = Directory::default();
        scanner.layer.lay_over(&mut tree).map_err(|error| self.refused(&error))?;
        let mut laying = Laying { plain, places, first: BTreeMap::new(), laid: Vec::new() };
        laying.walk(&tree, &ImagePath::root()).map_err(|error| self.refused(&error))?;
        Ok(laying.laid)
    }
}

/// Turns the tree of the tar into entries of a layer.
struct Laying {
    plain: Arc<File>,
    /// Offset and size of each file's content.
    places: Vec<(u64, u64)>,
    /// The first path of each file.
    first: BTreeMap<u32, ImagePath>,
    laid: Vec<Laid>,
}

impl Laying {
    fn walk(&mut self, directory: &Directory, at: &ImagePath) -> io::Result<()> {
        for (name, child) in &directory.children {
            let path = at.join(name).map_err(|error| damaged(error.to_string()))?;
            match child {
                Child::Directory(below) => {
                    let Attributes { mode, uid, gid, mtime } = below.attributes.unwrap_or(IMPLIED);
                    self.laid.push((path.clone(), Entry::directory(mode, uid, gid, mtime)));
                    self.walk(below, &path)?;
                }
                Child::Leaf(leaf) => {
                    let entry = self.entry(leaf, &path);
                    self.laid.extend(entry.map(|entry| (path, entry)));
                }
                Child::Whiteout => {}
            }
        }
        Ok(())
    }

    /// The entry of what is no directory; none for what a root filesystem cannot have here, since it was refused before.
    fn entry(&mut self, leaf: &Leaf, path: &ImagePath) -> Option<Entry> {
        let Attributes { mode, uid, gid, mtime } = leaf.attributes;
        let file = match &leaf.node {
            LeafNode::Symlink(target) => return Some(Entry::symlink(target.clone(), uid, gid, mtime)),
            LeafNode::File { more: Some(file), .. } => file,
            _ => return None,
        };
        let number = file.inode?;
        if let Some(first) = self.first.get(&number) {
            return Some(Entry::hard_link(first.clone()));
        }
        self.first.insert(number, path.clone());
        let (offset, size) = *self.places.get(number as usize)?;
        let range = FileRange { file: self.plain.clone(), offset, size };
        let node = Node::File(Content::new(size, range));
        Some(Entry { mode, uid, gid, mtime, capability: file.capability.clone(), node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Tree, write_tar};

    struct NoInputs;

    impl Inputs for NoInputs {
        fn open(&self, _: &Digest) -> Result<File, Error> {
            unreachable!("a root filesystem is a file of the user's")
        }
    }

    const EVERYTHING: Interest = Interest::Everything { digests: true };

    /// A tar of a small system, as GNU tar would write it.
    fn system() -> Vec<u8> {
        let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let entry = |mode, node| Entry { mode, uid: 1, gid: 2, mtime: 1_700_000_000, capability: None, node };
        let file = |text: &'static str| Node::File(Content::inline(text.as_bytes()));
        let path = |text| ImagePath::literal(text);
        let tree: Tree = [
            (path("bin"), Entry::symlink(*b"usr/bin", 0, 0, 7)),
            (path("dev"), entry(0o755, Node::Directory)),
            (path("srv"), entry(0o2750, Node::Directory)),
            (path("srv/empty"), entry(0o600, file(""))),
            (path("usr"), entry(0o755, Node::Directory)),
            (path("usr/bin"), entry(0o755, Node::Directory)),
            (path("usr/bin/ping"), Entry { capability: Some(capability[..].into()), ..entry(0o755, file("ping")) }),
            (path("usr/bin/su"), entry(0o4755, file("su su su"))),
            (path("usr/bin/vi"), Entry::hard_link(path("usr/bin/su"))),
            (path("usr/bin/z\u{e9}"), Entry { mtime: 1_800_000_000, ..entry(0o644, file("last")) }),
        ]
        .into_iter()
        .collect();
        let mut tar = Vec::new();
        write_tar(&tree, &mut tar).unwrap();
        tar
    }

    /// `tar` with one member more before its end.
    fn with_member(tar: &[u8], kind: ::tar::EntryType, name: &str) -> Vec<u8> {
        let mut header = ::tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        let end = tar.len() - 1024;
        [&tar[..end], header.as_bytes(), &tar[end..]].concat()
    }

    fn packed(tar: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(tar).unwrap();
        let xz = std::process::Command::new("xz").args(["--stdout", "--keep"]).arg(written(tar).path()).output().unwrap();
        assert!(xz.status.success());
        vec![("plain", tar.to_vec()), ("gzip", gzip.finish().unwrap()), ("xz", xz.stdout), ("zstd", zstd::encode_all(tar, 1).unwrap())]
    }

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn index_of(tar: &[u8]) -> Result<Index, Error> {
        inspect(written(tar).path(), &EVERYTHING, &Silent).map(|found| found.index)
    }

    #[test]
    fn the_layer_has_what_the_tar_has_however_it_is_packed() {
        let tar = system();
        let expected = index_of(&tar).unwrap();
        assert_eq!(expected.iter().count(), 11);
        for (packing, bytes) in packed(&tar) {
            let file = written(&bytes);
            let found = inspect(file.path(), &EVERYTHING, &Silent).unwrap();
            assert_eq!((found.digest, found.timestamp.as_second()), (Digest::of(&bytes), 1_800_000_000), "{packing}");
            assert_eq!(found.index, expected, "{packing}");
            let tree: Tree = RootFsComponent::new(file.path(), found.digest).lay(&NoInputs).unwrap().into_iter().collect();
            let mut layer = Vec::new();
            write_tar(&tree, &mut layer).unwrap();
            assert_eq!(index_of(&layer).unwrap(), expected, "{packing}");
        }
    }

    #[test]
    fn a_file_that_changed_is_not_laid() {
        for (_, bytes) in packed(&system()) {
            let file = written(&bytes);
            let error = RootFsComponent::new(file.path(), Digest::of("other")).lay(&NoInputs).unwrap_err();
            assert!(error.to_string().contains("the lock says"), "{error}");
        }
    }

    #[test]
    fn devices_are_left_out_of_dev_and_refused_elsewhere() {
        let tar = system();
        let with_device = with_member(&tar, ::tar::EntryType::Char, "./dev/null");
        assert_eq!(index_of(&with_device).unwrap(), index_of(&tar).unwrap());
        for (kind, name) in [
            (::tar::EntryType::Char, "srv/null"),
            (::tar::EntryType::Block, "disk"),
            (::tar::EntryType::Fifo, "run/pipe"),
            (::tar::EntryType::GNUSparse, "sparse"),
            (::tar::EntryType::Regular, "etc/.wh.passwd"),
            (::tar::EntryType::Regular, "etc/.wh..wh..opq"),
            (::tar::EntryType::Regular, "usr/bin/su/x"),
        ] {
            let error = index_of(&with_member(&tar, kind, name)).unwrap_err();
            assert!(error.to_string().contains("cannot be used"), "{name}: {error}");
        }
    }

    #[test]
    fn damaged_and_other_files_are_refused() {
        for (packing, bytes) in packed(&system()) {
            assert!(index_of(&bytes[..bytes.len() / 2]).is_err(), "{packing}");
        }
        assert!(index_of(b"no tar at all").is_err());
        assert!(inspect(Path::new("/nonexistent"), &EVERYTHING, &Silent).is_err());
        assert_eq!(inspect(written(&[0; 1024]).path(), &EVERYTHING, &Silent).unwrap().timestamp, Timestamp::UNIX_EPOCH);
    }
}
