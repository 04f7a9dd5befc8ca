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

/// Lays `tree` below `root`, an empty directory that nobody else writes to: modes, owners, times, hard links and capabilities are exactly the
/// tree's, whatever the umask. Needs the right to change owners; `root` itself stays as it is.
///
/// # Errors
/// When the tree cannot be a layer (see [`Tree::walk`]) or holds deletions, a content cannot be read or has not its size, or the file system
/// refuses something.
pub fn write_directory(tree: &Tree, root: &Path) -> Result<(), LayerError> {
    let mut piece = vec![0; PIECE];
    let mut directories = Vec::new();
    for step in tree.walk()? {
        let place = below(root, step.path);
        let failed = |cause| LayerError::Place { path: step.path.clone(), cause };
        if let Some(first) = step.link_to {
            fs::hard_link(below(root, first), &place).map_err(failed)?;
            continue;
        }
        match &step.entry.node {
            Node::Directory => {
                fs::DirBuilder::new().mode(PRIVATE).create(&place).map_err(failed)?;
                directories.push((step.path, step.entry));
            }
            Node::File(content) => {
                write_file(step.path, &place, content, &mut piece)?;
                finish(&place, step.entry).map_err(failed)?;
            }
            Node::Symlink(target) => {
                symlink(OsStr::from_bytes(target), &place).map_err(failed)?;
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

fn write_file(path: &ImagePath, place: &Path, content: &Content, piece: &mut [u8]) -> Result<(), LayerError> {
    let open = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(place);
    let mut file: File = open.map_err(|cause| LayerError::Place { path: path.clone(), cause })?;
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
    fn deletions_and_what_is_there_already_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let tree: Tree = [(ImagePath::literal("a"), Entry::whiteout())].into_iter().collect();
        assert!(write_directory(&tree, root.path()).unwrap_err().to_string().contains("no deletions"));
        let tree: Tree = [(ImagePath::literal("a"), Entry::file(Content::inline(*b"x"), 0o644, 0, 0, 0))].into_iter().collect();
        symlink("/etc/passwd", root.path().join("a")).unwrap();
        assert!(write_directory(&tree, root.path()).unwrap_err().to_string().contains("cannot write `/a`"));
    }
}
