//! The memory that laying a conda package takes does not depend on the size of its files, be their prefix replaced or not: 192 MiB are laid by a
//! process that may not have more than 96 MiB.

use std::fs;
use std::io;
use std::process::Command;

use byoi::conda::testing::Specimen;
use byoi::layer::write_tar;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::conda::Packages;

/// Writable memory of the process: heap, stacks and static data.
const LIMIT: u64 = 96 << 20;
const BUILT: &str = "/home/build/placehold_placehold_placehold_placehold";
const SIZE: usize = 96 << 20;
/// Where the child finds the package.
const CHILD: &str = "BYOI_TEST_CONDA_MEMORY_CHILD";

#[test]
fn large_files_of_a_package_do_not_show_in_memory() {
    if let Some(path) = std::env::var_os(CHILD) {
        return lay_under_the_limit(path.into());
    }
    let directory = tempfile::tempdir().unwrap();
    let specimen = Specimen::new("large").patched("lib/patched.so", 0o755, BUILT, true, noise()).file("lib/plain.so", 0o755, noise());
    let path = directory.path().join("linux-64").join("large-1.0-0.conda");
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, specimen.to_conda()).unwrap();
    drop(specimen);
    // This test again, in a process of its own.
    let arguments = ["--exact", "conda_memory::large_files_of_a_package_do_not_show_in_memory", "--nocapture"];
    let output = Command::new(std::env::current_exe().unwrap()).args(arguments).env(CHILD, &path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("laid:"), "the child ran no test: {said}");
}

/// What does not compress, with strings between that hold the prefix.
fn noise() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut block = vec![0; 1 << 20];
    random.fill(&mut block);
    let string = format!("\0{BUILT}/lib\0\0\0\0\0\0\0\0");
    let end = block.len() - string.len();
    block[end..].copy_from_slice(string.as_bytes());
    block.repeat(SIZE >> 20)
}

fn lay_under_the_limit(path: std::path::PathBuf) {
    setrlimit(Resource::Data, Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) }).unwrap();
    assert!(Vec::<u8>::new().try_reserve_exact(LIMIT as usize).is_err(), "the limit is in force");
    let tree = Packages::of_archives([path]).tree(None);
    let mut size = Counted(0);
    write_tar(&tree, &mut size).unwrap();
    assert!(size.0 > 2 * SIZE);
    println!("laid: {}", size.0);
}

struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
