//! All end-to-end tests, one file a promise.

mod structure;
mod wrong_descriptions;
