//! The conda part of a lock: read back, held against what is asked for, and compared with an older one.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{DESCRIPTION, any_digest, any_path, any_timestamp};
use crate::description;
use crate::digest::Digest;
use crate::image_path::ImagePath;
use crate::lock::*;

fn package(name: &str, version: &str, build: &str) -> CondaPackage {
    CondaPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        build: build.to_owned(),
        channel: "https://conda.anaconda.org/conda-forge/".to_owned(),
        subdir: "linux-64".to_owned(),
        url: format!("https://conda.anaconda.org/conda-forge/linux-64/{name}-{version}-{build}.conda").parse().unwrap(),
        sha256: Digest::of(format!("{name} {version} {build}")),
        md5_only: false,
        size: 1234,
        timestamp: Some("2026-05-06T07:08:09.123Z".parse().unwrap()),
        noarch: Noarch::No,
        depends: None,
        constrains: None,
        laid_size: 5678,
        clobbered: Vec::new(),
        link_scripts: Vec::new(),
    }
}

pub(super) fn sample() -> Conda {
    let scrapy = CondaPackage {
        noarch: Noarch::Python,
        subdir: "noarch".to_owned(),
        depends: Some(vec!["python >=3.9".to_owned(), "lxml".to_owned()]),
        constrains: Some(Vec::new()),
        clobbered: vec!["bin/scrapy".to_owned()],
        ..package("scrapy", "2.11.2", "pyhd8ed1ab_0")
    };
    let old = CondaPackage {
        url: "https://conda.example.com/acme/linux-64/fontconfig-2.14.2-h14ed4e7_0.tar.bz2".parse().unwrap(),
        md5_only: true,
        timestamp: None,
        link_scripts: vec!["bin/.fontconfig-post-link.sh".to_owned()],
        ..package("fontconfig", "2.14.2", "h14ed4e7_0")
    };
    Conda {
        requirement: CondaRequirement {
            channels: vec!["https://conda.example.com/acme".to_owned(), "conda-forge".to_owned()],
            specs: vec!["scrapy >=2.11".to_owned(), "fontconfig".to_owned()],
            pixi_lock: None,
            prefix: ImagePath::literal("/opt/conda"),
            update_existing: true,
            cuda: Some("12.4".to_owned()),
        },
        python: Some(Python { version: "3.12.11".to_owned(), site_packages: "lib/python3.12/site-packages".to_owned() }),
        editor: Some(CondaEditor {
            version: "1.101.2".to_owned(),
            launcher: ImagePath::literal("/opt/conda/bin/sagemaker-code-editor"),
            builtin_extensions: vec!["vscode.css".to_owned()],
        }),
        variables: BTreeMap::from([("PROJ_DATA".to_owned(), "/opt/conda/share/proj".to_owned())]),
        activation_scripts: vec!["etc/conda/activate.d/libglib_activate.sh".to_owned()],
        history: vec!["==> 2026-08-19 10:11:12 <==".to_owned(), "# update specs: [\"numpy\"]".to_owned()],
        packages: vec![old, package("numpy", "2.1.0", "py312_0"), scrapy],
        replaced: vec![
            ReplacedPackage {
                name: "numpy".to_owned(),
                version: "1.26.4".to_owned(),
                build: "py312_0".to_owned(),
                removes: vec!["conda-meta/numpy-1.26.4-py312_0.json".to_owned(), "lib/python3.12/site-packages/numpy/old/".to_owned()],
                makes_way: Vec::new(),
            },
            ReplacedPackage {
                name: "numpy-base".to_owned(),
                version: "1.26.4".to_owned(),
                build: "0".to_owned(),
                removes: Vec::new(),
                makes_way: vec!["lib/link".to_owned()],
            },
        ],
    }
}

fn stale(change: impl FnOnce(&mut CondaRequirement)) -> Vec<(String, String)> {
    let description = description::parse("byoi.toml", DESCRIPTION).unwrap();
    let mut asked = sample().requirement;
    change(&mut asked);
    let lock = Lock { conda: Some(sample()), ..super::sample() };
    let place = |stale: &Stale| stale.problem(&description).place.map(|(source, span)| source.text[span].to_owned()).unwrap_or_default();
    lock.staleness(&description, Some(&asked)).iter().map(|stale| (stale.to_string(), place(stale))).collect()
}

