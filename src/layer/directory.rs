//! Tree → directory: the other sink of a tree. Whoever packs the directory as BuildKit packs a layer gets the bytes of [`super::write_tar`].

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, Uid, XattrFlags};

use super::content::copy_exactly;
use super::tree::{Entry, Node, Tree};
use super::{Content, LayerError};
use crate::image_path::ImagePath;

/// Content is copied in pieces of this size.
const PIECE: usize = 128 << 10;

/// Mode of a file or directory while it is being written.
const PRIVATE: u32 = 0o700;

/// Lays `tree` below `root`, a directory that nobody else writes to: modes, owners, times, hard links and capabilities are exactly the
/// tree's, whatever the umask. Directories that are there stay and become the tree's; files and links that are there make way. Needs the right to
/// change owners; `root` itself stays as it is.
///
/// # Errors
/// When the tree cannot be a layer (see [`Tree::walk`]) or holds deletions, a content cannot be read or has not its size, or the file system
/// refuses something, as a directory in a file's place and the other way round.
pub fn write_directory(tree: &Tree, root: &Path) -> Result<(), LayerError> {
    let mut piece = vec![0; PIECE];
    let mut directories = Vec::new();
    for step in tree.walk()? {
        let place = below(root, step.path);
        let failed = |cause| LayerError::Place { path: step.path.clone(), cause };
        if let Some(first) = step.link_to {
            making_way(&place, || fs::hard_link(below(root, first), &place)).map_err(failed)?;
            continue;
        }
        match &step.entry.node {
            Node::Directory => {
                make_directory(&place).map_err(failed)?;
                directories.push((step.path, step.entry));
            }
            Node::File(content) => {
                write_file(step.path, &place, content, &mut piece)?;
                finish(&place, step.entry).map_err(failed)?;
            }
            Node::Symlink(target) => {
                making_way(&place, || symlink(OsStr::from_bytes(target), &place)).map_err(failed)?;
                finish(&place, step.entry).map_err(failed)?;
            }
            Node::Whiteout => return Err(LayerError::Entry { path: step.path.clone(), reason: "a directory holds no deletions" }),
            // The walk gives the file's entry for its links.
            Node::HardLink(_) => {}
        }
    }
    // From below up: what is made in a directory changes its time.
    for (path, entry) in directories.into_iter().rev() {
        finish(&below(root, path), entry).map_err(|cause| LayerError::Place { path: path.clone(), cause })?;
    }
    Ok(())
}

fn below(root: &Path, path: &ImagePath) -> PathBuf {
    root.join(OsStr::from_bytes(path.as_bytes()))
}

/// Makes a directory, unless there is one.
fn make_directory(place: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(PRIVATE).create(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && place.symlink_metadata()?.is_dir() => Ok(()),
        made => made,
    }
}

/// Makes something that is no directory, in the place of what may be there.
fn making_way<T>(place: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(place).and_then(|()| make()),
        made => made,
    }
}

fn write_file(path: &ImagePath, place: &Path, content: &Content, piece: &mut [u8]) -> Result<(), LayerError> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(place);
    let mut file: File = making_way(place, open).map_err(|cause| LayerError::Place { path: path.clone(), cause })?;
    copy_exactly(path, content, piece, &mut file)
}

