//! Account files of real bases, and rules that hold for any.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::files::Files;
use super::*;
use crate::description;
use crate::digest::Digest;
use crate::inputs::Inputs;
use crate::lock::{Directories, Text};
use crate::plan::{Components, Plan};

const OWN: &str = "sagemaker-user:x:1000:100::/home/sagemaker-user:/bin/bash";

fn files(passwd: &str, group: &str) -> Files {
    Files { passwd: Some(passwd.to_owned()), group: Some(group.to_owned()), ..Files::default() }
}

fn merged(passwd: &str, group: &str) -> (String, String) {
    let merged = files(passwd, group).with_account(false);
    (merged.passwd.unwrap(), merged.group.unwrap())
}

#[test]
fn debian_gets_a_line_more_and_keeps_its_name_for_the_group() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    let group = "root:x:0:\nusers:x:100:\nnogroup:x:65534:\n";
    assert_eq!(merged(passwd, group), (format!("{passwd}{OWN}\n"), group.to_owned()));
}

#[test]
fn ubuntus_user_is_replaced_in_its_place_and_in_every_list() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash\nlast:x:7:7::/:/bin/sh";
    let base = Files {
        passwd: Some(passwd.to_owned()),
        group: Some(
            "adm:x:4:syslog,ubuntu\nsudo:x:27:ubuntu\nubuntu2:x:5:ubuntu2\nboth:x:6:sagemaker-user,ubuntu\nusers:x:100:\nubuntu:x:1000:\n".to_owned(),
        ),
        shadow: Some("root:*:19000:0:99999:7:::\nubuntu:!:19000:0:99999:7:::\nlast:*:1::::::\n".to_owned()),
        gshadow: Some("adm:*::syslog,ubuntu\nsudo:*:ubuntu:ubuntu\nusers:*::\nubuntu:!::\n".to_owned()),
    };
    let merged = base.with_account(true);
    assert_eq!(merged.passwd.unwrap(), format!("root:x:0:0:root:/root:/bin/bash\n{OWN}\nlast:x:7:7::/:/bin/sh"));
    assert_eq!(
        merged.group.unwrap(),
        "adm:x:4:syslog,sagemaker-user\nsudo:x:27:sagemaker-user\nubuntu2:x:5:ubuntu2\nboth:x:6:sagemaker-user\nusers:x:100:\nubuntu:x:1000:\n"
    );
    assert_eq!(merged.shadow.unwrap(), "root:*:19000:0:99999:7:::\nsagemaker-user:*:::::::\nlast:*:1::::::\n");
    assert_eq!(merged.gshadow.unwrap(), "adm:*::syslog,sagemaker-user\nsudo:*:sagemaker-user:sagemaker-user\nusers:*::\nubuntu:!::\n");
}

#[test]
fn an_account_that_is_as_it_must_be_stays() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nsagemaker-user:x:1000:100:A comment:/home/sagemaker-user:/usr/bin/zsh\n";
    let group = "users:x:100:\nsagemaker-user:x:100:\n";
    assert_eq!(merged(passwd, group), (passwd.to_owned(), group.to_owned()));
    let base = Files { shadow: Some("root:*:1::::::\nsagemaker-user:!:19000:0:99999:7:::\n".to_owned()), ..files(passwd, group) };
    assert_eq!(base.with_account(true), base);
}

#[test]
fn an_account_of_that_name_with_other_numbers_is_replaced() {
    let (passwd, _) = merged("sagemaker-user:x:57439:57439::/home/mambauser:/bin/bash\nroot:x:0:0::/:/bin/sh\nsagemaker-user:x:5:5::/:/x\n", "");
    assert_eq!(passwd, format!("{OWN}\nroot:x:0:0::/:/bin/sh\n"));
}

#[test]
fn the_group_gets_a_name_only_where_it_has_none() {
    for (base, expected) in [
        ("games:x:100:me\n", "games:x:100:me\n"),
        ("root:x:0:", "root:x:0:\nusers:x:100:\n"),
        ("users:x:984:\n", "users:x:984:\nsagemaker-user:x:100:\n"),
        ("users:x:984:\nsagemaker-user:x:57439:\n", "users:x:984:\nsagemaker-user:x:57439:\n"),
    ] {
        assert_eq!(merged("", base).1, expected);
    }
    let base = Files { gshadow: Some("root:*::\n".to_owned()), ..files("", "root:x:0:\n") };
    assert_eq!(base.with_account(false).gshadow.unwrap(), "root:*::\nusers:!::\n");
}

