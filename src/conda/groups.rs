//! Which conda packages share a layer.
//!
//! An image has room for some dozens of layers and an environment some hundreds of packages, so packages share layers, and a package that
//! changes takes its whole layer to the registry again. What is wanted: few layers, none large, and a package that comes, goes or changes
//! touches no layer but its own. And it must be a pure function of the lock: there is no memory of how packages lay before.
//!
//! 1. A package of at least [`ALONE`] bytes of tar has a layer of its own.
//! 2. The others lie in a tree of buckets that is split by the bits of the sha256 of their *names*. The root bucket holds all; a bucket of
//!    more than [`FULL`] bytes is split by the next bit. The buckets that need no split are the layers.
//! 3. Where there is room for fewer layers, at most two thirds of them go to packages that are alone, the largest ones; the others go into buckets.
//!    Then the deepest pairs of buckets are joined again, the last one first, until the layers fit.
//!
//! A package's bucket follows from its own name and from how far the tree is split there, and not from what else there is. So another
//! package moves it only by filling its own bucket until that is split; and then the bucket's layer would have been made anew in any case, since
//! something in it changed: a split costs nothing. The reverse, two buckets that have become small enough to be one, costs the
//! neighbour's bytes, once. Names are the only thing that is used of a package beside its size: how often it changes is not known, and a
//! guess that changes would move packages. Neighbours in a group are therefore as good as random.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::lock::CondaPackage;

/// Bytes of tar from which a package has a layer of its own.
pub const ALONE: u64 = 16 << 20;
/// Bytes of tar above which a bucket is split.
pub const FULL: u64 = 32 << 20;
/// Bits of a name's hash.
const DEEPEST: usize = 256;
/// Most names that the name of a layer repeats.
const NAMED: usize = 3;

/// Packages that share a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The layer's name for people.
    pub name: String,
    /// The packages, sorted by name.
    pub packages: Vec<&'a CondaPackage>,
}

/// The packages in at most `budget` groups (at least one), in the order in which their layers lie: those alone by name, then the buckets.
pub fn groups(packages: &[CondaPackage], budget: usize) -> Vec<Group<'_>> {
    let budget = budget.max(1);
    let (mut alone, mut small): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package.laid_size >= ALONE);
    // The largest first: what has no room of its own goes into buckets, to which room is left.
    alone.sort_by_key(|package| (Reverse(package.laid_size), &package.name));
    let room = if small.is_empty() && alone.len() <= budget { budget } else { budget - budget.div_ceil(3) };
    small.extend(alone.drain(room.min(alone.len())..));
    alone.sort_by_key(|package| &package.name);
    let left = budget - alone.len();
    let buckets = buckets(small, left).into_values();
    alone.into_iter().map(|package| vec![package]).chain(buckets).map(group).collect()
}

fn group(mut packages: Vec<&CondaPackage>) -> Group<'_> {
    packages.sort_by_key(|package| &package.name);
    let named: Vec<_> = packages.iter().take(NAMED).map(|package| package.name.as_str()).collect();
    let name = match packages.as_slice() {
        [one] => format!("conda {} {}", one.name, one.version),
        _ if packages.len() <= NAMED => format!("conda {}", named.join(", ")),
        _ => format!("conda {} and {} more", named.join(", "), packages.len() - NAMED),
    };
    Group { name, packages }
}

/// The path of a bucket in the tree: one bit of the name's hash a level, `false` first.
type Path = Vec<bool>;

/// The buckets that need no split, joined until they are at most `most`.
fn buckets(packages: Vec<&CondaPackage>, most: usize) -> BTreeMap<Path, Vec<&CondaPackage>> {
    let mut done = BTreeMap::new();
    let hashed: Vec<_> = packages.into_iter().map(|package| (Digest::of(&package.name), package)).collect();
    let mut open = vec![(Path::new(), hashed)];
    while let Some((path, bucket)) = open.pop() {
        let (depth, size) = (path.len(), bucket.iter().map(|(_, package)| package.laid_size).sum::<u64>());
        if bucket.is_empty() {
            continue;
        }
        if size <= FULL || bucket.len() == 1 || depth == DEEPEST {
            done.insert(path, bucket.into_iter().map(|(_, package)| package).collect());
            continue;
        }
        let (right, left): (Vec<_>, Vec<_>) = bucket.into_iter().partition(|(hash, _)| bit(hash, depth));
        let below = |bit: bool| path.iter().copied().chain([bit]).collect::<Path>();
        open.extend([(below(true), right), (below(false), left)]);
    }
    while done.len() > most.max(1) {
        join_deepest(&mut done);
    }
    done
}

/// Joins the last of the deepest buckets with its neighbour, or takes its place where that is empty.
fn join_deepest(buckets: &mut BTreeMap<Path, Vec<&CondaPackage>>) {
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

#[cfg(test)]
mod tests;
