//! Conda environments: each package's archive is an http source, each group of packages one step.

use byoi::digest::Digest;
use byoi::registry::testing::TestRegistry;

use super::examples::mirrors;
use super::images::same_tree;
use super::{name_frontend, unique};
use crate::support::byoi::Workplace;
use crate::support::conda_base::Base;
use crate::support::docker_registry::DockerRegistry;
use crate::support::frontend::{Builder, Frontend};
use crate::support::rattler;

/// conda-forge's channel and a registry, as the client's mirrors of the real ones.
struct World {
    frontend: Frontend,
    web: TestRegistry,
    registry: DockerRegistry,
}

impl World {
    fn new() -> Self {
        let web = TestRegistry::start();
        web.serve_directory("/conda-forge/", rattler::channel());
        World { frontend: Frontend::publish(), web, registry: DockerRegistry::start() }
    }

    /// A locked project with this `[conda]` table, on an image of the registry.
    fn project(&self, base: &Base, name: &str, conda: &str) -> Workplace {
        let reference = format!("{}/{name}:1", self.registry.host());
        base.push(&reference);
        let place = Workplace::new();
        let description = format!("schema = 1\nbase = \"{reference}\"\n\n[conda]\nchannels = [\"conda-forge\"]\n{conda}");
        place.write("byoi.toml", description + &format!("\n[settings.machine]\n\"byoi.unique\" = \"{}\"\n", unique()));
        let channel = self.web.url("/conda-forge/");
        place.configure(&format!("[mirrors]\n\"https://conda.anaconda.org/conda-forge/\" = {{ mirrors = [\"{channel}\"], original = false }}\n"));
        name_frontend(&self.frontend, &place);
        place.byoi(&["lock"]).ok();
        place
    }
}

#[test]
fn docker_26_makes_the_same_environment() {
    let world = World::new();
    let place = world.project(&Base::micromamba(), "micromamba", "packages = [\"sagemaker-code-editor\", \"scrapy\"]\n");
    let packages = std::fs::read_to_string(place.path("byoi.lock")).unwrap().matches("[[conda.package]]").count();
    assert!(packages > 40, "{packages}");
    for store in ["classic", "containerd"] {
        let (builder, ours) = (Builder::new(store), place.build::<&str>(&[]));
        let progress = builder.build(&place, &["--tag", "byoi-test:conda", "--build-arg", &mirrors(&place), "--no-cache"]);
        assert_eq!(ours["config_digest"], Digest::of(builder.config("byoi-test:conda")).to_string(), "{store}: {}", progress.text);
        let fetched = progress.executed.iter().filter(|name| name.starts_with("fetch ")).count();
        assert_eq!(fetched, packages, "{}", progress.text);
        // One step a layer, however many packages it has.
        let layers = ours["layers"].as_array().unwrap().len();
        assert!(progress.programs().len() <= layers && layers < packages, "{:?}", progress.programs());
        // Where layers cannot be merged, packages are laid over the base at once.
        let copied = |name: &&String| name.starts_with("lay conda ") && *name != "lay conda history";
        assert_eq!(progress.executed.iter().filter(copied).count(), 0, "{}", progress.text);
        // What lies above them changes without them.
        let description = std::fs::read_to_string(place.path("byoi.toml")).unwrap();
        place.write("byoi.toml", description + &format!("\"byoi.{store}\" = \"{}\"\n", unique()));
        let changed = builder.build(&place, &["--tag", "byoi-test:conda", "--build-arg", &mirrors(&place)]);
        assert_eq!(changed.programs(), ["platform"], "{}", changed.text);
        assert_eq!(place.build::<&str>(&[])["config_digest"], Digest::of(builder.config("byoi-test:conda")).to_string(), "{store}");
        builder.run(&["image", "rm", "byoi-test:conda"]);
    }
}

#[test]
fn docker_20_makes_the_same_environment() {
    let world = World::new();
    let place = world.project(&Base::micromamba(), "micromamba", "packages = [\"sagemaker-code-editor\", \"scrapy\"]\n");
    same_tree(&Builder::old(), &place, &["--build-arg", &mirrors(&place)], "conda");
}

/// An update takes files of the base away: that layer is made over the base, by the daemon.
#[test]
fn an_update_of_the_base_has_the_same_tree() {
    let world = World::new();
    let place = world.project(&Base::distribution(), "distribution", "packages = [\"t-needs-new\"]\nexisting = \"update\"\n");
    let progress = same_tree(&Builder::old(), &place, &["--build-arg", &mirrors(&place)], "update");
    assert!(progress.executed.iter().any(|name| name.starts_with("remove files that conda packages no longer have")), "{}", progress.text);
}
