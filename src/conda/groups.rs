//! Which conda packages share a layer.
//!
//! An image has room for some dozens of layers and an environment some hundreds of packages, so packages share layers, and a package that
//! changes takes its whole layer to the registry again. What is wanted: few layers, none large, and a package that comes, goes or changes
//! touches no layer but its own. And it must be a pure function of the lock: there is no memory of how packages lay before.
//!
//! 1. A package of at least [`ALONE`] bytes of tar has a layer of its own.
//! 2. The others lie in buckets by their *names* (`crate::plan::buckets`), of at most [`FULL`] bytes each. The buckets are the layers.
//! 3. Where there is room for fewer layers, at most two thirds of them go to packages that are alone, the largest ones; the others go into buckets,
//!    which are joined until the layers fit.
//!
//! Names are the only thing that is used of a package beside its size: how often it changes is not known, and a
//! guess that changes would move packages. Neighbours in a group are therefore as good as random.

use std::cmp::Reverse;

use crate::lock::CondaPackage;
use crate::plan::{Measured, buckets};

/// Bytes of tar from which a package has a layer of its own.
pub const ALONE: u64 = 16 << 20;
/// Bytes of tar above which a bucket is split.
pub const FULL: u64 = 32 << 20;
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
    let small = small.into_iter().map(|package| Measured { name: package.name.as_bytes(), size: package.laid_size, thing: package }).collect();
    alone.into_iter().map(|package| vec![package]).chain(buckets(small, FULL, left)).map(group).collect()
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

#[cfg(test)]
mod tests;
