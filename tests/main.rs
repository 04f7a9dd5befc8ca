//! All end-to-end tests, one file a promise.

mod account;
mod base_index;
mod base_registry;
mod base_transports;
mod build;
mod buildkit_tar;
mod circles;
mod conda_memory;
mod conda_meta;
mod conda_trees;
mod entrypoint;
mod extension;
mod extension_origins;
mod json_schema;
mod language_documents;
mod layer_memory;
mod registry;
mod rootfs;
mod structure;
mod studio;
mod studio_documents;
mod support;
mod volume;
mod wrong_descriptions;
