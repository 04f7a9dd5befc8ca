//! Follows a command to the program that stays.

use super::expand::State;
use super::lexer::{Piece, RawWord, commands};
use super::server::Server;
use super::trail::{End, Hop, Start};
use super::word::Word;
use super::wrapper::{Wrapped, base_name, is_name, unwrap};
use crate::base::{Index, Program};
use crate::contract::{ENTRYPOINT, LAUNCHER};
use crate::entrypoint;
use crate::image_path::ImagePath;
use crate::verify::config::RunConfig;
use crate::verify::programs::{Found, Lookup, Programs, absolute};

/// Programs that start programs, one inside the other.
const MAX_DEPTH: usize = 16;
/// Commands that are looked at altogether.
const MAX_COMMANDS: usize = 4000;

/// Words before a command that belong to the shell's grammar.
const RESERVED: &[&str] = &["if", "then", "elif", "else", "while", "until", "do", "done", "fi", "esac", "{", "}", "!", "time"];

/// Commands that start nothing that stays.
const PASSING: &[&str] = &[
    "[", "[[", ":", "alias", "break", "cat", "cd", "chmod", "chown", "continue", "cp", "date", "echo", "exit", "false", "find", "getopts", "grep",
    "hash", "id", "install", "kill", "ln", "ls", "mkdir", "mv", "popd", "printf", "pushd", "readlink", "return", "rm", "sed", "set", "shopt",
    "sleep", "tee", "test", "touch", "tr", "trap", "true", "type", "ulimit", "umask", "unalias", "wait", "export", "declare", "local", "readonly",
    "typeset",
];

/// What the container's command comes to.
pub fn follow(config: &RunConfig, index: &Index) -> Start {
    let here = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    let mut follower = Follower { index, programs: Programs::new(index), here, left: MAX_COMMANDS };
    let words: Vec<Word> = config.command().iter().map(Word::known).collect();
    let by = if config.entrypoint.is_empty() { "config.Cmd" } else { "config.Entrypoint" };
    follower.command(&State::new(config), &words, by, 0)
}

struct Follower<'a> {
    index: &'a Index,
    programs: Programs<'a>,
    here: &'a str,
    /// Commands that may still be looked at.
    left: usize,
}

