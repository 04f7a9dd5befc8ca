//! The generated conda channel of `hack/channel`, and environments that rattler's own solver and installer make out of it: what ours are held
//! against, and what stand-in bases are made of.

use std::fs;
use std::path::{Path, PathBuf};

use ::rattler::install::{Installer, LinkOptions};
use ::rattler::package_cache::PackageCache;
use rattler_conda_types::{
    Channel, ChannelConfig, GenericVirtualPackage, MatchSpec, ParseStrictness, PrefixRecord, RepoData, RepoDataRecord, Subdir,
};
use rattler_solve::{SolverImpl, SolverTask, resolvo};

use super::tools;

/// Where conda-forge's packages are, without credentials: what records say of their origin.
pub const CONDA_FORGE: &str = "https://conda.anaconda.org/conda-forge/";

/// The generated channel: `linux-64` and `noarch` with archives and indexes.
pub fn channel() -> PathBuf {
    tools::made_by("hack/channel", tools::work().join("channel")).canonicalize().unwrap()
}

/// What rattler's solver chooses for these specs, as topologically sorted records, for an image with glibc 2.36.
pub fn solve(channel: &Path, specs: &[&str]) -> Vec<RepoDataRecord> {
    solve_beside(channel, specs, &[])
}

/// The same, with packages that are there already and are kept where they can be.
pub fn solve_beside(channel: &Path, specs: &[&str], present: &[RepoDataRecord]) -> Vec<RepoDataRecord> {
    let config = ChannelConfig::default_with_root_dir(channel.to_owned());
    let origin = Channel::from_str(format!("file://{}", channel.display()), &config).unwrap();
    let repodata = ["linux-64", "noarch"].map(|subdir| {
        let repodata = RepoData::from_path(channel.join(subdir).join("repodata.json")).unwrap();
        repodata.into_repo_data_records(&origin)
    });
    let virtual_package = |name: &str, version: &str, build: &str| GenericVirtualPackage {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        build_string: build.parse().unwrap(),
    };
    let task = SolverTask {
        specs: specs.iter().map(|spec| MatchSpec::from_str(spec, ParseStrictness::Strict).unwrap()).collect(),
        locked_packages: present.iter().collect(),
        virtual_packages: vec![
            virtual_package("__unix", "0", "0"),
            virtual_package("__linux", "5.10", "0"),
            virtual_package("__glibc", "2.36", "0"),
            virtual_package("__archspec", "1", "x86_64"),
        ],
        ..SolverTask::from_iter(&repodata)
    };
    let solved = resolvo::Solver.solve(task).unwrap_or_else(|error| panic!("{specs:?}: {error}"));
    rattler_conda_types::PackageRecord::sort_topologically(solved.records)
}

/// Lets rattler's installer bring the environment in `directory` to these packages, as one that will run at `prefix`. What it copies from has
/// the times of the archives' members, and its hard links keep them.
pub fn install(directory: &Path, prefix: &str, records: &[RepoDataRecord]) {
    let cache = tempfile::tempdir_in(directory.parent().unwrap()).unwrap();
    let installer = Installer::new()
        .with_target_platform(Subdir::Linux64)
        .with_package_cache(PackageCache::new(cache.path()))
        .with_execute_link_scripts(false)
        .with_alternative_target_prefix(prefix)
        .with_link_options(LinkOptions { allow_hard_links: Some(true), allow_ref_links: Some(false), allow_symbolic_links: Some(true) });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(installer.install(directory, records.iter().cloned())).unwrap_or_else(|error| panic!("{error}"));
    // As if they came from the channel that the mirror stands for; and rattler's own mark, which no other installer makes.
    let here = format!("file://{}/", channel().display());
    for entry in fs::read_dir(directory.join("conda-meta")).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path).unwrap().replace(&here, CONDA_FORGE);
            let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
            for place in ["extracted_package_dir", "package_tarball_full_path", "link"] {
                record.as_object_mut().unwrap().remove(place);
            }
            fs::write(&path, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
        }
    }
    let _ = fs::remove_file(directory.join("CACHEDIR.TAG"));
}

/// All records of an environment, sorted by name.
pub fn installed(prefix: &Path) -> Vec<PrefixRecord> {
    let mut records: Vec<PrefixRecord> = PrefixRecord::collect_from_prefix(prefix).unwrap();
    records.sort_by(|left, right| left.repodata_record.package_record.name.cmp(&right.repodata_record.package_record.name));
    records
}

/// A record of an image, as the generated channel has it.
pub fn in_channel(record: &RepoDataRecord) -> RepoDataRecord {
    let mut record = record.clone();
    let here = format!("file://{}/", channel().display());
    record.url = record.url.as_str().replace(CONDA_FORGE, &here).parse().unwrap();
    record.channel = Some(here);
    record
}
