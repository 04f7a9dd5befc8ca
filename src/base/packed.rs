//! A layer's tree as a few bytes, for the store: names as they nest, numbers as short as they are, all of it compressed. What hard links share is
//! written once.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::index::{Attributes, File};
use super::layer::Layer;
use super::members::damaged;
use super::program::Program;
use super::tree::{Child, Directory, Leaf, LeafNode};
use crate::image_path::ImagePath;

/// Level of zstd.
const LEVEL: i32 = 3;
/// Deepest directory that is read, as in a layer.
const MAX_DEPTH: usize = 300;
/// Longest text of one field.
const MAX_BYTES: u64 = 64 << 20;

/// Writes a layer.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(layer: &Layer, out: impl Write) -> io::Result<()> {
    let mut writer = Writer { out: zstd::Encoder::new(out, LEVEL)?, files: BTreeMap::new() };
    writer.number(layer.loose.len() as u64)?;
    for path in &layer.loose {
        writer.bytes(path.as_bytes())?;
    }
    writer.directory(&layer.root)?;
    writer.out.finish().map(drop)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// Anything else.
pub(super) fn read(source: impl io::BufRead) -> io::Result<Layer> {
    let source = io::BufReader::with_capacity(256 << 10, zstd::Decoder::with_buffer(source)?);
    let mut reader = Reader { source, files: Vec::new() };
    let loose = (0..reader.number()?).map(|_| reader.path()).collect::<io::Result<_>>()?;
    Ok(Layer { root: reader.directory(0)?, loose })
}

struct Writer<W: Write> {
    out: W,
    /// Numbers of what hard links share, by its address.
    files: BTreeMap<*const File, u64>,
}

impl<W: Write> Writer<W> {
    fn number(&mut self, mut number: u64) -> io::Result<()> {
        while number >= 0x80 {
            self.out.write_all(&[number as u8 | 0x80])?;
            number >>= 7;
        }
        self.out.write_all(&[number as u8])
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.number(bytes.len() as u64)?;
        self.out.write_all(bytes)
    }

    fn optional(&mut self, bytes: Option<&[u8]>) -> io::Result<()> {
        match bytes {
            None => self.number(0),
            Some(bytes) => {
                self.number(bytes.len() as u64 + 1)?;
                self.out.write_all(bytes)
            }
        }
    }

    fn directory(&mut self, directory: &Directory) -> io::Result<()> {
        self.number(u64::from(directory.opaque))?;
        match &directory.attributes {
            None => self.number(0)?,
            Some(attributes) => {
                self.number(1)?;
                self.attributes(attributes)?;
            }
        }
        self.number(directory.children.len() as u64)?;
        for (name, child) in &directory.children {
            self.bytes(name)?;
            match child {
                Child::Whiteout => self.number(0)?,
                Child::Directory(below) => {
                    self.number(1)?;
                    self.directory(below)?;
                }
                Child::Leaf(leaf) => {
                    self.leaf(leaf)?;
                }
            }
        }
        Ok(())
    }

    fn attributes(&mut self, attributes: &Attributes) -> io::Result<()> {
        let Attributes { mode, uid, gid, mtime } = *attributes;
        // Times before 1970 are rare: they take ten bytes.
        [u64::from(mode), u64::from(uid), u64::from(gid), mtime as u64].into_iter().try_for_each(|number| self.number(number))
    }

    fn leaf(&mut self, leaf: &Leaf) -> io::Result<()> {
        let kind = match &leaf.node {
            LeafNode::File { more: None, .. } => 2,
            LeafNode::File { more: Some(_), .. } => 3,
            LeafNode::Symlink(_) => 4,
            LeafNode::CharDevice { .. } => 5,
            LeafNode::BlockDevice { .. } => 6,
            LeafNode::Fifo => 7,
            LeafNode::HardLink(_) => 8,
        };
        self.number(kind)?;
        self.attributes(&leaf.attributes)?;
        match &leaf.node {
            LeafNode::File { size, more } => {
                self.number(*size)?;
                more.as_ref().map_or(Ok(()), |file| self.shared(file))
            }
            LeafNode::Symlink(target) => self.bytes(target),
            LeafNode::CharDevice { major, minor } | LeafNode::BlockDevice { major, minor } => {
                self.number(u64::from(*major))?;
                self.number(u64::from(*minor))
            }
            LeafNode::Fifo => Ok(()),
            LeafNode::HardLink(target) => self.bytes(target.as_bytes()),
        }
    }

