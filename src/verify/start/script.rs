//! The commands of a shell script: which of them start something that stays, and the best of them.

use super::expand::State;
use super::follow::{Follower, MAX_DEPTH};
use super::lexer::{Piece, RawWord, commands};
use super::trail::{End, Start, is_stuck_at_launcher};
use super::word::Word;
use super::wrapper::{Wrapped, base_name, is_name, unwrap};
use crate::verify::programs::absolute;

/// Words before a command that belong to the shell's grammar.
const RESERVED: &[&str] = &["if", "then", "elif", "else", "while", "until", "do", "done", "fi", "esac", "{", "}", "!", "time"];

/// Commands that start nothing that stays.
const PASSING: &[&str] = &[
    "[", "[[", ":", "alias", "break", "cat", "cd", "chmod", "chown", "continue", "cp", "date", "echo", "exit", "false", "find", "getopts", "grep",
    "hash", "id", "install", "kill", "ln", "ls", "mkdir", "mv", "popd", "printf", "pushd", "readlink", "return", "rm", "sed", "set", "shopt",
    "sleep", "tee", "test", "touch", "tr", "trap", "true", "type", "ulimit", "umask", "unalias", "wait", "export", "declare", "local", "readonly",
    "typeset",
];

impl Follower<'_> {
    /// Looks at the commands of a script and chooses.
    pub(super) fn script(&mut self, state: &State, text: &str, positional: Vec<Word>, by: &str, depth: usize) -> Start {
        let mut run = Run { state: State { positional, ..state.clone() }, best: None, last: None };
        self.run(&mut run, text, by, depth);
        let ends_in_nothing = || Start::at(End::Script(by.to_owned()));
        match (run.best, run.last) {
            (Some(best), _) if !matches!(best.end, End::Script(_) | End::Nothing) => best,
            (_, Some(last)) => last,
            _ => ends_in_nothing(),
        }
    }

    fn run(&mut self, run: &mut Run, text: &str, by: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for raw in commands(text) {
            if self.left == 0 {
                return;
            }
            self.simple(run, &raw, by, depth);
        }
    }

    /// One command of a script.
    fn simple(&mut self, run: &mut Run, raw: &[RawWord], by: &str, depth: usize) {
        let raw = without_reserved(raw);
        let mut raw = raw.iter();
        let mut assigned = Vec::new();
        while let Some((name, value)) = raw.as_slice().first().and_then(assignment) {
            assigned.push((name, run.state.expand_whole(&value)));
            raw.next();
        }
        let words: Vec<Word> = raw.as_slice().iter().flat_map(|word| run.state.expand(word)).collect();
        let Some((first, arguments)) = words.split_first() else {
            assigned.into_iter().for_each(|(name, value)| run.state.set(&name, value));
            return;
        };
        match (first.text.as_str(), arguments) {
            ("for" | "select", [name, ..]) | ("read", [.., name]) => run.state.set(&name.text, Word { text: String::new(), is_known: false }),
            ("export" | "declare" | "local" | "readonly" | "typeset", _) => {
                for (name, value) in raw.as_slice()[1..].iter().filter_map(assignment) {
                    let value = run.state.expand_whole(&value);
                    run.state.set(&name, value);
                }
            }
            ("unset", names) => names.iter().for_each(|name| run.state.unset(&name.text)),
            ("shift", count) => {
                let count = count.first().map_or(Ok(1), |count| count.text.parse()).unwrap_or(1);
                run.state.positional.drain(..count.min(run.state.positional.len()));
            }
            ("case", _) => {}
            ("micromamba" | "mamba" | "conda", [activate, rest @ ..]) if activate.text == "activate" => {
                let name = rest.iter().map(|word| word.text.as_str()).find(|word| !word.starts_with('-'));
                run.state.activate(name);
            }
            ("." | "source", [file, rest @ ..]) => self.sourced(run, file, rest, depth),
            ("eval", words) if words.iter().all(|word| word.is_known) => {
                let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
                self.run(run, &text, by, depth + 1);
            }
            ("eval", _) => {}
            ("exec", []) => {}
            (name, _) if PASSING.contains(&base_name(name)) => {}
            (name, arguments) => {
                let mut state = run.state.clone();
                assigned.into_iter().for_each(|(name, value)| state.set(&name, value));
                let words = if ["exec", "command", "builtin"].contains(&name) {
                    match unwrap(name, arguments) {
                        Wrapped::Command { words, .. } => words,
                        _ => Vec::new(),
                    }
                } else {
                    words
                };
                let start = self.command(&state, &words, by, depth + 1);
                run.saw(start);
            }
        }
    }

    /// Runs a file in the shell that reads it.
    fn sourced(&mut self, run: &mut Run, file: &Word, arguments: &[Word], depth: usize) {
        if !file.is_known {
            return;
        }
        let place = absolute(&file.text, self.here);
        if base_name(&place) == "activate" {
            let environment = arguments.first().map(|word| word.text.as_str());
            let own = place.strip_suffix("/bin/activate");
            return run.state.activate(environment.or(own).filter(|_| own.is_some()));
        }
        if let Some(text) = self.text_at(&place) {
            self.run(run, &text, &place, depth + 1);
        }
    }
}

/// A script while its commands are looked at.
struct Run {
    state: State,
    /// The best of what its commands come to.
    best: Option<Start>,
    /// What its last command comes to.
    last: Option<Start>,
}

impl Run {
    fn saw(&mut self, start: Start) {
        // What cannot be looked into may be any tool on the way: it counts only where it comes last.
        if matches!(start.end, End::Server(_)) || is_stuck_at_launcher(&start) {
            self.best = Some(match self.best.take() {
                Some(best) => best.better(start.clone()),
                None => start.clone(),
            });
        }
        self.last = Some(start);
    }
}

/// The command without the words of the shell's grammar before it.
fn without_reserved(raw: &[RawWord]) -> &[RawWord] {
    let is_reserved = |word: &RawWord| matches!(word.as_slice(), [Piece::Text(text)] if RESERVED.contains(&text.as_str()));
    let begin = raw.iter().position(|word| !is_reserved(word)).unwrap_or(raw.len());
    &raw[begin..]
}

/// Name and value of an assignment; `+=` too, whose value is then not known.
fn assignment(raw: &RawWord) -> Option<(String, Vec<Piece>)> {
    let (first, rest) = raw.split_first()?;
    let Piece::Text(text) = first else { return None };
    let (name, value) = text.split_once('=')?;
    let appended = name.strip_suffix('+');
    let name = appended.unwrap_or(name);
    if !is_name(name) {
        return None;
    }
    let before = if appended.is_some() { Piece::Computed(String::new()) } else { Piece::Text(String::new()) };
    Some((name.to_owned(), [before, Piece::Text(value.to_owned())].into_iter().chain(rest.iter().cloned()).collect()))
}
