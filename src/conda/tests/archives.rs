//! Archives: fetched, proved, resumed; and those that only md5 vouches for.

use serde_json::json;

use super::*;
use crate::conda::download::fetch_with;
use crate::digest::Digest;
use crate::registry::testing::{TestRegistry, Trouble};

fn packages() -> [TestPackage; 2] {
    let noise: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    [TestPackage::new("big", "1.0").file("lib/noise", noise), TestPackage::new("old", "1.0").tar_bz2()]
}

fn fetch(bench: &Bench, conda: &lock::Conda) -> Result<(), Error> {
    let needed: Vec<Digest> = conda.packages.iter().map(|package| package.sha256).collect();
    let world = bench.world();
    bench.block_on(fetch_with(&conda.packages, &needed, &world, || Ok(Credentials::none())))
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let server = TestRegistry::start();
    let locked = Bench::new();
    let url = TestChannel::write(locked.path("channel"), &packages()).serve(&server, "/channel");
    let conda = locked.locked(&asking(&[&url], &["big", "old"]));
    let bench = Bench::new();
    server.order(Trouble::broken_after("GET", "big-1.0", 150_000).times(1));
    server.clear_log();
    fetch(&bench, &conda).unwrap();
    let asked = server.asked("GET", "big-1.0");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].headers.get("range").is_some_and(|range| range.starts_with("bytes=") && !range.starts_with("bytes=0-")), "{asked:?}");
    // What is in the cache is not asked for again.
    server.clear_log();
    fetch(&bench, &conda).unwrap();
    assert!(server.log().is_empty());
}

#[test]
fn other_bytes_than_the_lock_says_are_refused() {
    let server = TestRegistry::start();
    let locked = Bench::new();
    let channel = TestChannel::write(locked.path("channel"), &packages());
    let url = channel.serve(&server, "/channel");
    let conda = locked.locked(&asking(&[&url], &["big"]));
    let bench = Bench::new();
    server.order(Trouble::corrupt("GET", "big-1.0").always());
    let text = bench.shown(&fetch(&bench, &conda).unwrap_err());
    assert!(text.contains("has the digest"), "{text}");
    let local = locked.locked(&asking(&["./channel"], &["big"]));
    let path = channel.directory.join("linux-64/big-1.0-h1_0.conda");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(fetch(&bench, &local).is_err());
    assert!(bench.store.blob(&local.packages[0].sha256).is_none());
}

#[test]
fn md5_vouches_where_there_is_nothing_else() {
    let bench = Bench::new();
    let mut channel = TestChannel::write(bench.path("channel"), &packages());
    channel.patch("old", |record| {
        record.remove("sha256");
        record.remove("size");
    });
    let conda = bench.locked(&asking(&["./channel"], &["old"]));
    let bytes = std::fs::read(channel.directory.join("linux-64/old-1.0-h1_0.tar.bz2")).unwrap();
    assert!(conda.packages[0].md5_only);
    assert_eq!((conda.packages[0].sha256, conda.packages[0].size), (Digest::of(&bytes), bytes.len() as u64));
    channel.patch("old", |record| {
        record.insert("md5".to_owned(), json!("0".repeat(32)));
    });
    assert!(bench.refused(&asking(&["./channel"], &["old"])).contains("has the md5"));
    channel.patch("old", |record| {
        record.remove("md5");
    });
    assert!(bench.refused(&asking(&["./channel"], &["old"])).contains("nothing vouches"));
}
