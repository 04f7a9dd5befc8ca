//! Extensions of the editor: how they are found and locked, and how they are laid into the image as the editor's own `--install-extension` does.

pub mod engine;
pub mod javascript;
mod lay;
mod list;
mod manifest;
mod vsix;

pub use lay::{Extension, Form, LayError};
pub use list::{ExtensionList, ListError};
pub use manifest::{Manifest, ManifestError};
pub use vsix::{Node, SIZE_MAX, Vsix, VsixError};