    /// The number of a file that was written before, else the next number and the file.
    fn shared(&mut self, file: &Arc<File>) -> io::Result<()> {
        let next = self.files.len() as u64;
        let number = *self.files.entry(Arc::as_ptr(file)).or_insert(next);
        self.number(number)?;
        if number < next {
            return Ok(());
        }
        self.number(file.size)?;
        self.optional(file.capability.as_deref())?;
        self.optional(file.content.as_deref())?;
        self.optional(file.packed.as_deref())?;
        match &file.program {
            None => self.number(0),
            Some(Program::Script(line)) => {
                self.number(1)?;
                self.bytes(line)
            }
            Some(Program::Elf { machine, interpreter }) => {
                self.number(2)?;
                self.number(u64::from(*machine))?;
                self.optional(interpreter.as_deref())
            }
        }
    }
}

struct Reader<R> {
    source: R,
    files: Vec<Arc<File>>,
}

impl<R: Read> Reader<R> {
    fn number(&mut self) -> io::Result<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            self.source.read_exact(&mut byte)?;
            number |= u64::from(byte[0] & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte[0] < 0x80 {
                return Ok(number);
            }
            shift += 7;
            if shift > 63 {
                return Err(damaged("a number is too long"));
            }
        }
    }

    fn small(&mut self) -> io::Result<u32> {
        u32::try_from(self.number()?).map_err(|_| damaged("a number is too large"))
    }

    fn take(&mut self, length: u64) -> io::Result<Vec<u8>> {
        if length > MAX_BYTES {
            return Err(damaged("a text is too long"));
        }
        let mut bytes = Vec::new();
        self.source.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = self.number()?;
        self.take(length)
    }

    fn optional(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.number()? {
            0 => Ok(None),
            length => self.take(length - 1).map(Some),
        }
    }

    fn path(&mut self) -> io::Result<ImagePath> {
        ImagePath::parse(self.bytes()?).map_err(|error| damaged(error.to_string()))
    }

    fn directory(&mut self, depth: usize) -> io::Result<Directory> {
        if depth > MAX_DEPTH {
            return Err(damaged("its directories are nested too deep"));
        }
        let opaque = self.number()? != 0;
        let attributes = if self.number()? == 0 { None } else { Some(self.attributes()?) };
        let mut children = BTreeMap::new();
        for _ in 0..self.number()? {
            let name = self.bytes()?.into_boxed_slice();
            let child = match self.number()? {
                0 => Child::Whiteout,
                1 => Child::Directory(Box::new(self.directory(depth + 1)?)),
                kind => Child::Leaf(self.leaf(kind)?),
            };
            children.insert(name, child);
        }
        Ok(Directory { attributes, opaque, children })
    }

    fn attributes(&mut self) -> io::Result<Attributes> {
        let mode = self.number()? as u16;
        Ok(Attributes { mode, uid: self.small()?, gid: self.small()?, mtime: self.number()? as i64 })
    }

    fn leaf(&mut self, kind: u64) -> io::Result<Leaf> {
        let attributes = self.attributes()?;
        let node = match kind {
            2 => LeafNode::File { size: self.number()?, more: None },
            3 => LeafNode::File { size: self.number()?, more: Some(self.shared()?) },
            4 => LeafNode::Symlink(self.bytes()?.into()),
            5 => LeafNode::CharDevice { major: self.small()?, minor: self.small()? },
            6 => LeafNode::BlockDevice { major: self.small()?, minor: self.small()? },
            7 => LeafNode::Fifo,
            8 => LeafNode::HardLink(Box::new(self.path()?)),
            _ => return Err(damaged("an entry is of no known type")),
        };
        Ok(Leaf { attributes, node })
    }

    fn shared(&mut self) -> io::Result<Arc<File>> {
        let number = self.number()? as usize;
        if let Some(file) = self.files.get(number) {
            return Ok(file.clone());
        }
        let mut file = File { size: self.number()?, ..File::default() };
        file.capability = self.optional()?.map(Into::into);
        file.content = self.optional()?.map(Into::into);
        file.packed = self.optional()?.map(Into::into);
        file.program = match self.number()? {
            0 => None,
            1 => Some(Program::Script(self.bytes()?.into())),
            2 => Some(Program::Elf { machine: self.number()? as u16, interpreter: self.optional()?.map(Into::into) }),
            _ => return Err(damaged("a program is of no known type")),
        };
        let file = Arc::new(file);
        self.files.push(file.clone());
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::interest::{Filter, Interest};
    use crate::base::scan::scan;

    /// A layer with every kind of entry, and what hard links share.
    fn layer() -> Layer {
        let mut tar = ::tar::Builder::new(Vec::new());
        let mut append = |kind: u8, name: &str, text: &str| {
            let mut header = ::tar::Header::new_gnu();
            header.set_entry_type(::tar::EntryType::new(kind));
            header.set_mode(0o4755);
            header.set_uid(3_000_000);
            header.set_gid(100);
            header.set_mtime(1 << 33);
            let is_link = matches!(kind, b'1' | b'2');
            if is_link {
                header.set_link_name(text).unwrap();
            }
            let content = if is_link { "" } else { text };
            header.set_size(content.len() as u64);
            header.set_device_major(if matches!(kind, b'3' | b'4') { 5 } else { 0 }).unwrap();
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        };
        append(b'5', "d/", "");
        append(b'0', "d/script", "#!/bin/sh\nexit\n");
        append(b'1', "d/again", "d/script");
        append(b'0', "d/plain", "x");
        append(b'0', "etc/kept", "content");
        append(b'0', "meta/a.json", "{}");
        append(b'0', "d/library", "\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0");
        append(b'2', "l", "d/../d");
        append(b'3', "c", "");
        append(b'4', "b", "");
        append(b'6', "p", "");
        append(b'1', "loose", "below/here");
        append(b'0', "d/.wh.gone", "");
        append(b'0', "o/.wh..wh..opq", "");
        let interest = Interest::Survey {
            content: vec!["etc/*".to_owned()],
            packed: vec!["meta/*".to_owned()],
            largest: 100,
            largest_packed: 100,
            largest_script: 100,
            total: 1000,
        };
        scan(tar.into_inner().unwrap().as_slice(), &Filter::new(&interest).unwrap()).unwrap().layer
    }

    #[test]
    fn what_is_written_comes_back() {
        let layer = layer();
        let mut bytes = Vec::new();
        write(&layer, &mut bytes).unwrap();
        let back = read(bytes.as_slice()).unwrap();
        assert_eq!(back, layer);
        let shared = |layer: &Layer, name: &str| match layer.root.leaf(&ImagePath::parse(name).unwrap()) {
            Some(Leaf { node: LeafNode::File { more: Some(file), .. }, .. }) => Arc::as_ptr(file),
            other => panic!("{other:?}"),
        };
        assert_eq!(shared(&back, "d/script"), shared(&back, "d/again"));
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let mut bytes = Vec::new();
        write(&layer(), &mut bytes).unwrap();
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        let plain = zstd::decode_all(bytes.as_slice()).unwrap();
        for at in 0..plain.len() {
            let mut damaged = plain.clone();
            damaged[at] ^= 0xff;
            // It may be a layer still; it must not be a panic or take memory without end.
            let _ = read(zstd::encode_all(damaged.as_slice(), 1).unwrap().as_slice());
        }
    }
}
