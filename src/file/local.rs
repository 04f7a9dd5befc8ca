//! Files and directories beside the description: walked, hashed once, and remembered by what the file system says of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
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
use super::part::Part;
use crate::digest::{Digest, Digester, Digesting};
use crate::error::{Error, FileError};
use crate::image_path::ImagePath;
use crate::layer::OpenContent;
use crate::store::Store;
use crate::world::go_on;

/// Kind of the store's records of local files' digests.
const RECORD: &str = "local";
/// Most files and directories below one source.
const MAX_ENTRIES: usize = 2_000_000;
/// A file that changed so recently may change again within the file system's clock tick: what the file system says does not tell.
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
        /// What the file system says of it, where that tells whether it is still the same.
        stamp: Option<Stamp>,
    },
    /// A symlink, with its target as it stands.
    Symlink(Vec<u8>),
}

/// What the file system says of a file; if none of it has changed, neither have the bytes: the kernel sets ctime at every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
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

    /// That of a file which was asked for just now and has not changed lately.
    fn settled(metadata: &fs::Metadata) -> Option<Self> {
        let stamp = Stamp::of(metadata);
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stamp.ctime.0.max(stamp.mtime.0)).unwrap_or(0));
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED).then_some(stamp)
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

/// A part of the source and, where it is a directory, of all below it that is not excluded, sorted by path, hashed.
///
/// # Errors
/// Files that cannot be read, sockets and the like, too many of them; `cancelled`.
pub fn scan(source: &Path, part: &Part, exclude: &Exclude, store: &Store, cancelled: &AtomicBool) -> Result<Vec<LocalEntry>, Error> {
    let mut found = Vec::new();
    for path in &part.within {
        walk(&within(source, path), path.clone(), exclude, &mut found)?;
    }
    found.retain(|found| part.has(&found.path));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let sees = |path: &ImagePath| part.has(path) && !exclude.leaves_out(path);
    hash(source, found, sees, store, cancelled)
}

/// Size in bytes and digest of each regular file below a place, for [`remember`] where the files are not.
///
/// # Errors
/// Files that cannot be read, sockets and the like, too many of them.
pub fn digests_below(place: &Path, store: &Store) -> Result<BTreeMap<ImagePath, (u64, Digest)>, Error> {
    let entries = scan(place, &Part::whole(), &Exclude::default(), store, &AtomicBool::new(false))?;
    let file = |entry: LocalEntry| match entry.kind {
        LocalKind::File { size, digest, .. } => Some((entry.path, (size, digest))),
        _ => None,
    };
    Ok(entries.into_iter().filter_map(file).collect())
}

/// Where a path below the source lies.
pub fn within(source: &Path, path: &ImagePath) -> PathBuf {
    if path.is_root() { source.to_owned() } else { source.join(OsStr::from_bytes(path.as_bytes())) }
}

struct Found {
    path: ImagePath,
    place: PathBuf,
    metadata: fs::Metadata,
    stamp: Option<Stamp>,
}

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
        let stamp = Stamp::settled(&metadata);
        found.push(Found { path, place: place.to_owned(), metadata, stamp });
    }
    if found.len() > MAX_ENTRIES {
        return Err(FileProblem::TooMany(place.to_owned()).into());
    }
    Ok(())
}

type Remembered = BTreeMap<ImagePath, (Stamp, Digest)>;

fn record_key(source: &Path) -> Digest {
    Digest::of(source.as_os_str().as_bytes())
}

/// Remembers digests of files below a source that were hashed elsewhere, for the next scan. As long as the file system says the same of the
/// files, it does not look at their content.
///
/// # Errors
/// Files that are not there, a store that cannot be written.
pub fn remember(source: &Path, digests: &BTreeMap<ImagePath, Digest>, store: &Store) -> Result<(), Error> {
    let stamp = |path: &ImagePath| {
        let place = within(source, path);
        fs::symlink_metadata(&place).map(|metadata| Stamp::of(&metadata)).map_err(FileError::at("read", place))
    };
    let remembered = digests.iter().map(|(path, digest)| Ok((path.clone(), (stamp(path)?, *digest)))).collect::<Result<Remembered, FileError>>()?;
    Ok(store.put_record(RECORD, &record_key(source), &remembered)?)
}

