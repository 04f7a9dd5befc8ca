//! Groups keep their rules, and over a year of updates they re-upload little.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::lock::Noarch;

fn package(name: &str, laid_size: u64) -> CondaPackage {
    CondaPackage {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        build: "0".to_owned(),
        channel: "https://conda.example.com/main".to_owned(),
        subdir: "linux-64".to_owned(),
        url: format!("https://conda.example.com/main/linux-64/{name}-1.0-0.conda").parse().unwrap(),
        sha256: Digest::of(name),
        md5_only: false,
        size: laid_size / 3,
        timestamp: None,
        noarch: Noarch::No,
        depends: None,
        constrains: None,
        laid_size,
        clobbered: Vec::new(),
        link_scripts: Vec::new(),
    }
}

/// Members of the groups.
fn members(packages: &[CondaPackage], budget: usize) -> BTreeSet<Vec<String>> {
    let names = |group: Group<'_>| group.packages.iter().map(|package| package.name.clone()).collect();
    groups(packages, budget).into_iter().map(names).collect()
}

#[test]
fn the_layers_of_a_small_environment() {
    let mib = 1 << 20;
    let packages = [
        package("zlib", mib),
        package("python", 130 * mib),
        package("bzip2", mib),
        package("xz", mib),
        package("tk", mib),
        package("node", 40 * mib),
    ];
    let names: Vec<_> = groups(&packages, 10).into_iter().map(|group| group.name).collect();
    assert_eq!(names, ["conda node 1.0", "conda python 1.0", "conda bzip2, tk, xz and 1 more"]);
    let names: Vec<_> = groups(&packages, 2).into_iter().map(|group| group.name).collect();
    assert_eq!(names, ["conda python 1.0", "conda bzip2, node, tk and 2 more"]);
    assert_eq!(groups(&packages, 1).len(), 1);
    assert_eq!(groups(&packages[..3], 9).iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["conda python 1.0", "conda bzip2, zlib"]);
    assert!(groups(&[], 9).is_empty());
}

#[test]
fn names_that_stand_twice_end_in_one_bucket() {
    let packages = [package("a", 15 << 20), package("a", 15 << 20), package("a", 15 << 20)];
    assert_eq!(groups(&packages, 9).len(), 1);
}

fn any_packages(largest: u64) -> impl Strategy<Value = Vec<CondaPackage>> {
    let packages = prop::collection::btree_map("[a-z]{1,6}", 1..largest, 1..200);
    packages.prop_map(|packages| packages.iter().map(|(name, size)| package(name, *size)).collect())
}

proptest! {
    #[test]
    fn every_package_is_in_one_group_and_the_budget_holds(packages in any_packages(60 << 20), budget in 0usize..60) {
        let groups = groups(&packages, budget);
        prop_assert!(groups.len() <= budget.max(1));
        let mut names: Vec<_> = groups.iter().flat_map(|group| &group.packages).map(|package| &package.name).collect();
        names.sort();
        prop_assert_eq!(names, packages.iter().map(|package| &package.name).collect::<Vec<_>>());
        prop_assert!(groups.iter().all(|group| !group.packages.is_empty() && group.packages.is_sorted_by_key(|package| &package.name)));
    }

    #[test]
    fn with_room_no_group_is_large(packages in any_packages(60 << 20)) {
        for group in groups(&packages, usize::MAX) {
            let size: u64 = group.packages.iter().map(|package| package.laid_size).sum();
            prop_assert!(group.packages.len() == 1 || size <= FULL);
            prop_assert!(group.packages.len() == 1 || group.packages.iter().all(|package| package.laid_size < ALONE));
        }
    }

    #[test]
    fn the_order_of_packages_does_not_matter(packages in any_packages(60 << 20), budget in 1usize..40) {
        let reversed: Vec<_> = packages.iter().rev().cloned().collect();
        prop_assert_eq!(groups(&packages, budget), groups(&reversed, budget));
    }

    /// With room, a package that comes touches the one group that it joins, be it split by that or not; one that goes touches that group and
    /// at most one neighbour's bytes, since two that become one were no larger than one may be.
    #[test]
    fn a_package_that_comes_touches_one_group(packages in any_packages(20 << 20), at in any::<prop::sample::Index>()) {
        let with = members(&packages, usize::MAX);
        let mut fewer = packages.clone();
        let gone = fewer.remove(at.index(packages.len()));
        let without = members(&fewer, usize::MAX);
        let (before, after): (Vec<_>, Vec<_>) = (without.difference(&with).collect(), with.difference(&without).collect());
        prop_assert!(before.len() <= 1, "{before:?}");
        let moved: BTreeSet<_> = after.into_iter().flatten().filter(|name| **name != gone.name).collect();
        prop_assert_eq!(moved, before.into_iter().flatten().collect::<BTreeSet<_>>());
    }
}