#[test]
fn an_empty_image_gets_root_and_the_account() {
    let merged = Files::default().with_account(false);
    assert_eq!(merged.passwd.unwrap(), format!("root:x:0:0:root:/root:/bin/sh\n{OWN}\n"));
    assert_eq!(merged.group.unwrap(), "root:x:0:\nusers:x:100:\n");
    assert_eq!((merged.shadow, merged.gshadow), (None, None));
}

#[test]
fn sudo_without_a_shadow_file_needs_a_line_that_asks_for_none() {
    let star = OWN.replace(":x:", ":*:");
    assert!(files("", "").with_account(true).passwd.unwrap().contains(&star));
    assert!(files(&format!("{OWN}\n"), "").with_account(true).passwd.unwrap().contains(&star));
    let with_shadow = Files { shadow: Some(String::new()), ..files("", "") };
    assert!(with_shadow.with_account(true).passwd.unwrap().contains(OWN));
}

fn description(more: &str) -> Description {
    description::parse("byoi.toml", &format!("schema = 1\nbase = \"debian:12\"\n{more}")).unwrap()
}

fn laid(description: &Description, facts: &Facts) -> BTreeMap<String, (u16, u32, u32, String)> {
    struct NoInputs;
    impl crate::inputs::Inputs for NoInputs {
        fn open(&self, _: &crate::digest::Digest) -> Result<std::fs::File, Error> {
            unreachable!("the account needs none")
        }
    }
    let entries = components(description, facts).unwrap().into_iter().flat_map(|component| component.lay(&NoInputs).unwrap());
    let seen = entries.map(|(path, entry)| {
        assert_eq!(entry.mtime, crate::plan::MTIME);
        let mut text = String::new();
        if let crate::layer::Node::File(content) = &entry.node {
            std::io::Read::read_to_string(&mut content.open().unwrap(), &mut text).unwrap();
        }
        (path.absolute(), (entry.mode, entry.uid, entry.gid, text))
    });
    seen.collect()
}

#[test]
fn merged_files_keep_mode_and_owner_and_unchanged_ones_are_not_laid() {
    let text = |mode, content: &str| Text { mode, owner: (0, 42), content: content.to_owned() };
    let mut facts = Facts { sudo: true, ..Facts::default() };
    facts.texts.insert(ImagePath::literal("etc/passwd"), text(0o664, ""));
    facts.texts.insert(ImagePath::literal("etc/shadow"), text(0o640, ""));
    facts.texts.insert(ImagePath::literal("etc/group"), text(0o644, "users:x:100:\n"));
    let laid = laid(&description("[account]\nsudo = true\n"), &facts);
    let paths: Vec<_> = laid.keys().map(String::as_str).collect();
    assert_eq!(paths, ["/etc/passwd", "/etc/shadow", "/etc/sudoers.d/byoi", "/home/sagemaker-user"]);
    assert_eq!(laid["/etc/passwd"], (0o664, 0, 42, format!("{OWN}\n")));
    assert_eq!(laid["/etc/shadow"], (0o640, 0, 42, "sagemaker-user:*:::::::\n".to_owned()));
    assert_eq!(laid["/etc/sudoers.d/byoi"], (0o440, 0, 0, "sagemaker-user ALL=(ALL) NOPASSWD: ALL\n".to_owned()));
    assert_eq!(laid["/home/sagemaker-user"], (0o755, 1000, 100, String::new()));
}

