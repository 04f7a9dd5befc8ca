//! Archives: fetched, proved, resumed; and those that only md5 vouches for.

use serde_json::json;

use super::*;
use crate::conda::download::fetch_with;
use crate::digest::Digest;
use crate::registry::testing::{TestRegistry, Trouble};

fn packages() -> [TestPackage; 2] {
    let noise: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    [TestPackage::new("big", "1.0").file("lib/noise", noise), TestPackage::new("old", "1.0").tar_bz2()]
}

fn fetch(bench: &Bench, conda: &lock::Conda) -> Result<(), Error> {
    let needed: Vec<Digest> = conda.packages.iter().map(|package| package.sha256).collect();
    let world = bench.world();
    bench.block_on(fetch_with(&conda.packages, &needed, &world, || Ok(Credentials::none())))
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let server = TestRegistry::start();
    let locked = Bench::new();
    let url = TestChannel::write(locked.path("channel"), &packages()).serve(&server, "/channel");
    let conda = locked.locked(&asking(&[&url], &["big", "old"]));
    let bench = Bench::new();
    server.order(Trouble::broken_after("GET", "big-1.0", 150_000).times(1));
    server.clear_log();
    fetch(&bench, &conda).unwrap();
    let asked = server.asked("GET", "big-1.0");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].headers.get("range").is_some_and(|range| range.starts_with("bytes=") && !range.starts_with("bytes=0-")), "{asked:?}");
    // What is in the cache is not asked for again.
    server.clear_log();
    fetch(&bench, &conda).unwrap();
    assert!(server.log().is_empty());
}

#[test]
fn an_interrupted_download_goes_on_in_another_process() {
    let server = TestRegistry::start();
    let locked = Bench::new();
    let url = TestChannel::write(locked.path("channel"), &packages()).serve(&server, "/channel");
    let conda = locked.locked(&asking(&[&url], &["big"]));
    let bench = Bench::new();
    let partial = bench.store.root().join("partial").join(conda.packages[0].sha256.hex());
    let break_off = || {
        server.order(Trouble::broken_after("GET", "big-1.0", 150_000).always());
        assert!(fetch(&bench, &conda).is_err());
        server.calm();
        server.clear_log();
        std::fs::metadata(&partial).unwrap().len()
    };
    let had = break_off();
    assert!(had >= 150_000, "{had}");
    // As long as another is at it, one begins anew, beside it.
    let other = std::fs::File::open(&partial).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fetch(&bench, &conda).unwrap();
    assert!(!server.asked("GET", "big-1.0")[0].headers.contains_key("range"));
    assert!(partial.exists());
    drop(other);

    let whole = bench.store.blob(&conda.packages[0].sha256).unwrap();
    std::fs::remove_file(&whole).unwrap();
    server.clear_log();
    fetch(&bench, &conda).unwrap();
    assert_eq!(server.asked("GET", "big-1.0")[0].headers.get("range"), Some(&format!("bytes={had}-")));
    assert!(!partial.exists());
    let bytes = std::fs::read(&whole).unwrap();
    assert_eq!(Digest::of(&bytes), conda.packages[0].sha256);

    // What cannot be the beginning is found out, and given up: changed bytes, all of them, too many.
    let mut changed = bytes.clone();
    changed[7] ^= 1;
    for left in [&changed[..1000], &changed[..], &[&bytes[..], b"more"].concat()[..]] {
        std::fs::remove_file(&whole).unwrap();
        std::fs::write(&partial, left).unwrap();
        fetch(&bench, &conda).unwrap();
        assert!(bytes == std::fs::read(&whole).unwrap() && !partial.exists());
    }
    // All of it, which only was not renamed yet.
    std::fs::rename(&whole, &partial).unwrap();
    server.clear_log();
    fetch(&bench, &conda).unwrap();
    assert!(server.log().is_empty() && whole.exists());
}