/// Entries of what was found. What `sees` does not concern, other scans of the same source remember.
fn hash(
    source: &Path,
    found: Vec<Found>,
    sees: impl Fn(&ImagePath) -> bool,
    store: &Store,
    cancelled: &AtomicBool,
) -> Result<Vec<LocalEntry>, Error> {
    let key = record_key(source);
    let remembered: Remembered = store.record(RECORD, &key).unwrap_or_default();
    let digests = digests(&found, &remembered, cancelled)?;
    let mut settled: Remembered = remembered.iter().filter(|(path, _)| !sees(path)).map(|(path, known)| (path.clone(), *known)).collect();
    let mut entries = Vec::with_capacity(found.len());
    for (Found { path, place, metadata, stamp }, digest) in found.into_iter().zip(digests) {
        let kind = match digest {
            Some(digest) => {
                let known = remembered.get(&path).map(|(stamp, _)| *stamp).filter(|known| *known == Stamp::of(&metadata));
                if let Some(stamp) = stamp.or(known) {
                    settled.insert(path.clone(), (stamp, digest));
                }
                LocalKind::File { size: metadata.len(), digest, executable: metadata.mode() & 0o100 != 0, stamp }
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
            let Some(Found { path, place, metadata, .. }) = found.get(index) else { return Ok(done) };
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
    /// What the file system said of it, where that tells; else it is hashed again.
    pub stamp: Option<Stamp>,
}

impl OpenContent for Unchanged {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = File::open(&self.place).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.place.display())))?;
        let proof = match self.stamp {
            Some(stamp) => Proof::Stamp(stamp),
            None => Proof::Digest(Some(Digester::new()), self.digest),
        };
        Ok(Box::new(Checking { file, place: self.place.clone(), proof }))
    }
}

struct Checking {
    file: File,
    place: PathBuf,
    proof: Proof,
}

/// What shows at the end of a file that nobody wrote to it.
enum Proof {
    /// The file system says the same of it as before it was hashed.
    Stamp(Stamp),
    /// It has this digest; none after the end.
    Digest(Option<Digester>, Digest),
}

impl Checking {
    fn is_unchanged(&mut self) -> io::Result<bool> {
        Ok(match &mut self.proof {
            Proof::Stamp(stamp) => *stamp == Stamp::of(&self.file.metadata()?),
            Proof::Digest(digester, digest) => digester.take().is_none_or(|digester| digester.finish() == *digest),
        })
    }
}

