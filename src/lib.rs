//! byoi ("bring your own image") compiles one declarative file, `byoi.toml`, straight into an OCI image that Amazon SageMaker
//! Studio runs as a custom Code Editor: no Dockerfile, no daemon, no root.
//!
//! The path of a build, each arrow one way:
//!
//! ```text
//! byoi.toml ──resolve──▶ byoi.lock ──plan──▶ layers + config ──write──▶ registry · OCI layout · archive · daemon
//! ```
//!
//! Rooms, from the ground up; a room imports only from rooms above it in this list (`tests/structure.rs` holds that).

// the ground: facts and small types
pub mod contract;
pub mod digest;
pub mod environment;
pub mod error;
pub mod image_path;
pub mod inputs;
pub mod json;
pub mod manifest;
pub mod progress;
pub mod reference;
pub mod user_config;

// the two languages
pub mod description;
pub mod lock;

// bytes
pub mod layer;

// foreign archives
pub mod archive;

// what an image is made of
pub mod plan;

// the distribution protocol, and HTTP as all network code here does it
pub mod registry;

// the cache
pub mod store;
pub mod world;

// the base image
pub mod base;

// the components
pub mod account;
pub mod conda;
pub mod entrypoint;
pub mod extension;
pub mod file;
pub mod settings;

// from a description to a lock
pub mod resolve;

// from a plan to an image
pub mod assemble;

// where an image goes
pub mod output;

// the judge
pub mod verify;

// what attaches an image to Studio
pub mod studio;

// an image in a space, looked at
pub mod run;

// the command
pub mod cli;