#[test]
fn other_bytes_than_the_lock_says_are_refused() {
    let server = TestRegistry::start();
    let locked = Bench::new();
    let channel = TestChannel::write(locked.path("channel"), &packages());
    let url = channel.serve(&server, "/channel");
    let conda = locked.locked(&asking(&[&url], &["big"]));
    let bench = Bench::new();
    server.order(Trouble::corrupt("GET", "big-1.0").always());
    let text = bench.shown(&fetch(&bench, &conda).unwrap_err());
    assert!(text.contains("has the digest"), "{text}");
    let local = locked.locked(&asking(&["./channel"], &["big"]));
    let path = channel.directory.join("linux-64/big-1.0-h1_0.conda");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(fetch(&bench, &local).is_err());
    assert!(bench.store.blob(&local.packages[0].sha256).is_none());
}

#[test]
fn md5_vouches_where_there_is_nothing_else() {
    let bench = Bench::new();
    let mut channel = TestChannel::write(bench.path("channel"), &packages());
    channel.patch("old", |record| {
        record.remove("sha256");
        record.remove("size");
    });
    let conda = bench.locked(&asking(&["./channel"], &["old"]));
    let bytes = std::fs::read(channel.directory.join("linux-64/old-1.0-h1_0.tar.bz2")).unwrap();
    assert!(conda.packages[0].md5_only);
    assert_eq!((conda.packages[0].sha256, conda.packages[0].size), (Digest::of(&bytes), bytes.len() as u64));
    channel.patch("old", |record| {
        record.insert("md5".to_owned(), json!("0".repeat(32)));
    });
    assert!(bench.refused(&asking(&["./channel"], &["old"])).contains("has the md5"));
    channel.patch("old", |record| {
        record.remove("md5");
    });
    assert!(bench.refused(&asking(&["./channel"], &["old"])).contains("nothing vouches"));
}

#[test]
fn the_info_section_is_asked_for_in_part_and_remembered() {
    let server = TestRegistry::start();
    let bench = Bench::new();
    let url = TestChannel::write(bench.path("channel"), &packages()).serve(&server, "/channel");
    let description = asking(&[&url], &["big"]);
    let conda = bench.locked(&description);
    let archive = conda.packages[0].size;
    let asked = server.asked("GET", "big-1.0");
    assert!(asked.iter().all(|asked| asked.status == 206) && asked.iter().map(|asked| asked.bytes_out).sum::<u64>() < archive / 2, "{asked:?}");
    assert!(bench.store.blob(&conda.packages[0].sha256).is_none());
    server.clear_log();
    assert_eq!(bench.locked(&description), conda);
    assert!(server.asked("GET", "big-1.0").is_empty());
    // A server that knows no ranges sends the whole, which is kept.
    let other = Bench::new();
    server.order(Trouble::without_ranges("GET", "big-1.0").always());
    assert_eq!(other.locked(&description), conda);
    assert!(other.store.blob(&conda.packages[0].sha256).is_some());
}

