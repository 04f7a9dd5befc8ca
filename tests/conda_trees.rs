//! A prefix that byoi lays is, file by file, the one that rattler installs from the same archives, modes by byoi's own rule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use byoi::conda::testing::Specimen;
use rattler_conda_types::PrefixRecord;
use rattler_conda_types::prefix_record::PathType;

use crate::support::conda::{Packages, below_prefix, by_our_rules, comparable};
use crate::support::file_tree::assert_same;
use crate::support::tools;

const BUILT: &str = "/home/conda/feedstock_root/build_artifacts/x_1700000000000/_h_env_placehold_placehold_placehold_placehold_placehold";

/// Lays and installs the packages, and compares.
fn compare(packages: &Packages) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let prefix = directory.path().join("prefix");
    packages.install(&prefix, &directory.path().join("cache"));
    let tar = packages.laid(None);
    let retimed = retimed(&prefix);
    let ours = comparable(below_prefix(&tar), &retimed);
    let theirs = comparable(by_our_rules(&prefix), &retimed);
    assert_same("rattler", &ours, &theirs);
    tar
}

/// Paths that rattler gives a time of its own: those whose prefix it replaced, and entry points.
fn retimed(prefix: &Path) -> BTreeSet<PathBuf> {
    let records: Vec<PrefixRecord> = PrefixRecord::collect_from_prefix(prefix).unwrap();
    let paths = records.into_iter().flat_map(|record| record.paths_data.paths);
    let is_made = |kind: &PathType| matches!(kind, PathType::UnixPythonEntryPoint);
    paths.filter(|path| path.prefix_placeholder.is_some() || is_made(&path.path_type)).map(|path| path.relative_path).collect()
}

