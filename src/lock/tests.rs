//! Locks read back what was written, and nothing else; staleness and differences.

mod conda;

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::description;
use crate::digest::Digest;
use crate::error::{Error, Kind};
use crate::image_path::ImagePath;

fn sample() -> Lock {
    let time: Timestamp = "2026-08-19T10:11:12Z".parse().unwrap();
    let root = DirectoryRule { mode: 0o755, uid: 0, gid: 0 };
    let tmp = DirectoryRule { mode: 0o1777, uid: 0, gid: 0 };
    let settings = Text { mode: 0o644, owner: (1000, 100), content: "{\n  \"a\": \"\\\\\"\n}\n".to_owned() };
    Lock {
        base: Base {
            requirement: "public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu".to_owned(),
            digest: Some(Digest::of("manifest")),
            index: Some(Digest::of("index")),
            timestamp: time,
            facts: Facts {
                editor: Some("1.90.1".to_owned()),
                launcher: Some(ImagePath::literal("/opt/conda/bin/sagemaker-code-editor")),
                entrypoint: Some(ImagePath::literal("/usr/local/bin/entrypoint-code-editor")),
                glibc: Some("2.35".to_owned()),
                shell: true,
                sudo: true,
                builtin_extensions: vec!["vscode.css".to_owned(), "vscode.json".to_owned()],
                extensions: BTreeMap::from([(
                    "ms-toolsai.jupyter-2024.5.0".to_owned(),
                    BaseExtension { id: "ms-toolsai.jupyter".to_owned(), version: "2024.5.0".to_owned() },
                )]),
                texts: BTreeMap::from([(ImagePath::literal("/opt/x/settings.json"), settings)]),
            },
            directories: Directories {
                rules: BTreeMap::from([
                    (ImagePath::root(), root),
                    (ImagePath::literal("tmp"), tmp),
                    (ImagePath::parse("a b").unwrap(), root),
                    (ImagePath::parse(b"od\\d\xff").unwrap(), root),
                ]),
                links: BTreeMap::from([(ImagePath::literal("bin"), "usr/bin".to_owned()), (ImagePath::literal("lib"), "usr/lib".to_owned())]),
            },
        },
        conda: Some(conda::sample()),
        extensions: vec![Extension {
            requirement: "github:VSCodeVim/Vim@v1.27.2/vim-1.27.2.vsix".to_owned(),
            id: "vscodevim.vim".to_owned(),
            version: "1.27.2".to_owned(),
            url: "https://github.com/VSCodeVim/Vim/releases/download/v1.27.2/vim-1.27.2.vsix".parse().unwrap(),
            sha256: Digest::of("vim"),
            size: 12345,
            engine: "^1.74.0".to_owned(),
            platform: None,
            timestamp: "2024-03-04T05:06:08Z".parse().unwrap(),
        }],
        files: vec![File { requirement: "https://example.com/tool.tar.gz".parse().unwrap(), sha256: Digest::of("tool"), size: 9 }],
    }
}

fn refused(text: &str) -> Error {
    parse("byoi.lock", text).expect_err("the lock is wrong")
}

#[test]
fn a_lock_is_made_to_be_read() {
    insta::assert_snapshot!(sample().to_toml());
}

#[test]
fn reads_back_what_it_wrote() {
    let lock = sample();
    assert_eq!(parse("byoi.lock", &lock.to_toml()).unwrap(), lock);
}

#[test]
fn order_of_entries_in_the_text_does_not_matter() {
    let mut lock = sample();
    let mut other = lock.extensions[0].clone();
    other.id = "a.b".to_owned();
    other.requirement = "open-vsx:a.b@1.27.2".to_owned();
    lock.extensions.push(other);
    let written = lock.to_toml();
    let (head, rest) = written.split_once("\n[[extension]]\n").unwrap();
    let (first, rest) = rest.split_once("\n[[extension]]\n").unwrap();
    let (second, files) = rest.split_once("\n[[file]]\n").unwrap();
    let swapped = format!("{head}\n[[extension]]\n{second}\n[[extension]]\n{first}\n[[file]]\n{files}");
    assert_ne!(swapped, written);
    assert_eq!(parse("byoi.lock", &swapped).unwrap().to_toml(), written);
}

