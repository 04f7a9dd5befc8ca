//! The editor's server that runs in a container: found among its processes, asked for its version and its extensions.

use std::collections::BTreeSet;

use serde_json::Value;

use super::engine::Engine;
use crate::contract;
use crate::error::Error;

/// The server's program, below the editor's folder.
const MAIN: &str = "/out/server-main.js";
/// Prints each process as two lines: number and executable, and its words, each ended by a NUL.
const PROCESSES: &str = r#"for p in /proc/[0-9]*; do echo "${p#/proc/} $(readlink "$p/exe")"; cat "$p/cmdline"; echo; done 2>/dev/null"#;
/// Prints as JSON the home of a process, the directory of its data, and which of both nobody may write to.
const PLACES: &str = r"
const fs = require('fs'), path = require('path'), [pid, option, folder] = process.argv.slice(1);
const variables = fs.readFileSync('/proc/' + pid + '/environ', 'utf8').split('\0');
const home = (variables.find((variable) => variable.startsWith('HOME=')) || 'HOME=').slice(5) || require('os').homedir();
const data = option || path.join(home, folder);
const writable = (place) => {
  try { fs.accessSync(place, fs.constants.W_OK); return true; }
  catch (error) { return error.code === 'ENOENT' && place !== '/' && writable(path.dirname(place)); }
};
console.log(JSON.stringify({ home, data, denied: [home, data].filter((place) => !writable(place)) }));";
/// Where the server's data lie in its home if nobody says otherwise. Source: product.json of SageMaker's builds from 1.8 on.
const DATA_FOLDER: &str = ".code-editor-server";
/// Prints `publisher.name@version` of each extension in a directory.
const SHIPPED: &str = r"
const fs = require('fs'), directory = process.argv[1];
for (const name of fs.existsSync(directory) ? fs.readdirSync(directory).sort() : []) {
  try {
    const { publisher, name: own, version } = JSON.parse(fs.readFileSync(directory + '/' + name + '/package.json', 'utf8'));
    console.log((publisher + '.' + own).toLowerCase() + '@' + version);
  } catch {}
}";

/// A server that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The number of its process, in the container.
    process: String,
    /// The node that runs it.
    node: String,
    /// Its program.
    main: String,
    /// Its arguments.
    arguments: Vec<String>,
}

/// Where a server keeps what outlasts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Places {
    /// Its `HOME`.
    pub home: String,
    /// The directory of its data.
    pub data: String,
    /// Which of both it may not write to.
    pub denied: Vec<String>,
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// The version of Code-OSS.
    pub code: String,
    /// Whether it is SageMaker's build.
    pub is_sagemakers: bool,
}

impl Version {
    /// Whether the build is SageMaker's and serves base path and health itself. Source: patches of aws/code-editor; the conda package 1.8 is
    /// Code-OSS 1.101.
    pub fn is_sagemakers_from_1_8(&self) -> bool {
        let mut numbers = self.code.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        self.is_sagemakers && (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (1, 101)
    }
}

impl Server {
    /// The server among the container's processes; none where it cannot be found.
    ///
    /// # Errors
    /// Where the engine fails.
    pub async fn find(engine: &dyn Engine) -> Result<Option<Self>, Error> {
        Ok(Server::among(&engine.exec(&["sh", "-c", PROCESSES]).await?.out))
    }

    fn among(processes: &str) -> Option<Self> {
        let lines: Vec<&str> = processes.lines().collect();
        lines.chunks_exact(2).find_map(|process| {
            let words: Vec<&str> = process[1].split_terminator('\0').collect();
            let at = words.iter().position(|word| word.ends_with(MAIN))?;
            let (number, node) = process[0].split_once(' ')?;
            let is_node = node.rsplit('/').next().is_some_and(|name| name.starts_with("node"));
            let arguments = words[at + 1..].iter().map(|word| (*word).to_owned()).collect();
            is_node.then(|| Server { process: number.to_owned(), node: node.to_owned(), main: words[at].to_owned(), arguments })
        })
    }

