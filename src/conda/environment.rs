//! `environment.yml`, as conda writes and reads it: its channels and what it asks of them, each with its place.

use std::sync::Arc;

use super::place::{Asked, Place};
use super::yaml::{self, Node, Value};
use crate::error::{Problem, Source};

/// Largest environment file that is read, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// What an environment file asks for.
#[derive(Debug, Default)]
pub struct Environment {
    /// Channels in order of priority.
    pub channels: Vec<Asked<String>>,
    /// MatchSpecs.
    pub specs: Vec<Asked<String>>,
}

/// Reads an environment file.
///
/// # Errors
/// All that is wrong, each with its place.
pub fn parse(source: &Arc<Source>) -> Result<Environment, Vec<Problem>> {
    let mut reader = Reader { source, environment: Environment::default(), problems: Vec::new() };
    match yaml::parse(&source.text) {
        Ok(Some(Node { value: Value::Table(pairs), .. })) => pairs.iter().for_each(|(key, value)| reader.key(key, value)),
        Ok(Some(node)) => reader.problem(&node, "an environment file is a table with `channels` and `dependencies`", "another form", ""),
        Ok(None) => reader.problems.push(Problem::new(format!("{} is empty", source.name)).help("name `channels` and `dependencies` in it")),
        Err(error) => {
            reader.problems.push(Problem::new(format!("this is not YAML as environment files use it: {}", error.reason)).at(source, error.span))
        }
    }
    if reader.problems.is_empty() { Ok(reader.environment) } else { Err(reader.problems) }
}

struct Reader<'s> {
    source: &'s Arc<Source>,
    environment: Environment,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, node: &Node, message: impl Into<String>, label: &str, help: &str) {
        let problem = Problem::new(message).at(self.source, node.span.clone()).label(label);
        self.problems.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    fn asked(&self, node: &Node, text: &str) -> Asked<String> {
        let place = Place { source: self.source.clone(), span: node.span.clone() };
        Asked { value: text.to_owned(), written: text.to_owned(), place }
    }

    fn key(&mut self, key: &Node, value: &Node) {
        match key.text() {
            // They say where an environment lies on the machine that exported it: here that is the description's to say.
            Some("name" | "prefix") => {}
            Some("channels") => self.channels(value),
            Some("dependencies") => self.dependencies(value),
            Some("variables") => {
                if !value.is_null() && !matches!(&value.value, Value::Table(pairs) if pairs.is_empty()) {
                    self.problem(
                        key,
                        "variables of the image stand in the description",
                        "variables",
                        "move them to the table [env] of the description",
                    );
                }
            }
            other => {
                let message = format!("unknown key `{}`", other.unwrap_or("…"));
                self.problem(key, message, "unknown", "known here: `name`, `channels`, `dependencies`, `prefix`");
            }
        }
    }

    fn channels(&mut self, value: &Node) {
        let Value::List(items) = &value.value else {
            if !value.is_null() {
                self.problem(value, "`channels` must be a list", "not a list", "write one channel a line, each after a dash");
            }
            return;
        };
        for item in items {
            match item.text() {
                // Only takes back what conda would add by itself.
                Some("nodefaults") => {}
                Some(text) => {
                    let asked = self.asked(item, text);
                    self.environment.channels.push(asked);
                }
                None => self.problem(item, "a channel is a text", "not a text", ""),
            }
        }
    }

    fn dependencies(&mut self, value: &Node) {
        let Value::List(items) = &value.value else {
            if !value.is_null() {
                self.problem(value, "`dependencies` must be a list", "not a list", "write one MatchSpec a line, each after a dash");
            }
            return;
        };
        for item in items {
            match &item.value {
                Value::Text(text) => {
                    let asked = self.asked(item, text);
                    self.environment.specs.push(asked);
                }
                Value::Table(sections) => sections.iter().for_each(|(name, entries)| self.section(name, entries)),
                Value::List(_) => self.problem(item, "a dependency is a MatchSpec", "a list", "write one MatchSpec a line, each after a dash"),
            }
        }
    }

    /// A part for another installer: `pip:` and its requirements.
    fn section(&mut self, name: &Node, entries: &Node) {
        let installer = name.text().unwrap_or("…");
        let listed = match &entries.value {
            Value::List(items) => items.iter().map(|item| item.text().unwrap_or("…").to_owned()).collect(),
            Value::Text(text) if !entries.is_null() => vec![text.clone()],
            _ => Vec::new(),
        };
        if listed.is_empty() {
            return;
        }
        let message = format!("the part for {installer} is not part of a conda environment: {}", listed.join(", "));
        let help = "name the conda packages of the same projects among the dependencies; byoi runs no installer of another kind";
        self.problem(name, message, &format!("for {installer}"), help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Environment, Vec<Problem>> {
        super::parse(&Arc::new(Source { name: "environment.yml".to_owned(), text: text.to_owned() }))
    }

    fn texts(asked: &[Asked<String>]) -> Vec<&str> {
        asked.iter().map(|asked| asked.value.as_str()).collect()
    }

    #[test]
    fn channels_and_specs_come_in_order() {
        let text = "name: x\nchannels:\n  - conda-forge\n  - nodefaults\ndependencies:\n  - python=3.12\n  - \"scrapy >=2.11\"\n  - pip\n  - pip: []\nprefix: /x\n";
        let environment = parse(text).unwrap();
        assert_eq!(texts(&environment.channels), ["conda-forge"]);
        assert_eq!(texts(&environment.specs), ["python=3.12", "scrapy >=2.11", "pip"]);
        let place = &environment.specs[1].place;
        assert_eq!(&place.source.text[place.span.clone()], "\"scrapy >=2.11\"");
    }

    #[test]
    fn nothing_is_lost_in_silence() {
        for (text, message) in [
            ("dependencies:\n  - pip:\n    - requests==2\n    - -r more.txt\n", "requests==2, -r more.txt"),
            ("variables:\n  A: b\n", "stand in the description"),
            ("platforms: [linux-64]\n", "unknown key `platforms`"),
            ("channels: conda-forge\n", "must be a list"),
            ("dependencies: python\n", "must be a list"),
            ("dependencies:\n  - [python]\n", "is a MatchSpec"),
            ("- python\n", "is a table"),
            ("", "is empty"),
            ("dependencies: [", "not YAML"),
        ] {
            let problems = parse(text).unwrap_err();
            assert!(problems.iter().any(|problem| problem.message.contains(message)), "{text}: {problems:?}");
        }
    }
}
