//! Follows a command to the program that stays.

use super::expand::State;
use super::server::Server;
use super::trail::{End, Hop, Start};
use super::word::Word;
use super::wrapper::{Wrapped, base_name, unwrap};
use crate::base::{Index, Program};
use crate::contract::{ENTRYPOINT, LAUNCHER};
use crate::entrypoint;
use crate::image_path::ImagePath;
use crate::verify::config::RunConfig;
use crate::verify::programs::{Found, Lookup, Programs, absolute};

/// Programs that start programs, one inside the other.
pub(super) const MAX_DEPTH: usize = 16;
/// Commands that are looked at altogether.
const MAX_COMMANDS: usize = 4000;

/// What the container's command comes to.
pub fn follow(config: &RunConfig, index: &Index) -> Start {
    let here = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    let mut follower = Follower { index, programs: Programs::new(index), here, left: MAX_COMMANDS };
    let words: Vec<Word> = config.command().iter().map(Word::known).collect();
    let by = if config.entrypoint.is_empty() { "config.Cmd" } else { "config.Entrypoint" };
    follower.command(&State::new(config), &words, by, 0)
}

/// What the container's command comes to as far as the uppermost layers of an image say so for certain: where byoi's own entrypoint in them is told the
/// whole command line of the server. All else depends on what lies below.
pub fn follow_own(config: &RunConfig, index: &Index) -> Start {
    let follower = Follower { index, programs: Programs::new(index), here: "/", left: MAX_COMMANDS };
    let unknown = || Start::at(End::Opaque(String::new()));
    let ([entrypoint], [launcher, arguments @ ..]) = (config.entrypoint.as_slice(), config.cmd.as_slice()) else { return unknown() };
    let lookup = follower.programs.at(entrypoint);
    let own = match &lookup {
        Lookup::Found(found) if launcher == LAUNCHER => follower.own_entrypoint(found),
        _ => None,
    };
    if own.is_none_or(|own| own.platform.is_some()) {
        return unknown();
    }
    let path = State::new(config).path();
    let hop = Hop { word: entrypoint.clone(), by: "config.Entrypoint".to_owned(), lookup, path: path.clone() };
    Start { hops: vec![hop], end: End::Server(Server { arguments: arguments.iter().map(Word::known).collect(), path }) }
}

/// What following needs to know, and how far it may go.
pub(super) struct Follower<'a> {
    index: &'a Index,
    programs: Programs<'a>,
    /// The working directory.
    pub(super) here: &'a str,
    /// Commands that may still be looked at.
    pub(super) left: usize,
}

impl Follower<'_> {
    /// Follows one command.
    pub(super) fn command(&mut self, state: &State, words: &[Word], by: &str, depth: usize) -> Start {
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

    /// The text of a script, where it is one for a shell and was kept.
    fn shell_text(&self, found: &Found) -> Option<String> {
        found.program.as_ref().filter(|program| program.is_shell_script())?;
        self.text_at(&found.real.absolute())
    }

    pub(super) fn text_at(&self, place: &str) -> Option<String> {
        let content = self.index.content(&ImagePath::parse(place).ok()?)?;
        Some(String::from_utf8_lossy(content).into_owned())
    }
}
