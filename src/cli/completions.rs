//! `byoi completions`: a completion script for a shell.

use std::io::Write;

use clap::CommandFactory;

use super::Cli;
use crate::error::{Error, FileError};

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  byoi completions bash > ~/.local/share/bash-completion/completions/byoi")]
pub struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Writes the script.
///
/// # Errors
/// When `out` fails.
pub fn run(args: &CompletionsArgs, out: &mut dyn Write) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "byoi", &mut script);
    out.write_all(&script).map_err(FileError::at("write to", "standard output"))?;
    Ok(())
}
