//! A layer's recipe: a planned layer as data, so that it can be laid on another machine, by a process that has its inputs and local files and
//! nothing else: no description, no lock, no network. It holds what decides the layer's bytes and no more, so it changes only with the layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::RootFsComponent;
use crate::conda::{LayerSpool, PackageComponent, PackageRecipe, RecordComponent, Whiteouts};
use crate::digest::Digest;
use crate::error::{Error, Problem};
use crate::extension::{Extension, ExtensionList};
use crate::file::FileComponent;
use crate::json;
use crate::lock::Directories;
use crate::plan::{Component, DirectoryTable, Fixed, LayerKind, PlannedLayer};
use crate::store::Store;

/// A planned layer as data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recipe {
    /// The key that the layer has in an image with these directories.
    key: Digest,
    kind: LayerKind,
    /// The layer's name.
    pub name: String,
    components: Vec<Value>,
    directories: Directories,
}

/// Every kind of component, by the name that its recipe gives it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Fixed(Fixed),
    Extension(Extension),
    ExtensionList(ExtensionList),
    File(FileComponent),
    Rootfs(RootFsComponent),
    Whiteouts(Whiteouts),
    CondaPackage(Box<PackageRecipe>),
    /// Of the package with this record's name, which stands before it.
    CondaRecord(String),
}

impl Recipe {
    /// The recipe of a layer in an image with these directories.
    ///
    /// # Errors
    /// A component that cannot travel: the name of one of its files is no text, or it needs a program of this machine.
    pub fn of(layer: &PlannedLayer, directories: &DirectoryTable) -> Result<Self, Error> {
        let travel = |component: &Arc<dyn Component>| {
            let problem = || Problem::new(format!("{} cannot be made in a build step: it needs something of this machine", component.name()));
            component.recipe().ok_or_else(|| Error::input(problem().help("build with the command, `byoi build`")))
        };
        let components = layer.components.iter().map(travel).collect::<Result<_, _>>()?;
        // What lies below it in other layers is part of its key, not of how it is laid: the recipe stays when it changes.
        let directories = layer.directories(directories);
        let PlannedLayer { kind, name, components: planned, .. } = layer;
        let key = PlannedLayer::new(*kind, name.clone(), planned.clone(), &DirectoryTable::new(&directories)).key;
        Ok(Recipe { key, kind: *kind, name: name.clone(), components, directories })
    }

    /// The text as which it travels: canonical JSON, in UTF-8 like all JSON.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&json::canonical_of(self)).into_owned()
    }

    /// Reads what [`Recipe::to_text`] wrote.
    ///
    /// # Errors
    /// Bytes that are no recipe.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::input(Problem::new(format!("this is no recipe of a layer: {error}"))))
    }

    /// The layer, with its key proved: local files are read anew, and must be those that were planned with.
    ///
    /// # Errors
    /// Files that are not there or have changed.
    pub fn restore(&self, store: &Store) -> Result<(PlannedLayer, DirectoryTable), Error> {
        let mut restoring = Restoring { store, spool: LayerSpool::new(), packages: BTreeMap::new() };
        let components = self.components.iter().map(|part| restoring.component(part)).collect::<Result<_, _>>()?;
        let table = DirectoryTable::new(&self.directories);
        let layer = PlannedLayer::new(self.kind, self.name.clone(), components, &table);
        if layer.key != self.key {
            let problem = Problem::new(format!("the layer `{}` was planned as {}, but its files here make it {}", self.name, self.key, layer.key));
            return Err(Error::input(problem.help("a file changed during the build: build again")));
        }
        Ok((layer, table))
    }
}

/// What the components of one layer share when they come back.
struct Restoring<'a> {
    store: &'a Store,
    spool: Arc<LayerSpool>,
    /// Conda packages so far, by their record's name.
    packages: BTreeMap<String, Arc<PackageComponent>>,
}

impl Restoring<'_> {
    fn component(&mut self, part: &Value) -> Result<Arc<dyn Component>, Error> {
        let wrong = |why: String| Error::input(Problem::new(format!("this is no recipe of a component: {why}")));
        Ok(match Part::deserialize(part).map_err(|error| wrong(error.to_string()))? {
            Part::Fixed(component) => Arc::new(component),
            Part::Extension(component) => Arc::new(component),
            Part::ExtensionList(component) => Arc::new(component),
            Part::File(component) => Arc::new(component.restored(self.store)?),
            Part::Rootfs(component) => Arc::new(component),
            Part::Whiteouts(component) => Arc::new(component),
            Part::CondaPackage(package) => {
                let component = Arc::new(package.restored(&self.spool));
                self.packages.insert(component.record_name(), component.clone());
                component
            }
            Part::CondaRecord(name) => {
                let package = self.packages.get(&name).ok_or_else(|| wrong(format!("the package of the record {name} does not stand before it")))?;
                Arc::new(RecordComponent::new(package))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description;
    use crate::layer::write_tar;
    use crate::plan::{Components, Plan, build_tree};
    use std::fs;

    /// A layer of files, inline and local, goes through its recipe and comes out with the same bytes; a file that changed meanwhile does not.
    #[test]
    fn a_layer_survives_the_journey() {
        let top = tempfile::tempdir().unwrap();
        let store = Store::open(top.path().join("cache")).unwrap();
        let project = top.path().join("project");
        fs::create_dir_all(project.join("tree/sub")).unwrap();
        fs::write(project.join("tree/sub/file"), "text").unwrap();
        fs::write(project.join("tree/left-out.tmp"), "text").unwrap();
        let text = "schema = 1\nbase = \"debian:12\"\n[[file]]\ncontent = \"hi\"\ntarget = \"/etc/motd\"\n\
                    [[file]]\nsource = \"tree\"\ntarget = \"/opt/x\"\nexclude = [\"**/*.tmp\"]\nowner = \"1000:100\"\n";
        let description = description::parse("byoi.toml", text).unwrap();
        let files = crate::file::components(&description, &project, &[], 8, &store, &std::sync::atomic::AtomicBool::new(false)).unwrap().others;
        let plan = Plan::new(Components { files, ..Components::default() }, DirectoryTable::new(&Directories::default()), 40);
        let tar = |layer: &PlannedLayer, directories: &DirectoryTable| {
            let mut out = Vec::new();
            write_tar(&build_tree(layer, directories, &store).unwrap(), &mut out).unwrap();
            out
        };
        let before = tar(&plan.layers[0], &plan.directories);
        let text = Recipe::of(&plan.layers[0], &plan.directories).unwrap().to_text();
        let recipe = Recipe::read(text.as_bytes()).unwrap();
        let (layer, directories) = recipe.restore(&store).unwrap();
        assert!(tar(&layer, &directories) == before);
        fs::write(project.join("tree/sub/file"), "other").unwrap();
        let Err(error) = recipe.restore(&store) else { panic!("the file changed") };
        assert!(error.to_string().contains("its files here make it"), "{error}");
    }
}
