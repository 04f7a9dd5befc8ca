//! An image's layers, unpacked one over the other into a directory of this machine, as programs do that run images: the other sink beside the
//! index. Needs the right to give files away, of root or of root in a user namespace.
//!
//! No link is ever followed by the kernel, so that nothing is written outside of the directory whatever an image holds: links of the layer itself
//! are followed on paper, and where one of a layer below is in the way of a directory, the directory takes its place (OCI image specification).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Blobs;
use super::links::follow;
use super::members::{Kind, Member, damaged};
use super::pass::each_member;
use super::read::{demand_diff_id, over_blob};
use super::scan::{Mark, marked};
use crate::digest::Digest;
use crate::error::{Error, FileError};
use crate::image_path::ImagePath;
use crate::manifest::Descriptor;
use crate::progress::Progress;

/// Mode of a file while it is being written.
const PRIVATE: Mode = Mode::RWXU;
/// Mode of a directory that no layer has, and that something lies in.
const IMPLIED: Mode = Mode::from_raw_mode(0o755);

/// Unpacks all layers, the lowest first, into `root`, an empty directory that nobody else writes to. Ends early when `stop` is set. Device
/// nodes are left out.
///
/// # Errors
/// As [`super::read`]; a full disk, a missing right.
pub async fn unpack(
    layers: &[Descriptor],
    diff_ids: &[Digest],
    blobs: &[Arc<dyn Blobs>],
    root: &Path,
    progress: &dyn Progress,
    stop: &Arc<AtomicBool>,
) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).map_err(|error| FileError::at("open", root)(error.into()))?;
    let root = Arc::new(root);
    for (number, ((layer, diff_id), blobs)) in layers.iter().zip(diff_ids).zip(blobs).enumerate() {
        let task = progress.begin(&format!("unpack layer {} of {}", number + 1, layers.len()), Some(layer.size));
        let root = root.clone();
        let found = over_blob(layer, &**blobs, task, stop.clone(), move |source| unpack_layer(source, &root)).await?;
        demand_diff_id(layer, found, *diff_id)?;
    }
    Ok(())
}

/// Unpacks one layer over what lies below `root`, and gives its diff id.
fn unpack_layer(source: impl Read, root: &OwnedFd) -> io::Result<Digest> {
    let mut layer = Unpacker { root, links: BTreeMap::new(), own: BTreeSet::new() };
    Ok(each_member(source, |member, content| layer.take(member, content))?.diff_id)
}

/// A layer on its way into a directory.
struct Unpacker<'a> {
    root: &'a OwnedFd,
    /// The layer's symbolic links.
    links: BTreeMap<ImagePath, Box<[u8]>>,
    /// What the layer has put there, directories on the way too: its deletions concern only what lies below.
    own: BTreeSet<ImagePath>,
}

/// A directory that is open, and the name of something in it.
struct Place<'a> {
    directory: OwnedFd,
    name: &'a OsStr,
}

