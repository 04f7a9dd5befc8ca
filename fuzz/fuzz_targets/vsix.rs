//! Any bytes as a VSIX: opened, and every file that it then has is read.
#![no_main]

use std::io::Write;
use std::sync::Arc;

use byoi::extension::{Node, Vsix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let Ok(vsix) = Vsix::open(&Arc::new(file)) else { return };
    assert!(!vsix.manifest.directory().contains('/'));
    for (path, node) in vsix.tree {
        assert!(!path.is_root());
        if let Node::File(content, mode) = node {
            assert!(mode <= 0o777);
            let size = content.open().and_then(|mut reader| std::io::copy(&mut reader, &mut std::io::sink()));
            assert!(size.is_err() || size.is_ok_and(|size| size == content.size()));
        }
    }
});
