//! Channels over HTTP: their forms, mirrors, credentials, and what is said where they cannot be used.

use super::*;
use crate::conda::credentials::tests::of_files;
use crate::error::Kind;
use crate::registry::testing::{TestRegistry, Trouble};

fn written(bench: &Bench) -> TestChannel {
    let packages = [TestPackage::new("python", "3.12.4"), TestPackage::new("attrs", "23.1").noarch("python").depends(&["python"])];
    TestChannel::write(bench.path("written"), &packages)
}

#[test]
fn plain_and_compressed_indexes_are_read_and_revalidated() {
    for compressed in [false, true] {
        let bench = Bench::new();
        let channel = written(&bench);
        if compressed {
            channel.compress();
        }
        let server = TestRegistry::start();
        let url = channel.serve(&server, "/channel");
        let description = asking(&[&url], &["attrs"]);
        let first = bench.locked(&description);
        assert_eq!(versions(&first), ["attrs 23.1", "python 3.12.4"]);
        assert_eq!(first.packages[0].url.as_str(), format!("{url}/noarch/attrs-23.1-h1_0.conda"));
        assert_eq!(first.packages[0].channel, url);
        server.clear_log();
        assert_eq!(bench.locked(&description), first);
        // The server has no word on how long an index is fresh: it is asked, and answers that nothing changed.
        let indexes: Vec<_> = server.log().into_iter().filter(|asked| asked.method == "GET" && asked.path.contains("/repodata.json")).collect();
        assert!(indexes.iter().all(|asked| asked.bytes_out < 100 || asked.status == 304), "{indexes:?}");
    }
}

#[test]
fn sharded_indexes_bring_what_is_asked_for_alone() {
    let bench = Bench::new();
    let mut packages = vec![TestPackage::new("other", "1.0")];
    packages.extend([TestPackage::new("python", "3.12.4"), TestPackage::new("attrs", "23.1").noarch("python").depends(&["python"])]);
    let server = TestRegistry::start();
    let url = TestChannel::write(bench.path("written"), &packages).serve_shards(&server, "/channel");
    let description = asking(&[&url], &["attrs"]);
    let first = bench.locked(&description);
    assert_eq!(versions(&first), ["attrs 23.1", "python 3.12.4"]);
    assert_eq!(first.packages[0].url.as_str(), format!("{url}/noarch/attrs-23.1-h1_0.conda"));
    assert_eq!(first.packages[0].channel, url);
    assert_eq!(server.asked("GET", "/shards/").len(), 2);
    assert!(server.asked("GET", "repodata.json").is_empty());
    server.clear_log();
    assert_eq!(bench.locked(&description), first);
    assert!(server.asked("GET", "/shards/").is_empty());
}

#[test]
fn a_mirror_is_asked_instead() {
    let server = TestRegistry::start();
    let mut mirrors = Mirrors::none();
    mirrors.add("https://conda.anaconda.org/conda-forge", &[&server.url("/mirror")], false).unwrap();
    let bench = Bench::with_mirrors(mirrors);
    written(&bench).serve(&server, "/mirror");
    let conda = bench.locked(&asking(&["conda-forge"], &["attrs"]));
    assert_eq!(conda.packages[0].url.as_str(), "https://conda.anaconda.org/conda-forge/noarch/attrs-23.1-h1_0.conda");
    assert_eq!(conda.packages[0].channel, "https://conda.anaconda.org/conda-forge");
    let needed: Vec<_> = conda.packages.iter().map(|package| package.sha256).collect();
    let world = bench.world();
    bench.block_on(crate::conda::download::fetch_with(&conda.packages, &needed, &world, || Ok(Credentials::none()))).unwrap();
    assert!(needed.iter().all(|digest| bench.store.blob(digest).is_some()));
}

#[test]
fn channels_that_cannot_be_used_are_named_at_their_line() {
    let bench = Bench::new();
    let server = TestRegistry::start();
    let url = written(&bench).serve(&server, "/channel");
    // Both of a channel's indexes are asked for at once, and either may be refused first.
    let shown = |text: String| text.replace(server.host(), "HOST").replace("linux-64", "noarch");
    insta::assert_snapshot!("channel_absent", shown(bench.refused(&asking(&[&url, &server.url("/other")], &["attrs"]))));
    insta::assert_snapshot!("directory_absent", bench.refused(&asking(&["./nothing"], &["attrs"])));
    server.order(Trouble::status("GET", "/channel/", 401).always());
    let refused = bench.block_on(bench.lock(&asking(&[&url], &["attrs"]))).unwrap_err();
    assert_eq!(refused.fault().kind(), Kind::World);
    // Which of the indexes is refused first is the network's affair.
    let indexes = ["linux-64/repodata.json", "noarch/repodata.json", "linux-64/repodata_shards.msgpack.zst", "noarch/repodata_shards.msgpack.zst"];
    // So wide that none of their names breaks a line.
    let wide = crate::cli::render::render(&refused, crate::cli::render::Style { colour: false, width: 240 });
    let text = indexes.iter().fold(shown(wide), |text, index| text.replace(index, "INDEX"));
    insta::assert_snapshot!("channel_closed", text);
    server.calm();
    server.order(Trouble::answer("GET", "/channel/noarch/repodata.json", 200, "<html>").always());
    let garbage = bench.refused(&asking(&[&url], &["attrs"]));
    assert!(garbage.contains("its index is damaged") && garbage.contains("byoi.toml"), "{garbage}");
    drop(server);
    let gone = bench.block_on(bench.lock(&asking(&[&url], &["attrs"]))).unwrap_err();
    assert_eq!(gone.fault().kind(), Kind::World);
    let text = bench.shown(&gone);
    assert!(text.contains("cannot be read") && text.contains("byoi build --locked"), "{text}");
}

#[test]
fn what_is_temporary_is_tried_again() {
    let bench = Bench::new();
    let server = TestRegistry::start();
    let url = written(&bench).serve(&server, "/channel");
    server.order(Trouble::status("GET", "/channel/noarch/repodata.json", 503).times(2));
    assert_eq!(versions(&bench.locked(&asking(&[&url], &["attrs"]))), ["attrs 23.1", "python 3.12.4"]);
}

#[test]
fn credentials_reach_their_channel_and_nothing_else() {
    let server = TestRegistry::start();
    let mut bench = Bench::new();
    let channel = written(&bench);
    channel.serve(&server, "/t/tk-hunter2/private");
    let url = server.url("/private");
    let description = asking(&[&url], &["attrs"]);
    insta::assert_snapshot!("channel_wants_token", bench.refused(&description).replace(server.host(), "HOST"));
    let host = server.host().split(':').next().unwrap().to_owned();
    bench.credentials = of_files(Some(&format!(r#"{{"{host}": {{"CondaToken": "tk-hunter2"}}}}"#)), None).unwrap();
    let conda = bench.locked(&description);
    assert!(!format!("{conda:?}").contains("hunter2"));
    assert_eq!(conda.packages[0].channel, url);
    server.order(Trouble::status("GET", "/t/", 500).always());
    server.clear_log();
    assert!(!bench.refused(&asking(&[&url], &["attrs", "python"])).contains("hunter2"));

    bench.credentials = of_files(None, Some(&format!("machine {host} login me password hunter3\n"))).unwrap();
    server.calm();
    server.clear_log();
    channel.serve(&server, "/open");
    bench.locked(&asking(&[&server.url("/open")], &["attrs"]));
    assert!(server.log().iter().all(|asked| asked.headers.get("authorization").is_some_and(|value| value.starts_with("Basic "))));
}
