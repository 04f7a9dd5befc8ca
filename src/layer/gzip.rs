//! The gzip of format 1: one member, made of blocks that are compressed apart, so that the bytes do not depend on how many threads did it.
//!
//! ```text
//! header    1f 8b 08 00  00 00 00 00  00 ff
//! per 1 MiB of input (the last one is shorter): raw deflate, level 3, ended by a full flush
//! end       03 00 (an empty final block), CRC-32 and length of the input (RFC 1952)
//! ```

use std::sync::OnceLock;

use crc32fast::Hasher;
use zlib_rs::{Deflate, DeflateFlush, Status, compress_bound};

use super::LayerError;
use crate::digest::Digest;

/// Bytes of input in one block.
pub(super) const BLOCK: usize = 1 << 20;

/// No name, no time, no flags; operating system "unknown" (RFC 1952, 2.3).
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0xff];

const LEVEL: i32 = 3;
const WINDOW_BITS: u8 = 15;
/// Beyond the bound for a zlib stream: an empty stored block after up to seven bits of filling, and a byte that shows that nothing was held back.
const FLUSH_ROOM: usize = 16;

/// What a block came to.
pub(super) struct Block {
    /// How many bytes were written: whole deflate blocks that end on a byte and are not the last.
    pub(super) deflated: usize,
    /// CRC-32 and length of the input.
    pub(super) check: Hasher,
    /// Length of the input in bytes.
    pub(super) size: u64,
}

/// Compresses one block into the beginning of `room`, which grows as needed, with a fresh encoder, in one call, with room for all output: fed in
/// pieces, or short of room, the encoder may choose other block boundaries.
pub(super) fn compress(input: &[u8], room: &mut Vec<u8>) -> Result<Block, LayerError> {
    let bound = compress_bound(input.len()) + FLUSH_ROOM;
    if room.len() < bound {
        room.resize(bound, 0);
    }
    let deflate = &mut room[..bound];
    let mut encoder = Deflate::new(LEVEL, false, WINDOW_BITS);
    let status = encoder.compress(input, deflate, DeflateFlush::FullFlush);
    let (taken, given) = (encoder.total_in(), encoder.total_out() as usize);
    if status != Ok(Status::Ok) || taken != input.len() as u64 || given == deflate.len() {
        return Err(LayerError::Encoder(format!("{status:?} after {taken} of {} bytes", input.len())));
    }
    let mut check = Hasher::new();
    check.update(input);
    Ok(Block { deflated: given, check, size: input.len() as u64 })
}

/// The end of the member, after blocks whose input has this CRC-32 and length.
pub(super) fn trailer(check: &Hasher, size: u64) -> [u8; 10] {
    let [a, b, c, d] = check.clone().finalize().to_le_bytes();
    // The length is kept modulo 2^32.
    let [e, f, g, h, ..] = size.to_le_bytes();
    [0x03, 0x00, a, b, c, d, e, f, g, h]
}

/// Compresses a fixed block, once in a process, and compares with the bytes that format 1 prescribes: an encoder that changed would give every
/// layer another digest without a word.
///
/// # Errors
/// [`LayerError::Encoder`] when they differ.
pub fn prove_encoder() -> Result<(), LayerError> {
    static PROOF: OnceLock<Result<(), String>> = OnceLock::new();
    let prove = || {
        let mut room = Vec::new();
        let block = compress(&specimen(), &mut room).map_err(|error| error.to_string())?;
        let digest = Digest::of(&room[..block.deflated]);
        if digest.hex() == SPECIMEN_DIGEST { Ok(()) } else { Err(format!("golden vector: {digest}")) }
    };
    PROOF.get_or_init(prove).clone().map_err(LayerError::Encoder)
}

const SPECIMEN_DIGEST: &str = "a73b7b89f537e7815b4d38840bd7b4a969a377ca2433349207a37b2bf5dac613";

/// One block that drives every part of the encoder: noise (stored blocks), text (dynamic codes), long runs, copies from near, from the far end
/// of the window and from beyond it.
fn specimen() -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    // xorshift64 (Marsaglia, "Xorshift RNGs", 2003)
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize
    };
    let mut bytes: Vec<u8> = (0..NOISE).map(|_| random() as u8).collect();
    while bytes.len() < BLOCK {
        let (kind, length) = (random() % 16, 3 + random() % 300);
        match kind {
            0 => bytes.resize(bytes.len() + length, random() as u8),
            1..8 => {
                let from = bytes.len() - 1 - random() % NOISE;
                bytes.extend_from_within(from..(from + length).min(bytes.len()));
            }
            8 => bytes.extend((0..length).map(|_| random() as u8)),
            _ => bytes.extend((0..length).map(|_| b"etaoin shrdlu\n/{}"[random() % 17])),
        }
    }
    bytes.truncate(BLOCK);
    bytes
}

/// Bytes of noise at the start of the specimen: more than the window (32 KiB), and several blocks of deflate.
const NOISE: usize = 70_000;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use flate2::read::DeflateDecoder;

    fn compressed(input: &[u8]) -> Vec<u8> {
        let mut room = Vec::new();
        let block = compress(input, &mut room).unwrap();
        room.truncate(block.deflated);
        room
    }

    #[test]
    fn the_encoder_is_that_of_format_1() {
        prove_encoder().unwrap();
    }

    #[test]
    fn the_specimen_drives_stored_and_compressed_blocks() {
        let (specimen, deflate) = (specimen(), compressed(&specimen()));
        assert!(deflate.windows(1000).any(|bytes| bytes == &specimen[20_000..21_000]), "noise is stored");
        assert!(deflate.len() < BLOCK * 2 / 3, "the rest is not");
        let mut inflated = Vec::new();
        DeflateDecoder::new([&deflate[..], &[3, 0]].concat().as_slice()).read_to_end(&mut inflated).unwrap();
        assert!(inflated == specimen);
    }

    #[test]
    fn a_block_ends_with_a_full_flush() {
        for input in [&b""[..], b"x", &[0; BLOCK], &specimen()] {
            assert!(compressed(input).ends_with(&[0, 0, 0xff, 0xff]), "an empty stored block (RFC 1951, 3.2.4)");
            assert_eq!(compress(input, &mut Vec::new()).unwrap().size, input.len() as u64);
        }
    }

    #[test]
    fn what_was_in_the_room_before_does_not_matter() {
        let mut room = vec![0xff; 3 * BLOCK];
        let block = compress(&specimen(), &mut room).unwrap();
        assert!(room[..block.deflated] == compressed(&specimen()));
    }
}
