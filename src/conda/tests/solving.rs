//! Which packages are locked, and what is said where none can be.

use super::*;
use crate::base::index::{Attributes, Entry, File, Node};
use crate::error::Kind;
use crate::plan::Component;

fn small(bench: &Bench) -> TestChannel {
    small_without(bench, "")
}

fn small_without(bench: &Bench, name: &str) -> TestChannel {
    let mut packages = vec![
        TestPackage::new("python", "3.11.9").depends(&["__glibc >=2.17"]),
        TestPackage::new("python", "3.12.4").depends(&["__glibc >=2.17"]),
        TestPackage::new("attrs", "23.1").noarch("python").depends(&["python >=3.8"]),
        TestPackage::new("scrapy", "2.11.0").noarch("python").depends(&["python >=3.8", "attrs"]),
        TestPackage::new("old-tool", "1.0").depends(&["python <3.12"]),
        TestPackage::new("gpu", "1.0").depends(&["__cuda >=12"]),
        TestPackage::new("modern", "1.0").depends(&["__glibc >=2.39"]),
    ];
    packages.retain(|package| package.name != name);
    TestChannel::write(bench.path("channel"), &packages)
}

#[test]
fn specs_are_met_with_what_they_depend_on() {
    let bench = Bench::new();
    let channel = small(&bench);
    let conda = bench.locked(&asking(&["./channel"], &["scrapy >=2.11", "python"]));
    assert_eq!(versions(&conda), ["attrs 23.1", "python 3.12.4", "scrapy 2.11.0"]);
    assert_eq!(conda.requirement.channels, ["./channel"]);
    assert_eq!(conda.requirement.specs, ["scrapy >=2.11", "python"]);
    let python = conda.python.unwrap();
    assert_eq!((python.version.as_str(), python.site_packages.as_str()), ("3.12.4", "lib/python3.12/site-packages"));
    let scrapy = &conda.packages[2];
    assert_eq!((scrapy.subdir.as_str(), scrapy.noarch, scrapy.file_name()), ("noarch", lock::Noarch::Python, "scrapy-2.11.0-h1_0.conda"));
    assert_eq!(format!("{}/", scrapy.channel), format!("{}/", channel.url()));
    let bytes = std::fs::read(channel.directory.join("noarch").join(scrapy.file_name())).unwrap();
    assert_eq!((scrapy.sha256, scrapy.size), (crate::digest::Digest::of(&bytes), bytes.len() as u64));
    assert!(!scrapy.md5_only);
}

#[test]
fn channels_go_by_their_order() {
    let bench = Bench::new();
    TestChannel::write(bench.path("first"), &[TestPackage::new("a", "1.0")]);
    TestChannel::write(bench.path("second"), &[TestPackage::new("a", "2.0"), TestPackage::new("b", "1.0")]);
    let conda = bench.locked(&asking(&["./first", "./second"], &["a", "b"]));
    assert_eq!(versions(&conda), ["a 1.0", "b 1.0"]);
    let conda = bench.locked(&asking(&["./second", "./first"], &["a", "b"]));
    assert_eq!(versions(&conda), ["a 2.0", "b 1.0"]);
}

#[test]
fn the_image_answers_for_the_machine() {
    let mut bench = Bench::new();
    small(&bench);
    insta::assert_snapshot!("needs_cuda", bench.refused(&asking(&["./channel"], &["gpu"])));
    let declared = with(asking(&["./channel"], &["gpu"]), |conda| conda.cuda = Some(Spanned { value: "12.4".to_owned(), span: 0..0 }));
    assert_eq!(versions(&bench.locked(&declared)), ["gpu 1.0"]);
    insta::assert_snapshot!("needs_newer_glibc", bench.refused(&asking(&["./channel"], &["modern"])));
    bench.glibc = Some("2.39");
    assert_eq!(versions(&bench.locked(&asking(&["./channel"], &["modern"]))), ["modern 1.0"]);
    bench.glibc = None;
    insta::assert_snapshot!("needs_glibc", bench.refused(&asking(&["./channel"], &["python"])));
}

#[test]
fn a_conflict_is_shown_under_the_lines_that_make_it() {
    let bench = Bench::new();
    small(&bench);
    insta::assert_snapshot!("conflict", bench.refused(&asking(&["./channel"], &["attrs", "python 3.12.*", "scrapy", "old-tool"])));
    insta::assert_snapshot!("no_such_package", bench.refused(&asking(&["./channel"], &["python", "skrapy"])));
    insta::assert_snapshot!("no_such_version", bench.refused(&asking(&["./channel"], &["scrapy >=3"])));
}

