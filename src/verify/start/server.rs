//! The command line of the editor's server: its options, and how they stand to what Studio needs.
//!
//! Source: Code-OSS, `serverEnvironmentService.ts` (`serverOptions`); `--base-path` is SageMaker's (`base-path-compatibility.diff`).

use super::word::Word;
use crate::contract::{BASE_PATH, HOME, SERVER_HOST, SERVER_PORT};

/// Options with a value.
const VALUES: &[&str] = &[
    "host",
    "port",
    "socket-path",
    "server-base-path",
    "base-path",
    "connection-token",
    "connection-token-file",
    "server-data-dir",
    "user-data-dir",
    "extensions-dir",
    "extensions-download-dir",
    "builtin-extensions-dir",
    "default-folder",
    "default-workspace",
    "folder",
    "workspace",
    "telemetry-level",
    "log",
    "logsPath",
    "locale",
    "file-watcher-polling",
    "enable-proposed-api",
    "github-auth",
    "install-extension",
    "install-builtin-extension",
    "uninstall-extension",
    "locate-extension",
    "locate-shell-integration-path",
    "category",
    "compatibility",
    "link-protection-trusted-domains",
    "reconnection-grace-time",
];

/// Options without one.
const FLAGS: &[&str] = &[
    "without-connection-token",
    "accept-server-license-terms",
    "disable-telemetry",
    "disable-workspace-trust",
    "disable-websocket-compression",
    "print-startup-performance",
    "print-ip-address",
    "enable-smoke-test-driver",
    "force-disable-user-env",
    "enable-sync",
    "use-test-resolver",
    "update-extensions",
    "list-extensions",
    "show-versions",
    "force",
    "do-not-sync",
    "do-not-include-pack-dependencies",
    "pre-release",
    "start-server",
    "enable-remote-auto-shutdown",
    "remote-auto-shutdown-without-delay",
    "use-host-proxy",
    "without-browser-env-var",
    "disable-update-check",
    "disable-file-downloads",
    "disable-file-uploads",
    "disable-getting-started-override",
    "auth",
    "help",
    "version",
];

/// Options with which the server does something else and ends.
const ENDING: &[&str] = &[
    "install-extension",
    "install-builtin-extension",
    "uninstall-extension",
    "update-extensions",
    "list-extensions",
    "locate-extension",
    "locate-shell-integration-path",
    "help",
    "version",
];

/// All options that the server knows, without their hyphens.
pub fn options() -> impl Iterator<Item = &'static str> {
    VALUES.iter().chain(FLAGS).copied()
}

/// A start of the editor's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its arguments.
    pub arguments: Vec<Word>,
    /// The directories of PATH when it is started; none where only a running shell knows them.
    pub path: Vec<String>,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// It is not given.
    Absent,
    /// Only a running shell knows it.
    Computed,
    /// This text.
    Text(String),
}

impl Server {
    /// The value of an option; of two the last.
    pub fn value(&self, name: &str) -> Value {
        let mut value = Value::Absent;
        for (option, given) in self.options() {
            if option == name {
                value = given;
            }
        }
        value
    }

    /// Whether a flag is given.
    pub fn has(&self, name: &str) -> bool {
        self.options().iter().any(|(option, value)| option == name && *value != Value::Text("false".to_owned()))
    }

    /// Options that the server does not know: it warns of them and goes on.
    pub fn unknown(&self) -> Vec<String> {
        let options = self.options().into_iter().map(|(option, _)| option);
        options.filter(|option| !self::options().any(|known| known == option)).collect()
    }

    /// The option with which the server does something else and ends, unless it is to start as well.
    pub fn ending(&self) -> Option<String> {
        if self.has("start-server") {
            return None;
        }
        self.options().into_iter().map(|(option, _)| option).find(|option| ENDING.contains(&option.as_str()))
    }

    /// The path under which it serves.
    pub fn base_path(&self) -> Value {
        match self.value("base-path") {
            Value::Absent => self.value("server-base-path"),
            given => given,
        }
    }

    /// In how many ways it is not what Studio needs: of several starts in a script, the best is the one that runs there.
    pub(super) fn faults(&self) -> usize {
        let is = |value: Value, wanted: &str| value == Value::Computed || value == Value::Text(wanted.to_owned());
        let port = SERVER_PORT.to_string();
        let base_path = match self.base_path() {
            Value::Text(path) => Value::Text(path.to_lowercase()),
            other => other,
        };
        let right = [
            is(self.value("host"), SERVER_HOST),
            is(self.value("port"), &port),
            is(base_path, BASE_PATH),
            self.has("without-connection-token"),
            self.ending().is_none(),
        ];
        right.iter().filter(|right| !**right).count()
    }

    /// In how many ways it is not what its makers will want, which decides where faults do not.
    pub(super) fn blemishes(&self) -> usize {
        let is_on_volume = match self.value("server-data-dir") {
            Value::Text(directory) => directory.starts_with(HOME),
            Value::Computed => true,
            Value::Absent => false,
        };
        self.unknown().len() + usize::from(!is_on_volume)
    }

    /// Options and their values in order. A word that only a running shell knows may be anything, options too: it is left out.
    fn options(&self) -> Vec<(String, Value)> {
        let mut options = Vec::new();
        let mut words = self.arguments.iter().peekable();
        while let Some(word) = words.next() {
            let text = match word.text.as_str() {
                "-h" => "--help",
                "-v" => "--version",
                text => text,
            };
            let Some(option) = text.strip_prefix("--") else { continue };
            if let Some((name, value)) = option.split_once('=') {
                options.push((name.to_owned(), if word.is_known { Value::Text(value.to_owned()) } else { Value::Computed }));
                continue;
            }
            if !word.is_known {
                continue;
            }
            let takes = VALUES.contains(&option) && words.peek().is_some_and(|next| !next.text.starts_with("--"));
            let value = match words.next_if(|_| takes) {
                None => Value::Text(String::new()),
                Some(next) if next.is_known => Value::Text(next.text.clone()),
                Some(_) => Value::Computed,
            };
            options.push((option.to_owned(), value));
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::server_command;

    fn server(line: &str) -> Server {
        Server { arguments: line.split_whitespace().map(Word::known).collect(), path: Vec::new() }
    }

    #[test]
    fn our_own_command_has_no_faults() {
        let command = server_command(BASE_PATH, &[]);
        let own = Server { arguments: command[1..].iter().map(Word::known).collect(), path: Vec::new() };
        assert_eq!((own.faults(), own.unknown(), own.ending()), (0, Vec::new(), None));
    }

    #[test]
    fn options_are_read_in_both_forms() {
        let server = server("--host=0.0.0.0 --port 8888 --port 9 --base-path --without-connection-token --extension-dir /x -v");
        assert_eq!(server.value("host"), Value::Text("0.0.0.0".to_owned()));
        assert_eq!(server.value("port"), Value::Text("9".to_owned()));
        assert_eq!(server.value("base-path"), Value::Text(String::new()));
        assert!(server.has("without-connection-token"));
        assert_eq!(server.unknown(), ["extension-dir"]);
        assert_eq!(server.ending().as_deref(), Some("version"));
    }
}
