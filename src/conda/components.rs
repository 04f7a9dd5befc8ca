//! What an image gets from a locked environment, layer by layer.

use std::sync::Arc;

use super::groups::{Group, groups};
use super::{Compiler, Environment, LayerSpool, PackageComponent, RecordComponent, Whiteouts, history, whiteouts};
use crate::description;
use crate::error::{Error, Problem};
use crate::image_path::{ImagePath, InvalidPath};
use crate::lock;
use crate::plan::Component;

/// The components of an environment.
#[derive(Default)]
pub struct Components {
    /// What is taken away from the base, where something is.
    pub whiteouts: Option<Arc<dyn Component>>,
    /// Paths of the base that are no more, or make way for what is laid.
    pub gone: Vec<ImagePath>,
    /// Groups that are layers, each with its name, the lowest first.
    pub packages: Vec<(String, Vec<Arc<dyn Component>>)>,
    /// The environment's history, where there is one.
    pub history: Option<Arc<dyn Component>>,
}

/// Layers of an environment beside those of its packages: the history, and whiteouts where there are some.
fn other_layers(lock: &lock::Conda) -> usize {
    1 + usize::from(lock.replaced.iter().any(|package| !package.removes.is_empty()))
}

/// The components of a locked environment, in at most `budget` layers; none where the base has all that was asked for.
///
/// # Errors
/// No Python on this machine that makes the bytecode that is asked for; a path of the lock that leaves the prefix.
pub fn components(conda: &description::Conda, lock: &lock::Conda, budget: usize) -> Result<Components, Error> {
    if lock.packages.is_empty() && lock.replaced.is_empty() {
        return Ok(Components::default());
    }
    let compiler = lock.python.as_ref().filter(|_| conda.compile_bytecode).map(Compiler::find).transpose()?;
    let environment = Environment { prefix: lock.requirement.prefix.clone(), owner: conda.owner, python: lock.python.clone(), compiler };
    let packages = groups(&lock.packages, budget.saturating_sub(other_layers(lock))).into_iter().map(|group| layer(group, &environment)).collect();
    let invalid = |error: InvalidPath| Error::input(Problem::new(format!("the lock names a path of a conda package that cannot be: {error}")));
    let history = history(lock, conda.owner, &lock.history.join("\n")).map_err(invalid)?;
    let whiteouts = Whiteouts::new(&environment.prefix, &lock.replaced).map_err(invalid)?;
    let gone = whiteouts::gone(&environment.prefix, &lock.replaced).map_err(invalid)?;
    let whiteouts = whiteouts.map(|whiteouts| Arc::new(whiteouts) as Arc<dyn Component>);
    Ok(Components { whiteouts, gone, packages, history: Some(Arc::new(history)) })
}

/// A package's record follows its files, which know what it says.
fn layer(group: Group<'_>, environment: &Environment) -> (String, Vec<Arc<dyn Component>>) {
    let spool = LayerSpool::new();
    let components = group.packages.into_iter().flat_map(|package| {
        let files = PackageComponent::new(package, environment, &spool);
        let record = RecordComponent::new(&files);
        [Arc::new(files) as Arc<dyn Component>, Arc::new(record) as Arc<dyn Component>]
    });
    (group.name, components.collect())
}