#[test]
fn refuses_what_it_did_not_write() {
    let text = sample().to_toml();
    let sha256 = Digest::of("vim").hex();
    for (change, expected) in [
        (text.replace("version = 1\n", ""), "no `version`"),
        (text.replace("format = 1\n", "format = 2\n"), "format of images 2"),
        (text.replace("version = 1\n", "version = 0\n"), "form 0"),
        (text.replace("version = 1\n", "version = \"1\"\n"), "not a version number"),
        (text.replace("shell = true\n", ""), "missing field `shell`"),
        (text.replace("shell = true\n", "shell = true\nbash = true\n"), "unknown field `bash`"),
        (text.replace("\"/ 0755 0:0\",", ""), "no rule for the base's root"),
        (text.replace("\"/ 0755 0:0\",", "\"/ 0755 0:0\", \"/ 0755 0:0\","), "two rules"),
        (text.replace("\"/ 0755 0:0\"", "\"/ 0855 0:0\""), "octal"),
        (text.replace("\"/ 0755 0:0\"", "\"/ 0755 0\""), "UID:GID"),
        (text.replace("\"/ 0755 0:0\"", "\"/\""), "a rule is"),
        (text.replace(&sha256, &sha256[1..]), "64 hexadecimal"),
        (text.replace("https://example.com", "ftp://example.com"), "by https and http only"),
        (text.replace("https://example.com", "https://me:secret@example.com"), "without credentials"),
        (text.replace("timestamp = 2024-03-04T05:06:08Z", "timestamp = 2024-03-04"), "not a time"),
        (format!("{text}\n[[file]]{}", text.rsplit_once("[[file]]").unwrap().1), "two entries for https://example.com"),
        (text.replace("existing = \"update\"", "existing = \"both\""), "`keep` or `update`"),
        (text.replace("prefix = \"/opt/conda\"", "prefix = \"/\""), "no prefix"),
        (text.replace("name = \"numpy\"", "name = \"../numpy\""), "without slashes"),
        (text.replace("name = \"numpy-base\"", "name = \"numpy\""), "replaces the base's package numpy twice"),
        (text.replace("name = \"fontconfig\"", "name = \"scrapy\""), "two packages named scrapy"),
        (text.replace("subdir = \"noarch\"", "subdir = \"win-64\""), "linux-64 or noarch"),
        (text.replace("noarch = \"python\"", "noarch = \"generic\""), "`python` or absent"),
        (text.replace("numpy-2.1.0-py312_0.conda", "numpy-2.1.0-py312_0.zip"), ".conda or .tar.bz2"),
        (text.replace("https://conda.example.com/acme/linux-64", "s3://conda.example.com/acme/linux-64"), "https, http and file only"),
        (text.replace("channel = \"https://conda", "channel = \"https://me:secret@conda"), "no credentials"),
        (text.replace("\"bin/scrapy\"", "\"../bin/scrapy\""), "below the prefix"),
        (text.replace("\"bin/scrapy\"", "\"/bin/scrapy\""), "below the prefix"),
        (text.replace("PROJ_DATA =", "\"PROJ DATA\" ="), "not a variable"),
        (text.replace("laid-size = 5678\n", ""), "missing field `laid-size`"),
        (format!("<<<<<<< ours\n{text}"), "two sides of a merge"),
        ("x".repeat((16 << 20) + 1), "more than a lock can have"),
    ] {
        assert_ne!(change, text, "{expected}");
        let error = refused(&change);
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert_eq!(error.fault().kind(), Kind::Input);
        let problem = &error.fault().problems()[0];
        assert!(problem.help.as_ref().is_some_and(|help| help.contains("byoi")), "{expected}");
        let (source, span) = problem.place.as_ref().unwrap();
        assert!(span.start <= span.end && source.text.get(span.clone()).is_some(), "{expected}");
    }
}

