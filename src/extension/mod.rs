//! Extensions of the editor: how they are found and locked, and how they are laid into the image as the editor's own `--install-extension` does.

mod components;
pub mod engine;
mod find;
pub mod javascript;
mod judge;
mod lay;
mod list;
mod local;
mod locking;
mod manifest;
mod vsix;

pub use components::{Extensions, components};
pub use find::FindError;
pub use lay::{Extension, Form, LayError};
pub use list::{ExtensionList, ListError};
pub use local::LocalError;
pub use locking::{fetch, lock_all};
pub use manifest::{Manifest, ManifestError, platform};
pub use vsix::{Node, SIZE_MAX, Vsix, VsixError};
