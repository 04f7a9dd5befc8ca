//! `byoi studio`: the documents that attach an image to SageMaker Studio.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;

use super::context::Context;
use crate::base::{self, OpenedImage};
use crate::contract;
use crate::error::{Error, FileError, Invalid, Problem};
use crate::json;
use crate::reference::{ImageSource, Reference};
use crate::studio::{self, Document, EcrImage, Processor, Request};

/// Write the documents that attach an image to Studio, for the AWS CLI and CloudFormation.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aws sagemaker describe-domain --domain-id d-abcdefghijkl > domain.json
  byoi studio 123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/editor:1 --name editor \\
      --role-arn arn:aws:iam::123456789012:role/studio --domain-id d-abcdefghijkl --domain domain.json

Each document is held against the service's own limits before it is written. Nothing is sent to AWS.")]
pub struct StudioArgs {
    /// The image in a private ECR repository of the domain's region; the documents name it by digest.
    #[arg(value_name = "REF")]
    image: Reference,
    /// Name of the SageMaker image.
    #[arg(long)]
    name: String,
    /// ARN of the role with which SageMaker pulls the image.
    #[arg(long, value_name = "ARN")]
    role_arn: String,
    /// Id of the domain that the image is attached to.
    #[arg(long, value_name = "ID")]
    domain_id: String,
    /// What `aws sagemaker describe-domain` prints: images that the domain has stay attached.
    #[arg(long, value_name = "FILE")]
    domain: Option<PathBuf>,
    /// Name of the AppImageConfig [default: the image's, with hyphens for dots].
    #[arg(long, value_name = "NAME")]
    app_image_config: Option<String>,
    /// Name that Studio shows.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Description of the image.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What is new in this version.
    #[arg(long, value_name = "TEXT")]
    release_notes: Option<String>,
    /// An alias of this version.
    #[arg(long, value_name = "ALIAS")]
    alias: Vec<String>,
    /// What the image is made for.
    #[arg(long, value_enum, default_value = "cpu")]
    processor: Processor,
    /// A variable of the container.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<Variable>,
    /// The directory to write to.
    #[arg(long, short, value_name = "DIR", default_value = "studio")]
    output: PathBuf,
}

/// `NAME=VALUE`.
#[derive(Debug, Clone)]
struct Variable(String, String);

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("it is not of the form NAME=VALUE")?;
        Ok(Variable(name.to_owned(), value.to_owned()))
    }
}

/// Runs the command.
///
/// # Errors
/// An image that is not there or not in ECR, values that the service would refuse, files that cannot be written.
pub async fn run(args: &StudioArgs, context: &Context) -> Result<(), Error> {
    let not_ecr = |error: studio::NotEcr| {
        let help = "push it there: `byoi build docker://ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG`";
        Error::input(Problem::new(error.to_string()).help(help))
    };
    // Before the registry is asked: the name alone may be wrong.
    EcrImage::new(&args.image, crate::digest::Digest::of("")).map_err(not_ecr)?;
    let Some(image) = base::open(&ImageSource::Registry(args.image.clone()), Path::new(""), None, &context.registry).await? else { return Ok(()) };
    let ecr = EcrImage::new(&args.image, image.index.unwrap_or(image.digest)).map_err(not_ecr)?;
    let request = request(args, ecr, &image)?;
    let documents = studio::documents(&request).map_err(|problems| Invalid { problems })?;
    write(&args.output, &documents)?;
    reserved(&request).into_iter().for_each(|problem| context.printer.warn(&problem));
    context.printer.say(format!("wrote {} files to {}; next, in this order:", documents.len(), args.output.display()));
    let commands = commands(&args.output, request.image.region(), &documents);
    context.printer.result(&commands).map_err(FileError::at("write to", "standard output"))?;
    if args.domain.is_none() {
        let help = "give what `aws sagemaker describe-domain` prints with --domain FILE, and its images stay attached";
        let lost = "update-domain replaces the domain's list of custom images: those that update-domain.json does not name are detached";
        context.printer.warn(&Problem::new(lost).help(help));
    }
    context.printer.say("Spaces that run keep the version they started with: a space gets a new version when it is stopped and started again.");
    Ok(())
}

fn request(args: &StudioArgs, image: EcrImage, opened: &OpenedImage) -> Result<Request, Error> {
    let existing = match &args.domain {
        None => Vec::new(),
        Some(file) => studio::custom_images(&file.display().to_string(), &std::fs::read(file).map_err(FileError::at("read", file))?)?,
    };
    let (entrypoint, arguments) = container(opened);
    Ok(Request {
        image,
        name: args.name.clone(),
        config_name: args.app_image_config.clone().unwrap_or_else(|| args.name.replace('.', "-")),
        role: args.role_arn.clone(),
        display_name: args.display_name.clone(),
        description: args.description.clone(),
        release_notes: args.release_notes.clone(),
        aliases: args.alias.clone(),
        processor: args.processor,
        entrypoint,
        arguments,
        variables: args.env.iter().map(|Variable(name, value)| (name.clone(), value.clone())).collect(),
        domain: args.domain_id.clone(),
        existing,
    })
}

/// `ContainerEntrypoint` and `ContainerArguments`: those of the image's config. byoi's own script knows the server's command by itself.
fn container(image: &OpenedImage) -> (Vec<String>, Vec<String>) {
    let words = |name: &str| -> Vec<String> {
        let words = image.config.get("config").and_then(|config| config.get(name)).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (entrypoint, mut command) = (words("Entrypoint"), words("Cmd"));
    if entrypoint == [contract::ENTRYPOINT] {
        return (entrypoint, Vec::new());
    }
    if entrypoint.is_empty() && !command.is_empty() {
        let arguments = command.split_off(1);
        return (command, arguments);
    }
    (entrypoint, command)
}

/// Variables that the platform sets itself.
fn reserved(request: &Request) -> Vec<Problem> {
    let names = request.variables.iter().map(|(name, _)| name).filter(|name| contract::RESERVED_VARIABLES.contains(&name.as_str()));
    names.map(|name| Problem::new(format!("the variable {name} has no effect: the platform sets it itself"))).collect()
}

fn write(directory: &Path, documents: &[Document]) -> Result<(), Error> {
    std::fs::create_dir_all(directory).map_err(FileError::at("create", directory))?;
    for document in documents {
        let path = directory.join(document.file);
        let write = || {
            let mut file = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)).tempfile_in(directory)?;
            file.write_all(json::pretty(document.body.clone()).as_bytes())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(FileError::at("write", &path))?;
    }
    Ok(())
}

/// The AWS CLI's commands, a line each.
fn commands(directory: &Path, region: &str, documents: &[Document]) -> String {
    let line = |document: &Document| {
        let operation = hyphenated(document.operation?);
        Some(format!("aws sagemaker {operation} --region {region} --cli-input-json file://{}\n", directory.join(document.file).display()))
    };
    documents.iter().filter_map(line).collect()
}

/// `CreateAppImageConfig` as the CLI has it: `create-app-image-config`.
fn hyphenated(operation: &str) -> String {
    let mut name = String::new();
    for letter in operation.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
