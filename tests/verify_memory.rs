//! The memory that a judgement takes does not depend on the size of files: programs and scripts of 288 MiB are looked at by a process that may not
//! have more than 128 MiB. What it takes for each file, a hundred bytes or so, is bounded by the number of members that a layer may have.

use byoi::verify::specimen::{Specimen, elf};

use crate::support::byoi::{Run, Workplace};

/// Writable memory of the process: heap, stacks and static data.
const LIMIT: u64 = 128 << 20;
const SIZE: usize = 96 << 20;

fn large(mut head: Vec<u8>) -> Vec<u8> {
    head.resize(SIZE, b' ');
    head
}

#[test]
fn large_files_do_not_show_in_memory() {
    let place = Workplace::new();
    let image = Specimen::good().layer().file("opt/tool", 0o755, large(elf(62))).file("opt/script", 0o755, large(b"#!/bin/sh\n".to_vec()));
    image.file("opt/conda/conda-meta/large-1.0-0.json", 0o644, large(b"{}".to_vec())).made().write_layout(&place.path("image"));
    let limit = format!("--data={LIMIT}");
    let run = Run::of(&mut place.through(&["prlimit", &limit], &["verify", "oci:image"]));
    assert!(matches!(run.code, Some(0 | 1)) && run.out.contains("rules asked"), "{:?}\n{}\n{}", run.code, run.out, run.err);
    // The limit is in force.
    let run = Run::of(&mut place.through(&["prlimit", "--data=1000000"], &["verify", "oci:image"]));
    assert!(run.code != Some(0) && run.code != Some(1), "{:?}", run.code);
}
