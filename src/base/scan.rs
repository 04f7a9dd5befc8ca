//! One layer, from its members to a tree. Nothing of it is written to disk.

use std::io::{self, Read};
use std::sync::Arc;

use super::facts::LayerFacts;
use super::index::{Attributes, File};
use super::interest::{Filter, Wanted};
use super::layer::Layer;
use super::members::{Kind, Member, damaged};
use super::pass::{Passed, each_member_heard, each_of};
use super::program::{self, Program};
use super::tree::{Leaf, LeafNode};
use crate::digest::{Digest, Digester};
use crate::image_path::ImagePath;

/// Level of zstd for contents that are kept packed.
const PACKED_LEVEL: i32 = 3;
const WHITEOUT: &[u8] = b".wh.";
/// Marks the directory it lies in; every other name that begins like this belongs to the storage driver that wrote the layer.
const OPAQUE: &[u8] = b".wh..wh..opq";
const DRIVER: &[u8] = b".wh..wh.";

/// A layer that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scanned {
    pub(super) layer: Layer,
    pub(super) diff_id: Digest,
    pub(super) facts: LayerFacts,
}

/// Reads a layer to the end of its bytes.
///
/// # Errors
/// A damaged layer; what `source` reports.
pub(super) fn scan(source: impl Read, filter: &Filter) -> io::Result<Scanned> {
    scan_heard(source, filter, &mut |_| {})
}

/// As [`scan`]; `hear` is given the plain bytes as they come, all of them.
///
/// # Errors
/// As [`scan`].
pub(super) fn scan_heard(source: impl Read, filter: &Filter, hear: &mut dyn FnMut(&[u8])) -> io::Result<Scanned> {
    let mut scanner = Scanner::new(filter);
    let Passed { packing, diff_id, unpacked } = each_member_heard(source, hear, |member, mut content| scanner.take(member, &mut content))?;
    Ok(Scanned { layer: scanner.layer, diff_id, facts: LayerFacts { packing, unpacked, ..scanner.facts } })
}

/// Reads a layer's plain tar, for which somebody else counts and hashes: of its facts, packing and size are left open.
///
/// # Errors
/// As [`scan`].
pub(super) fn scan_tar(tar: impl Read, filter: &Filter) -> io::Result<(Layer, LayerFacts)> {
    let mut scanner = Scanner::new(filter);
    each_of(tar, |member, mut content| scanner.take(member, &mut content))?;
    Ok((scanner.layer, scanner.facts))
}

