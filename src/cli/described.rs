//! The image that a description comes to, for commands that look at it: its layers are made in the cache, and written nowhere.

use std::path::Path;

use super::context::{self, Context, Project};
use super::lock;
use crate::assemble::{self, BuildRequest, Earlier, Image};
use crate::error::Error;
use crate::verify;

/// Builds what `file` describes. `locked`: a lock that is not current is an error, else it is brought up to date.
///
/// # Errors
/// As `byoi build`, without a destination.
pub async fn image(file: &Path, locked: bool, context: &Context) -> Result<Image, Error> {
    let world = context.world();
    let project = Project::read(file, &context.printer)?;
    let lock = lock::bring_up_to_date(&project, locked, context).await?;
    let request = BuildRequest {
        description: &project.description,
        directory: &project.directory,
        lock: &lock,
        labels: Default::default(),
        family: None,
        epoch: None,
        rebuild: false,
        threads: context::threads(),
        survey: Some(verify::survey_interest()),
    };
    let earlier = Earlier::look(&[], &[], &world).await?;
    // Nothing is uploaded.
    let (finished, _) = tokio::sync::mpsc::unbounded_channel();
    assemble::build(&request, &earlier, &world, finished).await
}
