//! The BuildKit frontend of byoi: `docker build -f byoi.toml .` compiles a description whose first line names this program's image.
//!
//! BuildKit starts it without arguments and speaks to it over stdin and stdout ([`gateway`]); it plans with the library and answers with a graph
//! ([`build`]). The steps of that graph run the same binary ([`step`]).

mod base;
mod build;
mod diagnostics;
mod drawing;
mod failure;
mod fetching;
mod folder;
mod gateway;
mod grpc;
mod hashing;
mod image;
mod inputs;
mod layout;
mod llb;
mod locking;
mod messages;
mod options;
mod project;
mod result;
mod session;
mod status;
mod step;
mod subrequests;
#[cfg(test)]
mod tests;
mod wire;
mod written;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use byoi::cli::render::{Style, render};
use byoi::error::{Error, FileError, Problem};
use byoi::reference::Destination;

use gateway::Gateway;
use grpc::Connection;
use messages::{Outcome, Status};
use options::Options;
use project::Texts;
use session::Session;
use status::CallFailed;

/// The frontend's directory in its own throw-away file system. Steps find local files at the same paths.
const WORK: &str = "/byoi";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] => serve(),
        [step::LAYER] => step::lay(false),
        [step::LAYER, step::OVER] => step::lay(true),
        [step::PACK] => step::pack(),
        [step::MANIFEST, reference] => step::manifest(reference),
        [step::LAYOUT] => step::layout(),
        [step::DIGESTS, project] => step::digests(Path::new(project)),
        [step::LOCK, description, lock, project] => step::lock(description, lock, Path::new(project)),
        ["image", binary, certificates, destination] => pack(binary, certificates, destination),
        _ => {
            eprintln!("byoi-frontend is started by BuildKit: name its image in the first line of byoi.toml, `# syntax=IMAGE`");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{}", render(&error, Style::default()));
            ExitCode::from(error.fault().kind().exit_code())
        }
    }
}

/// Makes the frontend's own image.
fn pack(binary: &str, certificates: &str, destination: &str) -> Result<(), Error> {
    let destination: Destination = destination.parse().map_err(|error| Error::input(Problem::new(format!("{error}"))))?;
    println!("{}", image::write(Path::new(binary), Path::new(certificates), &destination)?);
    Ok(())
}

/// Serves one build to the daemon on stdin and stdout.
fn serve() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(FileError::at("start", "the async runtime"))?;
    let options = Options::read(std::env::vars_os());
    let served = runtime.block_on(async { over(Connection::stdio().await?, options, PathBuf::from(WORK)).await });
    // Nothing waits for what may still run: the daemon has its answer.
    runtime.shutdown_background();
    Ok(served?)
}

/// Serves one build over a connection: whatever happens, the daemon gets an answer, unless the connection itself broke.
async fn over(connection: Connection, options: Options, work: PathBuf) -> Result<(), CallFailed> {
    let gateway = Gateway::ping(connection).await?;
    let result = built(gateway.clone(), options, work).await;
    gateway.finish(result).await
}

async fn built(gateway: Gateway, options: Options, work: PathBuf) -> Result<Outcome, Status> {
    let session = Session::begin(gateway, options, work).await.map_err(|error| diagnostics::status_of(&error, None))?;
    let question = session.options.get("requestid").map(str::to_owned);
    let texts = Texts::read(&session.folder, &session.gateway, &session.options).await;
    let source = texts.as_ref().ok().map(|texts| texts.source.clone());
    let outcome = match question {
        Some(question) => subrequests::answer(&question, &session, texts).await,
        None => match texts {
            Ok(texts) => build::run(&session, &texts).await,
            Err(error) => Err(error),
        },
    };
    outcome.map_err(|error| diagnostics::status_of(&error, source.as_ref()))
}
