//! The command: raw arguments → what was asked → work → exit code. One file a subcommand.

mod allow;
mod build;
pub mod check;
mod completions;
mod context;
mod described;
pub mod init;
pub mod input;
mod inspect;
mod lock;
mod printer;
pub mod render;
mod run;
pub mod schema;
mod studio;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::error::{Error, FileError, Kind};
use context::Context;
use printer::{Printer, Verbosity};

/// Compiles a byoi.toml into an OCI image that Amazon SageMaker Studio runs as a custom Code Editor.
#[derive(Debug, Parser)]
#[command(name = "byoi", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Start with `byoi init`, then `byoi build oci:image`.\nExit codes: 0 done, 1 the input is wrong, 2 the command line is wrong, 3 the world failed (network, registry, disk)."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    voice: Voice,
}

#[derive(Debug, Args)]
struct Voice {
    /// Say nothing but results and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say each step.
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the image and write it to each destination.
    Build(build::BuildArgs),
    /// Bring byoi.lock up to date with byoi.toml.
    Lock(lock::LockArgs),
    /// Judge a description and its lock without any network.
    Check(check::CheckArgs),
    /// Write a commented starting description.
    Init(init::InitArgs),
    /// Show an image's config, layers and components.
    Inspect(inspect::InspectArgs),
    /// Judge an image by the rules of SageMaker Studio's Code Editor.
    Verify(verify::VerifyArgs),
    /// Run an image as Studio would, and say what is wrong with it.
    Run(run::RunArgs),
    /// Write the documents that attach an image to Studio.
    Studio(Box<studio::StudioArgs>),
    /// Print the JSON Schema of byoi.toml.
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
}

/// Runs the command with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own exit code for a wrong command line is 2 as well; help and version go to stdout and are no error.
            let code = if error.use_stderr() { Kind::Usage.exit_code() } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let verbosity = match (cli.voice.quiet, cli.voice.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let printer = Printer::new(verbosity);
    match dispatch(cli.command, &printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Error(error)) => {
            printer.error(&error);
            ExitCode::from(error.fault().kind().exit_code())
        }
        Err(Failure::Broken) => ExitCode::from(Kind::Input.exit_code()),
        Err(Failure::Interrupted) => ExitCode::from(130),
    }
}

enum Failure {
    Error(Error),
    /// An image was judged, and the report says what is wrong with it.
    Broken,
    Interrupted,
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Error(error.into())
    }
}

fn dispatch(command: Command, printer: &Printer) -> Result<(), Failure> {
    match command {
        Command::Build(args) => with_world(printer, async |context| build::run(&args, context).await),
        Command::Lock(args) => with_world(printer, async |context| lock::run(&args, context).await),
        Command::Inspect(args) => with_world(printer, async |context| inspect::run(&args, context).await),
        Command::Verify(args) => match with_world(printer, async |context| verify::run(&args, context).await)? {
            verify::Verdict::Clean => Ok(()),
            verify::Verdict::Broken => Err(Failure::Broken),
        },
        Command::Run(args) => with_world(printer, async |context| run::run(&args, context).await),
        Command::Studio(args) => with_world(printer, async |context| studio::run(&args, context).await),
        Command::Check(args) => print(printer, |out| {
            check::run(&args, out)?.iter().for_each(|problem| printer.warn(problem));
            Ok(())
        }),
        Command::Init(args) => print(printer, |out| init::init(&args, out)),
        Command::Schema(args) => print(printer, |out| schema::schema(&args, out)),
        Command::Completions(args) => print(printer, |out| completions::run(&args, out)),
    }
}

/// Runs a command that only prints.
fn print(printer: &Printer, command: impl FnOnce(&mut dyn std::io::Write) -> Result<(), Error>) -> Result<(), Failure> {
    let mut out = Vec::new();
    let outcome = command(&mut out);
    printer.result(&String::from_utf8_lossy(&out)).map_err(FileError::at("write to", "standard output"))?;
    Ok(outcome?)
}

/// Runs a command that needs network and cache. Ctrl-C ends its futures, which take their temporary files with them; threads that make
/// bytes see the flag and end by themselves.
fn with_world<T>(printer: &Printer, command: impl AsyncFnOnce(&Context) -> Result<T, Error>) -> Result<T, Failure> {
    let context = Context::new(printer.clone())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(FileError::at("start", "the async runtime"))?;
    let cancelled = context.cancelled.clone();
    // A task of its own: the command's future may be busy making bytes, and then polls nothing.
    let interruption = runtime.spawn(async move {
        interrupted().await;
        cancelled.store(true, Ordering::Relaxed);
    });
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = command(&context) => Some(outcome),
            _ = interruption => None,
        }
    });
    let was_cancelled = context.cancelled.swap(true, Ordering::Relaxed);
    runtime.shutdown_timeout(Duration::from_secs(10));
    match outcome {
        Some(outcome) if !was_cancelled => outcome.map_err(Failure::Error),
        _ => Err(Failure::Interrupted),
    }
}

async fn interrupted() {
    let mut terminated = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => if outcome.is_err() { std::future::pending().await },
        _ = terminated.recv() => {}
    }
}
