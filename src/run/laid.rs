//! What is laid into a container before it starts, as a tar: so it gets its owner without any program of the image.

use std::path::Path;

use super::space;

/// What is laid into a container before it starts.
pub(super) enum Member {
    /// A directory, empty unless it is there.
    Directory(&'static str),
    /// A file of this name in a directory, with its content.
    File(&'static str, &'static str, Vec<u8>),
}

impl Member {
    /// The directory that it is laid into.
    pub(super) fn above(&self) -> &str {
        match self {
            Member::Directory(path) => Path::new(path).parent().and_then(Path::to_str).unwrap_or("/"),
            Member::File(directory, ..) => directory,
        }
    }

    /// The tar that brings it there.
    pub(super) fn tar(&self) -> Vec<u8> {
        let (name, kind, mode, content): (&str, _, _, &[u8]) = match self {
            Member::Directory(path) => (path.rsplit('/').next().unwrap_or(path), tar::EntryType::Directory, 0o755, &[]),
            Member::File(_, name, content) => (name, tar::EntryType::Regular, 0o644, content),
        };
        let (uid, gid) = space::owner();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        let mut builder = tar::Builder::new(Vec::new());
        // A Vec takes all, and the names are short.
        let _ = builder.append_data(&mut header, name, content);
        builder.into_inner().unwrap_or_default()
    }
}
