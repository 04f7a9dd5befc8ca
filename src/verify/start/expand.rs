//! What a script's words are once its parameters are put in; and the state in which its commands run. What only a running shell knows stays
//! unknown.

use std::collections::BTreeMap;

use super::lexer::{Piece, RawWord};
use super::word::Word;
use crate::verify::config::RunConfig;

/// What the platform sets in the container. Source: doc "EnvVariables".
const PLATFORM: &[(&str, &str)] = &[("SAGEMAKER_APP_TYPE", "CodeEditor")];
/// A variable whose value follows from one of the platform's, by whatever program a script computes it. Source: sagemaker-distribution's
/// `entrypoint-code-editor`.
const DERIVED: (&str, &str) = ("SAGEMAKER_APP_TYPE_LOWERCASE", "codeeditor");
/// Where micromamba's images have their environment.
const ROOT_PREFIX: &str = "/opt/conda";

/// Variables and positional parameters.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) variables: BTreeMap<String, Word>,
    pub(super) positional: Vec<Word>,
}

impl State {
    /// Of a container that starts.
    pub(super) fn new(config: &RunConfig) -> Self {
        let own = config.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables = own.chain(PLATFORM.iter().copied()).map(|(name, value)| (name.to_owned(), Word::known(value)));
        let mut state = State { variables: variables.collect(), positional: Vec::new() };
        state.set("PATH", Word::known(config.path().join(":")));
        state
    }

    /// Sets a variable.
    pub(super) fn set(&mut self, name: &str, value: Word) {
        let value = if name == DERIVED.0 && !value.is_known { Word::known(DERIVED.1) } else { value };
        // A PATH that is partly known still has the directories that are.
        self.variables.insert(name.to_owned(), value);
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// The value of a variable that is known.
    pub(super) fn known(&self, name: &str) -> Option<&str> {
        self.variables.get(name).filter(|value| value.is_known).map(|value| value.text.as_str())
    }

    /// The directories of PATH that are known.
    pub(super) fn path(&self) -> Vec<String> {
        self.variables.get("PATH").map(|path| path.text.split(':').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// What activation of a conda environment does to PATH.
    pub(super) fn activate(&mut self, environment: Option<&str>) {
        let root = self.known("MAMBA_ROOT_PREFIX").unwrap_or(ROOT_PREFIX).to_owned();
        let prefix = match environment {
            None | Some("base") => root,
            Some(path) if path.contains('/') => path.to_owned(),
            Some(name) => format!("{root}/envs/{name}"),
        };
        let path = self.variables.get("PATH").map_or("", |path| &path.text);
        self.set("PATH", Word::known(format!("{prefix}/bin:{path}")));
        self.set("CONDA_PREFIX", Word::known(prefix));
    }

    /// The words that a raw word becomes.
    pub(super) fn expand(&self, raw: &RawWord) -> Vec<Word> {
        let mut fields = Fields::default();
        for piece in raw {
            match piece {
                Piece::Text(text) => fields.text(text, true),
                Piece::Computed(_) => fields.text("", false),
                Piece::All { quoted } => fields.all(&self.positional, *quoted),
                Piece::Parameter { name, operation, quoted } => {
                    let value = self.parameter(name, operation);
                    if *quoted { fields.text(&value.text, value.is_known) } else { fields.split(&value) }
                }
            }
        }
        fields.finish()
    }

    /// The raw word as one, for assignments.
    pub(super) fn expand_whole(&self, raw: &[Piece]) -> Word {
        let mut whole = Word::known("");
        for piece in raw {
            let value = match piece {
                Piece::Text(text) => Word::known(text),
                Piece::Computed(_) => Word { text: String::new(), is_known: false },
                Piece::All { .. } => joined(&self.positional),
                Piece::Parameter { name, operation, .. } => self.parameter(name, operation),
            };
            whole.text.push_str(&value.text);
            whole.is_known &= value.is_known;
        }
        whole
    }

    fn parameter(&self, name: &str, operation: &str) -> Word {
        let unknown = || Word { text: String::new(), is_known: false };
        let value = match name.parse::<usize>() {
            Ok(0) => Some(unknown()),
            Ok(number) => self.positional.get(number - 1).cloned(),
            Err(_) if name.len() == 1 && !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => Some(unknown()),
            Err(_) => self.variables.get(name).cloned(),
        };
        let set = value.clone().filter(|value| !value.text.is_empty() || !value.is_known);
        if operation.is_empty() {
            return value.unwrap_or_else(|| Word::known(""));
        }
        let default = |text: &str| {
            let words = super::lexer::commands(text);
            words.first().and_then(|command| command.first()).map_or(Word::known(""), |word| self.expand_whole(word))
        };
        if let Some(text) = operation.strip_prefix(":-").or_else(|| operation.strip_prefix(":=")) {
            return set.unwrap_or_else(|| default(text));
        }
        if let Some(text) = operation.strip_prefix('-').or_else(|| operation.strip_prefix('=')) {
            return value.unwrap_or_else(|| default(text));
        }
        match (operation, value) {
            (",,", Some(value)) => Word { text: value.text.to_lowercase(), ..value },
            (",,", None) => Word::known(""),
            (operation, _) if operation.starts_with(":+") || operation.starts_with('+') => {
                set.map_or(Word::known(""), |_| default(operation.trim_start_matches([':', '+'])))
            }
            _ => unknown(),
        }
    }
}

fn joined(words: &[Word]) -> Word {
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    Word { text, is_known: words.iter().all(|word| word.is_known) }
}

/// The words that come of one raw word.
#[derive(Default)]
struct Fields {
    done: Vec<Word>,
    open: Option<Word>,
}

impl Fields {
    fn text(&mut self, text: &str, is_known: bool) {
        let open = self.open.get_or_insert_with(|| Word::known(""));
        open.text.push_str(text);
        open.is_known &= is_known;
    }

    /// A value outside quotes: blanks in it end words, and an empty one is none.
    fn split(&mut self, value: &Word) {
        if !value.is_known {
            return self.text("", false);
        }
        let parts = value.text.split([' ', '\t', '\n']).enumerate();
        for (number, part) in parts {
            if number > 0 {
                self.done.extend(self.open.take());
            }
            if !part.is_empty() {
                self.text(part, true);
            }
        }
    }

    fn all(&mut self, words: &[Word], quoted: bool) {
        for (number, word) in words.iter().enumerate() {
            if number > 0 {
                self.done.extend(self.open.take());
            }
            if quoted { self.text(&word.text, word.is_known) } else { self.split(word) }
        }
    }

    fn finish(mut self) -> Vec<Word> {
        self.done.extend(self.open.take());
        self.done
    }
}
