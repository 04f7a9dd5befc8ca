//! conda packages straight into layers: MatchSpecs are solved against channels and locked; each locked package's archive becomes entries of
//! a layer, with no prefix on disk. All of rattler is behind this room.

pub mod activation;
mod archive;
mod archive_info;
mod before;
mod bytecode;
mod channel;
mod components;
mod contents;
mod credentials;
mod download;
pub mod editor;
mod entry;
mod entry_points;
mod environment;
mod error;
pub mod existing;
mod explain;
pub mod groups;
mod history;
mod http;
mod info;
mod installed;
mod locking;
mod package;
mod package_error;
#[cfg(test)]
mod package_tests;
mod patch;
mod pixi;
mod place;
mod placement;
mod record;
mod removal;
mod repodata;
mod request;
mod settled;
mod solve;
mod spool;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod virtual_packages;
mod whiteouts;
mod yaml;

pub use before::Before;
pub use bytecode::Compiler;
pub use components::{Components, components};
pub use download::fetch;
pub use explain::{check_locked, warnings};
pub use history::history;
pub use info::{PackageInfo, PackagePath, PathKind, Placeholder};
pub use locking::{is_kept, lock};
pub use package::{Environment, PackageComponent, PackageRecipe};
pub use package_error::PackageError;
pub use placement::{Claims, Owned, Placed, Placement, claims, clobbered, laid_size, owners, placement};
pub use record::{CONDA_META, RecordComponent};
pub use request::{check, requirement};
pub use spool::LayerSpool;
pub use whiteouts::Whiteouts;

use crate::image_path::ImagePath;

/// What conda calls the environment in this prefix: `base` where sagemaker-distribution has its base environment, else the path.
pub fn environment_name(prefix: &ImagePath) -> String {
    let path = prefix.absolute();
    if path == crate::description::DEFAULT_PREFIX { "base".to_owned() } else { path }
}
