//! A conda environment is a function of its lock: cache, threads and the kind of binary do not reach its bytes; a locked build needs no network;
//! an archive that is not what was locked stops it.

use std::fs;
use std::path::Path;

use byoi::registry::testing::TestRegistry;

use crate::support::byoi::{Run, Workplace};
use crate::support::conda_base::Base;
use crate::support::rattler;
use crate::support::tools;

/// scrapy's environment and the editor on the stand-in for micromamba's image, which lies beside the description.
fn place(base: &Base, web: &TestRegistry) -> Workplace {
    let place = Workplace::new();
    let description = "schema = 1\nbase = \"oci:base\"\n\n[conda]\nchannels = [\"conda-forge\"]\npackages = [\"scrapy\", \"sagemaker-code-editor\", \"t-noarch\", \"t-modes\", \"t-old\"]\n";
    place.write("byoi.toml", description);
    std::os::unix::fs::symlink(base.layout(), place.path("base")).unwrap();
    let channel = web.url("/conda-forge/");
    place.configure(&format!("[mirrors]\n\"https://conda.anaconda.org/conda-forge/\" = {{ mirrors = [\"{channel}\"], original = false }}\n"));
    place
}

#[test]
fn neither_cache_nor_threads_nor_the_kind_of_binary_reach_the_bytes() {
    let base = Base::micromamba();
    let web = TestRegistry::start();
    web.serve_directory("/conda-forge/", rattler::channel());
    let first = place(&base, &web);
    let plain = first.byoi(&["build", "--threads", "1", "oci:image"]).ok();
    let lock = fs::read(first.path("byoi.lock")).unwrap();

    let other = place(&base, &web);
    let program = tools::static_byoi();
    let run = Run::of(&mut other.with_program(&program, &["build", "--threads", "5", "oci:image"])).ok();
    assert_eq!((run.out, fs::read(other.path("byoi.lock")).unwrap()), (plain.out.clone(), lock));
    assert!(is_static(&program), "{} is not static", program.display());

    // The locked environment once more, on a machine without any network; what it needs is in the cache.
    web.clear_log();
    fs::remove_dir_all(first.path("image")).unwrap();
    fs::remove_dir_all(first.cache().join("layers")).ok();
    let offline = Run::of(&mut first.through(&["unshare", "--net"], &["build", "--locked", "--rebuild", "oci:image"])).ok();
    assert_eq!(offline.out, plain.out);
    assert!(web.log().is_empty());

    // And from archives alone, on a machine whose cache is empty: the index of the channel is not asked for.
    first.forget();
    fs::remove_dir_all(first.path("image")).unwrap();
    assert_eq!(first.byoi(&["build", "--locked", "oci:image"]).ok().out, plain.out);
    assert!(web.asked("GET", "repodata").is_empty());
    assert!(!web.asked("GET", "scrapy").is_empty());
}

#[test]
fn an_archive_that_changed_is_refused() {
    let base = Base::micromamba();
    let web = TestRegistry::start();
    let channel = tempfile::tempdir().unwrap();
    copy(&rattler::channel(), channel.path());
    web.serve_directory("/conda-forge/", channel.path());
    let place = place(&base, &web);
    place.byoi(&["lock"]).ok();
    place.forget();
    let archive = fs::read_dir(channel.path().join("noarch")).unwrap().map(|entry| entry.unwrap().path());
    let archive = { archive }.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("scrapy-")).unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let file_name = archive.file_name().unwrap().to_str().unwrap();
    let run = place.byoi(&["build", "--locked", "oci:image"]);
    assert!(run.code != Some(0) && run.message().contains(file_name) && run.message().contains("digest"), "{}", run.err);
    assert!(!place.path("image").exists());
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
}

fn copy(from: &Path, to: &Path) {
    tools::stdout(std::process::Command::new("cp").arg("-rL").arg(from.join(".")).arg(to));
}

/// No program interpreter is named in it: nothing of the machine's libraries is loaded.
fn is_static(program: &Path) -> bool {
    let said = tools::stdout(std::process::Command::new("readelf").args(["--program-headers", "--wide"]).arg(program));
    !said.contains("INTERP")
}
