//! Activation without a shell: which variables a conda environment sets, read out of its files.
//!
//! A package brings `etc/conda/env_vars.d/NAME.json`, an object of variables, and `etc/conda/activate.d/NAME.sh`, which a shell sources when the
//! environment is activated. Of the scripts those are understood that do nothing but export: every line is blank, a comment, or
//! `export NAME=VALUE` with a value of plain text and `CONDA_PREFIX`. Such a script sets the same variables in every environment, so that an
//! image can have them. Whatever else stands in a script makes it one that does more: none of its variables are taken, since they may
//! depend on what it looks at.
//!
//! The order is conda's: variables of `env_vars.d`, then scripts, each sorted by name, the last one wins.

mod script;

use std::collections::BTreeMap;

use super::environment_name;
use crate::contract::{CONTRACT_VARIABLES, RESERVED_VARIABLES};
use crate::description::{self, Activate};
use crate::image_path::ImagePath;
use crate::lock;

/// Where packages have their scripts, relative to the prefix.
const SCRIPTS: &str = "etc/conda/activate.d/";
/// Where packages have their variables, relative to the prefix.
const VARIABLES: &str = "etc/conda/env_vars.d/";
/// Largest file of either kind that is read, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// What activation of an environment comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activation {
    /// Variables that it sets.
    pub variables: BTreeMap<String, String>,
    /// Scripts that do more, sorted; relative to the prefix.
    pub scripts: Vec<String>,
    /// Files of `env_vars.d` that are not an object of texts, or set what is not theirs to set, sorted; relative to the prefix.
    pub refused: Vec<String>,
}

/// Whether a file of a package, by its final path relative to the prefix, says something about activation.
pub fn wants(path: &str) -> bool {
    let direct = |directory: &str, ending: &str| {
        path.strip_prefix(directory).is_some_and(|name| !name.contains('/') && name.ends_with(ending) && !name.starts_with('.'))
    };
    direct(SCRIPTS, ".sh") || direct(VARIABLES, ".json")
}

/// Reads the files that [`wants`] names: path relative to the prefix → bytes as they are laid, with the prefix in its place.
pub fn read(prefix: &ImagePath, files: &BTreeMap<String, Vec<u8>>) -> Activation {
    let mut activation = Activation::default();
    let prefix = prefix.absolute();
    for (path, bytes) in files.iter().filter(|(path, _)| wants(path) && path.starts_with(VARIABLES)) {
        match json_variables(bytes) {
            Some(variables) => activation.variables.extend(variables),
            None => activation.refused.push(path.clone()),
        }
    }
    for (path, bytes) in files.iter().filter(|(path, _)| wants(path) && path.starts_with(SCRIPTS)) {
        match script::variables(bytes, &prefix) {
            Some(variables) if variables.keys().all(|name| may_be_set(name)) => activation.variables.extend(variables),
            _ => activation.scripts.push(path.clone()),
        }
    }
    activation
}

fn json_variables(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let variables: BTreeMap<String, String> = serde_json::from_slice(bytes).ok()?;
    variables.iter().all(|(name, value)| script::is_name(name) && may_be_set(name) && !value.contains('\0')).then_some(variables)
}

/// Whether a package may set the variable in an image: neither PATH, which is only ever extended, nor what conda, the contract or the platform
/// sets.
fn may_be_set(name: &str) -> bool {
    let own = ["PATH", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"].contains(&name);
    !own && !RESERVED_VARIABLES.contains(&name) && !CONTRACT_VARIABLES.iter().any(|(fixed, _)| *fixed == name)
}

/// The variables that an image with this environment gets: `PATH` as the description's `[env]` would extend it, `CONDA_PREFIX`,
/// `CONDA_DEFAULT_ENV`, and what the packages set.
pub fn image_variables(conda: &description::Conda, lock: &lock::Conda) -> BTreeMap<String, String> {
    let prefix = conda.prefix.absolute();
    let mut variables: BTreeMap<String, String> =
        lock.variables.iter().filter(|(name, _)| may_be_set(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    variables.insert("PATH".to_owned(), format!("{prefix}/bin:$PATH"));
    variables.insert("CONDA_DEFAULT_ENV".to_owned(), environment_name(&conda.prefix));
    variables.insert("CONDA_PREFIX".to_owned(), prefix);
    variables
}

/// The variables of the environment and those of the description's `[env]`, which win; both extend PATH.
pub fn with_description(mut variables: BTreeMap<String, String>, env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let path = variables.get("PATH").cloned();
    variables.extend(env);
    if let (Some(path), Some(extended)) = (path, variables.get_mut("PATH"))
        && *extended != path
    {
        *extended = extended.replace("${PATH}", "$PATH").replace("$PATH", &path);
    }
    variables
}

/// The scripts that the entrypoint sources, as absolute paths: none unless the description asks for it.
pub fn sourced(conda: &description::Conda, lock: &lock::Conda) -> Vec<String> {
    match conda.activate {
        Activate::Env => Vec::new(),
        Activate::Entrypoint => lock.activation_scripts.iter().map(|script| format!("{}/{script}", conda.prefix.absolute())).collect(),
    }
}

#[cfg(test)]
mod tests;