/// Gives an entry its owner, mode, capability and time, in this order: the kernel takes special bits and capabilities away when the owner
/// changes, and every change but the last one touches the time.
fn finish(place: &Path, entry: &Entry) -> io::Result<()> {
    let owner = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    rustix::fs::chownat(CWD, place, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(entry.node, Node::Symlink(_)) {
        fs::set_permissions(place, Permissions::from_mode(entry.mode.into()))?;
    }
    if let Some(capability) = &entry.capability {
        rustix::fs::lsetxattr(place, "security.capability", capability, XattrFlags::empty())?;
    }
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
    rustix::fs::utimensat(CWD, place, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::specimens::trees;
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    fn capability(place: &Path) -> Option<Vec<u8>> {
        let mut value = vec![0; 64];
        let size = rustix::fs::lgetxattr(place, "security.capability", &mut value[..]).ok()?;
        value.truncate(size);
        Some(value)
    }

    /// What the kernel says of every entry is what the tree says.
    #[test]
    fn awkward_trees_lie_in_the_directory_as_they_are() {
        assert!(rustix::process::geteuid().is_root(), "owners can be given away by root alone");
        let mut seen = 0;
        for (name, tree) in trees() {
            let root = tempfile::tempdir().unwrap();
            write_directory(&tree, root.path()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            for step in tree.walk().unwrap() {
                let place = below(root.path(), step.path);
                let found = place.symlink_metadata().unwrap();
                let entry = step.entry;
                assert_eq!(
                    (found.uid(), found.gid(), found.mtime(), found.mtime_nsec()),
                    (entry.uid, entry.gid, entry.mtime, 0),
                    "{name}: {place:?}"
                );
                match &entry.node {
                    Node::Directory => assert!(found.is_dir()),
                    Node::Symlink(target) => assert_eq!(fs::read_link(&place).unwrap().as_os_str().as_bytes(), &**target),
                    Node::File(content) => {
                        let mut expected = Vec::new();
                        content.open().unwrap().read_to_end(&mut expected).unwrap();
                        assert!(found.is_file() && fs::read(&place).unwrap() == expected, "{name}: {place:?}");
                    }
                    other => panic!("{name}: {other:?}"),
                }
                if !found.is_symlink() {
                    assert_eq!(found.mode() & 0o7777, u32::from(entry.mode), "{name}: {place:?}");
                    assert_eq!(capability(&place).as_deref(), entry.capability.as_deref(), "{name}: {place:?}");
                }
                if let Some(first) = step.link_to {
                    assert_eq!(found.ino(), below(root.path(), first).symlink_metadata().unwrap().ino());
                }
                seen += 1;
            }
        }
        assert!(seen > 100);
    }

    #[test]
    fn deletions_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let tree: Tree = [(ImagePath::literal("a"), Entry::whiteout())].into_iter().collect();
        assert!(write_directory(&tree, root.path()).unwrap_err().to_string().contains("no deletions"));
    }

    #[test]
    fn what_is_there_makes_way_as_it_does_for_a_layer() {
        let root = tempfile::tempdir().unwrap();
        let (at, elsewhere) = (|name: &str| root.path().join(name), tempfile::NamedTempFile::new().unwrap());
        fs::create_dir_all(at("kept/old")).unwrap();
        fs::write(at("kept/file"), "old").unwrap();
        symlink(elsewhere.path(), at("link")).unwrap();
        let file = |path, text: &'static [u8]| (ImagePath::literal(path), Entry::file(Content::inline(text), 0o640, 1, 2, 3));
        let directory = |path| (ImagePath::literal(path), Entry::directory(0o750, 1, 2, 3));
        let tree: Tree = [directory("kept"), file("kept/file", b"new"), file("link", b"new")].into_iter().collect();
        write_directory(&tree, root.path()).unwrap();
        assert_eq!((fs::read(at("kept/file")).unwrap(), fs::read(at("link")).unwrap()), (b"new".to_vec(), b"new".to_vec()));
        assert!(at("kept/old").is_dir() && !at("link").is_symlink() && fs::read(elsewhere.path()).unwrap().is_empty());
        let kept = at("kept").metadata().unwrap();
        assert_eq!((kept.mode() & 0o7777, kept.uid(), kept.gid(), kept.mtime()), (0o750, 1, 2, 3));

        // No layer puts a directory into the place of something else, nor something else into that of a directory.
        for entry in [directory("link"), file("kept", b"")] {
            let error = write_directory(&[entry].into_iter().collect(), root.path()).unwrap_err().to_string();
            assert!(error.starts_with("cannot write `/"), "{error}");
        }
        symlink("kept", at("way")).unwrap();
        let through: Tree = [directory("way"), file("way/file", b"through")].into_iter().collect();
        assert!(write_directory(&through, root.path()).is_err(), "a link is no directory");
        assert_eq!(fs::read(at("kept/file")).unwrap(), b"new");
    }
}
