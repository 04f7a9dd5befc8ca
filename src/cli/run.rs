//! `byoi run`: an image in a container, as Studio would run it, and what is wrong with it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::context::Context;
use super::render::harmless;
use super::{described, lock};
use crate::assemble::{Image, ImageLayer};
use crate::base::{self, OpenedImage};
use crate::contract;
use crate::error::{Error, FileError, Problem};
use crate::json;
use crate::reference::{ImageSource, InvalidReference};
use crate::run::app_image_config::{self, ContainerConfig};
use crate::run::{self, Choice, Engine, Home, Prepared, Report, Request, Source, Space, State, Step};

/// Run an image as Studio would, and say what is wrong with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "It runs as 1000:100 with an empty home, Studio's mounts and variables, in docker or podman if one answers, else with runc or
crun as root. Each step is a line: passed, failed or skipped. Nothing is left afterwards, unless --volume names a home.

Examples:
  byoi run                                   what byoi.toml describes
  byoi run oci:image --open                  look at it in a browser, until Ctrl-C
  byoi run docker-daemon:editor:1            what `docker build` has just made
  byoi run 111122223333.dkr.ecr.eu-west-1.amazonaws.com/editor:2 --volume home-of-version-1
  byoi run oci:image --app-image-config studio/create-app-image-config.json --json")]
pub struct RunArgs {
    /// A description (FILE.toml), or an image: a registry reference, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, or docker-daemon:NAME
    /// for one that the engine has.
    #[arg(value_name = "REF|byoi.toml", default_value = "byoi.toml")]
    subject: Subject,
    /// What runs it [default: the first that is there].
    #[arg(long, value_name = "NAME")]
    engine: Option<Choice>,
    /// A volume over the home that stays, to try an image on the home of an older one: a name, or a directory of this machine.
    #[arg(long, value_name = "NAME", value_parser = volume)]
    volume: Option<String>,
    /// The AppImageConfig: the document that `byoi studio` writes.
    #[arg(long, value_name = "FILE")]
    app_image_config: Option<PathBuf>,
    /// The port on this machine's loopback [default: a free one].
    #[arg(long)]
    port: Option<u16>,
    /// How long a listener is waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Print the address at the end and let it run until Ctrl-C.
    #[arg(long)]
    open: bool,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// Fail where the description's lock is missing or stale, instead of bringing it up to date (default when CI is set).
    #[arg(long)]
    locked: bool,
}

fn volume(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it has no name".to_owned()),
        text if text.contains([':', '\0']) => Err("docker takes no volume with a `:` in its name".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// What is to be run.
#[derive(Debug, Clone)]
enum Subject {
    /// What a description describes.
    Description(PathBuf),
    /// An image that the engine has.
    Engine(String),
    /// An image elsewhere.
    Image(ImageSource),
}

impl FromStr for Subject {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        match text.strip_prefix("docker-daemon:") {
            Some(name) if !name.is_empty() && !name.starts_with('-') => Ok(Subject::Engine(name.to_owned())),
            // No registry has repositories of such names.
            None if text.ends_with(".toml") && !text.contains(':') => Ok(Subject::Description(PathBuf::from(text))),
            _ => text.parse().map(Subject::Image),
        }
    }
}

/// Lines of the container's log that are shown with `--verbose` where a step failed.
const LOG_LINES: usize = 50;
/// Between two looks at a container that a person uses.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// An image that is not there, an engine that fails, and an image that does not run as Studio needs it.
pub async fn run(args: &RunArgs, context: &Context) -> Result<(), Error> {
    let config = match &args.app_image_config {
        None => ContainerConfig::default(),
        Some(file) => app_image_config::read(&file.display().to_string(), &std::fs::read(file).map_err(FileError::at("read", file))?)?,
    };
    let engine = run::find(args.engine, matches!(args.subject, Subject::Engine(_))).await?;
    context.printer.detail(format!("{} runs it", engine.name()));
    let image = image(args, context).await?;
    let source = match (&args.subject, &image) {
        (Subject::Engine(name), _) => Source::Engine(name),
        (_, Some(image)) => Source::Image(image, &context.store),
        (subject, None) => return Err(no_image(subject)),
    };
    let home = args.volume.clone().map_or(Home::New, Home::Kept);
    let progress = Arc::new(context.printer.clone());
    let request = Request { source, space: Space::new(&config), home, port: args.port, progress };
    let Prepared { mut engine, command, used_home } = engine.prepare(request).await?;

    let told = |step: &Step| {
        let line = harmless(&step.line());
        if args.json {
            context.printer.say(line);
        } else {
            // A reader that went away ends the lines, not the work.
            let _ = context.printer.result(&format!("{line}\n"));
        }
    };
    let options = run::Options { patience: Duration::from_secs(args.timeout), used_home };
    let report = run::judge(&mut *engine, &command, &options, &told).await?;
    let address = if report.is_healthy() { Some(browser_address(&*engine).await?) } else { None };
    if args.json {
        print_json(args, &report, &*engine, address.as_deref(), context).await?;
    }
    if let Some((step, diagnosis)) = report.failure() {
        let log = engine.log().await.unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).for_each(|line| context.printer.detail(format!("log: {}", harmless(line))));
        let text = format!("the image does not run as Studio needs it: {}: {}", step.text(), diagnosis.what);
        return Err(Error::input(Problem::new(text).help(diagnosis.fix.clone())));
    }
    match address {
        Some(address) if args.open => stay(args, &*engine, &address, context).await,
        _ => Ok(()),
    }
}

