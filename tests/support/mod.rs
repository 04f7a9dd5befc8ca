//! What several end-to-end tests start or make: real registries and daemons, a proxy, certificates, bases with an editor, awkward ones, a space's
//! volume, the command itself, tools that read images, trees of files, and the things that `hack/` makes.

pub mod awkward;
pub mod base;
pub mod byoi;
pub mod certificates;
pub mod child;
pub mod conda;
pub mod conda_base;
pub mod docker;
pub mod docker_registry;
pub mod examples;
pub mod file_tree;
pub mod frontend;
pub mod listing;
pub mod proxy;
pub mod rattler;
pub mod readers;
pub mod run;
pub mod space;
pub mod studio;
pub mod tools;
pub mod unpacked;
