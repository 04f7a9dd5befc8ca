//! An archive of any kind as entries of a layer, with leading components cut off.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::packing::Packing;
use super::tar::read_tar;
use super::{ArchiveError, Limits, Member, read_zip};
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::layer::{Entry, Node};

/// What an archive that a description names may come to.
const LIMITS: Limits = Limits { members: 2_000_000, total: 256 << 30, ratio: 1100 };
/// Modification time of zip members that have none: what DOS times begin with.
const DOS_EPOCH: i64 = 315_532_800;

/// All members of the archive `name`, sorted by path, each without its first `strip` components; members with no more than that are left
/// out. Owners are root; modes are the archive's permission bits, times the archive's.
///
/// # Errors
/// An archive that is refused, with its name.
pub fn unpack(file: File, name: &str, strip: usize) -> Result<Vec<Member>, Error> {
    members(&Arc::new(file), strip).map_err(|error| Error::from(error).while_doing(format!("cannot unpack {name}")))
}

fn members(file: &Arc<File>, strip: usize) -> Result<Vec<Member>, ArchiveError> {
    let members = match Packing::of(file)? {
        Packing::Zip => zip_members(file)?,
        packing => read_tar(file, packing, &LIMITS)?,
    };
    let mut last: BTreeMap<ImagePath, Entry> = BTreeMap::new();
    for (path, mut entry) in members {
        let Some(path) = stripped(&path, strip) else { continue };
        if let Node::HardLink(target) = &entry.node {
            let target =
                stripped(target, strip).ok_or_else(|| ArchiveError::member(path.as_bytes(), "is a hard link to a member that `strip` leaves out"))?;
            entry.node = Node::HardLink(target);
        }
        last.insert(path, entry);
    }
    Ok(last.into_iter().collect())
}

fn stripped(path: &ImagePath, strip: usize) -> Option<ImagePath> {
    let rest: Vec<&[u8]> = path.components().skip(strip).collect();
    // A part of a valid path is valid.
    ImagePath::parse(rest.join(&b'/')).ok().filter(|path| !path.is_root())
}

fn zip_members(file: &Arc<File>) -> Result<Vec<Member>, ArchiveError> {
    let mut members = Vec::new();
    for member in read_zip(file, &LIMITS)? {
        let path = super::path(member.name.as_bytes())?;
        let mtime = member.mtime.unwrap_or(DOS_EPOCH);
        let mode = member.mode.map(|mode| (mode & 0o777) as u16).filter(|mode| *mode != 0);
        let entry = if member.is_directory() {
            Entry::directory(mode.unwrap_or(0o755), 0, 0, mtime)
        } else if member.is_symlink() {
            Entry::symlink(member.target()?, 0, 0, mtime)
        } else {
            Entry::file(member.content, mode.unwrap_or(0o644), 0, 0, mtime)
        };
        if !path.is_root() {
            members.push((path, entry));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    fn tar_of(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().unwrap()
    }

    fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, link: &str, bytes: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_gid(7);
        header.set_mtime(1_700_000_000);
        header.set_size(bytes.len() as u64);
        if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn sample() -> Vec<u8> {
        tar_of(|builder| {
            add(builder, "top/", tar::EntryType::Directory, "", b"");
            add(builder, "top/x", tar::EntryType::Regular, "", b"hello");
            add(builder, "top/y", tar::EntryType::Link, "top/x", b"");
            add(builder, "top/z", tar::EntryType::Symlink, "../x", b"");
        })
    }

    fn listed(bytes: &[u8], strip: usize) -> Result<Vec<String>, String> {
        let members = unpack(file_of(bytes), "a.tar", strip).map_err(|error| std::error::Error::source(error.fault()).unwrap().to_string())?;
        Ok(members
            .iter()
            .map(|(path, entry)| match &entry.node {
                Node::File(content) => {
                    let mut text = String::new();
                    content.open().unwrap().read_to_string(&mut text).unwrap();
                    format!("{path} {:o} {} {text}", entry.mode, entry.mtime)
                }
                Node::HardLink(target) => format!("{path} = {target}"),
                Node::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
                _ => format!("{path}/"),
            })
            .collect())
    }

    #[test]
    fn every_compression_gives_the_same_members_without_setuid() {
        let plain = sample();
        let expected = ["x 755 1700000000 hello", "y = x", "z -> ../x"];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for bytes in [plain, gzip.finish().unwrap(), zstd] {
            assert_eq!(listed(&bytes, 1).unwrap(), expected);
        }
        assert_eq!(listed(&sample(), 0).unwrap()[0], "top/");
        assert_eq!(listed(&sample(), 2).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn hostile_archives_are_refused() {
        let one = |name: &str, kind, link: &str| tar_of(|builder| add(builder, name, kind, link, b""));
        for (bytes, expected) in [
            (one("../x", tar::EntryType::Regular, ""), "leaves its root"),
            (one("a/../../x", tar::EntryType::Regular, ""), "leaves its root"),
            (one("/etc/passwd", tar::EntryType::Regular, ""), "absolute"),
            (one("a/.wh.passwd", tar::EntryType::Regular, ""), "means a deletion"),
            (one("dev/sda", tar::EntryType::Block, ""), "device"),
            (one("x", tar::EntryType::Link, "../../etc/passwd"), "hard link whose target leaves"),
            (sample()[..700].to_vec(), ""),
            (b"not a tar".to_vec(), ""),
        ] {
            let error = listed(&bytes, 0).unwrap_err();
            assert!(error.contains(expected), "{error} should hold {expected}");
        }
    }

    #[test]
    fn the_last_member_of_a_name_wins() {
        let bytes = tar_of(|builder| {
            add(builder, "x", tar::EntryType::Regular, "", b"old");
            add(builder, "./x", tar::EntryType::Regular, "", b"new");
        });
        assert_eq!(listed(&bytes, 0).unwrap(), ["x 755 1700000000 new"]);
    }
}
