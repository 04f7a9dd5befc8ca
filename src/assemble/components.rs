//! Which components an image consists of, and what its config gets from the description.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Additions;
use super::request::BuildRequest;
use crate::base::RootFsComponent;
use crate::conda::activation;
use crate::entrypoint::Entrypoint;
use crate::error::Error;
use crate::plan::{self, Component, Components};
use crate::reference::ImageSource;
use crate::world::World;
use crate::{account, conda, extension, file, settings};

/// What the description comes to.
pub struct Parts {
    /// The components, by layer.
    pub components: Components,
    /// What the config gets.
    pub additions: Additions,
}

/// The components of an image and the additions to its config, in at most `budget` layers. Local files are read and hashed here; nothing is
/// fetched.
///
/// # Errors
/// Local inputs that cannot be used, each with its place in the description.
pub fn of_image(request: &BuildRequest<'_>, budget: usize, world: &World<'_>) -> Result<Parts, Error> {
    let BuildRequest { description, directory, lock, .. } = request;
    let facts = &lock.base.facts.clone().with_conda(lock.conda.as_ref());
    // A current lock says nothing of local files, which may have gone since it was made.
    file::demand_programs(description, directory, facts)?;
    let editor = file::editor_version(description, directory).or_else(|| facts.editor.clone());
    let extensions = extension::components(description, directory, &lock.extensions, editor.as_deref(), facts, world)?;
    let (variables, scripts) = activated(request);
    let entrypoint = Entrypoint::new(description, facts)?.sourcing(scripts);
    let (words, cmd) = (entrypoint.entrypoint(), entrypoint.cmd());
    let mut platform = account::components(description, facts)?;
    platform.push(entrypoint.component());
    platform.extend(settings::components(description, facts)?);
    let rootfs = rootfs(request);
    let files = file::components(description, directory, &lock.files, plan::layers_for_file_parts(budget), world.store, world.cancelled)?;
    let room = budget.saturating_sub(usize::from(rootfs.is_some()) + files.parts.len() + plan::layers_above_conda(extensions.each.len(), budget));
    let conda = match (&description.conda, &lock.conda) {
        (Some(asked), Some(locked)) => conda::components(asked, locked, room)?,
        _ => conda::Components::default(),
    };
    let components = Components {
        rootfs,
        whiteouts: conda.whiteouts,
        gone: conda.gone,
        packages: conda.packages,
        history: conda.history,
        extensions: extensions.each,
        extension_list: extensions.list,
        file_parts: files.parts,
        files: files.others,
        platform,
    };
    let env = description.env.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect();
    let env = activation::with_description(variables, env);
    Ok(Parts { components, additions: Additions { env, labels: description.labels.clone(), entrypoint: words, cmd } })
}

/// What activation of the conda environment comes to: variables of the image, and scripts that its entrypoint sources.
fn activated(request: &BuildRequest<'_>) -> (BTreeMap<String, String>, Vec<String>) {
    match (&request.description.conda, &request.lock.conda) {
        (Some(conda), Some(lock)) => (activation::image_variables(conda, lock), activation::sourced(conda, lock)),
        _ => Default::default(),
    }
}

fn rootfs(request: &BuildRequest<'_>) -> Option<Arc<dyn Component>> {
    let ImageSource::RootFs { file } = &request.description.base.value else { return None };
    Some(Arc::new(RootFsComponent::new(request.directory.join(file), request.lock.base.digest?)))
}