impl Unpacker<'_> {
    fn take(&mut self, member: Member, content: &mut dyn Read) -> io::Result<()> {
        match marked(&member.path)? {
            Mark::None => self.put(member, content),
            Mark::Whiteout(path) => self.hide(&path),
            Mark::Opaque(directory) => self.hide_below(&directory),
            Mark::Driver => Ok(()),
        }
    }

    fn put(&mut self, member: Member, content: &mut dyn Read) -> io::Result<()> {
        if member.path.is_root() {
            return match member.kind {
                Kind::Directory => {
                    let root = rustix::fs::openat(self.root, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                    finish(root.as_fd(), &member)
                }
                _ => Err(damaged("its root is no directory")),
            };
        }
        let path = self.real(&member.path)?;
        let place = self.place(&path)?;
        if !(member.kind == Kind::Directory && place.kind()? == Some(FileType::Directory)) {
            self.clear(&path, &place)?;
        }
        match &member.kind {
            Kind::Directory => place.directory(&member)?,
            Kind::File => place.file(&member, content)?,
            Kind::Symlink(target) => {
                place.symlink(target, &member)?;
                self.links.insert(path.clone(), target.clone());
            }
            Kind::HardLink(target) => {
                let target = self.real(target)?;
                let from = self.existing(&target)?.ok_or_else(|| damaged(format!("{:?} is a link to {target:?}, where no file is", member.path)))?;
                rustix::fs::linkat(&from.directory, from.name, &place.directory, place.name, AtFlags::empty())?;
            }
            Kind::Fifo => place.fifo(&member)?,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => return Ok(()),
        }
        self.own.insert(path);
        Ok(())
    }

    /// The path with the layer's own links followed, but for the last component.
    fn real(&self, path: &ImagePath) -> io::Result<ImagePath> {
        let parent = self.followed(&path.parent().unwrap_or_default())?;
        parent.join(path.name()).map_err(|error| damaged(error.to_string()))
    }

    /// The path with all of the layer's own links followed.
    fn followed(&self, path: &ImagePath) -> io::Result<ImagePath> {
        let real = follow(path, |at| self.links.get(at).map(|target| &**target));
        real.ok_or_else(|| damaged(format!("{path:?} leads through too many links")))
    }

    /// Where `path` lies. Directories on the way are made where they are not there; what a layer below has in their place goes.
    fn place<'p>(&mut self, path: &'p ImagePath) -> io::Result<Place<'p>> {
        let mut directory = rustix::io::fcntl_dupfd_cloexec(self.root, 0)?;
        let mut here = ImagePath::root();
        for name in path.parent().unwrap_or_default().components() {
            here = here.join(name).map_err(|error| damaged(error.to_string()))?;
            let place = Place { directory, name: OsStr::from_bytes(name) };
            let is_new = self.own.insert(here.clone());
            match place.kind()? {
                Some(FileType::Directory) => {}
                Some(_) if !is_new => return Err(damaged(format!("{here:?} is no directory, and something lies in it"))),
                found => {
                    if found.is_some() {
                        place.remove()?;
                    }
                    place.implied()?;
                }
            }
            directory = place.open()?;
        }
        Ok(Place { directory, name: OsStr::from_bytes(path.name()) })
    }

    /// Makes room for what is to stand at a place.
    fn clear(&mut self, path: &ImagePath, place: &Place<'_>) -> io::Result<()> {
        if place.kind()?.is_some() {
            place.remove()?;
            self.links.retain(|link, _| !link.starts_with(path));
            self.own.retain(|own| !own.starts_with(path));
        }
        Ok(())
    }

    /// Deletes what the layers below have at `path`.
    fn hide(&mut self, path: &ImagePath) -> io::Result<()> {
        if self.has_file_above(path)? {
            return Ok(());
        }
        let path = self.real(path)?;
        let place = self.place(&path)?;
        match (self.own.contains(&path), place.kind()?) {
            (_, None) => Ok(()),
            (false, Some(_)) => place.remove(),
            (true, Some(FileType::Directory)) => self.prune(&path, place.open()?),
            (true, Some(_)) => Ok(()),
        }
    }

    /// Whether the layer itself has a file where `path` needs a directory: then what the layers below had there is gone already.
    fn has_file_above(&self, path: &ImagePath) -> io::Result<bool> {
        let mut here = ImagePath::root();
        for name in path.parent().unwrap_or_default().components() {
            here = here.join(name).map_err(|error| damaged(error.to_string()))?;
            if !self.own.contains(&here) || self.links.contains_key(&here) {
                return Ok(false);
            }
            let found = self.existing(&here)?.map(|place| place.kind()).transpose()?.flatten();
            if found != Some(FileType::Directory) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes what the layers below have in the directory at `path`.
    fn hide_below(&mut self, path: &ImagePath) -> io::Result<()> {
        let path = self.followed(path)?;
        if path.is_root() {
            return self.prune(&path, rustix::io::fcntl_dupfd_cloexec(self.root, 0)?);
        }
        let place = self.place(&path)?;
        match (self.own.insert(path.clone()), place.kind()?) {
            (_, Some(FileType::Directory)) => self.prune(&path, place.open()?),
            (false, _) => Err(damaged(format!("{path:?} is no directory, and something lies in it"))),
            (true, found) => {
                if found.is_some() {
                    place.remove()?;
                }
                place.implied()
            }
        }
    }

    /// Deletes in a directory, and in all below, what the layer has not put there.
    fn prune(&self, path: &ImagePath, directory: OwnedFd) -> io::Result<()> {
        for name in names(&directory)? {
            let below = path.join(name.as_bytes()).map_err(|error| damaged(error.to_string()))?;
            let place = Place { directory: rustix::io::fcntl_dupfd_cloexec(&directory, 0)?, name: &name };
            match (self.own.contains(&below), place.kind()?) {
                (false, _) => place.remove()?,
                (true, Some(FileType::Directory)) => self.prune(&below, place.open()?)?,
                (true, _) => {}
            }
        }
        Ok(())
    }

    /// Where `path` lies, if all directories above it are there.
    fn existing<'p>(&self, path: &'p ImagePath) -> io::Result<Option<Place<'p>>> {
        let mut directory = rustix::io::fcntl_dupfd_cloexec(self.root, 0)?;
        for name in path.parent().unwrap_or_default().components() {
            let place = Place { directory, name: OsStr::from_bytes(name) };
            if place.kind()? != Some(FileType::Directory) {
                return Ok(None);
            }
            directory = place.open()?;
        }
        Ok(Some(Place { directory, name: OsStr::from_bytes(path.name()) }))
    }
}

