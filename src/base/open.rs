//! Opens a base by whatever transport it is named.

use std::path::Path;

use super::image::Platforms;
use super::{OpenedImage, docker_archive, layout, registry};
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::ImageSource;
use crate::registry::Registry;

/// Opens the image; none for a source that is no image yet: a root filesystem, or nothing. Relative paths are relative to `directory`.
/// With `pinned`, the linux/amd64 manifest must have that digest.
///
/// # Errors
/// No such image, another platform, another digest, a damaged image, a registry that does not answer.
pub async fn open(source: &ImageSource, directory: &Path, pinned: Option<Digest>, registry: &Registry) -> Result<Option<OpenedImage>, Error> {
    open_for(Platforms::Studio, source, directory, pinned, registry).await
}

/// Likewise for any of these platforms.
///
/// # Errors
/// As [`open`]; another platform only where it is asked for.
pub async fn open_for(
    platforms: Platforms,
    source: &ImageSource,
    directory: &Path,
    pinned: Option<Digest>,
    registry: &Registry,
) -> Result<Option<OpenedImage>, Error> {
    let name = source.to_string();
    Ok(Some(match source {
        ImageSource::Registry(reference) => registry::open_for(platforms, reference, pinned, registry).await?,
        ImageSource::OciLayout { directory: layout, tag } => {
            layout::open_directory_for(platforms, &name, &directory.join(layout), tag.as_deref(), pinned)?
        }
        ImageSource::OciArchive { file } => layout::open_archive_for(platforms, &name, &directory.join(file), pinned)?,
        ImageSource::DockerArchive { file } => docker_archive::open_for(platforms, &name, &directory.join(file), pinned)?,
        ImageSource::RootFs { .. } | ImageSource::Scratch => return Ok(None),
    }))
}
