//! Programs that start another one: which of their words are that one's command.

use super::word::Word;
use crate::contract::LAUNCHER;

/// What a program does with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrapped {
    /// The editor's server, with these arguments.
    Server(Vec<Word>),
    /// Another command, with these variables set.
    Command { words: Vec<Word>, variables: Vec<(String, String)> },
    /// Another command in a conda environment; none for the one of the image.
    InEnvironment { words: Vec<Word>, environment: Option<String> },
    /// A text for a shell, and its positional parameters.
    Text { text: Word, positional: Vec<Word> },
    /// A file for a shell, and its positional parameters.
    File { file: Word, positional: Vec<Word> },
    /// A shell without a script.
    Shell,
    /// Programs that this file of supervisord names; its usual places where none.
    Supervisor(Option<String>),
    /// Nothing that is known.
    Other,
}

const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "ksh", "zsh"];
/// The server's entry file, which node runs.
const SERVER_MAIN: &str = "sagemaker-code-editor/out/server-main.js";

/// Programs that end by running their remaining words, with their options that take a value.
const PREFIXES: &[(&str, &[&str])] = &[
    ("tini", &["-p", "-e"]),
    ("tini-static", &["-p", "-e"]),
    ("docker-init", &["-p", "-e"]),
    ("dumb-init", &["-r", "--rewrite"]),
    ("catatonit", &[]),
    ("env", &["-u", "--unset", "-C", "--chdir"]),
    ("nohup", &[]),
    ("setsid", &[]),
    ("nice", &["-n", "--adjustment"]),
    ("ionice", &["-c", "-n", "-p"]),
    ("stdbuf", &["-i", "-o", "-e"]),
    ("time", &["-f", "-o"]),
    ("timeout", &["-s", "-k"]),
    ("exec", &["-a"]),
    ("command", &[]),
    ("builtin", &[]),
    ("sudo", &["-u", "--user", "-g", "--group", "-h"]),
    ("gosu", &[]),
    ("su-exec", &[]),
    ("setpriv", &["--reuid", "--regid", "--groups"]),
];

/// Programs of [`PREFIXES`] whose first word that is no option is theirs too.
const OWN_WORD: &[&str] = &["timeout", "gosu", "su-exec"];

/// Whether a word names the editor's launcher.
pub(super) fn is_launcher(word: &str) -> bool {
    base_name(word) == LAUNCHER
}

/// The last part of a path.
pub(super) fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// What the program `name` does with `arguments`.
pub(super) fn unwrap(name: &str, arguments: &[Word]) -> Wrapped {
    if name == LAUNCHER {
        return Wrapped::Server(arguments.to_vec());
    }
    if ["node", "nodejs"].contains(&name) {
        let main = arguments.iter().position(|word| word.text.ends_with(SERVER_MAIN));
        return main.map_or(Wrapped::Other, |at| Wrapped::Server(arguments[at + 1..].to_vec()));
    }
    if SHELLS.contains(&name) {
        return shell(arguments);
    }
    if name == "supervisord" {
        let file = arguments.iter().position(|word| word.text == "-c" || word.text == "--configuration");
        let joined = arguments.iter().find_map(|word| word.text.strip_prefix("--configuration=").or_else(|| word.text.strip_prefix("-c")));
        let file = file.and_then(|at| arguments.get(at + 1)).map(|word| word.text.clone());
        return Wrapped::Supervisor(file.or_else(|| joined.filter(|text| !text.is_empty()).map(str::to_owned)));
    }
    if ["micromamba", "mamba", "conda"].contains(&name) {
        return conda(arguments);
    }
    match PREFIXES.iter().find(|(known, _)| *known == name) {
        Some((_, values)) => prefix(name, values, arguments),
        None => Wrapped::Other,
    }
}

fn shell(arguments: &[Word]) -> Wrapped {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        match text {
            "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file" => drop(words.next()),
            "--" => break,
            _ if text.starts_with("--") => {}
            _ if text.starts_with('-') && text.len() > 1 && text[1..].contains('c') => {
                let rest = words.as_slice();
                // `-o pipefail` may stand in one word with `-c`: `-eo pipefail -c` does not.
                let rest = if text[1..].contains('o') { rest.get(1..).unwrap_or_default() } else { rest };
                let Some((text, rest)) = rest.split_first() else { return Wrapped::Shell };
                return Wrapped::Text { text: text.clone(), positional: rest.get(1..).unwrap_or_default().to_vec() };
            }
            _ if text.starts_with(['-', '+']) && text.len() > 1 => {
                if text[1..].contains('o') {
                    words.next();
                }
            }
            _ => return Wrapped::File { file: word.clone(), positional: words.as_slice().to_vec() },
        }
    }
    match words.as_slice().split_first() {
        Some((file, rest)) => Wrapped::File { file: file.clone(), positional: rest.to_vec() },
        None => Wrapped::Shell,
    }
}

