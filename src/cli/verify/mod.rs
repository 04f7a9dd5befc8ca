//! `byoi verify`: judges any image, or what a description comes to.

mod human;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::context::{self, Context, Project};
use super::lock;
use super::render::harmless;
use crate::assemble::{self, BuildRequest, Earlier};
use crate::base::{self, Platforms};
use crate::error::{Error, Fault, FileError, Kind, Problem};
use crate::reference::ImageSource;
use crate::verify::{self, Evidence, Judged, Report, format, rules};

/// Judge an image by the rules of SageMaker Studio's Code Editor.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  byoi verify oci:image
  byoi verify 111122223333.dkr.ecr.eu-west-1.amazonaws.com/editor:1
  byoi verify byoi.toml                      what the description comes to
  byoi verify --allow BYOI024 oci:image
  byoi verify --list

Exit codes: 0 no must is broken, 1 one is, 2 the command line is wrong, 3 the image could not be judged.")]
pub struct VerifyArgs {
    /// The image (a registry reference, oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE), or a description (FILE.toml).
    #[arg(value_name = "REF|FILE.toml", default_value = "byoi.toml")]
    image: String,
    /// How the report is written.
    #[arg(long, value_name = "FORM", default_value = "human")]
    format: Form,
    /// Bear with what this rule finds; again for more.
    #[arg(long, value_name = "ID", value_parser = rule_id)]
    allow: Vec<String>,
    /// List the rules and judge nothing.
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Human,
    Json,
}

/// What was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No must is broken.
    Clean,
    /// One is.
    Broken,
}

fn rule_id(text: &str) -> Result<String, String> {
    match rules::find(&text.to_uppercase()) {
        Some(rule) => Ok(rule.id.to_owned()),
        None => Err("there is no such rule; `byoi verify --list` lists them".to_owned()),
    }
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
    };
    write(context, &text)?;
    Ok(if report.is_broken() { Verdict::Broken } else { Verdict::Clean })
}

fn write(context: &Context, text: &str) -> Result<(), Error> {
    Ok(context.printer.result(text).map_err(FileError::at("write to", "standard output"))?)
}

async fn judge(args: &VerifyArgs, context: &Context) -> Result<Report, Error> {
    let image = if args.image.ends_with(".toml") { described(args, context).await? } else { named(args, context).await? };
    let evidence = Evidence::gather(&image, &context.store, &context.printer).await?;
    Ok(verify::judge(&evidence, &args.allow.iter().cloned().collect::<BTreeSet<_>>()))
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

async fn named(args: &VerifyArgs, context: &Context) -> Result<Judged, Error> {
    let source: ImageSource = args.image.parse().map_err(|cause| NoImage { text: args.image.clone(), cause: Some(cause) })?;
    match base::open_for(Platforms::Any, &source, Path::new(""), None, &context.registry).await? {
        Some(image) => Ok(Judged::of_opened(&args.image, image)),
        None => Err(NoImage { text: args.image.clone(), cause: None }.into()),
    }
}

/// The image that a description comes to: its layers are made in the cache, and written nowhere.
async fn described(args: &VerifyArgs, context: &Context) -> Result<Judged, Error> {
    let world = context.world();
    let project = Project::read(&PathBuf::from(&args.image), &context.printer)?;
    let lock = lock::bring_up_to_date(&project, context::locked_by_default(), context).await?;
    let earlier = Earlier::look(&[], &[], &world).await?;
    let request = BuildRequest {
        description: &project.description,
        directory: &project.directory,
        lock: &lock,
        labels: Default::default(),
        family: None,
        epoch: None,
        rebuild: false,
        threads: context::threads(),
    };
    let (finished, _) = tokio::sync::mpsc::unbounded_channel();
    let image = assemble::build(&request, &earlier, &world, finished).await?;
    Ok(Judged::of_built(&args.image, &image))
}
