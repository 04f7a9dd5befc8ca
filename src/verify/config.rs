//! The part of an image's config that a runtime acts on.

use serde_json::{Map, Value};

/// The PATH of a container whose image sets none. Source: moby's `DefaultPathEnvUnix`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The part of an image's config that a runtime acts on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// `os`.
    pub os: String,
    /// `architecture`.
    pub architecture: String,
    /// `config.User`; empty is root.
    pub user: String,
    /// `config.WorkingDir`; empty is `/`.
    pub working_dir: String,
    /// `config.Env`, name and value, in its order.
    pub env: Vec<(String, String)>,
    /// `config.Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `config.Cmd`.
    pub cmd: Vec<String>,
    /// `config.Volumes`: paths.
    pub volumes: Vec<String>,
    /// `config.ExposedPorts`.
    pub ports: Vec<String>,
}

impl RunConfig {
    /// Reads it out of the whole config.
    pub fn read(config: &Map<String, Value>) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let run = config.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
        let keys = |name: &str| run.get(name).and_then(Value::as_object).map(|map| map.keys().cloned().collect()).unwrap_or_default();
        RunConfig {
            os: text(config.get("os")),
            architecture: text(config.get("architecture")),
            user: text(run.get("User")),
            working_dir: text(run.get("WorkingDir")),
            env: words(run.get("Env")).iter().map(|variable| variable.split_once('=').unwrap_or((variable, ""))).map(owned).collect(),
            entrypoint: words(run.get("Entrypoint")),
            cmd: words(run.get("Cmd")),
            volumes: keys("Volumes"),
            ports: keys("ExposedPorts"),
        }
    }

    /// The value of a variable; of two the last, as runtimes have it.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The directories of PATH.
    pub fn path(&self) -> Vec<String> {
        self.variable("PATH").unwrap_or(DEFAULT_PATH).split(':').map(str::to_owned).collect()
    }

    /// What the container starts, when nothing overrides it.
    pub fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

fn words(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_is_there_and_bears_what_is_not() {
        let Value::Object(config) = json!({"os": "linux", "architecture": 7, "config": {
            "Env": ["A=1=2", "B", 3, "A=4"], "Cmd": null, "Entrypoint": ["x"], "Volumes": {"/v": {}}}})
        else {
            panic!()
        };
        let read = RunConfig::read(&config);
        assert_eq!((read.variable("A"), read.variable("B"), read.variable("C")), (Some("4"), Some(""), None));
        assert_eq!((read.command(), read.volumes, read.architecture.as_str()), (vec!["x".to_owned()], vec!["/v".to_owned()], ""));
        assert_eq!(RunConfig::read(&Map::new()).path().len(), 6);
    }
}
