//! Any text as a lock: what is read is written again, and reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(lock) = byoi::lock::parse("byoi.lock", text) else { return };
    let written = lock.to_toml();
    assert_eq!(byoi::lock::parse("byoi.lock", &written).expect("what is written can be read").to_toml(), written);
});
