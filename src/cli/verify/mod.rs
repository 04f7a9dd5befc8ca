//! `byoi verify`: judges any image, or what a description comes to.

mod human;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::allow::Allow;
use super::context::{self, Context};
use super::described;
use super::render::harmless;
use crate::base::{self, Platforms};
use crate::environment;
use crate::error::{Error, Fault, FileError, Kind, Problem};
use crate::output::daemon::Daemon;
use crate::reference::ImageSource;
use crate::run::app_image_config::{self, ContainerConfig};
use crate::verify::{self, Evidence, Judged, Overrides, Report, format};

/// Judge an image by the rules of SageMaker Studio's Code Editor.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  byoi verify oci:image
  byoi verify 111122223333.dkr.ecr.eu-west-1.amazonaws.com/editor:1
  byoi verify docker-daemon:editor:1         an image of the local docker
  byoi verify byoi.toml                      what the description comes to
  byoi verify --app-image-config studio/create-app-image-config.json oci:image
  byoi verify --allow BYOI024 oci:image
  byoi verify --list

Exit codes: 0 no must is broken, 1 one is, 2 the command line is wrong, 3 the image could not be judged.")]
pub struct VerifyArgs {
    /// The image (a registry reference, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or docker-daemon:NAME), or a description
    /// (FILE.toml).
    #[arg(value_name = "REF|FILE.toml", default_value = "byoi.toml")]
    image: String,
    /// How the report is written.
    #[arg(long, value_name = "FORM", default_value = "human")]
    format: Form,
    #[command(flatten)]
    allow: Allow,
    /// Judge the image as this AppImageConfig starts it: a JSON file as `describe-app-image-config` prints it.
    #[arg(long, value_name = "FILE")]
    app_image_config: Option<PathBuf>,
    /// The file that makes the image, at which sarif and github put what was found; the description, or `Dockerfile`.
    #[arg(long, value_name = "FILE")]
    made_by: Option<String>,
    /// List the rules and judge nothing.
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

/// Begins the name of an image of the local docker.
const DAEMON: &str = "docker-daemon:";
/// Largest AppImageConfig that is read, in bytes.
const MAX_APP_IMAGE_CONFIG: u64 = 1 << 20;
/// The usual name of the file that makes an image.
const DOCKERFILE: &str = "Dockerfile";

/// What was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No must is broken.
    Clean,
    /// One is.
    Broken,
}

/// The image could not be judged.
#[derive(Debug)]
struct Unjudged(Error);

impl std::fmt::Display for Unjudged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the image could not be judged")
    }
}

impl std::error::Error for Unjudged {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.fault())
    }
}

impl Fault for Unjudged {
    fn kind(&self) -> Kind {
        Kind::World
    }

    fn help(&self) -> Option<String> {
        self.0.fault().help()
    }

    fn problems(&self) -> &[Problem] {
        self.0.fault().problems()
    }
}

/// Runs the command.
///
/// # Errors
/// An image that could not be judged.
pub async fn run(args: &VerifyArgs, context: &Context) -> Result<Verdict, Error> {
    if args.list {
        write(context, &human::list(args.format == Form::Json))?;
        return Ok(Verdict::Clean);
    }
    let report = match judge(args, context).await {
        Ok(report) => report,
        Err(error) if error.fault().kind() == Kind::Usage => return Err(error),
        Err(error) => return Err(Unjudged(error).into()),
    };
    let text = match args.format {
        Form::Human => human::text(&report, &harmless),
        Form::Json => format!("{}\n", format::json(&report)),
        Form::Sarif => format!("{}\n", format::sarif(&report, &file(args).unwrap_or_else(|| DOCKERFILE.to_owned()))),
        Form::Github => format::github(&report, file(args).as_deref()),
    };
    write(context, &text)?;
    Ok(if report.is_broken() { Verdict::Broken } else { Verdict::Clean })
}

/// The file that makes the image: named, or the description, or a Dockerfile that lies here.
fn file(args: &VerifyArgs) -> Option<String> {
    let described = args.image.ends_with(".toml").then(|| args.image.clone());
    let here = || Path::new(DOCKERFILE).is_file().then(|| DOCKERFILE.to_owned());
    args.made_by.clone().or(described).or_else(here)
}

fn write(context: &Context, text: &str) -> Result<(), Error> {
    Ok(context.printer.result(text).map_err(FileError::at("write to", "standard output"))?)
}

async fn judge(args: &VerifyArgs, context: &Context) -> Result<Report, Error> {
    let overrides = args.app_image_config.as_deref().map(overrides).transpose()?.unwrap_or_default();
    // The archive of a daemon's image is read to the end of the judgement.
    let mut archive = None;
    let image = match args.image.strip_prefix(DAEMON) {
        Some(name) => named(&saved(name, &mut archive, context).await?, args, context).await?,
        None if args.image.ends_with(".toml") => {
            let image = described::image(Path::new(&args.image), context::locked_by_default(), context).await?;
            Judged::of_built(&args.image, &image)
        }
        None => named(&args.image, args, context).await?,
    };
    let evidence = Evidence::gather(&image.started_with(overrides), &context.store, &context.printer).await?;
    Ok(verify::judge(&evidence, &args.allow.ids()))
}

/// The argument names no image.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is neither an image nor a description")]
struct NoImage {
    text: String,
    #[source]
    cause: Option<crate::reference::InvalidReference>,
}

impl Fault for NoImage {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn help(&self) -> Option<String> {
        Some("name an image (`oci:DIR`, `docker-archive:FILE`, a registry reference) or a description (`byoi.toml`)".to_owned())
    }
}

/// What an AppImageConfig changes.
fn overrides(file: &Path) -> Result<Overrides, Error> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(FileError::at("read", file))?;
    opened.take(MAX_APP_IMAGE_CONFIG).read_to_end(&mut bytes).map_err(FileError::at("read", file))?;
    let ContainerConfig { entrypoint, arguments, variables } = app_image_config::read(&file.display().to_string(), &bytes)?;
    Ok(Overrides { entrypoint: entrypoint.map(|word| vec![word]), arguments, variables: variables.into_iter().collect() })
}

/// An image of the local docker, in an archive that lasts as long as `archive`; gives its name.
async fn saved(name: &str, archive: &mut Option<tempfile::NamedTempFile>, context: &Context) -> Result<String, Error> {
    let file = context.store.named_spool()?;
    let writer = file.reopen().map_err(FileError::at("write to", file.path()))?;
    let daemon = Daemon::new(environment::DOCKER_HOST.text())?;
    daemon.save(name, &mut tokio::fs::File::from_std(writer)).await?;
    let name = format!("docker-archive:{}", file.path().display());
    *archive = Some(file);
    Ok(name)
}

async fn named(text: &str, args: &VerifyArgs, context: &Context) -> Result<Judged, Error> {
    let source: ImageSource = text.parse().map_err(|cause| NoImage { text: args.image.clone(), cause: Some(cause) })?;
    match base::open_for(Platforms::Any, &source, Path::new(""), None, &context.registry).await? {
        Some(image) => Ok(Judged::of_opened(&args.image, image)),
        None => Err(NoImage { text: args.image.clone(), cause: None }.into()),
    }
}
