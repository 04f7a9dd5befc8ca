//! The graph of an image, and of its layout: which vertices there are, and which stay when something changes.

use byoi::digest::Digest;
use serde_json::json;

use super::fake::{self, Built, Fake, build};
use super::{DESCRIPTION, OPTIONS, config, daemon, digest, lock, steps, with};
use crate::llb::proto::Op;
use crate::llb::{Exec, Graph, VertexOptions};
use crate::messages::Solve;

/// Layers that are copied over what lies below them.
fn laid(built: &Built) -> Vec<String> {
    let copies = |op: &Op| op.file.iter().flat_map(|file| &file.actions.0).any(|action| action.copy.is_some());
    built.operations().into_iter().filter(|(_, op)| copies(op) && op.inputs.0.len() == 2).map(|(name, _)| name).collect()
}

#[test]
fn a_locked_build_is_one_step_a_layer_without_network() {
    let built = build(&daemon(), &OPTIONS);
    built.outcome.as_ref().unwrap();
    let operations = built.operations();
    assert_eq!(steps(&built), ["extension acme.hello 1.2.3", "files", "platform"]);
    for (name, op) in &operations {
        if let Some(exec) = &op.exec {
            assert_eq!(exec.network, 2, "{name} has no network");
            assert!(exec.mounts.0.iter().all(|mount| mount.readonly || mount.input == -1), "{name} writes to nothing but its own");
            assert_eq!((exec.mounts.0[1].dest.as_str(), exec.mounts.0[1].input, exec.mounts.0[1].output), ("/out", -1, 0));
        }
    }
    let sources: Vec<_> = operations.iter().filter_map(|(_, op)| op.source.clone()).collect();
    let http = sources.iter().find(|source| source.identifier == "https://example.org/hello.vsix").unwrap();
    assert_eq!(http.attributes["http.checksum"], digest("vsix").to_string());
    let local = sources.iter().find(|source| source.identifier == "local://dockerfile").unwrap();
    assert_eq!(local.attributes["local.followpaths"], r#"["tools"]"#);
    assert!(sources.iter().any(|source| source.identifier == format!("docker-image://example.org/base:1@{}", digest("base"))));
    // Where merging is switched off, layers are copied over each other.
    assert_eq!(laid(&built), ["lay extension acme.hello 1.2.3", "lay extensions.json", "lay files", "lay platform"]);
    assert!(operations.iter().all(|(_, op)| op.merge.is_none()));
}

#[test]
fn the_config_is_that_of_the_command() {
    let built = build(&daemon(), &with(&[("label:b", "2"), ("build-arg:SOURCE_DATE_EPOCH", "1700000000")]));
    let config = config(&built);
    assert_eq!(config["config"]["User"], "1000:100");
    assert_eq!(config["config"]["Labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    let history = config["history"].as_array().unwrap();
    assert_eq!(history.len(), 5);
    assert!(history[1..].iter().all(|item| item["comment"].as_str().unwrap().starts_with("byoi.v1 key=sha256:")));
    let result = built.result();
    assert!(result.metadata.contains_key("containerimage.base.config") && result.metadata.contains_key("refs.platforms"));
    let map = build(&daemon(), &with(&[("multi-platform", "true")])).result();
    assert!(map.references.is_some() && map.metadata.contains_key("containerimage.config/linux/amd64"));
}

#[test]
fn layers_are_merged_where_the_daemon_can() {
    let built = build(&Fake { more: vec!["mergeop"], ..daemon() }, &OPTIONS);
    let operations = built.operations();
    let merged = operations.iter().find_map(|(_, op)| op.merge.clone()).unwrap();
    assert_eq!(merged.inputs.0.len(), 5);
    assert_eq!(laid(&built), [""; 0]);
}

/// What caches know of the mounts of a step that reads an input or local files.
fn content_caches(built: &Built, step: &str) -> Vec<(String, i64)> {
    let exec = built.operations().into_iter().find(|(name, op)| name == step && op.exec.is_some()).unwrap().1.exec.unwrap();
    let inputs = exec.mounts.0.into_iter().filter(|mount| mount.readonly && mount.dest != "/");
    inputs.map(|mount| (mount.dest.rsplit('/').next().unwrap().to_owned(), mount.content_cache)).collect()
}

#[test]
fn what_is_pinned_is_not_hashed_for_caches_where_the_daemon_can_be_told() {
    let input = digest("vsix").hex();
    for (more, expected) in [(vec!["exec.mount.cache.content"], 2), (vec![], 0)] {
        let built = build(&Fake { more, ..daemon() }, &OPTIONS);
        assert_eq!(content_caches(&built, "extension acme.hello 1.2.3"), [(input.clone(), expected)]);
        assert_eq!(content_caches(&built, "files"), [("tools".to_owned(), 0)], "local files are known by their content");
    }
}

#[test]
fn what_a_step_writes_over_is_an_input_and_not_hashed_either() {
    let platform = crate::gateway::target_platform();
    for (content_switch, expected) in [(true, 2), (false, 0)] {
        let mut graph = Graph::default();
        let [tool, base] = ["tool", "base"].map(|name| graph.image(name, None, &platform, VertexOptions::named(name)));
        for (over, input, expected) in [(Some(base), 1, expected), (None, -1, 0)] {
            let exec = Exec { out: "/out".to_owned(), over, content_switch, ..Exec::default() };
            let edge = graph.exec(&tool, exec, &platform, VertexOptions::named("step"));
            let operations = fake::operations(&graph.definition(&edge));
            let mount = operations.iter().rev().find_map(|(_, op)| op.exec.as_ref()).unwrap().mounts.0[1].clone();
            assert_eq!((mount.dest.as_str(), mount.input, mount.output, mount.readonly), ("/out", input, 0, false));
            assert_eq!(mount.content_cache, expected);
        }
        assert_eq!(graph.capabilities().contains("exec.mount.cache.content"), content_switch);
    }
}

#[test]
fn a_base_that_all_lies_over_is_fetched_at_once() {
    let solves = |fake: &Fake| built_graphs(&build(fake, &OPTIONS));
    let base = "base example.org/base:1";
    let early = |graphs: &[Vec<String>]| graphs.iter().position(|graph| graph == &[base.to_owned(), String::new()]);
    let without = solves(&daemon());
    assert!(early(&without).unwrap() < without.len() - 1, "{without:?}");
    assert_eq!(early(&solves(&Fake { more: vec!["mergeop"], ..daemon() })), None);
    // One that is not the lock's is not known yet.
    let mut other = daemon();
    other.files.insert("byoi.toml".to_owned(), DESCRIPTION.replace("base:1", "base:2").into_bytes());
    assert_eq!(early(&solves(&other)), None);
}

/// The names in all graphs.
fn built_graphs(built: &Built) -> Vec<Vec<String>> {
    let graphs = built.of::<Solve>("Solve").into_iter().map(|solve| fake::operations(&solve.definition.unwrap()));
    graphs.map(|graph| graph.into_iter().map(|(name, _)| name).collect()).collect()
}

#[test]
fn a_recipe_is_a_variable_unless_it_is_too_long() {
    let variable = |fake: &Fake| {
        let built = build(fake, &OPTIONS);
        let (_, op) = built.operations().into_iter().find(|(name, op)| name == "files" && op.exec.is_some()).unwrap();
        let recipe = op.exec.unwrap().meta.unwrap().env.0.into_iter().find_map(|text| text.strip_prefix("BYOI_RECIPE=").map(str::to_owned));
        (recipe, built.operations().into_iter().any(|(name, _)| name == "[internal] recipe: files"))
    };
    let (recipe, file) = variable(&daemon());
    assert!(recipe.unwrap().contains("opt/tools") && !file);
    let mut long = daemon();
    long.files.insert("byoi.toml".to_owned(), DESCRIPTION.replace("welcome", &"welcome".repeat(20_000)).into_bytes());
    assert_eq!(variable(&long), (None, true));
}

#[test]
fn only_the_layer_that_changes_has_another_step() {
    // Local files lie at the same paths in every build.
    let top = tempfile::tempdir().unwrap();
    let work = top.path().join("work");
    let digests = |fake: &Fake, options: &[(&str, &str)]| -> Vec<(String, Digest)> {
        let definition = fake::build_at(fake, options, &work).of::<Solve>("Solve").pop().unwrap().definition.unwrap();
        let named = fake::operations(&definition).into_iter().zip(&definition.def.0);
        named.filter(|((_, op), _)| op.exec.is_some()).map(|((name, _), bytes)| (name, Digest::of(bytes))).collect()
    };
    let before = digests(&daemon(), &OPTIONS);
    assert_eq!(digests(&daemon(), &with(&[("label:b", "2")])), before);
    let mut changed = daemon();
    let text = DESCRIPTION.replace("welcome", "hello").replace("a = \"1\"", "a = \"2\"");
    changed.files.insert("byoi.toml".to_owned(), text.into_bytes());
    let after = digests(&changed, &OPTIONS);
    let differ: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).map(|(before, _)| before.0.as_str()).collect();
    assert_eq!(differ, ["files"]);

    // Another version of an extension: its own step alone, though its directory has another name and the list of extensions other words.
    let mut lock = lock();
    lock.extensions[0].version = "1.2.4".to_owned();
    lock.extensions[0].sha256 = digest("other vsix");
    let mut changed = daemon();
    changed.files.insert("byoi.lock".to_owned(), lock.to_toml().into_bytes());
    let after = digests(&changed, &OPTIONS);
    let differ: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).map(|(_, after)| after.0.as_str()).collect();
    assert_eq!(differ, ["extension acme.hello 1.2.4"]);
}

#[test]
fn the_list_of_extensions_is_written_without_a_step() {
    let built = build(&daemon(), &OPTIONS);
    let (_, op) = built.operations().into_iter().find(|(name, _)| name == "write extensions.json").unwrap();
    let actions = op.file.unwrap().actions.0;
    assert!(op.inputs.0.is_empty());
    let made: Vec<_> = actions.iter().filter_map(|action| action.mkdir.as_ref()).map(|directory| directory.path.as_str()).collect();
    let data = "/opt/amazon/sagemaker/sagemaker-code-editor-server-data";
    let places = ["/opt", "/opt/amazon", "/opt/amazon/sagemaker", data, &format!("{data}/extensions")];
    assert_eq!(made[..5], places);
    // From below up, each is made a second time, apart, and copied over the first: its time is then as it was said, whatever was made in it.
    let names = places.map(|place| &place[place.rfind('/').unwrap()..]);
    assert_eq!(made[5..], names.into_iter().rev().collect::<Vec<_>>());
    let owners: Vec<_> = actions.iter().filter_map(|action| Some(action.mkdir.as_ref()?.owner.clone()?.user?.by_id)).collect();
    assert_eq!(owners, [1000; 4]);
    let [file] = actions.iter().filter_map(|action| action.mkfile.as_ref()).collect::<Vec<_>>()[..] else { panic!("one file") };
    assert_eq!((file.path.as_str(), file.mode), (&*format!("{data}/extensions/extensions.json"), 0o644));
    assert!(String::from_utf8_lossy(&file.data).contains("acme.hello") && file.timestamp % 1_000_000_000 == 0);
    // Only the last action is the result.
    let outputs: Vec<_> = actions.iter().map(|action| action.output).collect();
    assert!(outputs.ends_with(&[-1, 0]) && outputs.iter().filter(|output| **output == 0).count() == 1);
}

#[test]
fn a_layout_is_packed_by_steps_and_its_base_looked_up() {
    let built = build(&daemon(), &with(&[("target", "oci")]));
    let outcome = built.result();
    assert!(outcome.metadata.is_empty() && outcome.reference.is_some());
    let operations = built.operations();
    let execs: Vec<_> = operations.iter().filter_map(|(name, op)| Some((name.as_str(), op.exec.as_ref()?))).collect();
    let names: Vec<_> = execs.iter().map(|(name, exec)| (*name, exec.network)).collect();
    let packed = ["pack extension acme.hello 1.2.3", "pack extensions.json", "pack files", "pack platform"].map(|name| (name, 2));
    assert_eq!(names[0], ("look up the manifest of example.org/base:1", 0));
    assert_eq!(names[1..5], packed);
    assert_eq!(names[5], ("assemble the OCI layout", 2));
    let lookup = execs[0].1.meta.as_ref().unwrap();
    assert_eq!(lookup.args.0[1..], ["manifest".to_owned(), format!("example.org/base:1@{}", digest("base"))]);
    // The base's layers are no part of it.
    assert!(operations.iter().filter_map(|(_, op)| op.source.as_ref()).all(|source| !source.identifier.contains("example.org/base")));
}