fn utf16(text: &str, little: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

fn binary(text: &str) -> Vec<u8> {
    let zero = |bytes: Vec<u8>| [bytes, vec![0; 4]].concat();
    let wide: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    [
        b"\x7fELF\0\0\0\0".to_vec(),
        zero(format!("{text}/lib:{text}/lib64").into_bytes()),
        zero(utf16(&format!("{text}/wide"), true)),
        zero(utf16(&format!("{text}/wide"), false)),
        zero(wide),
        zero(format!("before {text}").into_bytes()),
    ]
    .concat()
}

/// Larger than what is patched in memory at once.
fn large(line: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0.. {
        if bytes.len() > 40 << 20 {
            break;
        }
        bytes.extend(line(number));
    }
    bytes
}

fn awkward() -> Vec<(Specimen, &'static str)> {
    let mut python = Specimen::new("python").file("bin/python3.12", 0o755, "\x7fELF").symlink("bin/python", "python3.12");
    python.index["version"] = "3.12.11".into();
    let prefixes = Specimen::new("prefixes")
        .patched("bin/script", 0o775, BUILT, false, format!("#!{BUILT}/bin/python -E\nprefix = '{BUILT}'\n"))
        .patched("bin/no-newline", 0o755, BUILT, false, format!("#!{BUILT}/bin/python"))
        .patched("bin/spaces", 0o755, BUILT, false, format!("#!{BUILT}/bin/python with {BUILT}\n"))
        .patched("lib/text16.txt", 0o644, BUILT, false, utf16(&format!("at {BUILT}\nand {BUILT}/x"), true))
        .patched("lib/libbinary.so", 0o755, BUILT, true, binary(BUILT))
        .patched("lib/unterminated.so", 0o644, BUILT, true, format!("\0{BUILT}/end"))
        .patched("lib/unused.txt", 0o644, BUILT, false, "nothing to replace")
        .file("lib/untouched.txt", 0o644, BUILT);
    let large_ones = Specimen::new("large")
        .patched("lib/large.txt", 0o644, BUILT, false, large(|number| format!("{number}: {BUILT}/{}\n", number * 7919).into_bytes()))
        .patched("lib/large.so", 0o644, BUILT, true, large(|number| [binary(BUILT), number.to_le_bytes().repeat(3)].concat()));
    let noarch = Specimen::new("noarch-package")
        .noarch_python()
        .depends("python")
        .file("site-packages/pkg/__init__.py", 0o644, "x = 1\n")
        .patched("site-packages/pkg/config.py", 0o644, BUILT, false, format!("prefix = '{BUILT}'\n"))
        .file("python-scripts/script", 0o755, "#!/usr/bin/env python\n")
        .file("share/pkg/data", 0o600, "data")
        .file("site-packages-other/x", 0o644, "no site-packages")
        .entry_point("tool = pkg.cli:main")
        .entry_point("other-tool = pkg:Class.method");
    let links = Specimen::new("links")
        .file("bin/program", 0o755, "program")
        .hard_link("bin/alias", "bin/program", b"program")
        .hard_link("libexec/alias", "bin/program", b"program")
        .symlink("lib/libx.so", "libx.so.1")
        .symlink("lib/libx.so.1", "libx.so.1.2.3")
        .file("lib/libx.so.1.2.3", 0o755, "library")
        .symlink("share/up", "../../../outside")
        .symlink("share/absolute", "/usr/share")
        .symlink("share/dangling", "nowhere");
    let names = Specimen::new("names")
        .file(&format!("share/{}/{}", "d".repeat(120), "f".repeat(200)), 0o644, "long")
        .file("share/Ünïcode/名前.txt", 0o644, "names")
        .file("share/Case", 0o644, "upper")
        .file("share/case", 0o644, "lower")
        .file("share/with space and 'quotes\"", 0o644, "odd")
        .symlink("share/long-link", &format!("../{}", "t/".repeat(100)))
        .file("bin/setuid", 0o6755, "setuid")
        .file("share/read-only", 0o444, "read only")
        .file("share/empty", 0o664, "");
    let old = |name: &str| {
        let mut old = Specimen::new(name)
            .patched(&format!("bin/{name}"), 0o755, "/opt/anaconda1anaconda2anaconda3", false, "#!/opt/anaconda1anaconda2anaconda3/bin/python\n")
            .patched(&format!("lib/{name}.so"), 0o755, BUILT, true, binary(BUILT))
            .symlink(&format!("bin/{name}-link"), name)
            .file(&format!("share/{name}"), 0o644, name);
        old.is_old = true;
        old
    };
    let clobbered = Specimen::new("clobbered")
        .file("share/both", 0o644, "of clobbered")
        .hard_link("share/other-name", "share/both", b"of clobbered")
        .symlink("share/link", "both")
        .file("share/only", 0o644, "only");
    let clobbering = Specimen::new("clobbering")
        .depends("clobbered")
        .patched("share/both", 0o755, BUILT, false, format!("of clobbering at {BUILT}"))
        .file("share/link", 0o644, "a file");
    let before = Specimen::new("a-third").file("share/both", 0o644, "of a third");
    vec![
        (python, "conda"),
        (prefixes, "conda"),
        (large_ones, "conda"),
        (noarch, "conda"),
        (links, "tar.bz2"),
        (names, "conda"),
        (old("old"), "tar.bz2"),
        (old("transmuted"), "conda"),
        (clobbered, "conda"),
        (clobbering, "tar.bz2"),
        (before, "conda"),
    ]
}

#[test]
fn an_awkward_environment_is_the_one_that_rattler_installs() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::of_specimens(directory.path(), &awkward());
    let tar = compare(&packages);
    assert!(tar == packages.laid(None), "laid twice, it is the same");
    let mut forms = awkward();
    // bzip2 takes minutes for so much of the same as the large one has.
    for (_, form) in forms.iter_mut().filter(|(specimen, _)| specimen.index["name"] != "large") {
        *form = if *form == "conda" { "tar.bz2" } else { "conda" };
    }
    let other = tempfile::tempdir().unwrap();
    let other = Packages::of_specimens(other.path(), &forms).laid(None);
    let files = |tar: &[u8]| comparable(below_prefix(tar), &BTreeSet::new());
    assert_same("the other form", &files(&tar), &files(&other));
}

#[test]
fn scrapys_environment_is_the_one_that_rattler_installs() {
    compare(&Packages::of_channel(
        &tools::channel(),
        &["scrapy", "pip", "nodejs", "t-modes", "t-clobber-a", "t-clobber-b", "t-old", "t-noarch", "t-menu"],
    ));
}
