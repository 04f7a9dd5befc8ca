//! Tree → tar → gzip of format 1, in one pass: one thread writes and hashes the tar, several compress its blocks, the caller's thread writes
//! the result in order. A compressor takes whatever block is next, so that none waits for another. A few rooms for a block go round from
//! writer to reader; there is no block without one, so memory is three blocks a thread, whatever the size of the layer.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use bytes::{Bytes, BytesMut};
use crc32fast::Hasher;

use super::gzip::{self, BLOCK, prove_encoder};
use super::tar::{tar_size, write_tar};
use super::{LayerError, Tree};
use crate::digest::{Digest, Digesting};

/// What is in a finished layer. Digest and size of the layer itself are known to whoever it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Digest of the tar.
    pub diff_id: Digest,
    /// Size of the tar in bytes.
    pub tar_size: u64,
}

/// Writes the layer of `tree` to `out`, compressed by up to `threads` threads. The bytes are the same for any number of them.
/// `progress` is told, after each block, how many bytes of the tar are done ([`tar_size`] says of how many).
/// After an error `out` holds part of a layer: the caller throws it away. An error of `out` ends the work at once.
///
/// # Errors
/// Those of [`write_tar`] and [`prove_encoder`], and when no thread can be started.
pub fn pack(tree: &Tree, threads: NonZeroUsize, out: &mut dyn Write, progress: &dyn Fn(u64)) -> Result<Packed, LayerError> {
    pack_heard(tree, threads, out, &mut |_| {}, progress)
}

/// As [`pack`]; `hear` is given each block of the tar when it is cut, in their order and in another thread. Blocks are not copied for it: one that
/// it keeps stays in memory.
///
/// # Errors
/// As [`pack`].
pub fn pack_heard(
    tree: &Tree,
    threads: NonZeroUsize,
    out: &mut dyn Write,
    hear: &mut (dyn FnMut(&Bytes) + Send),
    progress: &dyn Fn(u64),
) -> Result<Packed, LayerError> {
    prove_encoder()?;
    let blocks = tar_size(tree)?.div_ceil(BLOCK as u64);
    let threads = threads.get().min(usize::try_from(blocks).unwrap_or(usize::MAX));
    // Every queue has a place for every room: only the wait for a room ever blocks.
    let count = threads * ROOMS;
    let (free, rooms) = sync_channel(count);
    let (cut_off, blocks) = sync_channel(count);
    let (output, compressed) = sync_channel(count);
    for _ in 0..count {
        // The queue has the places, and its other end is here.
        let _ = free.send(Room::default());
    }
    let blocks = Mutex::new(blocks);
    scope(|scope| {
        for _ in 0..threads {
            let (blocks, output) = (&blocks, output.clone());
            start(scope, move || compress_blocks(blocks, &output))?;
        }
        drop(output);
        let tar = start(scope, move || cut(tree, rooms, cut_off, hear))?;
        let written = write_member(compressed, free, out, progress);
        let tar = join(tar);
        // An error of the output comes first: it is why the tar could not go on.
        let (member, check) = written?;
        let (diff_id, tar_size) = tar?;
        if member != tar_size {
            return Err(LayerError::Encoder(format!("{member} of {tar_size} bytes compressed")));
        }
        out.write_all(&gzip::trailer(&check, tar_size)).and_then(|()| out.flush()).map_err(LayerError::Write)?;
        Ok(Packed { diff_id, tar_size })
    })
}

/// Rooms for each thread that compresses: a block that it works on, one that waits for it, and one that waits to be written.
const ROOMS: usize = 3;

/// What a block needs on its way. It is used again and again.
#[derive(Default)]
struct Room {
    /// The block, of the tar.
    plain: BytesMut,
    /// Room for the compressed block.
    deflate: Vec<u8>,
}

/// A block of the tar, its place in it, and room for the compressed block.
type Numbered = (u64, Bytes, Vec<u8>);
/// A block that was compressed, or why it was not.
type Compressed = (u64, Room, Result<gzip::Block, LayerError>);

