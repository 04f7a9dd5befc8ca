//! The BuildKit frontend with real daemons: `docker build -f byoi.toml .` makes the image that `byoi build` makes.

mod caches;
mod clients;
mod conda;
mod contexts;
mod examples;
mod images;
mod layouts;
mod local_files;
mod locks;

use std::fs;

use byoi::registry::testing::TestRegistry;

use crate::support::base::{hello_vsix_of, write_project};
use crate::support::byoi::Workplace;
use crate::support::frontend::Frontend;

/// Programs that the build of [`write_project`]'s image runs. The list of extensions needs none.
const PROGRAMS: [&str; 3] = ["extension acme-labs.hello-studio 1.2.3", "files", "platform"];

/// Words that no other build has: what lies in a daemon's cache, or is being made there for another test, is then no proof of anything.
fn unique() -> String {
    let bytes: [u8; 8] = std::array::from_fn(|_| fastrand::u8(..));
    bytes.map(|byte| format!("{byte:02x}")).concat()
}

/// A project on `base:1` of the registry, with the frontend in its first line, and a lock. Each of its layers is like no other's.
fn project(frontend: &Frontend, registry: &TestRegistry) -> Workplace {
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    let unique = unique();
    place.write("hello.vsix", hello_vsix_of("1.2.3", &unique));
    place.write("tools/unique", &unique);
    let description = fs::read_to_string(place.path("byoi.toml")).unwrap();
    place.write("byoi.toml", description.replace("[settings.machine]\n", &format!("[settings.machine]\n\"byoi.unique\" = \"{unique}\"\n")));
    name_frontend(frontend, &place);
    place.byoi(&["lock"]).ok();
    place
}

/// Puts the frontend into the first line of the description.
fn name_frontend(frontend: &Frontend, place: &Workplace) {
    let description = fs::read_to_string(place.path("byoi.toml")).unwrap();
    place.write("byoi.toml", frontend.syntax() + &description);
}
