//! One pass over the bytes of a layer: unpacked, bounded, hashed, and cut into members.

use std::io::{self, BufRead, BufReader, Read};

use super::members::{Member, Members, damaged};
use crate::archive::Packing;
use crate::digest::{Digest, Digesting};

/// Most bytes of one layer's tar. Studio's limit for a whole image is far below.
const MAX_UNPACKED: u64 = 128 << 30;

const BUFFER: usize = 256 << 10;

/// What a layer was, as bytes.
pub(super) struct Passed {
    pub(super) packing: Packing,
    pub(super) diff_id: Digest,
    pub(super) unpacked: u64,
}

/// Reads a layer to the end of its bytes, and hands out each member with its content.
pub(super) fn each_member(source: impl Read, take: impl FnMut(Member, &mut dyn Read) -> io::Result<()>) -> io::Result<Passed> {
    each_member_heard(source, &mut |_| {}, take)
}

/// As [`each_member`]; `hear` is given the plain bytes as they come, all of them.
pub(super) fn each_member_heard(
    source: impl Read,
    hear: &mut dyn FnMut(&[u8]),
    take: impl FnMut(Member, &mut dyn Read) -> io::Result<()>,
) -> io::Result<Passed> {
    let (packing, plain) = decompress(BufReader::with_capacity(BUFFER, source))?;
    let mut rest = each_of(Digesting::new(Heard { source: Bounded::new(plain), hear }), take)?;
    // What follows the last member counts for the diff id, and only the end of the blob says whether its digest was right.
    io::copy(&mut rest, &mut io::sink())?;
    let (_, diff_id, unpacked) = rest.finish();
    Ok(Passed { packing, diff_id, unpacked })
}

/// Hands out each member of a plain tar, and gives back what follows the last one.
pub(super) fn each_of<R: Read>(tar: R, mut take: impl FnMut(Member, &mut dyn Read) -> io::Result<()>) -> io::Result<R> {
    let mut members = Members::of_layer(tar);
    while let Some(member) = members.next()? {
        take(member, &mut members)?;
    }
    Ok(members.into_inner())
}

/// The plain bytes. As the programs that unpack layers do, this trusts the first bytes and not the media type.
fn decompress<'a>(mut source: impl BufRead + 'a) -> io::Result<(Packing, impl Read + 'a)> {
    let mut head = Vec::new();
    source.by_ref().take(Packing::HEAD).read_to_end(&mut head)?;
    let packing = Packing::of_head(&head);
    let plain = packing.unpacked(io::Cursor::new(head).chain(source))?;
    // Headers are read in small pieces.
    Ok((packing, BufReader::with_capacity(BUFFER, plain)))
}

/// Fails when more than `left` bytes come.
pub(super) struct Bounded<R> {
    source: R,
    left: u64,
}

impl<R> Bounded<R> {
    pub(super) fn new(source: R) -> Self {
        Bounded { source, left: MAX_UNPACKED }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| damaged(format!("it unpacks to more than {} GiB", MAX_UNPACKED >> 30)))?;
        Ok(count)
    }
}

/// Tells somebody of all bytes that are read.
struct Heard<'a, R> {
    source: R,
    hear: &'a mut dyn FnMut(&[u8]),
}

impl<R: Read> Read for Heard<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        (self.hear)(&buffer[..count]);
        Ok(count)
    }
}
