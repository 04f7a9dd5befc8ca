//! Contents and trees for tests, here and end to end.

mod golden;
mod sketch;
mod trees;

use std::io::{self, Read};
use std::sync::Arc;

pub use golden::{GOLDEN, Golden};
pub use trees::{Family, big_file, far_times, trees, whiteouts};

use super::{Content, OpenContent};

/// `size` bytes that deflate cannot make smaller, without memory or disk for them: four MiB of noise, over and over.
pub fn noise(size: u64) -> Content {
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let words = (0..(4 << 20) / 8).flat_map(|_| {
        // xorshift64 (Marsaglia, "Xorshift RNGs", 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    Content::new(size, Repeated { pattern: words.collect(), size })
}

/// `size` bytes that deflate makes smaller, and that no two blocks of a layer have alike.
pub fn prose(size: u64) -> Content {
    let mut bytes = vec![0; (1 << 20) + 4099];
    let mut noise = noise(u64::MAX).open().expect("made in memory");
    noise.read_exact(&mut bytes).expect("endless");
    // Words of noise with wide spaces between them: quick to compress.
    for space in bytes.chunks_mut(200).filter(|piece| piece.len() == 200) {
        space[20..].fill(b' ');
    }
    Content::new(size, Repeated { pattern: bytes.into(), size })
}

/// `size` zeros.
pub fn zeros(size: u64) -> Content {
    Content::new(size, Repeated { pattern: vec![0; 1 << 16].into(), size })
}

/// A pattern, over and over.
struct Repeated {
    pattern: Arc<[u8]>,
    size: u64,
}

impl OpenContent for Repeated {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Repetition { pattern: self.pattern.clone(), position: 0 }.take(self.size)))
    }
}

struct Repetition {
    pattern: Arc<[u8]>,
    position: usize,
}

impl Read for Repetition {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.pattern[self.position..]).read(buffer)?;
        self.position = (self.position + count) % self.pattern.len();
        Ok(count)
    }
}
