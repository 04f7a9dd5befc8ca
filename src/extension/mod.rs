//! Extensions of the editor: how they are found and locked, and how they are laid into the image as the editor's own `--install-extension` does.

pub mod engine;
pub mod javascript;