#[test]
fn a_spec_that_is_none_is_an_error_at_its_place() {
    let bench = Bench::new();
    small(&bench);
    let description = asking(&["./channel"], &["python ==", "scrapy", "other::attrs", "py*", "https://a.org/x-1-0.conda"]);
    insta::assert_snapshot!("bad_specs", bench.refused(&description));
    let problems = crate::conda::check(&description, bench.directory.path());
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(crate::conda::check(&asking(&["./channel"], &["python"]), bench.directory.path()).is_empty());
}

#[test]
fn what_was_locked_is_preferred_until_an_update_asks_for_it() {
    let mut bench = Bench::new();
    let packages = [TestPackage::new("a", "1.0"), TestPackage::new("b", "1.0"), TestPackage::new("c", "1.0")];
    TestChannel::write(bench.path("channel"), &packages);
    let first = bench.locked(&asking(&["./channel"], &["a", "b"]));
    bench.keep(first.clone());
    let newer = ["a", "b", "c"].map(|name| TestPackage::new(name, "2.0"));
    let mut channel = TestChannel::write(bench.path("channel"), &[packages.as_slice(), &newer].concat());
    assert_eq!(bench.locked(&asking(&["./channel"], &["a", "b"])), first);
    assert_eq!(versions(&bench.locked(&asking(&["./channel"], &["a", "b", "c"]))), ["a 1.0", "b 1.0", "c 2.0"]);
    // The same archives at another place are the same packages.
    std::fs::rename(bench.path("channel"), bench.path("moved")).unwrap();
    assert_eq!(versions(&bench.locked(&asking(&["./moved"], &["a", "b"]))), ["a 1.0", "b 1.0"]);
    std::fs::rename(bench.path("moved"), bench.path("channel")).unwrap();
    bench.update = vec!["b"];
    assert_eq!(versions(&bench.locked(&asking(&["./channel"], &["a", "b"]))), ["a 1.0", "b 2.0"]);
    bench.update = vec!["*"];
    assert_eq!(versions(&bench.locked(&asking(&["./channel"], &["a", "b"]))), ["a 2.0", "b 2.0"]);
    bench.update = Vec::new();
    channel.remove("a", "1.0");
    assert_eq!(versions(&bench.locked(&asking(&["./channel"], &["a", "b", "c"]))), ["a 2.0", "b 1.0", "c 2.0"]);
}

#[test]
fn an_unchanged_requirement_needs_no_channel() {
    let mut bench = Bench::new();
    let channel = small(&bench);
    let description = asking(&["./channel"], &["scrapy"]);
    let first = bench.locked(&description);
    bench.keep(first.clone());
    std::fs::remove_dir_all(&channel.directory).unwrap();
    assert_eq!(bench.locked(&description), first);
    // Another base is solved for anew.
    bench.glibc = Some("2.28");
    assert!(bench.refused(&description).contains("there is no channel"));
}

#[test]
fn the_same_question_has_the_same_answer() {
    let bench = Bench::new();
    let mut packages = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        for version in ["1.0", "1.1", "2.0"] {
            packages.push(TestPackage::new(name, version));
        }
    }
    packages.push(TestPackage::new("top", "1.0").noarch("generic").depends(&["a", "b <2", "c", "d >=1.1", "e", "f", "g"]));
    TestChannel::write(bench.path("channel"), &packages);
    let first = bench.locked(&asking(&["./channel"], &["top"]));
    assert_eq!(versions(&first), ["a 2.0", "b 1.1", "c 2.0", "d 2.0", "e 2.0", "f 2.0", "g 2.0", "top 1.0"]);
    packages.reverse();
    std::fs::rename(bench.path("channel"), bench.path("before")).unwrap();
    let again = Bench::new();
    TestChannel::write(bench.path("channel"), &packages);
    std::fs::rename(bench.path("channel"), again.path("channel")).unwrap();
    let second = again.locked(&asking(&["./channel"], &["top"]));
    assert_eq!(versions(&first), versions(&second));
}

