//! Files and directories beside the description: walked, hashed once, and remembered by what the file system says of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::FileProblem;
use super::exclude::Exclude;
use crate::digest::{Digest, Digesting};
use crate::error::{Error, FileError};
use crate::image_path::ImagePath;
use crate::layer::OpenContent;
use crate::store::Store;
use crate::world::go_on;

/// Kind of the store's records of local files' digests.
const RECORD: &str = "local";
/// Most files and directories below one source.
const MAX_ENTRIES: usize = 2_000_000;
/// A file that changed so recently may change again within the file system's clock tick: its digest is not remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// A file or directory of this machine, hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalEntry {
    /// The path below the source; the root for the source itself.
    pub path: ImagePath,
    /// Where it lies on this machine.
    pub place: PathBuf,
    /// What it is.
    pub kind: LocalKind,
}

/// What a local entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Its digest.
        digest: Digest,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symlink, with its target as it stands.
    Symlink(Vec<u8>),
}

/// What the file system says of a file; if none of it has changed, neither have the bytes: the kernel sets ctime at every change.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self) -> bool {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(self.ctime.0.max(self.mtime.0)).unwrap_or(0));
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED)
    }
}

/// The source's place on this machine: below the description's directory, also after its links.
///
/// # Errors
/// A source that is not there, or that leaves the directory.
pub fn place(directory: &Path, source: &Path) -> Result<PathBuf, Error> {
    let at = directory.join(source);
    let top = directory.canonicalize().map_err(FileError::at("read", directory))?;
    let real = at.canonicalize().map_err(|error| missing(&at, error))?;
    if !real.starts_with(&top) || source.components().any(|part| matches!(part, Component::ParentDir)) {
        return Err(FileProblem::Leaves(at).into());
    }
    Ok(real)
}

fn missing(place: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileProblem::Missing(place.to_owned()).into(),
        _ => FileError::at("read", place)(error).into(),
    }
}

/// The source and, where it is a directory, all below it that is not excluded, sorted by path, hashed.
///
/// # Errors
/// Files that cannot be read, sockets and the like, too many of them; `cancelled`.
pub fn scan(source: &Path, exclude: &Exclude, store: &Store, cancelled: &AtomicBool) -> Result<Vec<LocalEntry>, Error> {
    let mut found = Vec::new();
    walk(source, ImagePath::root(), exclude, &mut found)?;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    hash(source, found, store, cancelled)
}

type Found = (ImagePath, PathBuf, fs::Metadata);

fn walk(place: &Path, path: ImagePath, exclude: &Exclude, found: &mut Vec<Found>) -> Result<(), Error> {
    let metadata = fs::symlink_metadata(place).map_err(FileError::at("read", place))?;
    let kind = metadata.file_type();
    if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
        return Err(FileProblem::Special(place.to_owned()).into());
    }
    let out = !path.is_root() && exclude.leaves_out(&path);
    if out && !(kind.is_dir() && exclude.may_bring_back()) {
        return Ok(());
    }
    if kind.is_dir() {
        for child in fs::read_dir(place).map_err(FileError::at("read", place))? {
            let child = child.map_err(FileError::at("read", place))?;
            let below = path.join(child.file_name().as_bytes()).map_err(|error| FileProblem::Name(error.to_string()))?;
            walk(&child.path(), below, exclude, found)?;
        }
    }
    if !out {
        found.push((path, place.to_owned(), metadata));
    }
    if found.len() > MAX_ENTRIES {
        return Err(FileProblem::TooMany(place.to_owned()).into());
    }
    Ok(())
}

type Remembered = BTreeMap<ImagePath, (Stamp, Digest)>;

fn hash(source: &Path, found: Vec<Found>, store: &Store, cancelled: &AtomicBool) -> Result<Vec<LocalEntry>, Error> {
    let key = Digest::of(source.as_os_str().as_bytes());
    let remembered: Remembered = store.record(RECORD, &key).unwrap_or_default();
    let digests = digests(&found, &remembered, cancelled)?;
    let mut settled = Remembered::new();
    let mut entries = Vec::with_capacity(found.len());
    for ((path, place, metadata), digest) in found.into_iter().zip(digests) {
        let kind = match digest {
            Some(digest) => {
                let stamp = Stamp::of(&metadata);
                if stamp.is_settled() {
                    settled.insert(path.clone(), (stamp, digest));
                }
                LocalKind::File { size: metadata.len(), digest, executable: metadata.mode() & 0o100 != 0 }
            }
            None if metadata.is_dir() => LocalKind::Directory,
            None => {
                let target = fs::read_link(&place).map_err(FileError::at("read", &place))?;
                LocalKind::Symlink(target.as_os_str().as_bytes().to_vec())
            }
        };
        entries.push(LocalEntry { path, place, kind });
    }
    if settled != remembered {
        store.put_record(RECORD, &key, &settled)?;
    }
    Ok(entries)
}

