//! What the kernel says of all files below a directory, hard links and capabilities too, to be compared with another such list.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use byoi::digest::{Digest, Digesting};
use byoi::image_path::ImagePath;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    pub kind: &'static str,
    /// None for symbolic links: what a layer says of theirs has no effect.
    pub mode: Option<u16>,
    pub owner: (u32, u32),
    pub mtime: i64,
    pub size: u64,
    pub target: Vec<u8>,
    pub capability: Vec<u8>,
    pub digest: Option<Digest>,
    /// The first path of the same file.
    pub same_as: Option<ImagePath>,
}

/// A tree by path.
pub type Rows = BTreeMap<ImagePath, Row>;

/// What lies in a directory of this machine.
pub fn unpacked(root: &Path) -> Rows {
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
