//! The command: arguments in, exit code out.

pub mod check;
pub mod init;
pub mod input;
pub mod render;
pub mod schema;
