//! byoi.toml → byoi.lock: base, then conda, then extensions, then files. An update changes nothing that was not asked for.

pub mod base;
mod lock_base;
mod lock_conda;

use std::path::Path;

use crate::base::Interest;
use crate::description::Description;
use crate::digest::Digest;
use crate::error::Error;
use crate::lock::Lock;
use crate::world::World;
use crate::{conda, extension, file};

/// Which entries of an existing lock are looked up anew though their requirements have not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// None.
    Nothing,
    /// All.
    All,
    /// Those named: `base`, `conda`, a conda package, an extension's id or requirement, a file's URL.
    Names(Vec<String>),
}

/// The name by which an update asks for the base.
const BASE: &str = "base";
/// The name by which an update asks for all conda packages.
const CONDA: &str = "conda";

impl Update {
    /// Whether an entry with one of these names is looked up anew.
    pub fn asks_for(&self, names: &[&str]) -> bool {
        match self {
            Update::Nothing => false,
            Update::All => true,
            Update::Names(asked) => asked.iter().any(|asked| names.iter().any(|name| name.eq_ignore_ascii_case(asked))),
        }
    }

    /// Without what was not asked for by any entry's name.
    fn unknown(&self, lock: &Lock) -> Vec<String> {
        let Update::Names(asked) = self else { return Vec::new() };
        let extensions = lock.extensions.iter().flat_map(|one| [one.id.clone(), one.requirement.clone()]);
        let packages = lock.conda.iter().flat_map(|conda| conda.packages.iter().map(|package| package.name.clone()).chain([CONDA.to_owned()]));
        let files = lock.files.iter().map(|file| file.requirement.to_string());
        let known: Vec<String> = extensions.chain(files).chain(packages).chain([BASE.to_owned()]).collect();
        asked.iter().filter(|asked| !known.iter().any(|known| known.eq_ignore_ascii_case(asked))).cloned().collect()
    }
}

/// An update names what the lock does not have.
#[derive(Debug, thiserror::Error)]
#[error("the lock has no entry named {}", .names.join(", "))]
struct UnknownName {
    names: Vec<String>,
    known: Vec<String>,
}

impl crate::error::Fault for UnknownName {
    fn kind(&self) -> crate::error::Kind {
        crate::error::Kind::Usage
    }

    fn help(&self) -> Option<String> {
        Some(format!("its names are {}", self.known.join(", ")))
    }
}

/// The lock of a description. Entries of `old` whose requirements have not changed are kept unless `update` asks for them. Where layers of a base are
/// read, what `survey` asks for is kept in the store too, for those who judge the image.
///
/// # Errors
/// Inputs that are not there, are refused, or do not fit together; each with its place in the description.
pub async fn resolve(
    description: &Description,
    directory: &Path,
    old: Option<&Lock>,
    update: &Update,
    survey: Option<&Interest>,
    world: &World<'_>,
) -> Result<Lock, Error> {
    if let Some(old) = old {
        let names = update.unknown(old);
        if !names.is_empty() {
            let conda = old.conda.iter().map(|_| CONDA.to_owned());
            let known = [BASE.to_owned()].into_iter().chain(conda).chain(old.extensions.iter().map(|one| one.id.clone())).collect();
            return Err(UnknownName { names, known }.into());
        }
    }
    let kept = old.map(|old| &old.base).filter(|base| base.requirement == description.base_requirement && !update.asks_for(&[BASE]));
    let base = match kept {
        Some(base) => base.clone(),
        None => lock_base::lock_base(description, directory, survey, world).await?,
    };
    let old_extensions: Vec<_> =
        old.into_iter().flat_map(|old| &old.extensions).filter(|one| !update.asks_for(&[&one.id, &one.requirement])).cloned().collect();
    let conda = lock_conda::lock_conda(description, directory, old, &base, update, world).await?;
    let facts = base.facts.clone().with_conda(conda.as_ref());
    let editor = file::editor_version(description, directory).or_else(|| facts.editor.clone());
    let extensions = extension::lock_all(description, directory, &old_extensions, editor.as_deref(), &facts, world).await?;
    let old_files: Vec<_> = old.into_iter().flat_map(|old| &old.files).filter(|one| !update.asks_for(&[one.requirement.as_str()])).cloned().collect();
    let files = file::lock_all(description, &old_files, world).await?;
    file::demand_programs(description, directory, &facts)?;
    Ok(Lock { base, conda, extensions, files })
}

/// Fetches what of these inputs is not in the store, several at once.
///
/// # Errors
/// Downloads that fail or bring other bytes.
pub async fn fetch(lock: &Lock, needed: &[Digest], world: &World<'_>) -> Result<(), Error> {
    conda::fetch(lock.conda.as_ref().map_or(&[][..], |conda| &conda.packages), needed, world).await?;
    extension::fetch(&lock.extensions, needed, world).await?;
    file::fetch(&lock.files, needed, world).await
}
