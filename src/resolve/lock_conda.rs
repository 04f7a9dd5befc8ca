//! The lock's entry for the conda environment. Packages that the base has are asked for only where something has to be solved.

use std::path::Path;

use super::{CONDA, Update, lock_base};
use crate::base::Index;
use crate::conda::{self, Before, existing};
use crate::description::Description;
use crate::error::Error;
use crate::lock::{Base, Conda, Lock};
use crate::world::World;

/// Solves the environment upon what the base has; the entry of before where nothing asks for another.
///
/// # Errors
/// Whatever solving reports; a base whose records are damaged.
pub async fn lock_conda(
    description: &Description,
    directory: &Path,
    old: Option<&Lock>,
    base: &Base,
    update: &Update,
    world: &World<'_>,
) -> Result<Option<Conda>, Error> {
    let Some(asked) = &description.conda else { return Ok(None) };
    let update = |name: &str| update.asks_for(&[CONDA, name]);
    let unread = Index::default();
    let before = Before { old, update: &update, base, index: &unread, existing: &[] };
    if conda::is_kept(description, directory, &before)? {
        return conda::lock(description, directory, &before, world).await;
    }
    let index: Index = lock_base::index(description, directory, base, world).await?;
    let existing = existing::packages(&index, &asked.prefix)?;
    let locked = conda::lock(description, directory, &Before { index: &index, existing: &existing, ..before }, world).await?;
    Ok(locked.map(|locked| Conda { history: existing::history(&index, &asked.prefix), ..locked }))
}