/// Gives the base an environment of these packages, each with a file of its own, one in a directory of its own, and one that all have.
fn lay_in_base(bench: &mut Bench, conda: &lock::Conda) {
    let attributes = Attributes { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
    let prefix = ImagePath::literal("opt/conda");
    let record = |package: &lock::CondaPackage| {
        let text = std::fs::read_to_string(bench.path("channel").join(&package.subdir).join("repodata.json")).unwrap();
        let index: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut record = index["packages.conda"][package.file_name()].clone();
        record["fn"] = package.file_name().into();
        record["url"] = package.url.as_str().into();
        record["channel"] = package.channel.as_str().into();
        let files = [format!("share/{}.txt", package.name), format!("old/{}/file", package.name), "share/common".to_owned()];
        record["files"] = serde_json::json!(files);
        let packed = zstd::encode_all(record.to_string().as_bytes(), 3).unwrap();
        let record = (format!("conda-meta/{}.json", package.record_name()), File { packed: Some(packed.into()), ..File::default() });
        files.map(|path| (path, File::default())).into_iter().chain([record])
    };
    let entry = |(path, file): (String, File)| (prefix.join(path).unwrap(), Entry { attributes, node: Node::File(file) });
    bench.index = conda.packages.iter().flat_map(record).map(entry).collect();
    bench.existing = crate::conda::existing::packages(&bench.index, &prefix).unwrap();
}

#[test]
fn packages_of_the_base_stay_or_change_as_asked() {
    let mut bench = Bench::new();
    small(&bench);
    let declared = |conda: &mut Conda| conda.cuda = Some(Spanned { value: "12.4".to_owned(), span: 0..0 });
    let base = bench.locked(&with(asking(&["./channel"], &["python 3.11.*", "attrs", "gpu"]), declared));
    // One of them asks for a machine that nobody declares now: it stays all the same.
    lay_in_base(&mut bench, &base);
    let keep = asking(&["./channel"], &["scrapy"]);
    let conda = bench.locked(&keep);
    assert_eq!(versions(&conda), ["scrapy 2.11.0"]);
    assert_eq!(conda.python.as_ref().unwrap().version, "3.11.9");
    assert!(conda.replaced.is_empty());
    insta::assert_snapshot!("kept_package_in_the_way", bench.refused(&asking(&["./channel"], &["scrapy", "python 3.12.*"])));
    let update = |specs: &[&str]| with(with(asking(&["./channel"], specs), declared), |conda| conda.existing = Existing::Update);
    let conda = bench.locked(&update(&["scrapy"]));
    assert_eq!((versions(&conda), conda.replaced.len()), (vec!["scrapy 2.11.0".to_owned()], 0));
    let conda = bench.locked(&update(&["scrapy", "python 3.12.*"]));
    // attrs is Python's: it is laid again where the new one finds it.
    assert_eq!(versions(&conda), ["attrs 23.1", "python 3.12.4", "scrapy 2.11.0"]);
    let replaced: Vec<_> = conda.replaced.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    assert_eq!(replaced, [("attrs", "23.1"), ("python", "3.11.9")]);
    // `share/python.txt` is laid again, `share/common` is gpu's too.
    assert_eq!(conda.replaced[0].removes, ["old/attrs/"]);
    assert_eq!(conda.replaced[1].removes, ["conda-meta/python-3.11.9-h1_0.json", "old/python/"]);
    let shown = crate::conda::history(&conda, (0, 0), "").unwrap().recipe().unwrap().to_string();
    assert!(shown.contains("+") && !shown.contains("attrs-23.1"), "what only moved neither came nor went: {shown}");
}

#[test]
fn a_base_at_odds_with_itself_can_be_added_to() {
    let mut bench = Bench::new();
    let mut channel = small(&bench);
    let declared = |conda: &mut Conda| conda.cuda = Some(Spanned { value: "12.4".to_owned(), span: 0..0 });
    let base = bench.locked(&with(asking(&["./channel"], &["python 3.11.*", "attrs", "old-tool", "gpu"]), declared));
    channel.patch("attrs", |record| {
        record["depends"] = serde_json::json!(["python >=3.8", "gpu >=99", "modern >=2", "not [a spec", "__cuda >=99", "lost"]);
        record["constrains"] = serde_json::json!(["python <3", "old-tool 7.*", "(", "__glibc >=99"]);
    });
    lay_in_base(&mut bench, &base);
    // What the base has need not be in the channel any more.
    small_without(&bench, "old-tool");
    for existing in [Existing::Keep, Existing::Update] {
        let asked = |specs: &[&str]| with(asking(&["./channel"], specs), |conda| conda.existing = existing);
        let conda = bench.locked(&asked(&["scrapy"]));
        assert_eq!((versions(&conda), conda.replaced.len()), (vec!["scrapy 2.11.0".to_owned()], 0));
    }
    // What it asks of packages that it does not have binds those that come.
    bench.glibc = Some("2.39");
    let error = bench.refused(&asking(&["./channel"], &["modern"]));
    assert!(error.contains("modern") && error.contains("attrs"), "{error}");
}

#[test]
fn errors_of_descriptions_are_input_errors() {
    let bench = Bench::new();
    small(&bench);
    let kind = |description: &Description| bench.block_on(bench.lock(description)).unwrap_err().fault().kind();
    assert_eq!(kind(&asking(&["./channel"], &["skrapy"])), Kind::Input);
    assert_eq!(kind(&asking(&["./none"], &["scrapy"])), Kind::Input);
}
