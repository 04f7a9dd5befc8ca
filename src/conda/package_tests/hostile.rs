//! Packages that lie, or want to do harm.

use proptest::prelude::*;
use serde_json::json;
use tar::EntryType;

use super::*;
use crate::conda::testing::in_conda;

/// The error of laying the archive of `specimen` in both forms, with the lock's entry of a harmless package of that name.
fn refused(specimen: &Specimen) -> String {
    let harmless = Specimen::new("a");
    let of = |bytes: Vec<u8>, extension: &str| {
        let mut locked = harmless.locked(&harmless.to_conda(), "conda", None);
        locked.url = format!("https://conda.example/main/linux-64/a-1.0-0.{extension}").parse().unwrap();
        locked.sha256 = Digest::of(&bytes);
        lay(&locked, &bytes).unwrap_err()
    };
    let (conda, tar) = (of(specimen.to_conda(), "conda"), of(specimen.to_tar_bz2(), "tar.bz2"));
    assert_eq!(conda, tar);
    assert!(conda.starts_with("cannot lay the conda package a-1.0-0: "), "{conda}");
    conda
}

fn a() -> Specimen {
    Specimen::new("a")
}

#[test]
fn paths_do_not_leave_the_prefix() {
    for (path, expected) in [
        ("../x", "leaves its root"),
        ("a/../../x", "leaves its root"),
        ("/etc/passwd", "is absolute"),
        ("a\0b", "NUL"),
        (".", "is the prefix itself"),
        ("", "is the prefix itself"),
        ("a/.wh.b", "means a deletion"),
        (&format!("a/{}", "x".repeat(256)), "more than 255 bytes"),
        (&"x/".repeat(2100), "longer than 4095"),
    ] {
        let error = refused(&a().entry(json!({"_path": path, "path_type": "hardlink"})));
        assert!(error.contains(expected), "{path}: {error}");
    }
    for (name, kind, link, expected) in [
        (&b"../x"[..], EntryType::Regular, "", "leaves its root"),
        (b"/etc/passwd", EntryType::Regular, "", "absolute"),
        (b"a/.wh.b", EntryType::Regular, "", "means a deletion"),
        (b"x", EntryType::Link, "../../etc/passwd", "hard link whose target leaves"),
        (b"x", EntryType::Link, "y", "hard link to a file that does not come before it"),
        (b"x", EntryType::Block, "", "is a device"),
        (b"x", EntryType::Char, "", "is a device"),
        (b"x", EntryType::Fifo, "", "is a named pipe"),
        (b"x", EntryType::GNUSparse, "", "sparse"),
    ] {
        let error = refused(&a().member(name, kind, 0o644, link, ""));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn entry_points_do_not_leave_the_prefix() {
    for point in ["../x = a:b", "/etc/x = a:b", "x/y = a:b", ".. = a:b", "x = a;import os:b"] {
        let specimen = Specimen::new("a").noarch_python().entry_point(point);
        let error = refused(&specimen);
        assert!(error.contains("`info/link.json` cannot be read"), "{point}: {error}");
    }
}

#[test]
fn what_paths_json_says_of_a_member_must_hold() {
    let wrong = |change: fn(&mut serde_json::Value)| {
        let mut specimen = a().file("share/x", 0o644, "text");
        change(&mut specimen.paths[0]);
        let bytes = specimen.to_conda();
        lay(&specimen.locked(&bytes, "conda", None), &bytes).unwrap_err()
    };
    for (error, expected) in [
        (wrong(|entry| entry["sha256"] = json!("0".repeat(64))), "`share/x` has another sha256 in the archive than in `info/paths.json`"),
        (wrong(|entry| entry["size_in_bytes"] = json!(5)), "`share/x` has another size"),
        (wrong(|entry| entry["path_type"] = json!("softlink")), "`share/x` is of another type"),
        (wrong(|entry| entry["path_type"] = json!("directory")), "`share/x` is a directory in `info/paths.json`"),
        (wrong(|entry| entry["_path"] = json!("share/y")), "`share/y` is listed, and the archive does not have it"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let twice = a().file("x", 0o644, "").entry(json!({"_path": "./x", "path_type": "hardlink"}));
    assert!(refused(&twice).contains("`./x` is listed twice"));
    let mut link = a().symlink("x", "y");
    link.paths[0]["path_type"] = json!("hardlink");
    let bytes = link.to_conda();
    assert!(lay(&link.locked(&bytes, "conda", None), &bytes).unwrap_err().contains("`x` is of another type"));
}

#[test]
fn what_the_lock_says_must_hold() {
    let specimen = a().file("share/x", 0o644, "text").directory("share/d");
    let bytes = specimen.to_conda();
    let wrong = |change: fn(&mut CondaPackage)| {
        let mut locked = specimen.locked(&bytes, "conda", None);
        change(&mut locked);
        lay(&locked, &bytes).unwrap_err()
    };
    for (error, expected) in [
        (wrong(|locked| locked.name = "b".to_owned()), "the lock says that its name is b, and the archive says a"),
        (wrong(|locked| locked.version = "1".to_owned()), "its version is 1, and the archive says 1.0"),
        (wrong(|locked| locked.build = "1".to_owned()), "its build is 1"),
        (wrong(|locked| locked.noarch = crate::lock::Noarch::Python), "its noarch is python"),
        (wrong(|locked| locked.laid_size += 512), "its size when it is laid is"),
        (wrong(|locked| locked.clobbered = vec!["share/y".to_owned()]), "its clobbered path is share/y"),
        (wrong(|locked| locked.clobbered = vec!["share/d".to_owned()]), "its clobbered path is share/d"),
        (wrong(|locked| locked.url = "https://conda.example/a-1.0-0.zip".parse().unwrap()), "neither in `.conda` nor in `.tar.bz2`"),
        (wrong(|locked| locked.url = "https://conda.example/a-1.0-0.tar.bz2".parse().unwrap()), "it is damaged"),
    ] {
        assert!(error.contains(expected), "{error} should hold {expected}");
    }
}

#[test]
fn bombs_are_refused_early() {
    let zeros = a().file("zeros", 0o644, vec![0; 20 << 20]);
    assert!(refused(&zeros).contains("as an archive does that is made to do harm"));
    let placeholder = a().patched("x", 0o644, "a", true, "a\0".repeat(1 << 19));
    let bytes = placeholder.to_conda();
    assert!(lay(&placeholder.locked(&bytes, "conda", None), &bytes).unwrap_err().contains("more often than a file does"));
    for text in ["a".repeat(5000), "a\0b".to_owned()] {
        let error = refused(&a().patched("x", 0o644, &text, false, ""));
        assert!(error.contains("placeholder"), "{error}");
    }
}

#[test]
fn damaged_archives_are_refused() {
    let specimen = a().file("share/x", 0o644, "text".repeat(1000));
    let harmless = specimen.locked(&specimen.to_conda(), "conda", None);
    for bytes in [Vec::new(), b"PK\x03\x04".to_vec(), specimen.to_conda()[..600].to_vec(), specimen.to_tar_bz2()] {
        let locked = CondaPackage { sha256: Digest::of(&bytes), ..harmless.clone() };
        lay(&locked, &bytes).unwrap_err();
    }
    let mut flipped = specimen.to_conda();
    let place = flipped.windows(4).position(|bytes| bytes == [0x28, 0xb5, 0x2f, 0xfd]).unwrap() + 20;
    flipped[place] ^= 0xff;
    let locked = CondaPackage { sha256: Digest::of(&flipped), ..harmless };
    lay(&locked, &flipped).unwrap_err();
}

/// A package with something of everything.
fn varied() -> Specimen {
    a().noarch_python()
        .file("bin/x", 0o755, "x")
        .hard_link("bin/y", "bin/x", b"x")
        .symlink("lib/link", "../x")
        .directory("lib/empty")
        .patched("share/text", 0o644, "/built", false, "#!/built/x\n/built")
        .patched("share/binary", 0o644, "/built/long/enough", true, "\0/built/long/enough/x\0")
        .file("site-packages/a.py", 0o644, "")
        .entry_point("tool = a:b")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn whatever_bytes_change_nothing_leaves_the_prefix(
        changes in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
        texts in proptest::collection::vec((any::<prop::sample::Index>(), proptest::sample::select(&["../", "/", ".", "info", "\0", "bin/x", "-1", "null"][..])), 0..3),
    ) {
        let mut info = varied().info_tar();
        let content = varied().content_tar();
        for (index, text) in texts {
            let at = index.index(info.len() - text.len());
            info[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        let mut content = content;
        for (is_info, index, byte) in changes {
            let tar = if is_info { &mut info } else { &mut content };
            let at = index.index(tar.len());
            tar[at] = byte;
        }
        let bytes = in_conda(&info, &content);
        let harmless = varied();
        let mut locked = harmless.locked(&harmless.to_conda(), "conda", Some(&python()));
        locked.sha256 = Digest::of(&bytes);
        if let Ok(laid) = component(&locked).lay(&archives(&bytes)) {
            for (path, entry) in laid {
                prop_assert!(path.starts_with(&prefix()) && path != prefix());
                prop_assert!(matches!(entry.mode, 0 | 0o644 | 0o755 | 0o777));
                if matches!(entry.node, Node::File(_)) {
                    super::bytes(&entry);
                }
            }
        }
    }
}
