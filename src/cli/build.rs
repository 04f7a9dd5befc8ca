//! `byoi build`: description → lock → plan → layers and config → every destination.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use super::allow::Allow;
use super::context::{self, Context, Project};
use super::lock;
use super::printer::size;
use crate::assemble::{self, BuildRequest, Earlier, Image};
use crate::environment;
use crate::error::{Error, Fault, FileError, Invalid, Kind, Problem};
use crate::json;
use crate::manifest::Family;
use crate::output::{self, Written};
use crate::reference::{Destination, ImageSource};
use crate::verify::{self, Finding, Judged, Level, Report, format};
use crate::world::World;

/// Build the image and write it to each destination.
#[derive(Debug, clap::Args)]
#[command(after_help = "Destinations:
  docker://HOST/REPOSITORY[:TAG]   a registry
  oci:DIRECTORY[:TAG]              an OCI image layout
  oci-archive:FILE                 a tar of one
  docker-archive:FILE[:NAME]       for `docker load`
  docker-daemon:NAME               the local docker daemon
Without a destination the layers are made and the digest is printed.

Examples:
  byoi build oci:image
  byoi build -f editor.toml docker://111122223333.dkr.ecr.eu-west-1.amazonaws.com/code-editor:1 oci:image")]
pub struct BuildArgs {
    /// Where the image goes; several at once.
    #[arg(value_name = "DEST")]
    destinations: Vec<Destination>,
    /// The description.
    #[arg(long, short, default_value = "byoi.toml")]
    file: PathBuf,
    /// Fail where the lock is missing or stale, instead of bringing it up to date (default when CI is set).
    #[arg(long, overrides_with = "no_locked")]
    locked: bool,
    /// Bring the lock up to date even in CI.
    #[arg(long, overrides_with = "locked")]
    no_locked: bool,
    /// Take unchanged layers from this image too.
    #[arg(long, value_name = "REF")]
    reuse: Vec<ImageSource>,
    /// Trust no earlier layer: make all, and fail where the bytes differ.
    #[arg(long)]
    rebuild: bool,
    /// Media types of manifest, config and layers; the base's by default.
    #[arg(long, value_name = "FAMILY")]
    media_types: Option<MediaTypes>,
    /// A label more, or another value for one.
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Threads that compress.
    #[arg(long, value_name = "N", default_value_t = context::threads())]
    threads: NonZeroUsize,
    #[command(flatten)]
    allow: Allow,
    /// Print one JSON object instead of the digest.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum MediaTypes {
    Docker,
    Oci,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE".to_owned()),
    }
}

/// SOURCE_DATE_EPOCH is no number of seconds.
#[derive(Debug, thiserror::Error)]
#[error("SOURCE_DATE_EPOCH is `{0}`, which is no number of seconds since 1970")]
struct NoEpoch(String);

