//! The command `byoi`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    byoi::cli::run(std::env::args_os())
}
