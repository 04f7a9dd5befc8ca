//! The memory that a layer takes does not depend on the size of its files: 4 GiB that cannot be compressed are packed by a process that may
//! not have more than 128 MiB, and take no more than 128 MiB of them did.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::process::Command;

use byoi::digest::Digesting;
use byoi::image_path::ImagePath;
use byoi::layer::specimens::noise;
use byoi::layer::{Entry, Tree, pack};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Writable memory of the process: heap, stacks and static data.
const LIMIT: u64 = 128 << 20;
const SMALL: u64 = 128 << 20;
const LARGE: u64 = 4 << 30;
/// How far apart the two peaks may be: how full the queues are is a matter of luck.
const LUCK: u64 = 16 << 20;
const CHILD: &str = "BYOI_TEST_MEMORY_CHILD";

#[test]
fn a_file_of_4_gib_does_not_show_in_memory() {
    if std::env::var_os(CHILD).is_some() {
        return pack_under_the_limit();
    }
    // This test again, in a process of its own.
    let arguments = ["--exact", "layer_memory::a_file_of_4_gib_does_not_show_in_memory", "--nocapture"];
    let output = Command::new(std::env::current_exe().unwrap()).args(arguments).env(CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("peak:"), "the child ran no test: {said}");
}

fn pack_under_the_limit() {
    setrlimit(Resource::Data, Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) }).unwrap();
    assert!(Vec::<u8>::new().try_reserve_exact(LIMIT as usize).is_err(), "the limit is in force");
    // The peak holds the program's own pages too, which are many in a test; only what comes on top for the large file counts.
    let small = peak_after_packing(SMALL);
    let large = peak_after_packing(LARGE);
    println!("peak: {} KiB, then {} KiB", small >> 10, large >> 10);
    assert!(large < small + LUCK, "peak RSS {small} bytes after {SMALL} bytes, {large} bytes after {LARGE}");
}

fn peak_after_packing(size: u64) -> u64 {
    let tree: Tree = [(ImagePath::literal("noise"), Entry::file(noise(size), 0o644, 0, 0, 0))].into_iter().collect();
    let mut layer = Digesting::new(io::sink());
    let packed = pack(&tree, NonZeroUsize::new(4).unwrap(), &mut layer, &|_| {}).unwrap();
    let (_, _, packed_size) = layer.finish();
    assert!(packed.tar_size > size && packed_size > size, "it compresses: {packed:?}, {packed_size}");
    peak_rss()
}

/// The most memory that this process ever had resident, in bytes (proc(5), `VmHWM`).
fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}