/// The digest of the tar of `tree`; nothing is compressed.
///
/// # Errors
/// Those of [`write_tar`].
pub fn diff_id(tree: &Tree) -> Result<Digest, LayerError> {
    let mut out = Digesting::new(io::sink());
    write_tar(tree, &mut out)?;
    Ok(out.finish().1)
}

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, LayerError> {
    Builder::new().name("layer".into()).spawn_scoped(scope, work).map_err(LayerError::Thread)
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Compresses blocks until there are no more, or nobody wants them.
fn compress_blocks(blocks: &Mutex<Receiver<Numbered>>, output: &SyncSender<Compressed>) {
    loop {
        // One thread waits for a block, the others for their turn to wait.
        let next = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, plain, mut deflate)) = next else { return };
        // A thread that ended without a word would leave the others waiting for its block for ever.
        let block = catch_unwind(AssertUnwindSafe(|| gzip::compress(&plain, &mut deflate)));
        let block = block.unwrap_or_else(|_| Err(LayerError::Encoder("it panicked".to_owned())));
        // What still listens to the block keeps it.
        let room = Room { plain: plain.try_into_mut().unwrap_or_default(), deflate };
        if output.send((number, room, block)).is_err() {
            return;
        }
    }
}

/// Writes the tar, hashes it and cuts it into blocks.
fn cut(tree: &Tree, rooms: Receiver<Room>, blocks: SyncSender<Numbered>, hear: &mut (dyn FnMut(&Bytes) + Send)) -> Result<(Digest, u64), LayerError> {
    let mut cutter = Digesting::new(Cutter { rooms, blocks, number: 0, room: None, hear });
    write_tar(tree, &mut cutter)?;
    let (mut cutter, digest, size) = cutter.finish();
    cutter.hand_on().map_err(LayerError::Write)?;
    Ok((digest, size))
}

/// Cuts what is written to it into blocks.
struct Cutter<'a> {
    rooms: Receiver<Room>,
    blocks: SyncSender<Numbered>,
    number: u64,
    /// The block that is being filled; none before its first byte.
    room: Option<Room>,
    hear: &'a mut (dyn FnMut(&Bytes) + Send),
}

impl Cutter<'_> {
    fn hand_on(&mut self) -> io::Result<()> {
        let Some(Room { plain, deflate }) = self.room.take() else { return Ok(()) };
        let plain = plain.freeze();
        (self.hear)(&plain);
        // The other ends go away when the output failed; that error is the one to report.
        self.blocks.send((self.number, plain, deflate)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.number += 1;
        Ok(())
    }

    fn free_room(&mut self) -> io::Result<Room> {
        let mut room = self.rooms.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        room.plain.clear();
        room.plain.reserve(BLOCK);
        Ok(room)
    }
}

