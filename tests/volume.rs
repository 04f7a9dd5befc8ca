//! At every start the space's volume is brought up to date with the image, and what the user did there stays. Judged by the real server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::SystemTime;

use crate::support::space::{Space, make_extension};
use proptest::prelude::*;
use serde_json::{Value, json};

const HELLO: &str = "acme-labs.hello-studio";

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn versions(space: &Space) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut versions: Vec<_> =
        space.entries().iter().map(|entry| format!("{}@{}", text(&entry["identifier"]["id"]), text(&entry["version"]))).collect();
    versions.sort();
    versions
}

#[test]
fn a_first_start_links_and_lists_the_extensions_of_the_image() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3", "hello-second-1.0.0"]);
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-second@1.0.0", "acme-labs.hello-studio@1.2.3"]);
    for (folder, target) in space.folders() {
        assert_eq!(target, Some(space.image().join("extensions").join(&folder)));
    }
    // As the image lists it: pinned, so that no gallery replaces it.
    assert_eq!(space.entries()[0]["metadata"]["pinned"], json!(true));
}

#[test]
fn a_start_without_news_writes_nothing() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3"]);
    space.start();
    let written = |name: &str| modified(&space.installed(name));
    let before = (written("extensions.json"), written(".byoi.json"), written(""));
    assert_eq!(space.start(), "");
    assert_eq!((written("extensions.json"), written(".byoi.json"), written("")), before);
}

#[test]
fn an_added_an_updated_and_a_removed_extension_arrive_on_an_older_volume() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3"]);
    space.start();
    space.image_has(&["hello-studio-1.3.0", "hello-second-1.0.0"]);
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-second@1.0.0", "acme-labs.hello-studio@1.3.0"]);
    assert_eq!(space.folders().into_keys().collect::<Vec<_>>(), ["acme-labs.hello-second-1.0.0", "acme-labs.hello-studio-1.3.0"]);
    space.image_has(&["hello-studio-1.2.3"]);
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-studio@1.2.3"], "an image of before: older version, one extension less");
    space.image_has(&[]);
    space.start();
    assert_eq!(space.listed(), [""; 0]);
    assert!(space.folders().is_empty());
}

#[test]
fn a_volume_that_sagemaker_distribution_filled_is_brought_up_to_date() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3"]);
    space.filled_by_sagemaker_distribution();
    assert_eq!(space.listed(), ["acme-labs.hello-studio@1.2.3"]);
    space.image_has(&["hello-studio-1.3.0", "hello-second-1.0.0"]);
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-second@1.0.0", "acme-labs.hello-studio@1.3.0"]);
}

#[test]
fn what_the_user_installed_stays() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3"]);
    space.start();
    space.user_installs("hello-second-1.0.0");
    space.user_installs("hello-studio-1.3.0");
    let own = ["acme-labs.hello-second@1.0.0", "acme-labs.hello-studio@1.3.0"];
    for image in [&["hello-studio-1.2.3"][..], &["hello-studio-1.2.3", "hello-second-1.0.0"], &[]] {
        space.image_has(image);
        space.start();
        assert_eq!(space.listed(), own, "over an image with {image:?}");
        assert_eq!(space.folders().into_values().collect::<Vec<_>>(), [None, None], "real folders, no link");
    }
}

#[test]
fn an_older_copy_of_the_users_own_stays_as_well() {
    let space = Space::new();
    space.start();
    space.user_installs("hello-studio-1.2.3");
    space.image_has(&["hello-studio-1.3.0"]);
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-studio@1.2.3"]);
    space.user_uninstalls(HELLO);
    space.start();
    assert_eq!(space.listed(), [""; 0], "and when it goes, the image's does not take its place");
}

#[test]
fn what_the_user_uninstalled_stays_away() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3", "hello-second-1.0.0"]);
    space.start();
    space.user_uninstalls(HELLO);
    let images = [&["hello-studio-1.2.3", "hello-second-1.0.0"][..], &["hello-second-1.0.0"], &["hello-studio-1.3.0", "hello-second-1.0.0"]];
    for image in images {
        space.image_has(image);
        space.start();
        assert_eq!(space.listed(), ["acme-labs.hello-second@1.0.0"], "over an image with {image:?}");
        assert!(!space.installed(".obsolete").exists(), "nothing is left to delete");
    }
    space.user_installs("hello-studio-1.3.0");
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-second@1.0.0", "acme-labs.hello-studio@1.3.0"], "unless the user installs it again");
}

