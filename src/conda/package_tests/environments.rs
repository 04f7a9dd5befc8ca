//! Several packages in one environment.

use super::*;
use crate::conda::{PackageInfo, owners};

fn info(specimen: &Specimen) -> PackageInfo {
    PackageInfo::from_info_tar(&specimen.info_tar()[..]).unwrap().unwrap()
}

fn owned(specimens: &[Specimen]) -> Result<super::super::Owned, String> {
    let infos: Vec<_> = specimens.iter().map(info).collect();
    let named: Vec<_> = infos.iter().map(|info| (info.index.name.as_normalized(), info)).collect();
    owners(&named, Some(&python())).map_err(|error| whole(&error))
}

#[test]
fn the_last_in_topological_order_lays_what_several_have() {
    let owned = owned(&[
        Specimen::new("a").file("share/b", 0o644, "1").file("share/a", 0o644, "1").directory("share/d"),
        Specimen::new("b").file("share/a", 0o644, "22").directory("share/d"),
        Specimen::new("c").noarch_python().file("python-scripts/x", 0o755, "").entry_point("tool = c:main"),
        Specimen::new("d").symlink("share/a", "b").file("bin/tool", 0o755, "").file("share/b", 0o644, vec![0; 600]),
    ])
    .unwrap();
    let clobbered = |package: &str| owned.clobbered.get(package).cloned().unwrap_or_default();
    assert_eq!(clobbered("a"), ["share/a", "share/b"]);
    assert_eq!(clobbered("b"), ["share/a"]);
    assert_eq!(clobbered("c"), ["bin/tool"]);
    assert!(clobbered("d").is_empty());
    let sizes: Vec<_> = owned.laid_sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    assert_eq!(sizes, [("a", 512), ("b", 512), ("c", 512), ("d", 512 + 512 + 1536)]);
}

#[test]
fn a_file_against_a_directory_names_both_packages() {
    let file = || Specimen::new("a").file("share/x", 0o644, "");
    for (other, expected) in [
        (Specimen::new("b").file("share/x/y", 0o644, ""), "a lays a file or link at `share/x`, and b lays `share/x/y` below it"),
        (Specimen::new("b").directory("share/x"), "a and b both lay `share/x`, one as a directory"),
    ] {
        for order in [[file(), other.clone()], [other.clone(), file()]] {
            let error = owned(&order).unwrap_err();
            let swapped = expected.replace("a and b", "b and a");
            assert!(error.contains(expected) || error.contains(&swapped), "{error}");
        }
    }
    // A link to a directory is no directory: nothing is written through it.
    let error = owned(&[Specimen::new("a").symlink("lib64", "lib"), Specimen::new("b").file("lib64/x", 0o644, "")]).unwrap_err();
    assert!(error.contains("a lays a file or link at `lib64`, and b lays `lib64/x` below it"), "{error}");
}

#[test]
fn two_paths_of_a_package_at_one_place_are_an_error() {
    let twice = Specimen::new("a").noarch_python().file("bin/x", 0o755, "").file("python-scripts/x", 0o755, "");
    assert!(owned(&[twice]).unwrap_err().contains("is laid twice"));
    let below = Specimen::new("a").file("x", 0o755, "").file("x/y", 0o755, "");
    assert!(owned(&[below]).unwrap_err().contains("lies below `x`, which is no directory"));
}

#[test]
fn noarch_python_needs_a_python() {
    let specimen = info(&Specimen::new("a").noarch_python());
    assert!(whole(&owners(&[("a", &specimen)], None).unwrap_err()).contains("the environment has no Python"));
}

#[test]
fn clobbered_paths_are_left_out() {
    let specimen = Specimen::new("a").file("share/a", 0o644, "a").file("share/b", 0o644, "b");
    let bytes = specimen.to_conda();
    let mut locked = specimen.locked(&bytes, "conda", None);
    locked.clobbered = vec!["share/a".to_owned()];
    locked.laid_size -= 1024;
    assert_eq!(lay(&locked, &bytes).unwrap().len(), 1);
    let record: serde_json::Value = serde_json::from_str(&record(&locked, &bytes)).unwrap();
    assert_eq!(record["files"], serde_json::json!(["share/b"]));
}

#[test]
fn link_scripts_are_found() {
    let specimen =
        Specimen::new("a").file("bin/.a-post-link.sh", 0o755, "").file("bin/.a-pre-unlink.sh", 0o755, "").file("bin/.b-post-link.sh", 0o755, "");
    assert_eq!(info(&specimen).link_scripts(), ["bin/.a-post-link.sh"]);
}
