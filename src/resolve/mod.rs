//! From a description to a lock.

pub mod base;