    /// The value of an option, in either form.
    pub fn option(&self, name: &str) -> Option<&str> {
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            if word == name {
                return words.next().map(String::as_str);
            }
            if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value);
            }
        }
        None
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// Where the engine fails.
    pub async fn version(&self, engine: &dyn Engine) -> Result<Version, Error> {
        let said = engine.exec(&[&self.node, &self.main, "--version"]).await?;
        let is_version = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit()) && line.contains('.');
        let code = said.out.lines().find(is_version).unwrap_or_default().to_owned();
        let product = self.product(engine).await?;
        let is_sagemakers = ["sagemakerCodeEditorVersion", "codeEditorVersion"].iter().any(|key| product.get(key).is_some());
        Ok(Version { code, is_sagemakers })
    }

    /// Where it keeps what outlasts it; none where that cannot be found out.
    ///
    /// # Errors
    /// Where the engine fails.
    pub async fn places(&self, engine: &dyn Engine) -> Result<Option<Places>, Error> {
        let option = self.option("--server-data-dir").unwrap_or_default();
        let folder = self.product(engine).await?.get("serverDataFolderName").and_then(Value::as_str).unwrap_or(DATA_FOLDER).to_owned();
        let said = engine.exec(&[&self.node, "-e", PLACES, &self.process, option, &folder]).await?;
        Ok(serde_json::from_str(&said.out).ok())
    }

    async fn product(&self, engine: &dyn Engine) -> Result<Value, Error> {
        let file = format!("{}/product.json", self.main.strip_suffix(MAIN).unwrap_or_default());
        Ok(serde_json::from_str(&engine.exec(&["cat", &file]).await?.out).unwrap_or_default())
    }

    /// The extensions that the image ships, `id@version`.
    ///
    /// # Errors
    /// Where the engine fails.
    pub async fn shipped(&self, engine: &dyn Engine) -> Result<BTreeSet<String>, Error> {
        let said = engine.exec(&[&self.node, "-e", SHIPPED, contract::IMAGE_EXTENSIONS]).await?;
        Ok(extensions(&said.out))
    }

    /// The extensions that the editor has, as it says itself, `id@version`; else why it does not say.
    ///
    /// # Errors
    /// Where the engine fails.
    pub async fn listed(&self, engine: &dyn Engine) -> Result<Result<BTreeSet<String>, String>, Error> {
        let mut words = vec![&*self.node, &*self.main, "--list-extensions", "--show-versions"];
        for name in ["--server-data-dir", "--extensions-dir"] {
            words.extend(self.option(name).map(|value| [name, value]).into_iter().flatten());
        }
        let said = engine.exec(&words).await?;
        let line = said.err.lines().chain(said.out.lines()).rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        Ok(if said.success { Ok(extensions(&said.out)) } else { Err(line.trim().to_owned()) })
    }
}

/// The lines that name an extension, in lower case; others say other things.
fn extensions(text: &str) -> BTreeSet<String> {
    let is_extension = |line: &&str| {
        let parts = line.split_once('@').and_then(|(id, version)| Some((id.split_once('.')?, version)));
        parts.is_some_and(|((publisher, name), version)| {
            let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            is_word(publisher) && is_word(name) && version.starts_with(|first: char| first.is_ascii_digit())
        })
    };
    text.lines().map(str::trim).filter(is_extension).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_among_processes() {
        let processes = "1 /bin/bash\nbash\0/opt/bin/sagemaker-code-editor\0--host\0\n7 /opt/bin/node\nnode\0/opt/share/sagemaker-code-editor/out/server-main.js\0--host\x000.0.0.0\0--extensions-dir=/x\0\n\n\n";
        let server = Server::among(processes).unwrap();
        assert_eq!((server.node.as_str(), server.main.as_str()), ("/opt/bin/node", "/opt/share/sagemaker-code-editor/out/server-main.js"));
        assert_eq!((server.option("--host"), server.option("--extensions-dir"), server.option("--port")), (Some("0.0.0.0"), Some("/x"), None));
        assert_eq!(Server::among("1 /bin/bash\nbash\0-c\0x\0\n"), None);
        // A shell that was told of the server is not it.
        assert_eq!(Server::among("1 /bin/bash\nbash\0-c\0node\0/x/out/server-main.js\0\n"), None);
    }

    #[test]
    fn extensions_are_told_from_other_lines() {
        let text = "{\"serviceUrl\":\"a.b@1\"}\nPKief.material-icon-theme@5.38.1\n a.b@1.0.0-x\nme@example.com\n";
        assert_eq!(extensions(text).into_iter().collect::<Vec<_>>(), ["a.b@1.0.0-x", "pkief.material-icon-theme@5.38.1"]);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |code: &str, is_sagemakers| Version { code: code.to_owned(), is_sagemakers }.is_sagemakers_from_1_8();
        assert!(version("1.101.2", true) && version("1.119.1", true) && version("2.0.0", true));
        assert!(!version("1.90.1", true) && !version("1.119.1", false) && !version("", true));
    }
}