impl Place<'_> {
    /// What stands there, itself and not what a link leads to.
    fn kind(&self) -> io::Result<Option<FileType>> {
        match rustix::fs::statat(&self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The directory that stands there.
    fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.directory, self.name, flags, Mode::empty())?)
    }

    /// Deletes what stands there, with all that lies below it.
    fn remove(&self) -> io::Result<()> {
        if self.kind()? != Some(FileType::Directory) {
            return Ok(rustix::fs::unlinkat(&self.directory, self.name, AtFlags::empty())?);
        }
        let below = self.open()?;
        for name in names(&below)? {
            Place { directory: rustix::io::fcntl_dupfd_cloexec(&below, 0)?, name: &name }.remove()?;
        }
        Ok(rustix::fs::unlinkat(&self.directory, self.name, AtFlags::REMOVEDIR)?)
    }

    /// Makes a directory of which no layer says more than that something lies in it.
    fn implied(&self) -> io::Result<()> {
        rustix::fs::mkdirat(&self.directory, self.name, IMPLIED)?;
        Ok(rustix::fs::chmodat(&self.directory, self.name, IMPLIED, AtFlags::empty())?)
    }

    fn directory(&self, member: &Member) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.directory, self.name, PRIVATE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        finish(rustix::fs::openat(&self.directory, self.name, flags, Mode::empty())?.as_fd(), member)
    }

    fn file(&self, member: &Member, content: &mut dyn Read) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.directory, self.name, flags, PRIVATE)?);
        io::copy(content, &mut file)?;
        finish(file.as_fd(), member)
    }

    fn symlink(&self, target: &[u8], member: &Member) -> io::Result<()> {
        rustix::fs::symlinkat(OsStr::from_bytes(target), &self.directory, self.name)?;
        self.own(member)
    }

    fn fifo(&self, member: &Member) -> io::Result<()> {
        rustix::fs::mknodat(&self.directory, self.name, FileType::Fifo, PRIVATE, 0)?;
        self.own(member)?;
        Ok(rustix::fs::chmodat(&self.directory, self.name, Mode::from_raw_mode(member.mode.into()), AtFlags::empty())?)
    }

    fn own(&self, member: &Member) -> io::Result<()> {
        let (uid, gid) = owner(member)?;
        Ok(rustix::fs::chownat(&self.directory, self.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// Gives what is open its owner, mode, capability and time, in this order: the kernel takes special bits and capabilities away when the owner
/// changes. The time of a directory changes again with what is laid into it, and nobody looks at it.
fn finish(file: BorrowedFd<'_>, member: &Member) -> io::Result<()> {
    let (uid, gid) = owner(member)?;
    rustix::fs::fchown(file, Some(uid), Some(gid))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(member.mode.into()))?;
    if let Some(capability) = &member.capability {
        rustix::fs::fsetxattr(file, "security.capability", capability, XattrFlags::empty())?;
    }
    let time = Timespec { tv_sec: member.mtime, tv_nsec: 0 };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time })?)
}

fn owner(member: &Member) -> io::Result<(Uid, Gid)> {
    // The kernel takes the largest number for "leave it".
    if member.uid == u32::MAX || member.gid == u32::MAX {
        return Err(damaged(format!("{:?} has an owner that no file can have", member.path)));
    }
    Ok((Uid::from_raw(member.uid), Gid::from_raw(member.gid)))
}

