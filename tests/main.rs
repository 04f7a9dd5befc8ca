//! All end-to-end tests, one file a promise.

mod buildkit_tar;
mod structure;
mod wrong_descriptions;
