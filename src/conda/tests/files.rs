//! Environment files and pixi.locks beside the description.

use super::*;

fn bench_with(file: &str, text: &str) -> Bench {
    let bench = Bench::new();
    let packages = [TestPackage::new("python", "3.12.4"), TestPackage::new("attrs", "23.1").noarch("python").depends(&["python"])];
    TestChannel::write(bench.path("channel"), &packages);
    std::fs::write(bench.path(file), text).unwrap();
    bench
}

#[test]
fn an_environment_file_names_channels_and_specs() {
    let bench = bench_with("environment.yml", "name: x\nchannels:\n  - ./channel\ndependencies:\n  - python=3.12\n  - attrs\n");
    let conda = bench.locked(&naming(&[], "environment.yml"));
    assert_eq!(versions(&conda), ["attrs 23.1", "python 3.12.4"]);
    assert_eq!(conda.requirement.channels, ["./channel"]);
    assert_eq!(conda.requirement.specs, ["python=3.12", "attrs"]);
}

#[test]
fn what_is_wrong_is_shown_in_the_environment_file() {
    let text = "channels:\n  - ./channel\ndependencies:\n  - python\n  - attrs >=99\n";
    insta::assert_snapshot!("environment_conflict", bench_with("environment.yml", text).refused(&naming(&[], "environment.yml")));
    let text =
        "channels: [./channel, 'https://u:hunter2@a.org/c']\ndependencies:\n  - python\n  - 'at trs ='\n  - pip:\n    - requests\n    - flask==3\n";
    let refused = bench_with("environment.yml", text).refused(&naming(&[], "environment.yml"));
    assert!(!refused.contains("hunter2"));
    insta::assert_snapshot!("environment_pip", refused);
    let text = "channels: [./channel]\ndependencies: [python, 'attrs ==']\n";
    insta::assert_snapshot!("environment_bad_spec", bench_with("environment.yml", text).refused(&naming(&[], "environment.yml")));
    let text = "dependencies: [python]\n";
    assert!(bench_with("environment.yml", text).refused(&naming(&[], "environment.yml")).contains("names a channel"));
    assert!(Bench::new().refused(&naming(&[], "environment.yml")).contains("cannot read environment.yml"));
}

/// A pixi.lock of packages that a lock of ours has.
fn pixi_lock(conda: &lock::Conda, depends: &str) -> String {
    let refs: String = conda.packages.iter().map(|package| format!("      - conda: {}\n", package.url)).collect();
    let package = |package: &lock::CondaPackage| {
        let noarch = if package.noarch == lock::Noarch::Python { "  noarch: python\n" } else { "" };
        let lock::CondaPackage { name, version, build, subdir, url, sha256, size, .. } = package;
        format!(
            "- conda: {url}\n  name: {name}\n  version: \"{version}\"\n  build: {build}\n  subdir: {subdir}\n  sha256: {}\n  size: {size}\n{noarch}  depends: [\"{depends}\"]\n",
            sha256.hex()
        )
    };
    let packages: String = conda.packages.iter().map(package).collect();
    let channel = &conda.packages[0].channel;
    format!(
        "version: 6\nenvironments:\n  default:\n    channels:\n    - url: {channel}/\n    packages:\n      linux-64:\n{refs}packages:\n{packages}"
    )
}

#[test]
fn a_pixi_lock_is_taken_as_it_is() {
    let mut bench = bench_with("environment.yml", "");
    let solved = bench.locked(&asking(&["./channel"], &["attrs"]));
    std::fs::write(bench.path("pixi.lock"), pixi_lock(&solved, "__glibc >=2.17")).unwrap();
    let description = naming(&[], "pixi.lock");
    let conda = bench.locked(&description);
    assert_eq!(versions(&conda), ["attrs 23.1", "python 3.12.4"]);
    assert_eq!(
        conda.packages.iter().map(|package| package.sha256).collect::<Vec<_>>(),
        solved.packages.iter().map(|package| package.sha256).collect::<Vec<_>>()
    );
    assert!(conda.requirement.pixi_lock.is_some() && conda.requirement.specs.is_empty());
    bench.keep(conda.clone());
    assert_eq!(bench.locked(&description), conda);
    std::fs::write(bench.path("pixi.lock"), pixi_lock(&solved, "__glibc >=2.99")).unwrap();
    insta::assert_snapshot!("pixi_needs_newer_glibc", bench.refused(&description));
}
