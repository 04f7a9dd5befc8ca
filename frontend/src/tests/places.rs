//! Where things come from: the folder, mirrors, named contexts, batches of inputs; and what a daemon lacks.

use super::fake::{self, Built, Fake, build};
use super::{DESCRIPTION, OPTIONS, daemon, digest, lock, with};
use crate::messages::{ResolveImageConfig, Solve};

#[test]
fn mirrors_of_the_client_are_where_things_come_from() {
    let mut fake = daemon();
    let moved = format!("mirror.example/x/base:1@{}", digest("base"));
    let config = fake.images.values().next().unwrap().clone();
    fake.images.clear();
    fake.images.insert("example.org/byoi-frontend:1".to_owned(), (digest("frontend").to_string(), b"{}".to_vec()));
    fake.images.insert(moved.clone(), config);
    let mirrors =
        "[mirrors]\n\"https://example.org/\" = \"https://mirror.example/files/\"\n\"example.org\" = [\"away.example\", \"mirror.example/x\"]\n";
    let built = build(&fake, &with(&[("build-arg:BYOI_CONFIG", mirrors)]));
    built.result();
    let sources: Vec<_> = built.operations().into_iter().filter_map(|(_, op)| op.source).map(|source| source.identifier).collect();
    assert!(sources.contains(&"https://mirror.example/files/hello.vsix".to_owned()), "{sources:?}");
    assert!(sources.contains(&format!("docker-image://{moved}")), "{sources:?}");
    let wrong = build(&fake, &with(&[("build-arg:BYOI_CONFIG", "mirors = 1")])).error().message;
    assert!(wrong.contains("unknown key `mirors`"), "{wrong}");
}

/// A lock and a description of so many files at URLs.
fn of_many_files(count: usize) -> Fake {
    let mut fake = daemon();
    let mut lock = lock();
    let mut text = DESCRIPTION.to_owned();
    for number in 0..count {
        let url = format!("https://example.org/{number}");
        text += &format!("[[file]]\nurl = \"{url}\"\ntarget = \"/opt/files/{number}\"\n");
        lock.files.push(byoi::lock::File { requirement: url.parse().unwrap(), sha256: digest(&url), size: 1 });
    }
    fake.files.insert("byoi.toml".to_owned(), text.into_bytes());
    fake.files.insert("byoi.lock".to_owned(), lock.to_toml().into_bytes());
    fake
}

#[test]
fn an_old_daemon_gets_many_inputs_in_batches() {
    let evaluated = |built: &Built| {
        let solves = built.of::<Solve>("Solve").into_iter().filter(|solve| solve.evaluate);
        let graphs = solves.map(|solve| fake::operations(&solve.definition.unwrap())).filter(|graph| graph[0].0.starts_with("fetch "));
        graphs.map(|graph| graph.len()).filter(|count| *count == 2).collect::<Vec<_>>()
    };
    let mut fake = of_many_files(60);
    let old = build(&fake, &OPTIONS);
    old.result();
    // Each of the files and the extension by itself: a source, and the end of its graph.
    assert_eq!(evaluated(&old), [2; 61]);
    assert!(old.most_at_once <= 16 && old.most_at_once > 1, "{}", old.most_at_once);
    fake.more = vec!["source.metaresolver"];
    assert_eq!(evaluated(&build(&fake, &OPTIONS)), [0; 0]);
    assert_eq!(evaluated(&build(&of_many_files(20), &OPTIONS)), [0; 0]);
}

#[test]
fn only_what_the_description_names_is_read() {
    let built = build(&daemon(), &OPTIONS);
    let read: Vec<String> = built.of::<crate::messages::ReadFile>("ReadFile").into_iter().map(|read| read.path).collect();
    assert!(read.contains(&"tools/sub/data".to_owned()) && !read.iter().any(|path| path.contains("secret")), "{read:?}");
}

#[test]
fn a_named_context_takes_the_place_of_the_base() {
    let mut fake = daemon();
    let config = fake.images.values().next().unwrap().1.clone();
    let mirrored = format!("mirror.example/base:1@{}", digest("base"));
    fake.images.insert("mirror.example/base:1".to_owned(), (digest("base").to_string(), config.clone()));
    fake.images.insert(mirrored.clone(), (digest("base").to_string(), config));
    let built = build(&fake, &with(&[("context:example.org/base:1", "docker-image://mirror.example/base:1")]));
    built.result();
    let sources: Vec<_> = built.operations().into_iter().filter_map(|(_, op)| op.source).map(|source| source.identifier).collect();
    assert!(sources.contains(&format!("docker-image://{mirrored}")), "{sources:?}");
    // Another image is another base: the lock is not for it.
    fake.images.get_mut("mirror.example/base:1").unwrap().0 = digest("other").to_string();
    let locked = with(&[("context:base", "docker-image://mirror.example/base:1"), ("build-arg:BYOI_LOCKED", "1")]);
    assert!(build(&fake, &locked).error().message.contains("is stale"));
}

#[test]
fn a_base_for_another_machine_is_refused() {
    let mut fake = daemon();
    let base = fake.images.values_mut().next().unwrap();
    base.1 = br#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    assert!(build(&fake, &OPTIONS).error().message.contains("it is for arm64"));
}

#[test]
fn a_daemon_that_lacks_something_is_told_so() {
    let mut fake = daemon();
    fake.images.clear();
    assert!(build(&fake, &OPTIONS).error().message.contains("not found"));
    let context = with(&[("context:base", &*Box::leak(format!("oci-layout://store@{}", digest("base")).into_boxed_str()))]);
    let mut fake = daemon();
    let config = fake.images.values().next().unwrap().1.clone();
    fake.images.insert(format!("docker.io/library/base@{}", digest("base")), (digest("base").to_string(), config));
    assert!(build(&fake, &context).error().message.contains("lacks `source.ocilayout`"));
    fake.more = vec!["source.ocilayout"];
    let built = build(&fake, &context);
    built.result();
    assert!(built.of::<ResolveImageConfig>("ResolveImageConfig").iter().any(|asked| asked.resolver == 1 && asked.store == "store"));
}