fn conda(arguments: &[Word]) -> Wrapped {
    let mut words = arguments.iter();
    if words.next().is_none_or(|word| word.text != "run") {
        return Wrapped::Other;
    }
    let mut environment = None;
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "-n" | "--name" | "-p" | "--prefix" => environment = words.next().map(|word| word.text.clone()),
            "-e" | "--env" | "--cwd" | "-a" | "--attach" | "-r" | "--root-prefix" => drop(words.next()),
            text if text.starts_with('-') => {}
            _ => {
                let rest = std::iter::once(word).chain(words).cloned().collect();
                return Wrapped::InEnvironment { words: rest, environment };
            }
        }
    }
    Wrapped::Other
}

fn prefix(name: &str, values: &[&str], arguments: &[Word]) -> Wrapped {
    let mut words = arguments.iter();
    let mut variables = Vec::new();
    let mut own = usize::from(OWN_WORD.contains(&name));
    while let Some(word) = words.as_slice().first() {
        let text = word.text.as_str();
        match text.split_once('=') {
            _ if text == "--" => {
                words.next();
                break;
            }
            _ if values.contains(&text) => drop(words.nth(1)),
            _ if text.starts_with('-') => drop(words.next()),
            Some((variable, value)) if ["env", "sudo"].contains(&name) && is_name(variable) => {
                variables.push((variable.to_owned(), value.to_owned()));
                words.next();
            }
            _ if own > 0 => {
                own -= 1;
                words.next();
            }
            _ => break,
        }
    }
    Wrapped::Command { words: words.as_slice().to_vec(), variables }
}

/// Whether a text is a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Word> {
        line.split_whitespace().map(Word::known).collect()
    }

    fn unwrapped(line: &str) -> Wrapped {
        let all = words(line);
        unwrap(&all[0].text, &all[1..])
    }

    #[test]
    fn prefixes_give_their_command() {
        for line in [
            "tini -g -- x y",
            "env -u A x y",
            "dumb-init --rewrite 15:3 x y",
            "nohup x y",
            "timeout -s KILL 5 x y",
            "gosu 1000 x y",
            "sudo -E -u me x y",
            "exec -a z x y",
        ] {
            assert_eq!(unwrapped(line), Wrapped::Command { words: words("x y"), variables: Vec::new() }, "{line}");
        }
        let variables = vec![("A".to_owned(), "1".to_owned())];
        assert_eq!(unwrapped("env -i A=1 x y"), Wrapped::Command { words: words("x y"), variables });
    }

    #[test]
    fn shells_are_told_from_their_scripts() {
        for line in ["sh", "bash -l", "bash -o pipefail", "bash --norc -i", "sh -c"] {
            assert_eq!(unwrapped(line), Wrapped::Shell, "{line}");
        }
        for line in ["sh -c T 0 a", "bash -lc T 0 a", "bash -o pipefail -c T 0 a", "bash -e -c T 0 a"] {
            assert_eq!(unwrapped(line), Wrapped::Text { text: Word::known("T"), positional: words("a") }, "{line}");
        }
        for line in ["sh F a", "bash -e F a", "bash -eo pipefail F a", "bash -- F a"] {
            assert_eq!(unwrapped(line), Wrapped::File { file: Word::known("F"), positional: words("a") }, "{line}");
        }
    }

    #[test]
    fn the_server_is_known_in_both_forms() {
        assert_eq!(unwrapped("sagemaker-code-editor --port 1"), Wrapped::Server(words("--port 1")));
        assert_eq!(unwrapped("node --inspect /p/share/sagemaker-code-editor/out/server-main.js --port 1"), Wrapped::Server(words("--port 1")));
        assert_eq!(unwrapped("node app.js"), Wrapped::Other);
    }

    #[test]
    fn environments_and_supervisors() {
        let in_environment = Wrapped::InEnvironment { words: words("x -n y"), environment: Some("e".to_owned()) };
        assert_eq!(unwrapped("micromamba run -n e x -n y"), in_environment);
        assert_eq!(unwrapped("conda install x"), Wrapped::Other);
        assert_eq!(unwrapped("supervisord -c /f -n"), Wrapped::Supervisor(Some("/f".to_owned())));
        assert_eq!(unwrapped("supervisord -n"), Wrapped::Supervisor(None));
    }
}
