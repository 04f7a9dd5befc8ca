//! Runs an image as Studio runs a space, looks at it as Studio and a browser do, and says what is wrong with it.

pub mod app_image_config;
mod bundle;
mod choice;
mod client;
mod diagnosis;
mod docker;
mod editor;
mod engine;
mod error;
mod ids;
mod laid;
mod listeners;
mod oci_config;
mod pages;
mod probe;
mod relay;
mod report;
mod request;
mod space;
mod steps;
#[cfg(test)]
mod tests;

pub use choice::{Choice, Found, find};
pub use diagnosis::{Cause, Diagnosis};
pub use engine::{Engine, Said, Start, State};
pub use error::RunError;
pub use listeners::Listeners;
pub use report::{Name, Outcome, Report, Step};
pub use request::{Home, Prepared, Request, Source};
pub use space::{ImageConfig, Space};
pub use steps::{Options, judge};