fn no_image(subject: &Subject) -> Error {
    let text = match subject {
        Subject::Image(source) => format!("{source} is not an image"),
        _ => "it is not an image".to_owned(),
    };
    Error::input(Problem::new(text).help("describe an image on it in a byoi.toml, and run that"))
}

/// The image, where byoi has it or makes it.
async fn image(args: &RunArgs, context: &Context) -> Result<Option<Image>, Error> {
    match &args.subject {
        Subject::Engine(_) => Ok(None),
        Subject::Description(file) => described::image(file, lock::locked(args.locked, false), context).await.map(Some),
        Subject::Image(source) => {
            let opened = base::open(source, Path::new(""), None, &context.registry).await?;
            Ok(opened.map(as_image))
        }
    }
}

/// A foreign image as one that can be written anywhere.
fn as_image(opened: OpenedImage) -> Image {
    let OpenedImage { digest, manifest_bytes, manifest, config_bytes, diff_ids, blobs, .. } = opened;
    let layers = manifest.layers.iter().zip(diff_ids);
    Image {
        layers: layers
            .map(|(descriptor, diff_id)| ImageLayer { descriptor: descriptor.clone(), diff_id, blobs: blobs.clone(), built: None })
            .collect(),
        manifest: manifest_bytes,
        digest,
        family: manifest.family,
        config: config_bytes,
        config_descriptor: manifest.config,
    }
}

/// Where a browser finds the editor. The page has a slash at its end: without it Code-OSS asks for some of its parts under a path that it doubles.
async fn browser_address(engine: &dyn Engine) -> Result<String, Error> {
    Ok(format!("http://{}{}/", engine.address().await?, contract::BASE_PATH))
}

async fn print_json(args: &RunArgs, report: &Report, engine: &dyn Engine, address: Option<&str>, context: &Context) -> Result<(), Error> {
    let mut value = report.to_json();
    value["engine"] = json!(engine.name());
    value["address"] = json!(address.filter(|_| args.open));
    let text = String::from_utf8_lossy(&json::canonical(&value)).into_owned();
    context.printer.result(&format!("{text}\n")).map_err(FileError::at("write to", "standard output"))?;
    Ok(())
}

/// Lets it run until somebody ends byoi, or it ends itself.
async fn stay(args: &RunArgs, engine: &dyn Engine, address: &str, context: &Context) -> Result<(), Error> {
    if !args.json {
        context.printer.result(&format!("{address}\n")).map_err(FileError::at("write to", "standard output"))?;
    }
    context.printer.say("It runs until Ctrl-C.");
    loop {
        if let State::Ended(code) = engine.state().await? {
            return Err(Error::input(Problem::new(format!("the container ended by itself, with exit code {code}"))));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_told_from_an_image() {
        let kind = |text: &str| match text.parse::<Subject>() {
            Ok(Subject::Description(_)) => "description",
            Ok(Subject::Engine(_)) => "engine",
            Ok(Subject::Image(_)) => "image",
            Err(_) => "wrong",
        };
        assert_eq!(["byoi.toml", "a/b.toml", "oci:x.toml"].map(kind), ["description", "description", "image"]);
        assert_eq!(
            ["docker-daemon:x:1", "docker-daemon:", "docker-daemon:-x", "ubuntu", "A"].map(kind),
            ["engine", "wrong", "wrong", "image", "wrong"]
        );
    }
}
