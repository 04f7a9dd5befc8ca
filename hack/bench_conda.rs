//! What `hack/bench conda` measures byoi against, and the web server of both. It is no part of byoi.
//!
//!     bench_conda serve DIRECTORY                              serves it at http://127.0.0.1:PORT/channel/, which it prints
//!     bench_conda environment CHANNEL CACHE PREFIX SPEC…       rattler solves, downloads and installs into PREFIX, as micromamba does
//!     bench_conda install CHANNEL CACHE OUT LEVEL SPEC…        the usual way: rattler solves, downloads and installs into a prefix; the prefix is
//!                                                              walked into a tar, compressed by gzip at LEVEL, with both digests
//!
//! `install` does its walk as BuildKit and others do: one tar, one stream, one thread.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use byoi::digest::Digester;
use byoi::registry::testing::TestRegistry;
use flate2::Compression;
use flate2::write::GzEncoder;
use rattler::install::{Installer, LinkOptions};
use rattler::package_cache::PackageCache;
use rattler_conda_types::{Channel, ChannelConfig, GenericVirtualPackage, MatchSpec, ParseStrictness, RepoDataRecord, Subdir};
use rattler_repodata_gateway::Gateway;
use rattler_solve::{SolverImpl, SolverTask, resolvo};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", directory] => serve(directory),
        ["environment", channel, cache, prefix, ref specs @ ..] => environment(channel, Path::new(cache), Path::new(prefix), prefix, specs),
        ["install", channel, cache, out, level, ref specs @ ..] => install(channel, Path::new(cache), Path::new(out), level.parse().unwrap(), specs),
        _ => panic!("see the first lines of hack/bench_conda.rs"),
    }
}

fn serve(directory: &str) {
    let server = TestRegistry::start();
    println!("{}", server.serve_directory("/channel/", directory));
    // Until whoever started it closes its input.
    io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
}

/// Installs into `directory` what is to run at `prefix`.
fn environment(channel: &str, cache: &Path, directory: &Path, prefix: &str, specs: &[&str]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    let records = runtime.block_on(solve(channel, cache, specs));
    eprintln!("{} packages, solved in {:.2} s", records.len(), begun.elapsed().as_secs_f64());
    let links = LinkOptions { allow_hard_links: Some(true), allow_ref_links: Some(true), allow_symbolic_links: Some(true) };
    let installer = Installer::new()
        .with_target_platform(Subdir::Linux64)
        .with_package_cache(PackageCache::new(cache.join("pkgs")))
        .with_alternative_target_prefix(prefix)
        .with_link_options(links);
    runtime.block_on(installer.install(directory, records)).unwrap();
    eprintln!("installed after {:.2} s", begun.elapsed().as_secs_f64());
}

fn install(channel: &str, cache: &Path, out: &Path, level: u32, specs: &[&str]) {
    let begun = Instant::now();
    let prefix = tempfile::tempdir_in(cache).unwrap();
    environment(channel, cache, prefix.path(), "/opt/conda", specs);
    pack(prefix.path(), out, level);
    eprintln!("packed after {:.2} s", begun.elapsed().as_secs_f64());
}

async fn solve(channel: &str, cache: &Path, specs: &[&str]) -> Vec<RepoDataRecord> {
    let config = ChannelConfig::default_with_root_dir(cache.to_owned());
    let channel = Channel::from_str(channel, &config).unwrap();
    let specs: Vec<MatchSpec> = specs.iter().map(|spec| MatchSpec::from_str(spec, ParseStrictness::Strict).unwrap()).collect();
    let gateway = Gateway::builder().with_cache_dir(cache.join("repodata")).finish();
    let found = gateway.query([channel], [Subdir::Linux64, Subdir::NoArch], specs.clone()).recursive(true).execute().await.unwrap();
    let virtual_package = |name: &str, version: &str| GenericVirtualPackage {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        build_string: "0".parse().unwrap(),
    };
    let virtual_packages = vec![virtual_package("__linux", "5.10"), virtual_package("__glibc", "2.36"), virtual_package("__unix", "0")];
    let task = SolverTask { specs, virtual_packages, ..SolverTask::from_iter(&found) };
    resolvo::Solver.solve(task).unwrap().records
}

fn pack(prefix: &Path, out: &Path, level: u32) {
    let compressed = Counted { digester: Digester::new(), to: BufWriter::new(File::create(out).unwrap()) };
    let plain = Counted { digester: Digester::new(), to: GzEncoder::new(compressed, Compression::new(level)) };
    let mut tar = tar::Builder::new(plain);
    tar.follow_symlinks(false);
    tar.append_dir_all("opt/conda", prefix).unwrap();
    let plain = tar.into_inner().unwrap();
    let diff_id = plain.digester.finish();
    let mut compressed = plain.to.finish().unwrap();
    compressed.flush().unwrap();
    println!("{diff_id} {}", compressed.digester.finish());
}

/// A writer that takes the digest of what passes.
struct Counted<W> {
    digester: Digester,
    to: W,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.digester.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
