//! An image's entrypoint is a script for `/bin/sh`: where nothing can bring one, that is an error before a byte is made.

use std::fs;

use crate::support::base::set_mode;
use crate::support::byoi::Workplace;

const EDITOR: &str = "[[file]]\nsource = \"editor\"\ntarget = \"/opt/editor\"\n";
const SHELL: &str = "[[file]]\ncontent = \"a shell\\n\"\ntarget = \"/bin/sh\"\nmode = \"0755\"\n";
const ARCHIVE: &str = "[[file]]\nsource = \"system.tar\"\nunpack = true\ntarget = \"/usr\"\n";
const MISSING: [&str; 3] = ["neither the base nor a [[file]] brings a shell", "the image's entrypoint is a script", "target = \"/bin/sh\""];

/// A description on nothing, with an editor and these other files.
fn describe(place: &Workplace, files: &str) {
    place.write("byoi.toml", format!("schema = 1\nbase = \"scratch\"\n{EDITOR}{files}"));
}

#[test]
fn a_base_without_a_shell_is_refused_unless_a_file_may_bring_one() {
    let place = Workplace::new();
    place.write("editor/bin/sagemaker-code-editor", "#!/bin/sh\n");
    set_mode(&place.path("editor/bin/sagemaker-code-editor"), 0o755);
    place.write("system.tar", tar::Builder::new(Vec::new()).into_inner().unwrap());
    describe(&place, "");
    for command in [&["lock"][..], &["build", "oci:image"]] {
        place.byoi(command).fails(1, &MISSING);
        assert!(!place.path("byoi.lock").exists() && !place.path("image").exists());
    }
    for files in [SHELL, ARCHIVE] {
        describe(&place, files);
        // Neither is a system in which the editor starts.
        place.byoi(&["build", "--allow", "BYOI064", "oci:image"]).ok();
        place.byoi(&["check", "--locked"]).ok();
    }
    // Local files are not in the lock, so it is current without them.
    fs::remove_dir_all(place.path("image")).unwrap();
    describe(&place, "");
    for command in [&["check"][..], &["build", "--locked", "oci:image"]] {
        place.byoi(command).fails(1, &MISSING);
        assert!(!place.path("image").exists());
    }
}