/// Builds a layer's tree out of its members.
pub(super) struct Scanner<'a> {
    filter: &'a Filter,
    pub(super) layer: Layer,
    facts: LayerFacts,
    /// Bytes of content kept so far.
    captured: u64,
    /// Files so far, which are numbered where everything is kept.
    files: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        Scanner { filter, layer: Layer::default(), facts: LayerFacts::default(), captured: 0, files: 0 }
    }

    fn take(&mut self, member: Member, content: &mut impl Read) -> io::Result<()> {
        match marked(&member.path)? {
            Mark::None => {
                self.facts.count(&member.path, member.uid, member.gid);
                self.put(member, content)
            }
            Mark::Whiteout(path) => self.layer.put_whiteout(&path),
            Mark::Opaque(directory) => self.layer.put_opaque(&directory),
            Mark::Driver => Ok(()),
        }
    }

    /// Puts a member into the tree, whatever its name.
    pub(super) fn put(&mut self, member: Member, content: &mut impl Read) -> io::Result<()> {
        let Member { mode, uid, gid, mtime, .. } = member;
        let attributes = Attributes { mode, uid, gid, mtime };
        let path = member.path.clone();
        let node = match member.kind {
            Kind::Directory => return self.layer.put_directory(&path, attributes),
            Kind::HardLink(target) => return self.layer.put_hard_link(&path, &target, attributes),
            Kind::File => LeafNode::File { size: member.size, more: self.file(member, content)? },
            Kind::Symlink(target) => LeafNode::Symlink(target),
            Kind::CharDevice { major, minor } => LeafNode::CharDevice { major, minor },
            Kind::BlockDevice { major, minor } => LeafNode::BlockDevice { major, minor },
            Kind::Fifo => LeafNode::Fifo,
        };
        self.layer.put(&path, Leaf { attributes, node })
    }

    /// What is to be kept of a file.
    fn file(&mut self, member: Member, content: &mut impl Read) -> io::Result<Option<Arc<File>>> {
        let Member { path, size, capability, .. } = member;
        if self.filter.keeps_everything() {
            let digest = if self.filter.hashes() { Some(hash(content)?) } else { None };
            let inode = Some(self.files);
            self.files += 1;
            return Ok(Some(Arc::new(File { size, capability, digest, inode, ..File::default() })));
        }
        let wanted = self.filter.file(path.as_bytes());
        if let (Some(largest), Wanted::Presence) = (self.filter.largest_script(), wanted) {
            return self.program(size, largest, content);
        }
        if size > self.filter.largest(wanted) {
            return Ok(None);
        }
        let mut file = File { size, capability, ..File::default() };
        match wanted {
            Wanted::Content => {
                self.capture(size)?;
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                file.program = self.filter.largest_script().and_then(|_| Program::of_head(&bytes));
                file.content = Some(bytes.into());
            }
            Wanted::Packed => {
                let packed = zstd::encode_all(content, PACKED_LEVEL)?;
                self.capture(packed.len() as u64)?;
                file.packed = Some(packed.into());
            }
            Wanted::Nothing | Wanted::Presence => return Ok(None),
        }
        Ok(Some(Arc::new(file)))
    }

    /// How a file is started; the text of a shell script.
    fn program(&mut self, size: u64, largest: u64, content: &mut impl Read) -> io::Result<Option<Arc<File>>> {
        let head = program::head(content)?;
        let Some(program) = Program::of_head(&head) else { return Ok(None) };
        let mut file = File { size, ..File::default() };
        if program.is_shell_script() && size <= largest {
            self.capture(size)?;
            let mut text = head;
            content.read_to_end(&mut text)?;
            file.content = Some(text.into());
        }
        file.program = Some(program);
        Ok(Some(Arc::new(file)))
    }

    fn capture(&mut self, size: u64) -> io::Result<()> {
        self.captured += size;
        let total = self.filter.total();
        if self.captured > total {
            return Err(damaged(format!("the files in it that byoi has to know have more than {total} bytes")));
        }
        Ok(())
    }
}

fn hash(content: &mut impl Read) -> io::Result<Digest> {
    let mut digester = Digester::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(digester.finish()),
            count => digester.update(&buffer[..count]),
        }
    }
}

/// What a member's name makes of it.
pub(super) enum Mark {
    None,
    /// What the layers below have at this path is deleted.
    Whiteout(ImagePath),
    /// What the layers below have in this directory is deleted.
    Opaque(ImagePath),
    /// It belongs to the storage driver and not to the image.
    Driver,
}