const DESCRIPTION: &str = r#"
schema = 1
base = "public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu"
[conda]
channels = ["https://conda.example.com/acme", "conda-forge"]
packages = ["scrapy >=2.11", "fontconfig"]
existing = "update"
cuda = "12.4"
[[extension]]
github = "VSCodeVim/Vim"
tag = "v1.27.2"
asset = "vim-1.27.2.vsix"
[[extension]]
path = "mine.vsix"
[[file]]
url = "https://example.com/tool.tar.gz"
target = "/opt/tool.tar.gz"
[[file]]
source = "x"
target = "/etc/x"
"#;

fn stale(description: &str) -> Vec<String> {
    let description = description::parse("byoi.toml", description).unwrap();
    sample().staleness(&description, Some(&conda::sample().requirement)).iter().map(ToString::to_string).collect()
}

#[test]
fn local_files_labels_variables_and_settings_make_no_lock_stale() {
    let more = "[env]\nA = \"b\"\n[labels]\nc = \"d\"\n[settings.user]\n\"e.f\" = 1\n[image]\nlayers = 3\n";
    assert_eq!(stale(DESCRIPTION), [""; 0]);
    assert_eq!(stale(&format!("{DESCRIPTION}{more}")), [""; 0]);
    assert_eq!(stale(&DESCRIPTION.replace("mine.vsix", "other.vsix").replace("/etc/x", "/etc/y")), [""; 0]);
}

#[test]
fn what_is_asked_and_not_locked_or_locked_and_not_asked_is_stale() {
    let base = stale(&DESCRIPTION.replace("4.4.1-cpu", "4.5.0-cpu"));
    assert_eq!(base.len(), 2);
    assert!(base[0].contains("4.5.0-cpu is not locked") && base[1].contains("4.4.1-cpu is locked, and nothing asks for it"));
    let extension = stale(&DESCRIPTION.replace("v1.27.2", "v1.28.0"));
    assert!(extension[0].contains("@v1.28.0/") && extension[1].contains("@v1.27.2/"), "{extension:?}");
    let twice = "[[file]]\nurl = \"https://example.com/b\"\ntarget = \"/b\"\n";
    assert_eq!(stale(&format!("{DESCRIPTION}{twice}")), ["the file https://example.com/b is not locked"]);
}

#[test]
fn another_digest_in_the_description_is_stale() {
    let demand = |digest: Digest| format!("url = \"https://example.com/tool.tar.gz\"\nsha256 = \"{}\"", digest.hex());
    let with = |digest| DESCRIPTION.replace("url = \"https://example.com/tool.tar.gz\"", &demand(digest));
    assert_eq!(stale(&with(Digest::of("tool"))), [""; 0]);
    let other = stale(&with(Digest::of("other")));
    assert!(other.len() == 1 && other[0].contains("the description demands"), "{other:?}");
}

#[test]
fn the_difference_of_two_locks_is_a_small_table() {
    let old = sample();
    let mut new = sample();
    new.base.digest = Some(Digest::of("newer"));
    new.extensions[0].version = "1.28.0".to_owned();
    new.extensions[0].sha256 = Digest::of("vim 1.28");
    new.files = vec![File { requirement: "https://example.com/b".parse().unwrap(), sha256: Digest::of("b"), size: 1 }];
    assert_eq!(diff(Some(&old), &old), []);
    insta::assert_snapshot!(table(&diff(Some(&old), &new)));
    new.conda = None;
    assert!(diff(None, &new).iter().all(|change| change.kind == ChangeKind::Added));
}

#[test]
fn a_lock_lies_beside_its_description() {
    for (description, lock) in [
        ("byoi.toml", "byoi.lock"),
        ("a/ide.toml", "a/ide.lock"),
        ("my.ide.toml", "my.ide.lock"),
        ("Byoifile", "Byoifile.lock"),
        ("x.cfg", "x.cfg.lock"),
    ] {
        assert_eq!(path_for(Path::new(description)), Path::new(lock));
    }
}

fn any_path() -> impl Strategy<Value = ImagePath> {
    vec(any::<u8>(), 0..12).prop_filter_map("not a path", |bytes| ImagePath::parse(bytes).ok())
}

