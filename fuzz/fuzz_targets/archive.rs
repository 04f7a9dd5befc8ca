//! Any bytes as an archive of any kind, unpacked with and without cutting paths.
#![no_main]

use std::io::Write;

use byoi::layer::Node;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((strip, bytes)) = bytes.split_first() else { return };
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let Ok(members) = byoi::archive::unpack(file, "x", usize::from(*strip % 4)) else { return };
    for (path, entry) in members {
        assert!(!path.is_root() && entry.mode <= 0o777);
        if let Node::File(content) = entry.node {
            let size = content.open().and_then(|mut reader| std::io::copy(&mut reader, &mut std::io::sink()));
            assert!(size.is_err() || size.is_ok_and(|size| size == content.size()));
        }
    }
});