#[test]
fn who_lays_what_is_locked() {
    let bench = Bench::new();
    let packages = [
        TestPackage::new("first", "1.0").file("lib/shared", "first").file("bin/.first-post-link.sh", "echo"),
        TestPackage::new("second", "1.0").depends(&["first"]).file("lib/shared", "second"),
        TestPackage::new("third", "1.0").file("share/first.txt/below", "x"),
    ];
    let mut channel = TestChannel::write(bench.path("channel"), &packages);
    let description = asking(&["./channel"], &["second"]);
    insta::assert_snapshot!("link_script", bench.refused(&description));
    let allowed = with(description.clone(), |conda| conda.allow_link_scripts = vec![Spanned { value: "first".to_owned(), span: 0..0 }]);
    let conda = bench.locked(&allowed);
    assert_eq!((conda.packages[0].clobbered.as_slice(), conda.packages[1].clobbered.as_slice()), (&["lib/shared".to_owned()][..], &[][..]));
    assert_eq!(conda.packages[0].link_scripts, ["bin/.first-post-link.sh"]);
    // A header a file, and a block of content for each.
    assert_eq!((conda.packages[0].laid_size, conda.packages[1].laid_size), (4 * 512, 4 * 512));
    assert_eq!((&conda.packages[0].depends, &conda.packages[1].depends), (&None, &None));
    let kept = Bench { old: Some(Lock { base: bench.base(), conda: Some(conda), extensions: Vec::new(), files: Vec::new() }), ..Bench::new() };
    assert!(kept.refused(&with(asking(&["./channel"], &["second"]), |_| ())).contains("allow-link-scripts"));
    insta::assert_snapshot!(
        "file_against_directory",
        bench.refused(&with(asking(&["./channel"], &["first", "third"]), |conda| {
            conda.allow_link_scripts = vec![Spanned { value: "first".to_owned(), span: 0..0 }];
        }))
    );
    channel.patch("second", |record| {
        record.insert("depends".to_owned(), json!(["first >=1"]));
    });
    let conda = bench.locked(&allowed);
    assert_eq!(conda.packages[1].depends.as_deref(), Some(&["first >=1".to_owned()][..]));
    channel.patch("second", |record| {
        record.insert("version".to_owned(), json!("2.0"));
    });
    assert!(bench.refused(&allowed).contains("holds second 1.0 h1_0, and the channel's index says second 2.0 h1_0"));
}

#[test]
fn activation_and_editor_are_read_out_of_the_packages() {
    let bench = Bench::new();
    let packages = [
        TestPackage::new("gdal", "3.9")
            .file("etc/conda/activate.d/gdal-activate.sh", "export GDAL_DATA=\"${CONDA_PREFIX}/share/gdal\"\n")
            .file("etc/conda/activate.d/more.sh", "if true; then echo; fi\n")
            .file("etc/conda/env_vars.d/gdal.json", r#"{"CPL_ZIP_ENCODING": "UTF-8"}"#),
        TestPackage::new("sagemaker-code-editor", "1.9")
            .file("bin/sagemaker-code-editor", "#!/bin/sh\n")
            .file("share/sagemaker-code-editor/package.json", r#"{"version": "1.101.2"}"#)
            .file("share/sagemaker-code-editor/extensions/git/package.json", r#"{"publisher": "vscode", "name": "git"}"#),
        TestPackage::new("reserved", "1.0").file("etc/conda/env_vars.d/reserved.json", r#"{"PATH": "/x"}"#),
    ];
    TestChannel::write(bench.path("channel"), &packages);
    let description = asking(&["./channel"], &["gdal", "sagemaker-code-editor"]);
    let conda = bench.locked(&description);
    let variables: Vec<_> = conda.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["CPL_ZIP_ENCODING=UTF-8", "GDAL_DATA=/opt/conda/share/gdal"]);
    assert_eq!(conda.activation_scripts, ["etc/conda/activate.d/more.sh"]);
    let warned =
        |description: &Description| crate::conda::warnings(description, &conda).iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
    assert!(matches!(warned(&description).as_slice(), [one] if one.contains("etc/conda/activate.d/more.sh")));
    assert!(warned(&with(description.clone(), |conda| conda.activate = crate::description::Activate::Entrypoint)).is_empty());
    let editor = conda.editor.as_ref().unwrap();
    assert_eq!((editor.version.as_str(), editor.launcher.absolute().as_str()), ("1.101.2", "/opt/conda/bin/sagemaker-code-editor"));
    assert_eq!(editor.builtin_extensions, ["vscode.git"]);
    // A second time without the archives.
    std::fs::remove_dir_all(bench.store.root().join("blobs/sha256")).unwrap();
    std::fs::create_dir(bench.store.root().join("blobs/sha256")).unwrap();
    assert_eq!(bench.locked(&description), conda);
    assert!(bench.refused(&asking(&["./channel"], &["reserved"])).contains("`etc/conda/env_vars.d/reserved.json`"));
}