fn any_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn any_timestamp() -> impl Strategy<Value = Timestamp> {
    (-60_000_000_000i64..250_000_000_000, prop_oneof![Just(0), 0..1_000_000_000i32])
        .prop_filter_map("not a time", |(second, nanosecond)| Timestamp::new(second, nanosecond).ok())
}

fn any_rule() -> impl Strategy<Value = DirectoryRule> {
    (0u16..0o10000, any::<u32>(), any::<u32>()).prop_map(|(mode, uid, gid)| DirectoryRule { mode, uid, gid })
}

fn any_url() -> impl Strategy<Value = url::Url> {
    "https?://[a-z]{1,8}/[ -~]{0,12}".prop_filter_map("not a URL", |text| text.parse().ok())
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let text = (0u16..0o10000, any::<(u32, u32)>(), any::<String>()).prop_map(|(mode, owner, content)| Text { mode, owner, content });
    let extension = any::<(String, String)>().prop_map(|(id, version)| BaseExtension { id, version });
    let programs = (any::<Option<String>>(), option::of(any_path()), option::of(any_path()), any::<Option<String>>());
    let lists = (vec(any::<String>(), 0..3), btree_map(any::<String>(), extension, 0..3), btree_map(any_path(), text, 0..3));
    (programs, any::<(bool, bool)>(), lists).prop_map(|((editor, launcher, entrypoint, glibc), (shell, sudo), lists)| {
        let (builtin_extensions, extensions, texts) = lists;
        Facts { editor, launcher, entrypoint, glibc, shell, sudo, builtin_extensions, extensions, texts }
    })
}

fn any_base() -> impl Strategy<Value = Base> {
    let directories = (btree_map(any_path(), any_rule(), 0..5), any_rule(), btree_map(any_path(), any::<String>(), 0..4));
    let directories = directories.prop_map(|(mut rules, root, links)| {
        rules.insert(ImagePath::root(), root);
        Directories { rules, links }
    });
    let digests = (option::of(any_digest()), option::of(any_digest()));
    (any::<String>(), digests, any_timestamp(), any_facts(), directories)
        .prop_map(|(requirement, (digest, index), timestamp, facts, directories)| Base { requirement, digest, index, timestamp, facts, directories })
}

fn any_extensions() -> impl Strategy<Value = Vec<Extension>> {
    let parts = (any::<(String, String, Option<String>)>(), any_url(), any_digest(), any::<u64>(), any_timestamp());
    btree_map(any::<String>(), parts, 0..3).prop_map(|extensions| {
        let extension = |(id, ((version, engine, platform), url, sha256, size, timestamp)): (String, _)| Extension {
            requirement: format!("open-vsx:{id}"),
            id,
            version,
            url,
            sha256,
            size: size >> 1,
            engine,
            platform,
            timestamp,
        };
        extensions.into_iter().map(extension).collect()
    })
}

fn any_lock() -> impl Strategy<Value = Lock> {
    let file = |(requirement, (sha256, size)): (url::Url, (Digest, u64))| File { requirement, sha256, size: size >> 1 };
    let files = btree_map(any_url(), (any_digest(), any::<u64>()), 0..3).prop_map(move |files| files.into_iter().map(file).collect());
    (any_base(), option::of(conda::any_conda()), any_extensions(), files).prop_map(|(base, conda, extensions, files)| Lock {
        base,
        conda,
        extensions,
        files,
    })
}

proptest! {
    #[test]
    fn parses_what_it_prints(lock in any_lock()) {
        let text = lock.to_toml();
        let parsed = parse("byoi.lock", &text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&parsed, &lock);
        prop_assert_eq!(parsed.to_toml(), text);
    }

    #[test]
    fn never_panics(text in any::<String>(), at in any::<prop::sample::Index>(), cut in 0usize..30) {
        let _ = parse("byoi.lock", &text);
        let whole = sample().to_toml();
        let start = whole.floor_char_boundary(at.index(whole.len()));
        let end = whole.ceil_char_boundary((start + cut).min(whole.len()));
        let _ = parse("byoi.lock", &format!("{}{text}{}", &whole[..start], &whole[end..]));
    }
}
