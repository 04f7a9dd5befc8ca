//! What a description asks of conda: read out of it and of the environment file or pixi.lock that it names, with the place of each word.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rattler_conda_types::{Channel, MatchSpec, ParseMatchSpecOptions};

use super::pixi::{self, Pixi};
use super::place::{Asked, Place};
use super::{channel, environment};
use crate::description::{Conda, CondaSource, Description, Existing, Spanned};
use crate::digest::Digest;
use crate::error::{Error, Invalid, Problem, Source};
use crate::lock::CondaRequirement;

/// What is asked of conda.
#[derive(Debug)]
pub struct Request {
    /// Channels in order of priority.
    pub channels: Vec<Asked<Channel>>,
    /// The specs to meet.
    pub specs: Vec<Asked<MatchSpec>>,
    /// The packages of a pixi.lock, which are taken without a solve.
    pub pixi: Option<Pixi>,
    /// The same, as the lock repeats it.
    pub requirement: CondaRequirement,
}

/// What the lock of a description repeats of its `[conda]` table; none where there is no such table.
///
/// # Errors
/// All that is wrong with the table and the file that it names.
pub fn requirement(description: &Description, directory: &Path) -> Result<Option<CondaRequirement>, Error> {
    Ok(read(description, directory)?.map(|request| request.requirement))
}

/// What is wrong with the `[conda]` table and the file that it names, as far as that can be told without a network.
pub fn check(description: &Description, directory: &Path) -> Vec<Problem> {
    match &description.conda {
        Some(conda) => of(description, conda, directory).err().unwrap_or_default(),
        None => Vec::new(),
    }
}

/// What a description asks of conda; none where it asks for nothing.
///
/// # Errors
/// As [`requirement`].
pub fn read(description: &Description, directory: &Path) -> Result<Option<Request>, Error> {
    let Some(conda) = &description.conda else { return Ok(None) };
    let request = of(description, conda, directory);
    request.map(Some).map_err(|problems| Invalid { problems }.into())
}

fn of(description: &Description, conda: &Conda, directory: &Path) -> Result<Request, Vec<Problem>> {
    let mut channels: Vec<_> = conda.channels.iter().map(|channel| asked(description, channel)).collect();
    let mut requirement = CondaRequirement {
        channels: Vec::new(),
        specs: Vec::new(),
        pixi_lock: None,
        prefix: conda.prefix.clone(),
        update_existing: conda.existing == Existing::Update,
        cuda: conda.cuda.as_ref().map(|cuda| cuda.value.clone()),
    };
    let (specs, strictness) = match &conda.source {
        CondaSource::Packages(specs) => (specs.iter().map(|spec| asked(description, spec)).collect(), ParseMatchSpecOptions::strict()),
        CondaSource::Environment(file) => {
            let source = file_beside(description, file, directory, environment::MAX_SIZE)?;
            let environment = environment::parse(&Arc::new(source))?;
            // The description's own channels go before the file's.
            if channels.is_empty() {
                channels = environment.channels;
            }
            (environment.specs, ParseMatchSpecOptions::lenient())
        }
        CondaSource::Lock(file) => {
            let source = file_beside(description, file, directory, pixi::MAX_SIZE)?;
            let folder = directory.join(&file.value).parent().map(Path::to_owned).unwrap_or_default();
            let place = Place { source: description.source.clone(), span: file.span.clone() };
            let pixi = pixi::parse(&source.text, &folder).map_err(|problem| vec![place.mark(problem)])?;
            requirement.channels.clone_from(&pixi.channels);
            requirement.pixi_lock = Some(Digest::of(&source.text));
            return Ok(Request { channels: Vec::new(), specs: Vec::new(), pixi: Some(pixi), requirement });
        }
    };
    let mut problems = Vec::new();
    let table = Place { source: description.source.clone(), span: conda.span.clone() };
    if channels.is_empty() {
        let problem = Problem::new("neither the description nor its environment file names a channel: packages come from nowhere else");
        problems.push(table.mark(problem.help("write channels = [\"conda-forge\"]")));
    }
    if specs.is_empty() {
        problems.push(table.mark(Problem::new("no package is asked for: an environment of nothing would be built")));
    }
    requirement.channels = channels.iter().map(|channel| channel.written.clone()).collect();
    requirement.specs = specs.iter().map(|spec| spec.written.clone()).collect();
    let channels = all(channels.iter().map(|channel| channel.parse(|text| channel::parse(text, directory))), &mut problems);
    let specs = all(specs.iter().map(|asked| asked.parse(|text| spec(text, strictness, &channels))), &mut problems);
    if problems.is_empty() { Ok(Request { channels, specs, pixi: None, requirement }) } else { Err(problems) }
}

fn all<T>(outcomes: impl Iterator<Item = Result<T, Problem>>, problems: &mut Vec<Problem>) -> Vec<T> {
    outcomes.filter_map(|outcome| outcome.map_err(|problem| problems.push(problem)).ok()).collect()
}

fn asked(description: &Description, text: &Spanned<String>) -> Asked<String> {
    let place = Place { source: description.source.clone(), span: text.span.clone() };
    Asked { value: text.value.clone(), written: text.value.clone(), place }
}

/// The text of a file beside the description, of at most `limit` bytes.
fn file_beside(description: &Description, file: &Spanned<std::path::PathBuf>, directory: &Path, limit: u64) -> Result<Source, Vec<Problem>> {
    let path = directory.join(&file.value);
    let fail = |reason: String| {
        let problem = Problem::new(format!("cannot read {}: {reason}", file.value.display())).label("not readable");
        vec![problem.at(&description.source, file.span.clone()).help("create it, or correct the path; it is relative to the description")]
    };
    let mut text = String::new();
    let opened = fs::File::open(&path).map_err(|error| fail(error.to_string()))?;
    opened.take(limit + 1).read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > limit {
        return Err(fail(format!("it has more than {limit} bytes")));
    }
    Ok(Source { name: path.display().to_string(), text })
}

/// Reads a MatchSpec, and refuses what a channel's index cannot meet.
fn spec(text: &str, strictness: ParseMatchSpecOptions, channels: &[Asked<Channel>]) -> Result<MatchSpec, Problem> {
    let help = "write a name and what its version must be, such as \"scrapy >=2.11\" or \"python 3.12.*\"";
    let bad = |message: String| Problem::new(message).label("not understood").help(help);
    let spec = MatchSpec::from_str(text, strictness).map_err(|error| bad(format!("`{text}` is not a MatchSpec: {error}")))?;
    if spec.url.is_some() {
        return Err(bad("a package comes from a channel, not from an archive's path or URL".to_owned()));
    }
    if spec.name.as_exact().is_none() {
        return Err(bad(format!("`{text}` does not name one package")));
    }
    match &spec.channel {
        Some(channel) if !channels.is_empty() && !channels.iter().any(|known| known.value.base_url == channel.base_url) => {
            let message = format!("`{text}` asks for a channel that is not among the channels");
            Err(Problem::new(message)
                .label("another channel")
                .help(format!("add \"{}\" to the channels", channel.name.as_deref().unwrap_or(channel.base_url.as_str()))))
        }
        _ => Ok(spec),
    }
}