impl Read for Checking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let Proof::Digest(Some(digester), _) = &mut self.proof {
            digester.update(&buffer[..count]);
        }
        if count == 0 && !buffer.is_empty() && !self.is_unchanged()? {
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
        let entries = scan(&directory.path().join("d/tree"), &Part::whole(), &Exclude::default(), &store, &AtomicBool::new(false)).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>(), ["", "a", "a/empty", "a/x", "a-b", "link"]);
        let LocalKind::File { size: 5, digest, executable: false, stamp } = entries[3].kind else { panic!("{:?}", entries[3]) };
        assert_eq!((digest, stamp), (Digest::of("hello"), None), "it is too new");
        assert_eq!(entries[5].kind, LocalKind::Symlink(b"../nowhere".to_vec()));
    }

    #[test]
    fn excluded_parts_are_left_out_unless_brought_back() {
        let (directory, store) = scene();
        let exclude = Exclude::new(&["a".to_owned(), "!a/x".to_owned()]).unwrap();
        let entries = scan(&directory.path().join("d/tree"), &Part::whole(), &exclude, &store, &AtomicBool::new(false)).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>(), ["", "a/x", "a-b", "link"]);
    }

    fn scanned(tree: &Path, store: &Store) -> (Digest, Option<Stamp>) {
        match scan(tree, &Part::whole(), &Exclude::default(), store, &AtomicBool::new(false)).unwrap()[3].kind {
            LocalKind::File { digest, stamp, .. } => (digest, stamp),
            _ => panic!("not a file"),
        }
    }

    fn read(place: &Path, digest: Digest, stamp: Option<Stamp>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Unchanged { place: place.to_owned(), digest, stamp }.open()?.read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn a_changed_file_is_hashed_again_and_a_stale_digest_is_noticed() {
        let (directory, store) = scene();
        let (tree, file) = (directory.path().join("d/tree"), directory.path().join("d/tree/a/x"));
        let old = File::options().write(true).open(&file).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        let (first, _) = scanned(&tree, &store);
        assert_eq!(read(&file, first, None).unwrap(), b"hello");
        fs::write(&file, "other").unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        assert_eq!(scanned(&tree, &store).0, Digest::of("other"));
        assert!(read(&file, first, None).is_err());
    }

    #[test]
    fn what_was_hashed_elsewhere_is_taken_until_the_file_changes() {
        let (directory, store) = scene();
        let (tree, file) = (directory.path().join("d/tree"), directory.path().join("d/tree/a/x"));
        let elsewhere = BTreeMap::from([(ImagePath::literal("a/x"), Digest::of("elsewhere"))]);
        remember(&tree, &elsewhere, &store).unwrap();
        for _ in 0..2 {
            assert_eq!(scanned(&tree, &store).0, Digest::of("elsewhere"));
        }
        fs::write(&file, "longer").unwrap();
        assert_eq!(scanned(&tree, &store).0, Digest::of("longer"));
    }

    #[test]
    fn a_scan_of_less_forgets_nothing_of_the_rest() {
        let (directory, store) = scene();
        let tree = directory.path().join("d/tree");
        let elsewhere = ["a/x", "a-b", "gone"].map(|path| (ImagePath::literal(path), Digest::of("elsewhere")));
        fs::write(tree.join("gone"), "").unwrap();
        remember(&tree, &BTreeMap::from(elsewhere), &store).unwrap();
        fs::remove_file(tree.join("gone")).unwrap();
        let less = Exclude::new(&["a".to_owned()]).unwrap();
        scan(&tree, &Part::whole(), &less, &store, &AtomicBool::new(false)).unwrap();
        assert_eq!(digests_below(&tree, &store).unwrap().into_values().map(|(_, digest)| digest).collect::<Vec<_>>(), [Digest::of("elsewhere"); 2]);
        let remembered: Remembered = store.record(RECORD, &record_key(&tree)).unwrap();
        assert_eq!(remembered.keys().map(ImagePath::to_string).collect::<Vec<_>>(), ["a/x", "a-b"]);
    }

    #[test]
    fn a_file_that_lay_there_for_a_while_is_known_by_its_stamp() {
        let (directory, store) = scene();
        let (tree, file) = (directory.path().join("d/tree"), directory.path().join("d/tree/a/x"));
        while scanned(&tree, &store).1.is_none() {
            std::thread::sleep(Duration::from_millis(100));
        }
        let (digest, stamp) = scanned(&tree, &store);
        assert_eq!(read(&file, digest, stamp).unwrap(), b"hello");
        // Its bytes are not looked at.
        assert_eq!(read(&file, Digest::of("another"), stamp).unwrap(), b"hello");
        fs::write(&file, "other").unwrap();
        let error = read(&file, digest, stamp).unwrap_err().to_string();
        assert!(error.ends_with("a/x changed while it was read"), "{error}");
        // Another file in its place, as like it as can be made.
        let (digest, _) = scanned(&tree, &store);
        while scanned(&tree, &store).1.is_none() {
            std::thread::sleep(Duration::from_millis(100));
        }
        let stamp = scanned(&tree, &store).1;
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(tree.join("new"), "OTHER").unwrap();
        File::options().write(true).open(tree.join("new")).unwrap().set_modified(modified).unwrap();
        fs::rename(tree.join("new"), &file).unwrap();
        assert!(read(&file, digest, stamp).is_err());
    }

    #[test]
    fn hashing_ends_when_it_is_cancelled() {
        let (directory, store) = scene();
        let tree = directory.path().join("d/tree");
        assert!(scan(&tree, &Part::whole(), &Exclude::default(), &store, &AtomicBool::new(true)).unwrap_err().fault().to_string().contains("a/x"));
        assert!(scan(&tree, &Part::whole(), &Exclude::default(), &store, &AtomicBool::new(false)).is_ok());
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
