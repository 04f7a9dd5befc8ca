//! Which parts of a large local directory have layers of their own, so that a file that changes takes its own part to the registry again and not
//! the whole directory, and so that a part is sent while the next one is packed.
//!
//! 1. A directory of up to [`FULL`] bytes stays whole. Of a larger one, each child of at least [`ALONE`] bytes is a part, or is divided in the
//!    same way if it is a directory larger than [`FULL`].
//! 2. The other children, where they come to [`ALONE`] bytes, lie in buckets by their names (`crate::plan::buckets`): each bucket is a part.
//! 3. What is left, of all items of the description, shares one layer. Where there are more parts than layers for them, the smallest ones join it.
//!
//! That is a function of names and sizes alone, and belongs to format 1.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::local::{LocalEntry, LocalKind};
use super::part::Part;
use crate::image_path::ImagePath;
use crate::plan::{Measured, buckets};

/// Bytes of files from which something is a part of its own.
const ALONE: u64 = 32 << 20;
/// Bytes of files above which a directory is divided.
const FULL: u64 = 64 << 20;

/// A part, and how many bytes its files have.
pub type Weighed = (Part, u64);

/// The parts of a directory that may have layers of their own; none where it is small.
pub fn parts(entries: &[LocalEntry]) -> Vec<Weighed> {
    let nodes = Nodes::of(entries);
    let root = ImagePath::root();
    let mut found = Vec::new();
    match nodes.size(&root) {
        size if size > FULL && nodes.children.contains_key(&root) => nodes.divide(&root, &mut found),
        size if size >= ALONE => found.push((Part::whole(), size)),
        _ => {}
    }
    found
}

/// The largest parts of all items, at most `most`: for each item those that it keeps, in their order.
pub fn largest(of_items: Vec<Vec<Weighed>>, most: usize) -> Vec<Vec<Part>> {
    let mut kept: Vec<Vec<Part>> = of_items.iter().map(|_| Vec::new()).collect();
    let numbered = of_items.into_iter().enumerate().flat_map(|(item, parts)| parts.into_iter().map(move |part| (item, part)));
    let mut all: Vec<(usize, Weighed)> = numbered.collect();
    all.sort_by(|(item, (part, size)), (other, (than, bytes))| (Reverse(size), item, part).cmp(&(Reverse(bytes), other, than)));
    all.truncate(most);
    for (item, (part, _)) in all {
        kept[item].push(part);
    }
    kept.iter_mut().for_each(|parts| parts.sort_unstable());
    kept
}

/// What lies in a directory, and how large it is.
struct Nodes {
    /// Bytes at or below a path.
    sizes: BTreeMap<ImagePath, u64>,
    children: BTreeMap<ImagePath, Vec<ImagePath>>,
}

impl Nodes {
    fn of(entries: &[LocalEntry]) -> Self {
        let mut nodes = Nodes { sizes: BTreeMap::new(), children: BTreeMap::new() };
        for entry in entries {
            let size = if let LocalKind::File { size, .. } = entry.kind { size } else { 0 };
            nodes.add(&entry.path, size);
        }
        nodes
    }

    /// Directories above are added with the first of what they hold: those that are left out, but not all below them, are no entries.
    fn add(&mut self, path: &ImagePath, size: u64) {
        let mut below = path.clone();
        let mut is_new = !self.sizes.contains_key(&below);
        *self.sizes.entry(below.clone()).or_default() += size;
        while let Some(above) = below.parent() {
            if is_new {
                self.children.entry(above.clone()).or_default().push(below);
            }
            is_new = !self.sizes.contains_key(&above);
            *self.sizes.entry(above.clone()).or_default() += size;
            below = above;
        }
    }

    fn size(&self, path: &ImagePath) -> u64 {
        self.sizes.get(path).copied().unwrap_or_default()
    }

