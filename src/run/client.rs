//! Programs that are asked or told something: docker, podman, runc, crun. Ctrl-C does not reach them, so that what they make is made or not
//! made, never half: whoever cleans up waits for them.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::engine::{MAX_OUTPUT, Said};
use super::error::RunError;
use crate::error::Error;

/// How long a question may take: a daemon that does not answer for so long does not answer at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program of this machine.
#[derive(Debug, Clone)]
pub struct Client {
    program: PathBuf,
    /// Held while something is being made.
    making: Arc<Mutex<()>>,
}

impl Client {
    /// The program with this name on the `PATH`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Client { program: program.into(), making: Arc::default() }
    }

    /// Its name.
    pub fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// The program with these words, not started yet, in a process group of its own.
    pub fn command(&self, words: &[impl AsRef<str>]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words.iter().map(AsRef::as_ref)).stdin(Stdio::null()).process_group(0);
        command
    }

    /// Asks something that changes nothing. An answer that nobody waits for any more is not waited for.
    ///
    /// # Errors
    /// A program that cannot be started, or does not end.
    pub async fn ask(&self, words: &[impl AsRef<str>]) -> Result<Said, Error> {
        let mut command = self.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| self.away(error))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let guard = Killed(child);
        let reading = tokio::task::spawn_blocking(move || read_both(out, err));
        let Ok(read) = tokio::time::timeout(PATIENCE, reading).await else {
            return Err(RunError::Silent { command: self.shown(words), seconds: PATIENCE.as_secs() }.into());
        };
        let (out, err) = read.map_err(|panic| self.away(io::Error::other(panic.to_string())))?;
        let success = guard.wait().map_err(|error| self.away(error))?;
        Ok(Said { success, out, err })
    }

    /// As [`Client::ask`], and demands success.
    ///
    /// # Errors
    /// As [`Client::ask`], and what the program says of its failure.
    pub async fn answer(&self, words: &[impl AsRef<str>]) -> Result<String, Error> {
        let said = self.ask(words).await?;
        if said.success { Ok(said.out) } else { Err(self.refused(words, &said)) }
    }

    /// Makes something, from these bytes on standard input where there are any. Once begun it comes to its end, whether or not anybody waits.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub async fn make(&self, words: &[impl AsRef<str>], input: Option<Vec<u8>>) -> Result<Said, Error> {
        let command = self.command(words);
        let making = self.making.clone();
        let run = move || {
            let _held = making.lock().unwrap_or_else(PoisonError::into_inner);
            to_the_end(command, input)
        };
        let ended = tokio::task::spawn_blocking(run).await.unwrap_or_else(|panic| Err(io::Error::other(panic.to_string())));
        ended.map_err(|error| self.away(error))
    }

    /// As [`Client::make`], and demands success.
    ///
    /// # Errors
    /// As [`Client::make`], and what the program says of its failure.
    pub async fn made(&self, words: &[impl AsRef<str>], input: Option<Vec<u8>>) -> Result<String, Error> {
        let said = self.make(words, input).await?;
        if said.success { Ok(said.out) } else { Err(self.refused(words, &said)) }
    }

    /// Waits until nothing is being made, and keeps anybody from making something.
    pub fn settled(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes something away, now, whether it is there or not.
    pub fn remove(&self, words: &[impl AsRef<str>]) {
        // What was never made cannot be removed, and says so.
        let _ = self.command(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// The error of a failure that is not the image's.
    pub fn refused(&self, words: &[impl AsRef<str>], said: &Said) -> Error {
        let message = if said.err.trim().is_empty() { said.out.trim() } else { said.err.trim() };
        RunError::Refused { command: self.shown(words), message: message.to_owned() }.into()
    }

    fn away(&self, cause: io::Error) -> Error {
        RunError::Program { program: self.program(), cause }.into()
    }

    /// The first words of a command: what follows may be long.
    fn shown(&self, words: &[impl AsRef<str>]) -> String {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).take_while(|word| !word.starts_with('-')).take(2).collect();
        [&self.program()[..], &words.join(" ")].join(" ").trim().to_owned()
    }
}

/// A process that is killed when nobody waits for it.
struct Killed(Child);

impl Killed {
    fn wait(mut self) -> io::Result<bool> {
        self.0.wait().map(|status| status.success())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn to_the_end(mut command: Command, input: Option<Vec<u8>>) -> io::Result<Said> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(mut stdin), Some(bytes)) = (child.stdin.take(), input) {
        // A program that does not read says why, and that says more than a broken pipe.
        let _ = stdin.write_all(&bytes);
    }
    let (out, err) = read_both(child.stdout.take(), child.stderr.take());
    Ok(Said { success: child.wait()?.success(), out, err })
}

fn read_both(out: Option<impl Read + Send>, err: Option<impl Read + Send>) -> (String, String) {
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_limited(err));
        (read_limited(out), reading.join().unwrap_or_default())
    })
}

/// The first bytes of a stream, which is read to its end.
fn read_limited(stream: Option<impl Read>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut bytes = Vec::new();
    // A stream that breaks off ends there.
    let _ = stream.by_ref().take(MAX_OUTPUT).read_to_end(&mut bytes);
    let _ = io::copy(&mut stream, &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}