/// A package of the simulation.
struct Updated {
    name: &'static str,
    size: u64,
    rate: u64,
}

fn environment() -> Vec<Updated> {
    let rows = include_str!("updates.tsv").lines().filter(|line| !line.starts_with('#'));
    let read = |row: &'static str| {
        let mut cells = row.split('\t');
        let name = cells.next().unwrap();
        let mut number = || cells.next().unwrap().parse::<u64>().unwrap();
        Updated { name, size: number() << 10, rate: number() }
    };
    rows.map(read).collect()
}

/// Days of the simulated year.
const YEAR: u64 = 364;

impl Updated {
    /// A number that is as good as random, and always the same.
    fn chance(&self, of: u64, below: u64) -> u64 {
        let digest = Digest::of(format!("{} {of}", self.name));
        u64::from_be_bytes(digest.as_bytes()[..8].try_into().unwrap()) % below
    }

    /// How many updates there were until the end of the day: spread over the year evenly, from a day of its own on.
    fn updates(&self, day: u64) -> u64 {
        (day * self.rate + self.chance(0, YEAR)) / YEAR
    }

    /// The package on that day: each update makes it a little smaller or larger.
    fn on(&self, day: u64) -> CondaPackage {
        let update = self.updates(day);
        let percent = 96 + self.chance(update + 1, 9);
        CondaPackage {
            version: update.to_string(),
            sha256: Digest::of(format!("{} {update}", self.name)),
            ..package(self.name, self.size * percent / 100)
        }
    }
}

/// Bytes of tar that a year's builds take to the registry after the first one, and the largest number of layers.
fn year(environment: &[Updated], every: u64, layers: impl Fn(&[CondaPackage]) -> Vec<Vec<&CondaPackage>>) -> (u64, usize) {
    let mut uploaded = BTreeSet::new();
    let (mut bytes, mut most) = (0, 0);
    for day in (0..=YEAR).step_by(usize::try_from(every).unwrap()) {
        let packages: Vec<_> = environment.iter().map(|package| package.on(day)).collect();
        let layers = layers(&packages);
        most = most.max(layers.len());
        for layer in layers {
            let size: u64 = layer.iter().map(|package| package.laid_size).sum();
            let key: Vec<_> = layer.iter().map(|package| package.sha256).collect();
            if uploaded.insert(key) && day > 0 {
                bytes += size;
            }
        }
    }
    (bytes, most)
}

fn in_groups(packages: &[CondaPackage], budget: usize) -> Vec<Vec<&CondaPackage>> {
    groups(packages, budget).into_iter().map(|group| group.packages).collect()
}

#[test]
fn over_a_year_of_updates_groups_re_upload_little() {
    let environment = environment();
    assert_eq!(environment.len(), 90);
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let mut table =
        "| built | one layer | groups, 34 layers at most | groups, 12 layers at most | one layer each |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (name, every) in [("every day", 1), ("every week", 7), ("every four weeks", 28)] {
        let one = year(&environment, every, |packages| vec![packages.iter().collect()]);
        let each = year(&environment, every, |packages| packages.iter().map(|package| vec![package]).collect());
        let many = year(&environment, every, |packages| in_groups(packages, 34));
        let few = year(&environment, every, |packages| in_groups(packages, 12));
        let cells =
            [(one.0, one.1), (many.0, many.1), (few.0, few.1), (each.0, each.1)].map(|(bytes, layers)| format!("{} ({layers})", gigabytes(bytes)));
        writeln!(table, "| {name} | {} |", cells.join(" | ")).unwrap();
        assert!(many.1 <= 34 && few.1 <= 12);
        assert!(each.0 <= many.0 && many.0 <= few.0 && few.0 < one.0, "{table}");
    }
    let documented = include_str!("../../../docs/performance.md");
    assert!(documented.contains(&table), "docs/performance.md does not have these figures:\n{table}");
}

/// What a change of sizes alone costs: with the same members in every group, nothing but the packages' own layers.
#[test]
fn over_a_year_groups_keep_their_members() {
    let environment = environment();
    let mut groups_of: BTreeMap<&str, BTreeSet<Vec<String>>> = BTreeMap::new();
    for day in (0..=YEAR).step_by(7) {
        let packages: Vec<_> = environment.iter().map(|package| package.on(day)).collect();
        for group in members(&packages, 34) {
            for updated in environment.iter().filter(|updated| group.iter().any(|name| name == updated.name)) {
                groups_of.entry(updated.name).or_default().insert(group.clone());
            }
        }
    }
    let moved: Vec<_> = groups_of.iter().filter(|(_, groups)| groups.len() > 3).collect();
    assert!(moved.is_empty(), "{moved:?}");
}