impl Write for Cutter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut room = match self.room.take() {
            Some(room) => room,
            None => self.free_room()?,
        };
        let count = bytes.len().min(BLOCK - room.plain.len());
        room.plain.extend_from_slice(&bytes[..count]);
        let is_full = room.plain.len() == BLOCK;
        self.room = Some(room);
        if is_full {
            self.hand_on()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes header and blocks in their order, until there are no more, and gives their rooms back; the trailer is the caller's.
fn write_member(
    compressed: Receiver<Compressed>,
    free: SyncSender<Room>,
    out: &mut dyn Write,
    progress: &dyn Fn(u64),
) -> Result<(u64, Hasher), LayerError> {
    let (mut done, mut check) = (0, Hasher::new());
    let mut early = BTreeMap::new();
    let mut next = 0;
    out.write_all(&gzip::HEADER).map_err(LayerError::Write)?;
    for (number, room, block) in compressed {
        early.insert(number, (room, block));
        while let Some((room, block)) = early.remove(&next) {
            let block = block?;
            out.write_all(&room.deflate[..block.deflated]).map_err(LayerError::Write)?;
            check.combine(&block.check);
            done += block.size;
            next += 1;
            progress(done);
            // Nobody wants it once the tar is at its end.
            let _ = free.send(room);
        }
    }
    Ok((done, check))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::image_path::ImagePath;
    use crate::layer::specimens::prose;
    use crate::layer::{Content, Entry, OpenContent};
    use flate2::read::GzDecoder;

    /// A tree whose tar has `size` bytes: one file.
    fn tree(size: usize) -> Tree {
        let size = (size - 3 * 512) as u64;
        let file = Entry::file(prose(size), 0o644, 0, 0, 0);
        [(ImagePath::literal("file"), file)].into_iter().collect()
    }

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn packed(tree: &Tree, count: usize) -> (Vec<u8>, Packed) {
        let mut out = Vec::new();
        let packed = pack(tree, threads(count), &mut out, &|_| {}).unwrap();
        (out, packed)
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let tree = tree(64 * BLOCK + 1024);
        let (first, reference) = packed(&tree, 1);
        for count in 2..=8 {
            let (bytes, packed) = packed(&tree, count);
            assert!(packed == reference && bytes == first, "{count} threads");
        }
        assert_eq!(reference.diff_id, diff_id(&tree).unwrap());
        let mut tar = Digesting::new(GzDecoder::new(&first[..]));
        io::copy(&mut tar, &mut io::sink()).unwrap();
        let (_, digest, size) = tar.finish();
        assert_eq!((digest, size), (reference.diff_id, reference.tar_size));
    }

    #[test]
    fn sizes_around_whole_blocks() {
        for size in [BLOCK - 512, BLOCK, BLOCK + 512, 2 * BLOCK - 512, 2 * BLOCK, 2 * BLOCK + 512, 3 * BLOCK] {
            let tree = tree(size);
            let (gzip, packed) = packed(&tree, 2);
            assert_eq!(packed.tar_size, size as u64);
            let mut tar = Vec::new();
            write_tar(&tree, &mut tar).unwrap();
            assert!(gzip == by_hand(&tar), "{size}");
            let mut read = Vec::new();
            GzDecoder::new(&gzip[..]).read_to_end(&mut read).unwrap();
            assert!(read == tar, "{size}");
            gzip_accepts(&gzip);
        }
    }

    /// The format's description, read plainly.
    fn by_hand(tar: &[u8]) -> Vec<u8> {
        let mut gzip = gzip::HEADER.to_vec();
        for block in tar.chunks(1 << 20) {
            let mut room = Vec::new();
            let deflated = gzip::compress(block, &mut room).unwrap().deflated;
            gzip.extend(&room[..deflated]);
        }
        gzip.extend([3, 0]);
        gzip.extend(crc32fast::hash(tar).to_le_bytes());
        gzip.extend((tar.len() as u32).to_le_bytes());
        gzip
    }

    fn gzip_accepts(bytes: &[u8]) {
        let mut child = Command::new("gzip").arg("-t").stdin(Stdio::piped()).spawn().expect("gzip is installed");
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn progress_ends_at_the_size_of_the_tar() {
        let tree = tree(3 * BLOCK + 512);
        let seen = std::cell::RefCell::new(Vec::new());
        let packed = pack(&tree, threads(2), &mut io::sink(), &|done| seen.borrow_mut().push(done)).unwrap();
        assert_eq!(seen.into_inner(), [BLOCK, 2 * BLOCK, 3 * BLOCK, 3 * BLOCK + 512].map(|done| done as u64));
        assert_eq!(packed.tar_size, tar_size(&tree).unwrap());
    }

    /// Fails after a number of bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_error_of_the_output_ends_the_work_and_is_the_one_reported() {
        // Endless, if nobody stops it.
        let file = Entry::file(prose(1 << 60), 0o644, 0, 0, 0);
        let tree: Tree = [(ImagePath::literal("file"), file)].into_iter().collect();
        for room in [0, 5, BLOCK, 4 * BLOCK] {
            match pack(&tree, threads(3), &mut Full(room), &|_| {}) {
                Err(LayerError::Write(cause)) => assert_eq!(cause.kind(), io::ErrorKind::StorageFull),
                other => panic!("{other:?}"),
            }
        }
    }

    /// A content that gives less than another was promised.
    struct Shorter(Content);

    impl OpenContent for Shorter {
        fn open(&self) -> io::Result<Box<dyn Read + Send>> {
            self.0.open()
        }
    }

    #[test]
    fn an_error_of_a_content_is_reported_and_no_end_is_written() {
        let file = Entry::file(Content::new(5 << 20, Shorter(prose(4 << 20))), 0o644, 0, 0, 0);
        let tree: Tree = [(ImagePath::literal("short"), file)].into_iter().collect();
        let mut out = Vec::new();
        match pack(&tree, threads(2), &mut out, &|_| {}) {
            Err(LayerError::Size { path, more: false, .. }) => assert_eq!(path, ImagePath::literal("short")),
            other => panic!("{other:?}"),
        }
        assert!(GzDecoder::new(&out[..]).read_to_end(&mut Vec::new()).is_err());
    }
}