/// The names in a directory.
fn names(directory: &OwnedFd) -> io::Result<Vec<std::ffi::OsString>> {
    let readable = rustix::fs::openat(directory, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(readable)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::extract;
    use crate::base::index::Node;
    use crate::base::interest::{Filter, Interest};
    use crate::base::scan::scan;
    use crate::base::tree::Directory;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    /// One member: its type, its path, a target, a number for its owner.
    type Step = (u8, String, String, u32);

    fn tar(steps: &[Step]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (kind, path, target, number) in steps {
            let mut header = ::tar::Header::new_gnu();
            header.set_entry_type(::tar::EntryType::new(*kind));
            header.set_mode(0o750);
            header.set_uid(u64::from(*number));
            header.set_gid(7);
            header.set_mtime(5);
            let content = if *kind == b'0' { vec![b'x'; *number as usize] } else { Vec::new() };
            header.set_size(content.len() as u64);
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_cksum();
            builder.append(&header, &*content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(layers: &[Vec<Step>], root: &Path) -> io::Result<()> {
        let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        layers.iter().try_for_each(|steps| unpack_layer(&*tar(steps), &root).map(drop))
    }

    /// `PATH TYPE UID MORE` of all in a directory; what was implied has no owner that counts.
    fn listed(root: &Path, above: &str, lines: &mut BTreeSet<String>) {
        for entry in fs::read_dir(root.join(above)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{above}{}", entry.file_name().to_str().unwrap());
            let found = entry.metadata().unwrap();
            if found.is_dir() {
                lines.insert(format!("{path} directory"));
                listed(root, &format!("{path}/"), lines);
            } else if found.is_symlink() {
                lines.insert(format!("{path} {} {}", found.uid(), fs::read_link(entry.path()).unwrap().display()));
            } else {
                lines.insert(format!("{path} {} {} {:o}", found.uid(), found.len(), found.mode()));
            }
        }
    }

    /// The same of the merged index, which has proofs of its own.
    fn merged(layers: &[Vec<Step>]) -> io::Result<BTreeSet<String>> {
        let filter = Filter::new(&Interest::Everything { digests: false }).unwrap();
        let mut tree = Directory::default();
        for steps in layers {
            scan(&*tar(steps), &filter)?.layer.lay_over(&mut tree)?;
        }
        let index = extract::index(tree, &filter).unwrap();
        let lines = index.iter().filter(|(path, _)| !path.is_root()).map(|(path, entry)| {
            let path = &path.absolute()[1..];
            match &entry.node {
                Node::Directory => format!("{path} directory"),
                Node::Symlink(target) => format!("{path} {} {}", entry.attributes.uid, String::from_utf8_lossy(target)),
                Node::File(file) => format!("{path} {} {} 100750", entry.attributes.uid, file.size),
                other => panic!("{other:?}"),
            }
        });
        Ok(lines.collect())
    }

    fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
        let path = "[abc](/[abc]){0,3}";
        let step = (path, "(/|\\.\\./)?[abc](/[abc]){0,2}", 0..8, 1u32..1000).prop_map(|(at, target, kind, number)| {
            let (above, name) = at.rsplit_once('/').map_or((String::new(), &*at), |(above, name)| (format!("{above}/"), name));
            match kind {
                0 => (b'0', format!("{above}.wh.{name}"), String::new(), 1),
                1 => (b'0', format!("{at}/.wh..wh..opq"), String::new(), 1),
                2 => (b'2', at, target, number),
                3..=5 => (b'0', at, String::new(), number),
                _ => (b'5', at, String::new(), number),
            }
        });
        proptest::collection::vec(proptest::collection::vec(step, 0..8), 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn what_is_unpacked_is_what_the_index_says(layers in steps()) {
            let root = tempfile::tempdir().unwrap();
            let outcome = unpacked(&layers, root.path());
            match merged(&layers) {
                Ok(expected) => {
                    prop_assert!(outcome.is_ok(), "{outcome:?}");
                    let mut lines = BTreeSet::new();
                    listed(root.path(), "", &mut lines);
                    prop_assert_eq!(lines, expected);
                }
                Err(_) => prop_assert!(outcome.is_err()),
            }
        }
    }

    fn step(kind: u8, path: &str, target: &str, number: u32) -> Step {
        (kind, path.to_owned(), target.to_owned(), number)
    }

    #[test]
    fn nothing_is_written_outside() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "kept").unwrap();
        let place = outside.path().to_str().unwrap();
        for below in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let link = vec![step(b'2', "a", place, 1)];
            let through = vec![step(b'0', "a/secret", "", 3), step(b'0', "a/.wh.secret", "", 0), step(b'0', "a/.wh..wh..opq", "", 0)];
            let layers = if below { vec![link, through] } else { vec![[link, through].concat()] };
            unpacked(&layers, root.path()).unwrap();
            assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "kept");
            assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        }
        let root = tempfile::tempdir().unwrap();
        symlink(place, root.path().join("b")).unwrap();
        unpacked(&[vec![step(b'1', "c", "b", 1), step(b'0', "b/secret", "", 3)]], root.path()).unwrap();
        assert!(unpacked(&[vec![step(b'1', "d", "b/nothing", 1)]], root.path()).is_err());
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "kept");
    }

    #[test]
    fn modes_owners_and_hard_links_are_the_images() {
        let root = tempfile::tempdir().unwrap();
        unpacked(&[vec![step(b'0', "a", "", 1000)], vec![step(b'1', "b/c", "a", 1), step(b'5', "b", "", 9)]], root.path()).unwrap();
        let of = |path: &str| root.path().join(path).symlink_metadata().unwrap();
        assert_eq!((of("a").ino(), of("a").uid(), of("a").gid(), of("a").mtime()), (of("b/c").ino(), 1000, 7, 5));
        assert_eq!((of("b").uid(), of("b").mode() & 0o7777), (9, 0o750));
    }
}