/// The digest of each regular file, on all cores; none for the others.
fn digests(found: &[Found], remembered: &Remembered, cancelled: &AtomicBool) -> Result<Vec<Option<Digest>>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((path, place, metadata)) = found.get(index) else { return Ok(done) };
            if metadata.is_file() {
                let known = remembered.get(path).filter(|(stamp, _)| *stamp == Stamp::of(metadata)).map(|(_, digest)| *digest);
                let digest = match known {
                    Some(digest) => digest,
                    None => digest_of(place, cancelled).map_err(FileError::at("read", place))?,
                };
                done.push((index, digest));
            }
        }
    };
    let mut digests = vec![None; found.len()];
    let outcomes: Vec<Result<Vec<(usize, Digest)>, FileError>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    for outcome in outcomes {
        for (index, digest) in outcome? {
            digests[index] = Some(digest);
        }
    }
    Ok(digests)
}

fn digest_of(place: &Path, cancelled: &AtomicBool) -> io::Result<Digest> {
    let mut reader = Digesting::new(File::open(place)?);
    let mut buffer = vec![0; 1 << 18];
    while reader.read(&mut buffer)? > 0 {
        go_on(cancelled)?;
    }
    Ok(reader.finish().1)
}

/// A local file whose bytes must still be those that were hashed.
pub struct Unchanged {
    /// Where it lies.
    pub place: PathBuf,
    /// What was hashed.
    pub digest: Digest,
}

impl OpenContent for Unchanged {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let name = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.place.display()));
        let file = File::open(&self.place).map_err(name)?;
        Ok(Box::new(Checking { inner: Some(Digesting::new(file)), place: self.place.clone(), digest: self.digest }))
    }
}

struct Checking {
    inner: Option<Digesting<File>>,
    place: PathBuf,
    digest: Digest,
}

impl Read for Checking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.inner else { return Ok(0) };
        let count = reader.read(buffer)?;
        if count == 0
            && !buffer.is_empty()
            && let Some(reader) = self.inner.take()
            && reader.finish().1 != self.digest
        {
            return Err(io::Error::other(format!("{} changed while it was read", self.place.display())));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scene() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("cache")).unwrap();
        let tree = directory.path().join("d/tree");
        fs::create_dir_all(tree.join("a/empty")).unwrap();
        fs::write(tree.join("a/x"), "hello").unwrap();
        fs::write(tree.join("a-b"), "").unwrap();
        symlink("../nowhere", tree.join("link")).unwrap();
        (directory, store)
    }

    #[test]
    fn a_directory_is_walked_in_order_with_links_as_they_stand() {
        let (directory, store) = scene();
        let entries = scan(&directory.path().join("d/tree"), &Exclude::default(), &store, &AtomicBool::new(false)).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>(), ["", "a", "a/empty", "a/x", "a-b", "link"]);
        assert_eq!(entries[3].kind, LocalKind::File { size: 5, digest: Digest::of("hello"), executable: false });
        assert_eq!(entries[5].kind, LocalKind::Symlink(b"../nowhere".to_vec()));
    }

    #[test]
    fn excluded_parts_are_left_out_unless_brought_back() {
        let (directory, store) = scene();
        let exclude = Exclude::new(&["a".to_owned(), "!a/x".to_owned()]).unwrap();
        let entries = scan(&directory.path().join("d/tree"), &exclude, &store, &AtomicBool::new(false)).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>(), ["", "a/x", "a-b", "link"]);
    }

    #[test]
    fn a_changed_file_is_hashed_again_and_a_stale_digest_is_noticed() {
        let (directory, store) = scene();
        let tree = directory.path().join("d/tree");
        let digest = |entries: &[LocalEntry]| match entries[3].kind {
            LocalKind::File { digest, .. } => digest,
            _ => panic!("not a file"),
        };
        let old = File::options().write(true).open(tree.join("a/x")).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        let first = digest(&scan(&tree, &Exclude::default(), &store, &AtomicBool::new(false)).unwrap());
        fs::write(tree.join("a/x"), "other").unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        assert_eq!(digest(&scan(&tree, &Exclude::default(), &store, &AtomicBool::new(false)).unwrap()), Digest::of("other"));
        let mut bytes = Vec::new();
        assert!(Unchanged { place: tree.join("a/x"), digest: first }.open().unwrap().read_to_end(&mut bytes).is_err());
    }

    #[test]
    fn hashing_ends_when_it_is_cancelled() {
        let (directory, store) = scene();
        let tree = directory.path().join("d/tree");
        assert!(scan(&tree, &Exclude::default(), &store, &AtomicBool::new(true)).unwrap_err().fault().to_string().contains("a/x"));
        assert!(scan(&tree, &Exclude::default(), &store, &AtomicBool::new(false)).is_ok());
    }

    #[test]
    fn sources_stay_in_their_directory() {
        let (directory, _store) = scene();
        let top = directory.path().join("d");
        symlink("/etc", top.join("out")).unwrap();
        assert!(place(&top, Path::new("tree/a/x")).is_ok());
        for leaving in ["../d/tree", "out/passwd", "out", "tree/../../x"] {
            assert!(place(&top, Path::new(leaving)).is_err(), "{leaving}");
        }
    }
}