pub(super) fn marked(path: &ImagePath) -> io::Result<Mark> {
    // Nearly all paths, without looking at each component.
    if !path.as_bytes().windows(WHITEOUT.len()).any(|window| window == WHITEOUT) {
        return Ok(Mark::None);
    }
    let parent = path.parent().unwrap_or_default();
    if path.name() == OPAQUE {
        return Ok(Mark::Opaque(parent));
    }
    if path.components().any(|name| name.starts_with(DRIVER)) {
        return Ok(Mark::Driver);
    }
    if parent.components().any(|name| name.starts_with(WHITEOUT)) {
        return Err(damaged(format!("{path:?} lies in a directory with the name of a whiteout")));
    }
    match path.name().strip_prefix(WHITEOUT) {
        None => Ok(Mark::None),
        Some(b"" | b"." | b"..") => Err(damaged(format!("the whiteout {path:?} deletes nothing"))),
        Some(name) => Ok(Mark::Whiteout(parent.join(name).map_err(|error| damaged(error.to_string()))?)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::archive::Packing;
    use crate::base::Index;
    use crate::base::extract;
    use crate::base::index::Node;
    use crate::base::interest::Interest;
    use crate::base::tree::Directory;

    /// A member: type, name, target or content.
    fn tar(members: &[(u8, &str, &str)]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (kind, name, text) in members {
            append(&mut builder, *kind, name.as_bytes(), text);
        }
        builder.into_inner().unwrap()
    }

    fn append(builder: &mut ::tar::Builder<Vec<u8>>, kind: u8, name: &[u8], text: &str) {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(::tar::EntryType::new(kind));
        header.set_mode(0o640);
        header.set_uid(3_000_000);
        header.set_gid(4);
        header.set_mtime(5);
        // Names as they are: the crate refuses those that a test of refusals needs.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        let is_link = matches!(kind, b'1' | b'2');
        if is_link {
            header.set_link_name_literal(text).unwrap();
        }
        let content = if is_link { "" } else { text };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }

    fn index_with(bytes: &[u8], interest: &Interest) -> io::Result<Index> {
        let filter = Filter::new(interest).unwrap();
        let layer = scan(bytes, &filter)?.layer;
        let mut tree = Directory::default();
        layer.lay_over(&mut tree)?;
        extract::index(tree, &filter).map_err(io::Error::other)
    }

    fn index(bytes: &[u8]) -> io::Result<Index> {
        index_with(bytes, &Interest::Everything { digests: true })
    }

    fn refused(bytes: &[u8]) -> String {
        index(bytes).unwrap_err().to_string()
    }

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|length| rest + length.to_string().len() == *length).unwrap();
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        body
    }

    #[test]
    fn every_compression_gives_the_same_tree_and_diff_id() {
        let plain = tar(&[(b'5', "a/", ""), (b'0', "a/x", "hello"), (b'2', "l", "a/x"), (b'1', "h", "a/x")]);
        let filter = Filter::new(&Interest::Everything { digests: true }).unwrap();
        let expected = scan(plain.as_slice(), &filter).unwrap();
        assert_eq!(expected.diff_id, Digest::of(&plain));
        let (first, second) = plain.split_at(700);
        for packed in [gzip(&plain), [gzip(first), gzip(second)].concat(), zstd::encode_all(plain.as_slice(), 1).unwrap()] {
            let found = scan(packed.as_slice(), &filter).unwrap();
            assert_eq!((&found.layer, found.diff_id), (&expected.layer, expected.diff_id));
            assert_eq!(found.facts.packing, Packing::of_head(&packed));
            assert!(scan(&packed[..packed.len() - 9], &filter).is_err());
        }
        let Node::File(file) = &index(&plain).unwrap().get(&path("h")).unwrap().node.clone() else { panic!("no file") };
        assert_eq!((file.size, file.digest, file.inode), (5, Some(Digest::of("hello")), Some(0)));
    }

    #[test]
    fn numbers_and_records_beyond_ustar_are_read() {
        let mut builder = ::tar::Builder::new(Vec::new());
        let capability = b"\x01\0\0\x02\n\n\0\0=\0";
        let name = format!("deep/{}/\u{e9}", "n".repeat(200));
        let records = pax(&[("path", name.as_bytes()), ("uid", b"4000000000"), ("mtime", b"-1.5"), ("SCHILY.xattr.security.capability", capability)]);
        append(&mut builder, b'x', b"PaxHeaders.0/x", std::str::from_utf8(&records).unwrap());
        append(&mut builder, b'0', b"short", "hello");
        append(&mut builder, b'L', b"././@LongLink", &format!("{}\0", "g".repeat(150)));
        append(&mut builder, b'0', b"short", "");
        let index = index(&builder.into_inner().unwrap()).unwrap();
        let entry = index.get(&path(&name)).unwrap();
        assert_eq!((entry.attributes.uid, entry.attributes.mtime, entry.attributes.mode), (4_000_000_000, -2, 0o640));
        let Node::File(file) = &entry.node else { panic!("no file") };
        assert_eq!(file.capability.as_deref(), Some(&capability[..]));
        assert_eq!(index.get(&path(&"g".repeat(150))).unwrap().attributes.uid, 3_000_000);
    }

    #[test]
    fn content_is_kept_where_it_is_asked_for_and_small_enough() {
        let bytes =
            tar(&[(b'0', "etc/a", "hello"), (b'0', "etc/b", "too large"), (b'0', "c", "x"), (b'2', "bin/sh", "../c"), (b'1', "etc/d", "etc/a")]);
        let interest = |total| {
            let (content, presence) = (vec!["etc/*".to_owned()], vec!["bin/sh".to_owned()]);
            Interest::Patterns {
                content,
                presence,
                packed: vec!["meta/*".to_owned()],
                marks: vec!["mark".to_owned()],
                largest: 5,
                largest_packed: 1000,
                total,
            }
        };
        let index = index_with(&bytes, &interest(10)).unwrap();
        assert_eq!(
            index.iter().map(|(path, _)| path.absolute()).collect::<Vec<_>>(),
            ["/", "/bin", "/bin/sh", "/c", "/etc", "/etc/a", "/etc/b", "/etc/d"]
        );
        assert_eq!(index.content(&path("etc/a")), Some(&b"hello"[..]));
        assert_eq!(index.content(&path("etc/d")), Some(&b"hello"[..]));
        assert_eq!(index.content(&path("etc/b")), None);
        assert!(index.file(&path("bin/sh")).is_some());
        assert!(index_with(&bytes, &interest(4)).is_err());
    }

    #[test]
    fn below_a_marked_directory_all_files_are_known() {
        let names = ["env/mark/x", "env/lib/deep/y", "env/z", "other/z", "mark"];
        let bytes = tar(&names.map(|name| (b'0', name, "content")));
        let (content, presence, packed) = (Vec::new(), Vec::new(), Vec::new());
        let interest = Interest::Patterns { content, presence, packed, marks: vec!["mark".to_owned()], largest: 5, largest_packed: 5, total: 5 };
        let index = index_with(&bytes, &interest).unwrap();
        for name in names {
            let known = index.file(&path(name)).map(|(_, file)| (file.size, file.content.is_some()));
            assert_eq!(known, name.starts_with("env/").then_some((7, false)), "{name}");
        }
    }

    #[test]
    fn marks_are_told_from_names() {
        let whiteouts = tar(&[
            (b'0', "a/.wh.b", ""),
            (b'0', "c/.wh..wh..opq", ""),
            (b'5', ".wh..wh.plnk", ""),
            (b'0', ".wh..wh.plnk/1.2", ""),
            (b'0', "x.wh.y", ""),
        ]);
        let index = index(&whiteouts).unwrap();
        assert_eq!(index.iter().map(|(path, _)| path.absolute()).collect::<Vec<_>>(), ["/", "/a", "/c", "/x.wh.y"]);
        for name in [".wh.", ".wh..", "a/.wh...", ".wh.a/b"] {
            assert!(index_of_one(name).is_err(), "{name}");
        }
    }

    fn index_of_one(name: &str) -> io::Result<Index> {
        index(&tar(&[(b'0', name, "")]))
    }

    #[test]
    fn a_layer_may_end_with_its_last_member() {
        let whole = tar(&[(b'0', "a", "content")]);
        for length in [512 + 7, 700, 1024, 1536] {
            assert_eq!(index(&whole[..length]).unwrap(), index(&whole).unwrap(), "{length}");
        }
    }

    #[test]
    fn hostile_layers_are_refused() {
        for (members, reason) in [
            (vec![(b'0', "../x", "")], "leaves its root"),
            (vec![(b'0', "a/../../x", "")], "leaves its root"),
            (vec![(b'0', "a", ""), (b'0', "a/b", "")], "no directory"),
            (vec![(b'1', "a", "nowhere")], "no file"),
            (vec![(b'1', "a", "../etc/passwd")], "leaves its root"),
            (vec![(b'2', "a", "b"), (b'2', "b", "a"), (b'0', "a/x", "")], "too many links"),
            (vec![(b'2', "a", "")], "no path"),
            (vec![(b'0', "./", "x")], "no directory"),
            (vec![(b'V', "label", "")], "unknown type"),
            (vec![(b'S', "sparse", "")], "sparse"),
            (vec![(b'x', "p", "9 broken"), (b'0', "a", "")], "extended header"),
            (vec![(b'x', "p", "99 path=a\n"), (b'0', "a", "")], "extended header"),
            (vec![(b'x', "p", "22 GNU.sparse.major=1\n"), (b'0', "a", "")], "sparse"),
        ] {
            let message = refused(&tar(&members));
            assert!(message.contains(reason), "{members:?}: {message}");
        }
        assert!(index_of_one(&"d/".repeat(49)).is_ok());
        let deep = format!("{}\0", "d/".repeat(300));
        assert!(refused(&tar(&[(b'L', "l", &deep), (b'0', "a", "")])).contains("deeper"));
        let long = "n".repeat(2 << 20);
        assert!(refused(&tar(&[(b'L', "l", &long), (b'0', "a", "")])).contains("1 MiB"));
        let mut damaged = tar(&[(b'0', "a", "")]);
        damaged[0] = b'b';
        assert!(refused(&damaged).contains("checksum"));
        assert!(scan(&b"this is no tar"[..], &Filter::new(&Interest::Everything { digests: false }).unwrap()).is_err());
        let whole = tar(&[(b'0', "a", "content")]);
        for length in [100, 512, 515] {
            assert!(index(&whole[..length]).is_err(), "{length}");
        }
        assert!(index(&[]).is_ok());
    }
}
