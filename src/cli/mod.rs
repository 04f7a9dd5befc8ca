//! The command: arguments in, exit code out.

pub mod render;