impl Follower<'_> {
    /// Follows one command.
    fn command(&mut self, state: &State, words: &[Word], by: &str, depth: usize) -> Start {
        let Some((first, arguments)) = words.split_first() else { return Start::at(End::Nothing) };
        if !first.is_known || depth > MAX_DEPTH || self.left == 0 {
            return Start::at(End::Opaque(first.text.clone()));
        }
        self.left -= 1;
        let path = state.path();
        let lookup = self.programs.find(&first.text, &path, self.here);
        let hop = Hop { word: first.text.clone(), by: by.to_owned(), lookup: lookup.clone(), path };
        let Lookup::Found(found) = lookup else { return Start { hops: vec![hop], end: End::Stuck } };
        let mut start = self.started(state, &found, first, arguments, depth);
        start.hops.insert(0, hop);
        start
    }

    /// Follows a program that was found.
    fn started(&mut self, state: &State, found: &Found, word: &Word, arguments: &[Word], depth: usize) -> Start {
        if let Some(stuck) = self.interpreter(state, found) {
            return stuck;
        }
        let by = found.path.absolute();
        if let Some(own) = self.own_entrypoint(found) {
            return self.as_own_entrypoint(state, own, arguments, &by, depth);
        }
        match unwrap(base_name(&word.text), arguments) {
            Wrapped::Server(arguments) => self.server(state, found, arguments),
            Wrapped::Command { words, variables } => {
                let mut state = state.clone();
                variables.into_iter().for_each(|(name, value)| state.set(&name, Word::known(value)));
                self.command(&state, &words, &by, depth + 1)
            }
            Wrapped::InEnvironment { words, environment } => {
                let mut state = state.clone();
                state.activate(environment.as_deref());
                self.command(&state, &words, &by, depth + 1)
            }
            Wrapped::Text { text, .. } if !text.is_known => Start::at(End::Opaque(word.text.clone())),
            Wrapped::Text { text, positional } => self.script(state, &text.text, positional, &by, depth + 1),
            Wrapped::File { file, positional } => self.file(state, &file, positional, &by, depth),
            Wrapped::Shell => Start::at(End::Shell(word.text.clone())),
            Wrapped::Supervisor(file) => self.supervised(state, file, depth),
            Wrapped::Other => match self.shell_text(found) {
                Some(text) => self.script(state, &text, arguments.to_vec(), &by, depth + 1),
                None => Start::at(End::Opaque(word.text.clone())),
            },
        }
    }

    /// The interpreter that the kernel starts for a program, where that is not there.
    fn interpreter(&self, state: &State, found: &Found) -> Option<Start> {
        let by = found.path.absolute();
        let stuck = |word: &str, lookup: Lookup| {
            let hop = Hop { word: word.to_owned(), by: by.clone(), lookup, path: state.path() };
            Some(Start { hops: vec![hop], end: End::Stuck })
        };
        match found.program.as_ref()? {
            Program::Script(line) => {
                let line = String::from_utf8_lossy(line).into_owned();
                let mut words = line.split_whitespace();
                let interpreter = words.next()?;
                match self.programs.at(&absolute(interpreter, self.here)) {
                    Lookup::Found(_) => {}
                    other => return stuck(interpreter, other),
                }
                let program = words.find(|word| !word.starts_with('-') && !word.contains('=')).filter(|_| base_name(interpreter) == "env")?;
                match self.programs.find(program, &state.path(), self.here) {
                    Lookup::Found(_) => None,
                    other => stuck(program, other),
                }
            }
            Program::Elf { interpreter, .. } => {
                let linker = String::from_utf8_lossy(interpreter.as_deref()?).into_owned();
                match self.programs.at(&linker) {
                    Lookup::Absent => stuck(&linker, Lookup::Absent),
                    _ => None,
                }
            }
        }
    }

    /// A start of the server. Its launcher is a script that runs the `node` of the PATH.
    fn server(&self, state: &State, found: &Found, arguments: Vec<Word>) -> Start {
        let path = state.path();
        let mut hops = Vec::new();
        let runs_node = self.shell_text(found).is_some_and(|text| text.split_whitespace().any(|word| word == "node"));
        if runs_node {
            let lookup = self.programs.find("node", &path, self.here);
            let is_found = matches!(lookup, Lookup::Found(_));
            hops.push(Hop { word: "node".to_owned(), by: found.path.absolute(), lookup, path: path.clone() });
            if !is_found {
                return Start { hops, end: End::Stuck };
            }
        }
        Start { hops, end: End::Server(Server { arguments, path }) }
    }

    /// The script of byoi's images, where the program is it.
    fn own_entrypoint(&self, found: &Found) -> Option<entrypoint::Read> {
        let is_own = found.real == ImagePath::literal(ENTRYPOINT);
        entrypoint::read(&self.shell_text(found).filter(|_| is_own)?)
    }

    fn as_own_entrypoint(&mut self, state: &State, own: entrypoint::Read, arguments: &[Word], by: &str, depth: usize) -> Start {
        let mut state = state.clone();
        state.set("SAGEMAKER_APP_TYPE_LOWERCASE", Word { text: String::new(), is_known: false });
        // The script falls back to the environment's own editor, and to the node beside the editor.
        let mut path = state.path();
        path.extend(own.conda_prefix.map(|prefix| format!("{}/bin", prefix.absolute())));
        if let Lookup::Found(launcher) = self.programs.find(LAUNCHER, &path, self.here) {
            path.extend(launcher.real.parent().map(|directory| directory.absolute()));
        }
        state.set("PATH", Word::known(path.join(":")));
        if arguments.first().is_some_and(|first| !first.text.starts_with('-')) {
            return self.command(&state, arguments, by, depth + 1);
        }
        if let Some(platform) = own.platform {
            let words: Vec<Word> = std::iter::once(Word::known(platform.absolute())).chain(arguments.iter().cloned()).collect();
            return self.command(&state, &words, by, depth + 1);
        }
        let words: Vec<Word> = own.command.iter().map(Word::known).chain(arguments.iter().cloned()).collect();
        self.command(&state, &words, by, depth + 1)
    }

    /// A file that a shell is told to read: it need not be executable.
    fn file(&mut self, state: &State, file: &Word, positional: Vec<Word>, by: &str, depth: usize) -> Start {
        if !file.is_known {
            return Start::at(End::Opaque(file.text.clone()));
        }
        let place = absolute(&file.text, self.here);
        match self.text_at(&place) {
            Some(text) => self.script(state, &text, positional, &place, depth + 1),
            None => {
                let lookup = self.programs.at(&place);
                let is_there = matches!(lookup, Lookup::Found(_) | Lookup::Refused(..));
                let hop = Hop { word: file.text.clone(), by: by.to_owned(), lookup, path: state.path() };
                if is_there { Start::at(End::Opaque(file.text.clone())) } else { Start { hops: vec![hop], end: End::Stuck } }
            }
        }
    }

    /// Follows every program that a configuration of supervisord names.
    fn supervised(&mut self, state: &State, file: Option<String>, depth: usize) -> Start {
        let places = ["/etc/supervisord.conf", "/etc/supervisor/supervisord.conf"].map(str::to_owned);
        let places: Vec<String> = file.map_or(places.to_vec(), |file| vec![absolute(&file, self.here)]);
        let Some((place, text)) = places.iter().find_map(|place| Some((place.clone(), self.text_at(place)?))) else {
            return Start::at(End::Opaque("supervisord".to_owned()));
        };
        let mut best = Start::at(End::Script(place.clone()));
        for command in text.lines().filter_map(|line| line.trim().strip_prefix("command")?.trim_start().strip_prefix('=')) {
            best = best.better(self.script(state, command.trim(), Vec::new(), &place, depth + 1));
        }
        best
    }

    /// Looks at the commands of a script and chooses.
    fn script(&mut self, state: &State, text: &str, positional: Vec<Word>, by: &str, depth: usize) -> Start {
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

    /// The text of a script, where it is one for a shell and was kept.
    fn shell_text(&self, found: &Found) -> Option<String> {
        found.program.as_ref().filter(|program| program.is_shell_script())?;
        self.text_at(&found.real.absolute())
    }

    fn text_at(&self, place: &str) -> Option<String> {
        let content = self.index.content(&ImagePath::parse(place).ok()?)?;
        Some(String::from_utf8_lossy(content).into_owned())
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
        if matches!(start.end, End::Server(_)) || super::trail::is_stuck_at_launcher(&start) {
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