#[test]
fn sudo_on_a_base_without_it_is_an_error_with_its_place() {
    let wants = description("[account]\nsudo = true\n");
    let error = components(&wants, &Facts::default()).err().unwrap();
    let (source, span) = error.fault().problems()[0].place.clone().unwrap();
    assert_eq!(&source.text[span], "true");
    assert!(components(&description("[account]\nsudo = false\n"), &Facts::default()).is_ok());
    assert!(!laid(&description(""), &Facts { sudo: true, ..Facts::default() }).contains_key("/etc/sudoers.d/byoi"));
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    let name = prop_oneof![Just("root"), Just("ubuntu"), Just("sagemaker-user"), Just("users"), Just("")];
    let number = prop_oneof![Just("0"), Just("100"), Just("1000"), Just("57439"), Just("x")];
    let list = prop_oneof![Just(""), Just("ubuntu"), Just("a,ubuntu,sagemaker-user"), Just("/home/sagemaker-user")];
    let line = (name, number.clone(), number, list, 0usize..4).prop_map(|(name, uid, gid, list, shape)| match shape {
        0 => format!("{name}:x:{uid}:{gid}:{list}:{list}:/bin/sh"),
        1 => format!("{name}:x:{gid}:{list}"),
        2 => format!("{name}:!:{list}:{list}"),
        _ => format!("{name}{list}"),
    });
    proptest::option::of(
        (proptest::collection::vec(line, 0..5), any::<bool>()).prop_map(|(lines, end)| lines.join("\n") + if end { "\n" } else { "" }),
    )
}

proptest! {
    #[test]
    fn merging_twice_changes_nothing_and_names_the_account_once(
        (passwd, group, shadow, gshadow) in (any_text(), any_text(), any_text(), any_text()),
        sudo: bool,
    ) {
        let base = Files { passwd, group, shadow, gshadow };
        let once = base.with_account(sudo);
        prop_assert_eq!(&once.with_account(sudo), &once);
        let passwd = once.passwd.unwrap();
        let users: Vec<Vec<&str>> = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() == 7).collect();
        let of_uid: Vec<_> = users.iter().filter(|fields| fields[2] == "1000").collect();
        prop_assert_eq!(of_uid.len(), 1);
        prop_assert_eq!(&of_uid[0][..1], &["sagemaker-user"]);
        prop_assert_eq!((of_uid[0][3], of_uid[0][5]), ("100", "/home/sagemaker-user"));
        prop_assert_eq!(users.iter().filter(|fields| fields[0] == "sagemaker-user").count(), 1);
        // Lines that do not concern the account are all there, in their order.
        let others = |text: &str| text.lines().filter(|line| !line.starts_with("sagemaker-user") && !line.contains(":1000:")).map(str::to_owned).collect::<Vec<_>>();
        if let Some(base) = &base.passwd {
            prop_assert_eq!(others(&passwd), others(base));
        }
    }
}

#[test]
fn temporary_files_have_a_place_where_the_base_has_none() {
    let tmp = ImagePath::literal("tmp");
    let table = |mode, uid, links: &[(&'static str, &str)]| {
        let rule = |mode| DirectoryRule { mode, uid, gid: 0 };
        let rules = [("tmp", rule(mode)), ("var/tmp", rule(0o1777))].map(|(path, rule)| (ImagePath::literal(path), rule));
        let links = links.iter().map(|(path, target)| (ImagePath::literal(path), (*target).to_owned())).collect();
        DirectoryTable::new(&Directories { rules: rules.into(), links })
    };
    let links = [("tmp", "var/tmp")];
    for mut good in [table(0o1777, 0, &[]), table(0o777, 7, &[]), table(0o700, UID, &[]), table(0o755, 0, &links)] {
        assert!(temporary_directory(&mut good).is_none());
    }
    for mut bad in [DirectoryTable::new(&Directories::default()), table(0o755, 0, &[]), table(0o1770, 0, &[])] {
        let component = temporary_directory(&mut bad).unwrap();
        let plan = Plan::new(Components { platform: vec![component], ..Components::default() }, bad, 40);
        let tree = crate::plan::build_tree(&plan.layers[0], &plan.directories, &Nothing).unwrap();
        let laid: Vec<_> = tree.iter().map(|(path, entry)| (path.clone(), entry.mode, entry.uid, entry.gid)).collect();
        assert_eq!(laid, [(tmp.clone(), 0o1777, 0, 0)]);
    }
}

/// No input at all.
struct Nothing;

impl Inputs for Nothing {
    fn open(&self, digest: &Digest) -> Result<std::fs::File, Error> {
        unreachable!("{digest}: an account needs no input")
    }
}
