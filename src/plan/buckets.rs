//! Which of many small things share a layer, so that one that comes, goes or changes touches no layer but its own.
//!
//! They lie in a tree of buckets that is split by the bits of the sha256 of their names. The root bucket holds all; a bucket that is too full is
//! split by the next bit. The buckets that need no split are the layers. Where there is room for fewer, the deepest pairs of buckets are joined again,
//! the last one first.
//!
//! A thing's bucket follows from its own name and from how far the tree is split there, and not from what else there is. So another
//! thing moves it only by filling its own bucket until that is split; and then the bucket's layer would have been made anew in any case, since
//! something in it changed: a split costs nothing. The reverse, two buckets that have become small enough to be one, costs the
//! neighbour's bytes, once.

use std::collections::BTreeMap;

use crate::digest::Digest;

/// Bits of a name's hash.
const DEEPEST: usize = 256;

/// Something that shares a layer with others.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a, T> {
    /// Its name, which decides its bucket.
    pub name: &'a [u8],
    /// How many bytes of a layer it takes.
    pub size: u64,
    /// What it is.
    pub thing: T,
}

/// The path of a bucket in the tree: one bit of the name's hash a level, `false` first.
type Path = Vec<bool>;

/// The things in buckets of at most `full` bytes, where a bucket holds more than one, joined until they are at most `most` (at least one).
pub fn buckets<T>(things: Vec<Measured<'_, T>>, full: u64, most: usize) -> Vec<Vec<T>> {
    let mut done = BTreeMap::new();
    let hashed: Vec<_> = things.into_iter().map(|measured| (Digest::of(measured.name), measured)).collect();
    let mut open = vec![(Path::new(), hashed)];
    while let Some((path, bucket)) = open.pop() {
        let (depth, size) = (path.len(), bucket.iter().map(|(_, measured)| measured.size).sum::<u64>());
        if bucket.is_empty() {
            continue;
        }
        if size <= full || bucket.len() == 1 || depth == DEEPEST {
            done.insert(path, bucket.into_iter().map(|(_, measured)| measured.thing).collect());
            continue;
        }
        let (right, left): (Vec<_>, Vec<_>) = bucket.into_iter().partition(|(hash, _)| bit(hash, depth));
        let below = |bit: bool| path.iter().copied().chain([bit]).collect::<Path>();
        open.extend([(below(true), right), (below(false), left)]);
    }
    while done.len() > most.max(1) {
        join_deepest(&mut done);
    }
    done.into_values().collect()
}

/// Joins the last of the deepest buckets with its neighbour, or takes its place where that is empty.
fn join_deepest<T>(buckets: &mut BTreeMap<Path, Vec<T>>) {
    let Some(deepest) = buckets.keys().max_by_key(|path| (path.len(), (*path).clone())).cloned() else { return };
    let parent = deepest[..deepest.len().saturating_sub(1)].to_vec();
    let mut joined = Vec::new();
    for bit in [false, true] {
        let child: Path = parent.iter().copied().chain([bit]).collect();
        joined.extend(buckets.remove(&child).into_iter().flatten());
    }
    buckets.insert(parent, joined);
}

/// The bit of the name's hash that decides at this depth.
fn bit(hash: &Digest, depth: usize) -> bool {
    hash.as_bytes()[depth / 8] >> (7 - depth % 8) & 1 == 1
}
