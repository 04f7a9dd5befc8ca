//! What a rule finds: where, and what stands there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image_path::ImagePath;

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A key of the config, as `docker inspect` names it: `config.User`.
    Config(String),
    /// A file or directory.
    Path(ImagePath),
    /// A layer, counted from 1, the lowest first.
    Layer(usize, Digest),
    /// The manifest.
    Manifest,
    /// The index of several images through which the image is reached.
    Index,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Config(key) => f.write_str(key),
            Subject::Path(path) => f.write_str(&path.absolute()),
            Subject::Layer(number, digest) => write!(f, "layer {number} ({digest})"),
            Subject::Manifest => f.write_str("manifest"),
            Subject::Index => f.write_str("index"),
        }
    }
}

/// What a rule's check gives for each thing that breaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub subject: Subject,
    /// What stands there, a sentence without its full stop that can be read without the rule.
    pub what: String,
}

impl Found {
    /// At a key of the config.
    pub fn at_config(key: &str, what: impl Into<String>) -> Self {
        Found { subject: Subject::Config(format!("config.{key}")), what: what.into() }
    }

    /// At a path.
    pub fn at_path(path: &ImagePath, what: impl Into<String>) -> Self {
        Found { subject: Subject::Path(path.clone()), what: what.into() }
    }

    /// At a part of the image.
    pub fn at(subject: Subject, what: impl Into<String>) -> Self {
        Found { subject, what: what.into() }
    }
}
