//! `byoi inspect`: an image's config and layers, for any image by any transport.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::context::Context;
use super::printer::size;
use crate::assemble::{HistoryItem, read_history};
use crate::base::{self, OpenedImage};
use crate::digest::Digest;
use crate::error::{Error, FileError, Problem};
use crate::reference::ImageSource;

/// Show an image's config, layers and components.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  byoi inspect oci:image
  byoi inspect --json public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu
  byoi inspect docker-archive:image.tar")]
pub struct InspectArgs {
    /// The image: a registry reference, oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE.
    #[arg(value_name = "REF")]
    image: ImageSource,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// An image that is not there or cannot be read.
pub async fn run(args: &InspectArgs, context: &Context) -> Result<(), Error> {
    let Some(image) = base::open(&args.image, Path::new(""), None, &context.registry).await? else {
        return Err(Error::input(Problem::new(format!("{} is not an image", args.image)).help("build one on it: `byoi build oci:DIR`")));
    };
    let text = if args.json { format!("{}\n", as_json(&image)) } else { as_text(&image) };
    context.printer.result(&text).map_err(FileError::at("write to", "standard output"))?;
    Ok(())
}

/// A layer with the history item that it belongs to.
struct Row<'a> {
    digest: Digest,
    diff_id: Digest,
    size: u64,
    media_type: &'a str,
    item: HistoryItem,
}

fn rows(image: &OpenedImage) -> Vec<Row<'_>> {
    let mut items = read_history(&image.config).into_iter().filter(|item| !item.empty_layer);
    let layers = image.manifest.layers.iter().zip(&image.diff_ids);
    layers
        .map(|(layer, diff_id)| Row {
            digest: layer.digest,
            diff_id: *diff_id,
            size: layer.size,
            media_type: &layer.media_type,
            item: items.next().unwrap_or_default(),
        })
        .collect()
}

fn as_json(image: &OpenedImage) -> Value {
    let layers: Vec<Value> = rows(image)
        .into_iter()
        .map(|row| {
            json!({
                "digest": row.digest, "diff_id": row.diff_id, "size": row.size, "media_type": row.media_type,
                "created_by": row.item.created_by, "key": row.item.key(),
            })
        })
        .collect();
    json!({
        "digest": image.digest, "index": image.index, "media_type": image.manifest.family.manifest(), "annotations": image.manifest.annotations,
        "config_digest": image.manifest.config.digest, "config": image.config, "layers": layers,
    })
}

fn as_text(image: &OpenedImage) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            // A String takes all.
            let _ = writeln!(out, "{name:<12} {value}");
        }
    };
    line("digest", image.digest.to_string());
    line("index", image.index.map(|digest| digest.to_string()).unwrap_or_default());
    line("config", image.manifest.config.digest.to_string());
    line("type", image.manifest.family.manifest().to_owned());
    line("created", image.config.get("created").and_then(Value::as_str).unwrap_or_default().to_owned());
    for (name, value) in &image.manifest.annotations {
        line("annotation", format!("{name}={value}"));
    }
    for (name, value) in settings(image) {
        line(&name, value);
    }
    let rows = rows(image);
    let total: u64 = rows.iter().map(|row| row.size).sum();
    let _ = writeln!(out, "\n{} layers, {}", rows.len(), size(total));
    for row in rows {
        let made = if row.item.key().is_some() { row.item.created_by } else { shortened(&row.item.created_by) };
        let _ = writeln!(out, "{}  {:>9}  {made}", &row.digest.hex()[..12], size(row.size));
    }
    out
}

/// What a runtime does with the image, a line each.
fn settings(image: &OpenedImage) -> Vec<(String, String)> {
    let config = image.config.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for name in ["User", "WorkingDir", "Entrypoint", "Cmd", "ExposedPorts"] {
        let value = match config.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            Some(Value::Object(keys)) => keys.keys().cloned().collect::<Vec<_>>().join(" "),
            _ => continue,
        };
        lines.push((name.to_owned(), value));
    }
    let env = config.get("Env").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    lines.extend(env.map(|variable| ("Env".to_owned(), variable.to_owned())));
    let labels: BTreeMap<_, _> = config.get("Labels").and_then(Value::as_object).into_iter().flatten().collect();
    lines.extend(labels.into_iter().map(|(name, value)| ("Label".to_owned(), format!("{name}={}", value.as_str().unwrap_or_default()))));
    lines
}

/// The first line of what made a foreign layer, cut to what a terminal holds.
fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > 80 { format!("{}…", line.chars().take(79).collect::<String>()) } else { line.to_owned() }
}