    fn divide(&self, directory: &ImagePath, found: &mut Vec<Weighed>) {
        let children = self.children.get(directory).map(Vec::as_slice).unwrap_or_default();
        let (large, small): (Vec<&ImagePath>, Vec<&ImagePath>) = children.iter().partition(|child| self.size(child) >= ALONE);
        for child in large {
            if self.size(child) > FULL && self.children.contains_key(child) {
                self.divide(child, found);
            } else {
                found.push((Part { within: vec![child.clone()], without: Vec::new() }, self.size(child)));
            }
        }
        if small.iter().map(|child| self.size(child)).sum::<u64>() < ALONE {
            return;
        }
        let measured = small.into_iter().map(|child| Measured { name: child.name(), size: self.size(child), thing: child }).collect();
        for bucket in buckets(measured, FULL, usize::MAX) {
            let size = bucket.iter().map(|child| self.size(child)).sum();
            let mut within: Vec<ImagePath> = bucket.into_iter().cloned().collect();
            within.sort_unstable();
            found.push((Part { within, without: Vec::new() }, size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn entry(path: &str, size: Option<u64>) -> LocalEntry {
        let kind = size.map_or(LocalKind::Directory, |size| LocalKind::File { size, digest: Digest::of(""), executable: false, stamp: None });
        LocalEntry { path: ImagePath::parse(path).unwrap(), place: Default::default(), kind }
    }

    fn names(parts: &[Weighed]) -> Vec<(String, u64)> {
        let target = ImagePath::literal("opt/x");
        parts.iter().map(|(part, size)| (part.name(&target), size / MIB)).collect()
    }

    fn of(files: &[(&str, u64)]) -> Vec<Weighed> {
        parts(&files.iter().map(|(path, size)| entry(path, Some(size * MIB))).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_small_is_no_part_and_what_is_middling_is_whole() {
        assert_eq!(of(&[("a", 10), ("b/c", 21)]), []);
        assert_eq!(names(&of(&[("a", 10), ("b/c", 40)])), [("files /opt/x".to_owned(), 50)]);
        assert_eq!(names(&of(&[("", 900)])), [("files /opt/x".to_owned(), 900)], "a single file");
    }

    #[test]
    fn large_children_are_parts_and_larger_directories_are_divided() {
        let found = of(&[("model", 900), ("lib/one/a", 20), ("lib/one/b", 20), ("lib/two/a", 40), ("lib/small", 5), ("bin/x", 1), ("readme", 0)]);
        let expected = [("files /opt/x/model", 900), ("files /opt/x/lib/one", 40), ("files /opt/x/lib/two", 40)];
        assert_eq!(names(&found), expected.map(|(name, size)| (name.to_owned(), size)));
        let rest = Part::beside(&found.iter().map(|(part, _)| part.clone()).collect::<Vec<_>>());
        for (path, is_left) in [("model", false), ("lib", true), ("lib/one/a", false), ("lib/small", true), ("lib/one-more", true), ("bin/x", true)] {
            assert_eq!(rest.has(&ImagePath::parse(path).unwrap()), is_left, "{path}");
        }
    }

    #[test]
    fn many_small_ones_lie_in_buckets_and_a_new_one_touches_one_of_them() {
        let files = |count: u64| (0..count).map(|number| entry(&format!("d/{number}"), Some(3 * MIB))).collect::<Vec<_>>();
        let before = parts(&files(100));
        assert!((5..=10).contains(&before.len()) && before.iter().all(|(_, size)| *size <= FULL), "{:?}", names(&before));
        assert!(before[0].0.name(&ImagePath::literal("x")).ends_with(" more"), "{:?}", names(&before));
        let after = parts(&files(101));
        let same = before.iter().filter(|part| after.contains(part)).count();
        assert_eq!(same, before.len() - 1);
    }

    #[test]
    fn the_largest_of_all_items_are_kept() {
        let (first, second) = (of(&[("a", 40), ("b", 90), ("c", 35)]), of(&[("a", 50), ("b", 80)]));
        let kept = largest(vec![first.clone(), Vec::new(), second], 3);
        let of_item = |item: usize| kept[item].iter().map(|part| part.within[0].to_string()).collect::<Vec<_>>();
        assert_eq!((of_item(0), of_item(1), of_item(2)), (vec!["b".to_owned()], vec![], vec!["a".to_owned(), "b".to_owned()]));
        assert!(largest(vec![first], 0)[0].is_empty());
    }

    proptest! {
        /// Each entry that has bytes is in exactly one part, or in what is left.
        #[test]
        fn nothing_is_lost_and_nothing_is_twice(files in proptest::collection::btree_map("[ab](/[abc]){0,3}", 0..80 * MIB, 0..40), most in 0usize..6) {
            // A file has nothing below it.
            let is_file = |path: &str| !files.keys().any(|other| other.starts_with(&format!("{path}/")));
            let entries: Vec<_> = files.iter().map(|(path, size)| entry(path, is_file(path).then_some(*size))).collect();
            let kept = largest(vec![parts(&entries)], most).remove(0);
            let rest = Part::beside(&kept);
            prop_assert!(kept.len() <= most);
            for entry in &entries {
                let holders = kept.iter().chain([&rest]).filter(|part| part.has(&entry.path)).count();
                prop_assert_eq!(holders, 1, "{:?}", entry.path);
            }
        }
    }
}
