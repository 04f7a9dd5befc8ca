//! What rules look at. Gathered once, by one pass over the layers; then nothing is read any more.

use serde_json::{Map, Value, json};

use super::account::Account;
use super::config::RunConfig;
use super::environment::Environment;
use super::extensions::Extensions;
use super::interest;
use super::programs::Programs;
use super::start::{Start, follow, follow_own};
use crate::assemble::Image;
use crate::base::{self, Index, LayerFacts, OpenedImage, SurveyedLayer};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Descriptor, Document, IndexEntry, Manifest};
use crate::progress::Progress;
use crate::store::Store;

/// An image's documents, before any layer is read.
pub struct Subject {
    /// The image's name for people.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What the index lists through which it was found; empty without one.
    pub index_entries: Vec<IndexEntry>,
    /// The manifest.
    pub manifest: Manifest,
    /// The whole config.
    pub config: Map<String, Value>,
    /// The layers, the lowest first.
    pub layers: Vec<SurveyedLayer>,
}

/// What rules look at.
#[derive(Debug)]
pub struct Evidence {
    /// The image's name for people.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What the index lists through which it was found; empty without one.
    pub index_entries: Vec<IndexEntry>,
    /// The manifest.
    pub manifest: Manifest,
    /// What a runtime acts on.
    pub config: RunConfig,
    /// What the layers hold; none where nobody read them.
    pub files: Option<Files>,
}

/// What the layers hold.
#[derive(Debug)]
pub struct Files {
    /// The merged tree, every entry of it. Contents are there for the small files that rules read, and for shell scripts.
    pub index: Index,
    /// What is known of each layer that was read, the lowest first.
    pub layers: Vec<LayerFacts>,
    /// Whether these are all layers of the image; else the uppermost ones.
    pub is_whole: bool,
    /// Whom the config's user is.
    pub account: Account,
    /// What the container's command comes to.
    pub start: Start,
    /// The extensions.
    pub extensions: Extensions,
    /// The conda environments.
    pub environments: Vec<Environment>,
    /// What the config's command comes to without its entrypoint; none where there is only one of them.
    pub command_alone: Option<Start>,
}

impl Subject {
    /// An image that was opened.
    pub fn of_opened(name: &str, image: OpenedImage) -> Self {
        let layers = image.manifest.layers.iter().zip(&image.diff_ids);
        let layers = layers.map(|(layer, diff_id)| SurveyedLayer { descriptor: layer.clone(), diff_id: *diff_id, blobs: image.blobs.clone() });
        Subject {
            name: name.to_owned(),
            digest: image.digest,
            index_entries: image.index_entries,
            layers: layers.collect(),
            manifest: image.manifest,
            config: image.config,
        }
    }

    /// An image that was built.
    pub fn of_built(name: &str, image: &Image) -> Self {
        let layers = image.layers.iter().map(|layer| SurveyedLayer {
            descriptor: layer.descriptor.clone(),
            diff_id: layer.diff_id,
            blobs: layer.blobs.clone(),
        });
        let manifest = match Document::parse(&image.manifest, None) {
            Ok(Document::Manifest(manifest)) => manifest,
            // byoi writes no manifest that it does not read.
            _ => Manifest { family: image.family, config: image.config_descriptor.clone(), layers: Vec::new(), annotations: Default::default() },
        };
        Subject {
            name: name.to_owned(),
            digest: image.digest,
            index_entries: Vec::new(),
            layers: layers.collect(),
            manifest,
            config: serde_json::from_slice(&image.config).unwrap_or_default(),
        }
    }
}

/// What an AppImageConfig changes of an image's start.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// In place of the image's entrypoint; the image's command then goes too, as it does in docker.
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's command.
    pub arguments: Option<Vec<String>>,
    /// Beside the image's variables.
    pub variables: Vec<(String, String)>,
}

impl Subject {
    /// The image as it starts with these changes.
    pub fn started_with(mut self, overrides: Overrides) -> Self {
        let run = self.config.entry("config").or_insert_with(|| json!({}));
        if let Some(entrypoint) = overrides.entrypoint {
            run["Entrypoint"] = json!(entrypoint);
            run["Cmd"] = json!([]);
        }
        if let Some(arguments) = overrides.arguments {
            run["Cmd"] = json!(arguments);
        }
        let mut variables = run.get("Env").and_then(Value::as_array).cloned().unwrap_or_default();
        variables.extend(overrides.variables.iter().map(|(name, value)| json!(format!("{name}={value}"))));
        run["Env"] = Value::from(variables);
        self
    }
}

impl Evidence {
    /// Manifest and config, without the files.
    pub fn of_documents(subject: &Subject) -> Self {
        Evidence {
            name: subject.name.clone(),
            digest: subject.digest,
            index_entries: subject.index_entries.clone(),
            manifest: subject.manifest.clone(),
            config: RunConfig::read(&subject.config),
            files: None,
        }
    }

    /// All of it. Layers that were read before come out of the store.
    ///
    /// # Errors
    /// Layers that cannot be reached or are damaged.
    pub async fn gather(subject: &Subject, store: &Store, progress: &dyn Progress) -> Result<Self, Error> {
        let survey = base::survey(&subject.layers, &interest::survey(), store, progress).await?;
        let evidence = Self::of_documents(subject);
        Ok(Evidence { files: Some(Files::new(survey, &evidence.config)), ..evidence })
    }

    /// What is known without reading a layer: the documents, and the uppermost layers of which the store has what was read of them before.
    pub async fn known(subject: &Subject, store: &Store) -> Self {
        let evidence = Self::of_documents(subject);
        let files = match base::known(&subject.layers, &interest::survey(), store).await {
            Some(survey) if survey.layers.len() == subject.layers.len() => Some(Files::new(survey, &evidence.config)),
            Some(survey) => Some(Files::of_upper(survey, &evidence.config)),
            None => None,
        };
        Evidence { files, ..evidence }
    }
}

impl Files {
    /// What follows from the layers and the config.
    pub fn new(survey: base::Survey, config: &RunConfig) -> Self {
        let start = follow(config, &survey.index);
        let both = !config.entrypoint.is_empty() && !config.cmd.is_empty();
        let command_alone = both.then(|| follow(&RunConfig { entrypoint: Vec::new(), ..config.clone() }, &survey.index));
        Files { command_alone, ..Files::started(survey, config, start, true) }
    }

    /// What follows from the uppermost layers: less than is in the image. Of the start only what byoi's own entrypoint decides is known.
    pub fn of_upper(survey: base::Survey, config: &RunConfig) -> Self {
        let start = follow_own(config, &survey.index);
        Files::started(survey, config, start, false)
    }

    fn started(survey: base::Survey, config: &RunConfig, start: Start, is_whole: bool) -> Self {
        let base::Survey { index, layers } = survey;
        let account = Account::of(&config.user, &index);
        let extensions = Extensions::of(&index, &start);
        let environments = Environment::all(&index);
        Files { account, extensions, environments, start, command_alone: None, index, layers, is_whole }
    }

    /// The layers that were read, each with its number in the image and its descriptor.
    pub fn layers_of<'a>(&'a self, manifest: &'a Manifest) -> impl Iterator<Item = (usize, &'a Descriptor, &'a LayerFacts)> {
        let unread = manifest.layers.len().saturating_sub(self.layers.len());
        let read = manifest.layers.iter().enumerate().skip(unread);
        read.zip(&self.layers).map(|((place, layer), facts)| (place + 1, layer, facts))
    }

    /// Finds programs as the container's user would.
    pub fn programs(&self) -> Programs<'_> {
        Programs::new(&self.index)
    }
}
