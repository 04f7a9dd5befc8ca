//! What is made again: counted in the steps that a daemon says it executed.

use std::fs;

use super::{PROGRAMS, project, unique};
use crate::support::base::{hello_vsix_of, registry_with_base};
use crate::support::byoi::Workplace;
use crate::support::frontend::{Builder, Frontend, Progress};

fn only_what_changes(builder: &Builder) {
    let frontend = Frontend::publish();
    let registry = registry_with_base(2);
    let place = project(&frontend, &registry);
    let built = |place: &Workplace, arguments: &[&str]| builder.build(place, arguments);
    let programs = |progress: &Progress, expected: &[&str]| assert_eq!(progress.programs(), expected, "{}", progress.text);

    programs(&built(&place, &[]), &PROGRAMS);
    programs(&built(&place, &[]), &[]);
    programs(&built(&place, &["--label", "a=b"]), &[]);

    place.write("tools/unique", unique());
    programs(&built(&place, &[]), &["files"]);

    // Another version of the extension, which no other test has, stands in the list too: that is written again, by the daemon itself.
    let version = format!("2.{}.{}", fastrand::u32(..), fastrand::u32(..));
    let extension = format!("extension acme-labs.hello-studio {version}");
    place.write("hello.vsix", hello_vsix_of(&version, ""));
    let progress = built(&place, &[]);
    programs(&progress, &[&extension]);
    assert!(progress.executed.iter().any(|name| name == "write extensions.json"), "{}", progress.text);

    programs(&built(&place, &["--no-cache"]), &[&extension, "files", "platform"]);

    // Large files have layers of their own, whose steps read nothing else.
    let large = |name: &str| place.write(&format!("large/{name}"), unique().repeat((40 << 20) / 16));
    large("one");
    large("two");
    let description = fs::read_to_string(place.path("byoi.toml")).unwrap();
    let item = "[[file]]\nsource = \"large\"\ntarget = \"/opt/large\"\n\n[settings.machine]";
    place.write("byoi.toml", description.replace("[settings.machine]", item));
    programs(&built(&place, &[]), &["files /opt/large/one", "files /opt/large/two"]);
    large("two");
    programs(&built(&place, &[]), &["files /opt/large/two"]);
}

#[test]
fn docker_26_makes_only_what_changes_again() {
    only_what_changes(&Builder::new("classic"));
}

#[test]
fn docker_26_with_containerds_store_makes_only_what_changes_again() {
    only_what_changes(&Builder::new("containerd"));
}

#[test]
fn docker_20_makes_only_what_changes_again() {
    only_what_changes(&Builder::old());
}