#[test]
fn every_part_of_the_requirement_makes_the_lock_stale() {
    let one = |change: fn(&mut CondaRequirement)| {
        let mut found = stale(change);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    assert_eq!(stale(|_| {}), []);
    assert_eq!(one(|asked| asked.channels.reverse()).1, "\"https://conda.example.com/acme\"");
    assert!(one(|asked| asked.specs.push("numpy".to_owned())).0.contains("conda package numpy is not locked"));
    assert!(one(|asked| drop(asked.specs.pop())).0.contains("conda package fontconfig is locked, and nothing asks for it"));
    assert!(one(|asked| asked.specs.reverse()).0.contains("asked for is fontconfig, scrapy >=2.11"));
    let other = stale(|asked| asked.specs[0] = "scrapy >=2.12".to_owned());
    assert!(other.len() == 2 && other[0].0.contains(">=2.12 is not locked") && other[1].0.contains(">=2.11 is locked"), "{other:?}");
    assert!(one(|asked| asked.pixi_lock = Some(Digest::of("pixi.lock"))).0.contains("pixi.lock: locked is none"));
    assert!(one(|asked| asked.prefix = ImagePath::literal("/opt/env")).0.contains("asked for is /opt/env"));
    assert!(one(|asked| asked.update_existing = false).0.contains("locked is update, and asked for is keep"));
    let cuda = one(|asked| asked.cuda = None);
    assert!(cuda.0.contains("locked is 12.4, and asked for is none") && cuda.1 == "\"12.4\"", "{cuda:?}");
}

#[test]
fn an_environment_that_comes_or_goes_makes_the_lock_stale() {
    let description = description::parse("byoi.toml", DESCRIPTION).unwrap();
    let lock = |conda| Lock { conda, ..super::sample() };
    let texts = |stale: Vec<Stale>| stale.iter().map(ToString::to_string).collect::<Vec<_>>();
    let asked = sample().requirement;
    assert_eq!(texts(lock(None).staleness(&description, Some(&asked))), ["the conda environment /opt/conda is not locked"]);
    assert_eq!(texts(lock(Some(sample())).staleness(&description, None)), ["the conda environment /opt/conda is locked, and nothing asks for it"]);
    assert_eq!(lock(None).staleness(&description, None), []);
}

#[test]
fn the_difference_shows_packages_and_what_of_the_base_they_replace() {
    let lock = |conda| Lock { conda, ..super::sample() };
    let mut newer = sample();
    newer.requirement.specs.push("zlib".to_owned());
    newer.packages.retain(|package| package.name != "fontconfig");
    newer.packages.push(package("zlib", "1.3.1", "0"));
    newer.packages[0] = package("numpy", "2.1.0", "py312_1");
    newer.packages[1] = CondaPackage { sha256: Digest::of("patched"), ..newer.packages[1].clone() };
    newer.replaced.pop();
    let (first, second) = (lock(Some(sample())), lock(Some(newer)));
    let tables = [
        table(&diff(None, &first)),
        table(&diff(Some(&lock(None)), &first)),
        table(&diff(Some(&first), &second)),
        table(&diff(Some(&second), &lock(None))),
    ];
    insta::assert_snapshot!(tables.join("\n"));
    assert_eq!((kept(None, &first), kept(Some(&first), &first), kept(Some(&first), &second)), (0, 3, 0));
}

fn any_word() -> impl Strategy<Value = String> {
    "[a-z0-9_][!-.0-\\[\\]-~]{0,8}"
}

fn any_paths() -> impl Strategy<Value = Vec<String>> {
    btree_set(any_path().prop_filter("the root", |path| !path.is_root()), 0..3).prop_map(|paths| paths.iter().map(ToString::to_string).collect())
}

fn any_requirement() -> impl Strategy<Value = CondaRequirement> {
    let lists = (vec(any::<String>(), 0..3), vec(any::<String>(), 0..3));
    let prefix = any_path().prop_filter("the root", |path| !path.is_root());
    (lists, option::of(any_digest()), prefix, any::<(bool, Option<String>)>()).prop_map(|((channels, specs), pixi_lock, prefix, rest)| {
        CondaRequirement { channels, specs, pixi_lock, prefix, update_existing: rest.0, cuda: rest.1 }
    })
}

fn any_package() -> impl Strategy<Value = CondaPackage> {
    let name = (any_word(), any_word(), "[a-z]{0,9}", any::<(bool, bool, bool)>());
    let archive = (any_digest(), any::<(u64, u64)>(), option::of(any_timestamp()));
    let lists = (any::<Option<Vec<String>>>(), any::<Option<Vec<String>>>(), any_paths(), any_paths());
    (name, archive, lists).prop_map(|((version, build, channel, flags), (sha256, sizes, timestamp), lists)| CondaPackage {
        name: String::new(),
        version,
        build,
        channel,
        subdir: if flags.0 { "noarch" } else { "linux-64" }.to_owned(),
        url: if flags.1 { "file:///srv/a/noarch/x-1-0.tar.bz2" } else { "https://a/b/noarch/x-1-0.conda" }.parse().unwrap(),
        sha256,
        md5_only: flags.2,
        size: sizes.0 >> 1,
        timestamp,
        noarch: if flags.2 { Noarch::Python } else { Noarch::No },
        depends: lists.0,
        constrains: lists.1,
        laid_size: sizes.1 >> 1,
        clobbered: lists.2,
        link_scripts: lists.3,
    })
}

pub(super) fn any_conda() -> impl Strategy<Value = Conda> {
    let python = (any_word(), any_path().prop_filter("the root", |path| !path.is_root()));
    let python = python.prop_map(|(version, site_packages)| Python { version, site_packages: site_packages.to_string() });
    let editor = (any::<String>(), any_path(), vec(any::<String>(), 0..3));
    let editor = editor.prop_map(|(version, launcher, builtin_extensions)| CondaEditor { version, launcher, builtin_extensions });
    let variables = btree_map("[A-Z_][A-Z0-9_]{0,5}", "[^\0]{0,9}", 0..3);
    let packages = btree_map(any_word(), any_package(), 0..3)
        .prop_map(|packages| packages.into_iter().map(|(name, package)| CondaPackage { name, ..package }).collect());
    let replaced = btree_map(any_word(), (any_word(), any_word(), any_paths(), any_paths()), 0..3).prop_map(|packages| {
        packages
            .into_iter()
            .map(|(name, (version, build, removes, makes_way))| ReplacedPackage { name, version, build, removes, makes_way })
            .collect()
    });
    let history = vec("[=#][^\n\r\0]{0,9}", 0..3);
    let facts = (option::of(python), option::of(editor), variables, any_paths(), history);
    (any_requirement(), facts, packages, replaced).prop_map(
        |(requirement, (python, editor, variables, activation_scripts, history), packages, replaced)| Conda {
            requirement,
            python,
            editor,
            variables,
            activation_scripts,
            history,
            packages,
            replaced,
        },
    )
}
