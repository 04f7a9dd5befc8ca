//! Records and history, read by rattler.

use std::str::FromStr;

use rattler_conda_types::PrefixRecord;
use rattler_conda_types::prefix_record::PathType;

use super::*;
use crate::conda::{PackageInfo, history};
use crate::lock::{Conda, CondaRequirement, ReplacedPackage};

#[test]
fn rattler_reads_the_record() {
    let specimen = Specimen::new("a")
        .noarch_python()
        .depends("python >=3.8")
        .file("site-packages/a.py", 0o644, "code")
        .patched("share/text", 0o644, "/built", false, "at /built")
        .symlink("share/link", "text")
        .directory("share/empty")
        .entry_point("tool = a:main");
    let bytes = specimen.to_conda();
    let mut locked = specimen.locked(&bytes, "conda", Some(&python()));
    locked.depends = Some(vec!["python >=3.9".to_owned()]);
    let text = record(&locked, &bytes);
    let record = PrefixRecord::from_str(&text).unwrap();
    assert_eq!(record.file_name(), "a-1.0-0.json");
    let package = &record.repodata_record.package_record;
    assert_eq!(package.depends, ["python >=3.9"]);
    assert_eq!(package.sha256.unwrap()[..], locked.sha256.as_bytes()[..]);
    assert_eq!((package.size, package.subdir.as_str()), (Some(bytes.len() as u64), "noarch"));
    assert_eq!(record.repodata_record.url, locked.url);
    assert_eq!(record.repodata_record.channel.as_deref(), Some("https://conda.example/main"));
    let paths: Vec<_> = record.paths_data.paths.iter().map(|path| (path.relative_path.to_str().unwrap(), path.path_type)).collect();
    assert_eq!(
        paths,
        [
            ("bin/tool", PathType::UnixPythonEntryPoint),
            ("lib/python3.12/site-packages/a.py", PathType::HardLink),
            ("share/empty", PathType::Directory),
            ("share/link", PathType::SoftLink),
            ("share/text", PathType::HardLink),
        ]
    );
    let patched = &record.paths_data.paths[4];
    assert_eq!(patched.sha256_in_prefix.unwrap()[..], Digest::of("at /opt/conda").as_bytes()[..]);
    assert_eq!(patched.sha256.unwrap()[..], Digest::of("at /built").as_bytes()[..]);
    assert_eq!(patched.prefix_placeholder.as_deref(), Some("/built"));
    assert_eq!(patched.size_in_bytes, Some(13));
}

#[test]
fn the_record_has_sorted_keys_and_nothing_of_this_machine() {
    let specimen = Specimen::new("a").file("share/a", 0o644, "a");
    let bytes = specimen.to_conda();
    let text = record(&specimen.locked(&bytes, "conda", None), &bytes);
    let keys: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    for word in ["extracted_package_dir", "package_tarball_full_path", "\"link\"", "requested_spec\"", "/tmp"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[test]
fn names_that_json_escapes_survive() {
    let specimen = Specimen::new("a").file("share/\"<é>\u{1}\\", 0o644, "a");
    let bytes = specimen.to_conda();
    let record = PrefixRecord::from_str(&record(&specimen.locked(&bytes, "conda", None), &bytes)).unwrap();
    assert_eq!(record.files[0].to_str(), Some("share/\"<é>\u{1}\\"));
}

fn locked(packages: Vec<CondaPackage>) -> Conda {
    let specs = ["scrapy >=2.11", "b[build=\"x*\"]", "c[version='1']"].map(str::to_owned).to_vec();
    Conda {
        requirement: CondaRequirement { channels: vec![], specs, pixi_lock: None, prefix: prefix(), update_existing: false, cuda: None },
        python: None,
        editor: None,
        variables: BTreeMap::new(),
        activation_scripts: Vec::new(),
        history: Vec::new(),
        packages,
        replaced: vec![ReplacedPackage {
            name: "a".to_owned(),
            version: "0.9".to_owned(),
            build: "1".to_owned(),
            removes: Vec::new(),
            makes_way: Vec::new(),
        }],
    }
}

#[test]
fn the_history_names_packages_and_specs() {
    let specimen = Specimen::new("a");
    let mut package = specimen.locked(&specimen.to_conda(), "conda", None);
    let forge = CondaPackage { channel: "https://conda.anaconda.org/conda-forge/".to_owned(), name: "b".to_owned(), ..package.clone() };
    package.channel = "https://conda.example/main".to_owned();
    let conda = locked(vec![package, forge]);
    let laid = history(&conda, OWNER, "==> 2020-01-01 00:00:00 <==\n+x::y-1-0").unwrap().lay(&Archives::default()).unwrap();
    let (path, entry) = laid.last().unwrap();
    assert_eq!(path.absolute(), "/opt/conda/conda-meta/history");
    assert_eq!(
        text(entry),
        "==> 2020-01-01 00:00:00 <==\n+x::y-1-0\n==> 1980-01-02 00:00:00 <==\n# cmd: byoi build\n-a-0.9-1\n+https://conda.example/main/linux-64::a-1.0-0\n\
         +conda-forge/linux-64::b-1.0-0\n# update specs: [\"scrapy >=2.11\", 'b[build=\"x*\"]', \"c[version='1']\"]\n"
    );
}

#[test]
fn info_is_the_same_from_the_archive_and_from_its_section() {
    let specimen = Specimen::new("a").noarch_python().file("site-packages/a.py", 0o644, "code").entry_point("a = a:main");
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&specimen.to_conda()).unwrap();
    let whole = PackageInfo::of_archive(&file, "a-1.0-0.conda").unwrap();
    let section = PackageInfo::from_info_tar(&specimen.info_tar()[..]).unwrap().unwrap();
    assert_eq!((whole.paths, whole.index, whole.entry_points), (section.paths, section.index, section.entry_points));
}