impl Fault for NoEpoch {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever any stage reports.
pub async fn run(args: &BuildArgs, context: &Context) -> Result<(), Error> {
    let mut clock = Clock::new();
    let world = context.world();
    let project = Project::read(&args.file, &context.printer)?;
    let lock = lock::bring_up_to_date(&project, lock::locked(args.locked, args.no_locked), context).await?;
    clock.stage("lock");

    let earlier = Earlier::look(&args.destinations, &args.reuse, &world).await?;
    clock.stage("look");

    let request = BuildRequest {
        description: &project.description,
        directory: &project.directory,
        lock: &lock,
        labels: args.label.iter().cloned().collect(),
        family: args.media_types.map(|family| match family {
            MediaTypes::Docker => Family::Docker,
            MediaTypes::Oci => Family::Oci,
        }),
        epoch: epoch()?,
        rebuild: args.rebuild,
        threads: args.threads,
        survey: Some(verify::survey_interest()),
    };
    let (finished, layers) = tokio::sync::mpsc::unbounded_channel();
    let uploads = output::registry::push_as_finished(layers, &args.destinations, &earlier, &world);
    let building = assemble::build(&request, &earlier, &world, finished);
    let (image, uploaded) = tokio::try_join!(building, uploads)?;
    clock.stage("layers");
    let judged = judge(args, &image, context).await?;
    clock.stage("judge");

    let written = write_all(args, &image, &earlier, uploaded, &world).await?;
    clock.stage("write");
    report(args, &image, &judged, &written, &clock, context)
}

/// Asks the rules that can be asked of what is known of the image: what breaks a must is an error, the rest a warning.
async fn judge(args: &BuildArgs, image: &Image, context: &Context) -> Result<Report, Error> {
    let subject = Judged::of_built(&args.file.display().to_string(), image);
    let judged = verify::judge_known(&subject, &args.allow.ids(), &context.store).await?;
    let mut broken = Vec::new();
    let counted = judged.findings.chunk_by(|one, next| one.rule.id == next.rule.id).filter(|group| !group[0].is_allowed);
    for group in counted {
        match group[0].rule.level {
            Level::Must => broken.push(problem(group)),
            Level::Should => context.printer.warn(&problem(group)),
        }
    }
    let unasked =
        if judged.unasked > 0 { format!(", {} need layers that were not read: `byoi verify` reads them", judged.unasked) } else { String::new() };
    context.printer.detail(format!("{} rules asked{unasked}", judged.asked));
    if broken.is_empty() { Ok(judged) } else { Err(Invalid { problems: broken }.into()) }
}

/// What one rule found, at one place or several.
fn problem(group: &[Finding]) -> Problem {
    let Finding { rule, subject, what, .. } = &group[0];
    let more = if group.len() > 1 { format!(", and at {} more places", group.len() - 1) } else { String::new() };
    let message = format!("{} ({}): {subject}: {what}{more}", rule.id, rule.title);
    Problem::new(message).help(format!("{}; or bear with it: `--allow {}`", rule.description, rule.id))
}

fn epoch() -> Result<Option<jiff::Timestamp>, Error> {
    let Some(text) = environment::SOURCE_DATE_EPOCH.text().filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = text.parse::<i64>().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    Ok(Some(seconds.ok_or(NoEpoch(text))?))
}

/// Writes the image to every destination, one after the other: each uses all that the machine has.
async fn write_all(
    args: &BuildArgs,
    image: &Image,
    earlier: &Earlier,
    uploaded: output::registry::Uploaded,
    world: &World<'_>,
) -> Result<Vec<Written>, Error> {
    let mut all = Vec::new();
    for destination in &args.destinations {
        let written = match destination {
            Destination::Registry(reference) => uploaded.finish(image, reference, earlier, world).await?,
            Destination::OciLayout { directory, tag } => output::layout::write(image, directory, tag.as_deref()).await?,
            Destination::OciArchive { file } => output::archive::write_oci(image, file, None).await?,
            Destination::DockerArchive { file, reference } => output::archive::write_docker(image, file, reference.as_ref(), world.store).await?,
            Destination::DockerDaemon(reference) => {
                let host = environment::DOCKER_HOST.text();
                output::daemon::Daemon::new(host)?.write(image, reference, world.store).await?
            }
        };
        all.push(written);
    }
    Ok(all)
}

fn report(args: &BuildArgs, image: &Image, judged: &Report, written: &[Written], clock: &Clock, context: &Context) -> Result<(), Error> {
    let printer = &context.printer;
    let own = image.layers.iter().filter_map(|layer| layer.built.as_ref());
    for built in own {
        let origin = serde_json::to_value(built.origin).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        printer.say(format!("{:<8} {:>9}  {}", origin, size(built.known.size), built.name));
    }
    for (destination, written) in args.destinations.iter().zip(written) {
        let what = match (written.manifest, written.blobs, written.mounted) {
            (false, 0, 0) => "is up to date".to_owned(),
            (_, blobs, 0) => format!("written: {blobs} blobs, {}", size(written.bytes)),
            (_, blobs, mounted) => format!("written: {blobs} blobs, {}; {mounted} mounted", size(written.bytes)),
        };
        printer.say(format!("{destination} {what}"));
    }
    let text = match args.json {
        true => String::from_utf8_lossy(&json::canonical(&summary(args, image, judged, written, clock, context))).into_owned(),
        false => image.digest.to_string(),
    };
    printer.result(&format!("{text}\n")).map_err(FileError::at("write to", "standard output"))?;
    Ok(())
}

fn summary(args: &BuildArgs, image: &Image, judged: &Report, written: &[Written], clock: &Clock, context: &Context) -> Value {
    let traffic = context.http.traffic();
    let layers: Vec<Value> = image
        .layers
        .iter()
        .map(|layer| {
            let mut value = json!({"digest": layer.descriptor.digest, "diff_id": layer.diff_id, "size": layer.descriptor.size});
            match &layer.built {
                Some(built) => {
                    value["name"] = json!(built.name);
                    value["key"] = json!(built.key);
                    value["components"] = json!(built.components);
                    value["origin"] = json!(built.origin);
                }
                None => value["origin"] = json!("base"),
            }
            value
        })
        .collect();
    let destinations: Vec<Value> = args
        .destinations
        .iter()
        .zip(written)
        .map(|(destination, written)| {
            json!({
                "destination": destination.to_string(), "blobs_written": written.blobs, "bytes_written": written.bytes,
                "blobs_mounted": written.mounted, "changed": written.manifest,
            })
        })
        .collect();
    json!({
        "digest": image.digest, "config_digest": image.config_descriptor.digest, "layers": layers, "destinations": destinations,
        "judged": format::json_findings(judged), "requests": traffic.requests, "bytes_downloaded": traffic.downloaded, "bytes_uploaded": traffic.uploaded, "seconds": clock.stages,
    })
}

/// Seconds per stage.
struct Clock {
    last: Instant,
    stages: BTreeMap<&'static str, f64>,
}

impl Clock {
    fn new() -> Self {
        Clock { last: Instant::now(), stages: BTreeMap::new() }
    }

    fn stage(&mut self, name: &'static str) {
        let now = Instant::now();
        self.stages.insert(name, (now - self.last).as_secs_f64());
        self.last = now;
    }
}