#[test]
fn what_the_user_uninstalled_under_another_image_is_known_by_the_servers_traces() {
    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3", "hello-second-1.0.0"]);
    space.filled_by_sagemaker_distribution();
    space.user_uninstalls(HELLO);
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-second@1.0.0"], "a link that is not listed");

    let space = Space::new();
    space.image_has(&["hello-studio-1.2.3", "hello-second-1.0.0"]);
    fs::create_dir_all(space.installed("")).unwrap();
    fs::write(space.installed("extensions.json"), "[]").unwrap();
    fs::write(space.installed(".obsolete"), r#"{"acme-labs.hello-studio-1.1.0":true}"#).unwrap();
    space.start();
    assert_eq!(space.listed(), ["acme-labs.hello-second@1.0.0"], "a mark");
}

#[test]
fn an_extension_that_an_image_lacks_for_a_while_comes_back() {
    let space = Space::new();
    for image in [&[("a.one", "1.0.0"), ("a.two", "1.0.0")][..], &[("a.two", "1.0.0")], &[("a.one", "1.0.0"), ("a.two", "1.0.0")]] {
        space.image_has_made(image);
        space.start();
        assert_eq!(versions(&space), image.iter().map(|(id, version)| format!("{id}@{version}")).collect::<Vec<_>>());
    }
}

#[test]
fn a_missing_list_is_made_from_all_that_is_there() {
    let space = Space::new();
    space.image_has_made(&[("a.one", "1.0.0"), ("a.two", "1.0.0")]);
    space.start();
    make_extension(&space.installed(""), "user.own", "1.0.0");
    make_extension(&space.installed(""), "user.marked", "1.0.0");
    fs::write(space.installed(".obsolete"), r#"{"user.marked-1.0.0":true}"#).unwrap();
    fs::remove_file(space.installed("extensions.json")).unwrap();
    space.start();
    assert_eq!(versions(&space), ["a.one@1.0.0", "a.two@1.0.0", "user.own@1.0.0"]);
    assert_eq!(fs::read_to_string(space.installed(".obsolete")).unwrap(), r#"{"user.marked-1.0.0":true}"#, "the user's marks stay");
}

#[test]
fn a_damaged_list_is_made_anew_and_kept_aside() {
    for damaged in ["[{\"identifier\"", "{}", "[{\"version\":\"1\"}]", ""] {
        let space = Space::new();
        space.image_has_made(&[("a.one", "1.0.0")]);
        space.start();
        make_extension(&space.installed(""), "user.own", "1.0.0");
        fs::write(space.installed("extensions.json"), damaged).unwrap();
        space.start();
        assert_eq!(versions(&space), ["a.one@1.0.0", "user.own@1.0.0"], "{damaged}");
        assert_eq!(space.installed("extensions.json.damaged").exists(), !damaged.is_empty());
    }
}

#[test]
fn a_list_of_another_profile_follows_too() {
    let space = Space::new();
    space.image_has_made(&[("a.one", "1.0.0"), ("a.two", "1.0.0"), ("a.three", "1.0.0")]);
    space.start();
    let profile = space.volume().join("data/User/profiles/1a2b/extensions.json");
    fs::create_dir_all(profile.parent().unwrap()).unwrap();
    let of_image: Vec<_> = space.entries().into_iter().filter(|entry| entry["identifier"]["id"] != "a.three").collect();
    fs::write(&profile, Value::from(of_image).to_string()).unwrap();
    // Removed from the default profile only: the other one still needs the link.
    let left: Vec<_> = space.entries().into_iter().filter(|entry| entry["identifier"]["id"] != "a.one").collect();
    fs::write(space.installed("extensions.json"), Value::from(left).to_string()).unwrap();

    space.image_has_made(&[("a.one", "2.0.0"), ("a.three", "2.0.0")]);
    space.start();
    assert_eq!(versions(&space), ["a.three@2.0.0"]);
    let entries: Vec<Value> = serde_json::from_str(&fs::read_to_string(&profile).unwrap()).unwrap();
    assert_eq!((entries.len(), &entries[0]["version"]), (1, &json!("2.0.0")));
    assert_eq!(space.folders().into_keys().collect::<Vec<_>>(), ["a.one-2.0.0", "a.three-2.0.0"]);
}

#[test]
fn links_of_the_users_own_are_left_alone() {
    let space = Space::new();
    make_extension(&space.path("elsewhere"), "user.linked", "1.0.0");
    fs::create_dir_all(space.installed("")).unwrap();
    symlink(space.path("elsewhere/user.linked-1.0.0"), space.installed("user.linked-1.0.0")).unwrap();
    symlink("/nowhere/at/all", space.installed("dead")).unwrap();
    space.image_has_made(&[("a.one", "1.0.0")]);
    space.start();
    assert_eq!(space.folders().into_keys().collect::<Vec<_>>(), ["a.one-1.0.0", "dead", "user.linked-1.0.0"]);
    assert_eq!(versions(&space), ["a.one@1.0.0", "user.linked@1.0.0"]);
}

#[test]
fn a_link_that_vanished_is_made_again() {
    let space = Space::new();
    space.image_has_made(&[("a.one", "1.0.0")]);
    space.start();
    fs::remove_file(space.installed("a.one-1.0.0")).unwrap();
    space.start();
    assert!(space.installed("a.one-1.0.0/package.json").exists());
}

#[test]
fn the_servers_cache_is_outdated_by_a_change_within_a_version() {
    let space = Space::new();
    space.image_has_made(&[("a.one", "1.0.0")]);
    space.start();
    let before = modified(&space.installed("extensions.json"));
    fs::write(space.image().join("extensions/a.one-1.0.0/package.nls.json"), "{}").unwrap();
    space.start();
    assert_ne!(modified(&space.installed("extensions.json")), before);
}

#[test]
fn a_folder_of_the_image_that_its_list_lacks_is_found_too() {
    let space = Space::new();
    space.image_has_made(&[("a.one", "2.0.0")]);
    // An older folder that an update left behind, and one that was copied in.
    make_extension(&space.image().join("extensions"), "a.one", "10.0.0");
    make_extension(&space.image().join("extensions"), "a.two", "9.0.0");
    make_extension(&space.image().join("extensions"), "a.two", "10.0.0-rc.1");
    space.start();
    assert_eq!(versions(&space), ["a.one@2.0.0", "a.two@10.0.0-rc.1"]);
}

#[test]
fn machine_settings_of_the_image_win_and_others_stay() {
    let space = Space::new();
    let (image, volume) = (space.image().join("data/Machine/settings.json"), space.volume().join("data/Machine/settings.json"));
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    fs::write(&image, r#"{"a": 1, "b": {"c": 2}}"#).unwrap();
    space.start();
    assert_eq!(fs::read_to_string(&volume).unwrap(), r#"{"a": 1, "b": {"c": 2}}"#);

    fs::write(&volume, "// mine\n{\"a\": 0, \"own\": \"// no comment, }\", /* x */ \"b\": 3,\n}").unwrap();
    space.start();
    let merged: Value = serde_json::from_str(&fs::read_to_string(&volume).unwrap()).unwrap();
    assert_eq!(merged, json!({"a": 1, "own": "// no comment, }", "b": {"c": 2}}));
    assert!(fs::read_to_string(volume.with_file_name("settings.json.commented")).unwrap().starts_with("// mine"));

    let before = modified(&volume);
    space.start();
    assert_eq!(modified(&volume), before);

    fs::write(&volume, "{ not at all").unwrap();
    assert!(space.start().contains("is left as it is"));
    assert_eq!(fs::read_to_string(&volume).unwrap(), "{ not at all");
}

#[test]
fn user_settings_are_seeded_and_never_overwritten() {
    let space = Space::new();
    let (image, volume) = (space.image().join("data/User/settings.json"), space.volume().join("data/User/settings.json"));
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    fs::write(&image, "{\"a\": 1}").unwrap();
    space.start();
    assert_eq!(fs::read_to_string(&volume).unwrap(), "{\"a\": 1}");
    fs::write(&volume, "").unwrap();
    space.start();
    assert_eq!(fs::read_to_string(&volume).unwrap(), "");
}

/// What may happen to a space between two starts.
#[derive(Debug, Clone)]
enum Event {
    /// Another image: which version of each extension it has.
    Image([Option<u8>; 3]),
    /// The user installs a version of an extension.
    Installs(usize, u8),
    /// The user uninstalls an extension.
    Uninstalls(usize),
    /// The list is lost.
    LosesList,
}

const IDS: [&str; 3] = ["a.one", "a.two-more", "a.two"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let version = || 1..4u8;
    let image = proptest::array::uniform3(proptest::option::weighted(0.7, version())).prop_map(Event::Image);
    let event = prop_oneof![
        3 => image,
        2 => (0..3usize, version()).prop_map(|(id, version)| Event::Installs(id, version)),
        2 => (0..3usize).prop_map(Event::Uninstalls),
        1 => Just(Event::LosesList),
    ];
    proptest::collection::vec(event, 1..8)
}

/// What a space must look like, by the rules and not by files.
#[derive(Default)]
struct Expected {
    image: [Option<u8>; 3],
    own: [Option<u8>; 3],
    /// What an image brought and was not taken back by a later one.
    offered: [bool; 3],
    removed: [bool; 3],
}

impl Expected {
    fn after(&mut self, event: &Event) {
        match *event {
            Event::Image(image) => {
                for (id, version) in image.iter().enumerate() {
                    let was_linked = self.own[id].is_none() && !self.removed[id];
                    self.offered[id] = version.is_some() || (self.offered[id] && !was_linked);
                }
                self.image = image;
            }
            Event::Installs(id, version) => (self.own[id], self.removed[id]) = (Some(version), false),
            Event::Uninstalls(id) => {
                self.removed[id] |= self.offered[id];
                self.own[id] = None;
            }
            Event::LosesList => {}
        }
    }

    fn versions(&self) -> Vec<String> {
        let of_image = |id: usize| self.image[id].filter(|_| !self.removed[id]);
        let mut lines: Vec<_> = (0..3).filter_map(|id| Some(format!("{}@{}.0.0", IDS[id], self.own[id].or(of_image(id))?))).collect();
        lines.sort();
        lines
    }
}

/// Does to the files what the server does on the user's behalf.
fn happen(space: &Space, event: &Event) {
    let forget = |id: &str| {
        let (gone, left): (Vec<_>, Vec<_>) = space.entries().into_iter().partition(|entry| entry["identifier"]["id"] == id);
        fs::write(space.installed("extensions.json"), Value::from(left).to_string()).unwrap();
        for folder in gone.iter().map(|entry| space.installed(entry["relativeLocation"].as_str().unwrap())) {
            if folder.is_symlink() { fs::remove_file(folder).unwrap() } else { fs::remove_dir_all(folder).unwrap() }
        }
    };
    match *event {
        Event::Image(image) => {
            let versions = image.map(|version| version.map(|version| format!("{version}.0.0")));
            let pairs = IDS.iter().zip(&versions).filter_map(|(id, version)| Some((*id, version.as_deref()?)));
            space.image_has_made(&pairs.collect::<Vec<_>>());
        }
        Event::Installs(id, version) => {
            forget(IDS[id]);
            let mut entries = space.entries();
            entries.push(make_extension(&space.installed(""), IDS[id], &format!("{version}.0.0")));
            fs::write(space.installed("extensions.json"), Value::from(entries).to_string()).unwrap();
        }
        Event::Uninstalls(id) => forget(IDS[id]),
        Event::LosesList => fs::remove_file(space.installed("extensions.json")).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_image_the_user_and_the_rules_agree(events in events()) {
        let space = Space::new();
        space.start();
        let mut expected = Expected::default();
        for event in &events {
            happen(&space, event);
            expected.after(event);
            space.start();
            prop_assert_eq!(versions(&space), expected.versions());
            let folders: Vec<_> = space.folders().into_keys().collect();
            let mut listed: Vec<_> = space.entries().iter().map(|entry| entry["relativeLocation"].as_str().unwrap().to_owned()).collect();
            listed.sort();
            prop_assert_eq!(folders, listed, "what is there is listed, and what is listed is there");
        }
    }
}
