//! What every error of byoi has in common: a kind, from which the exit code follows, a way out, and the place in a text that it is about.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Whose fault an error is. The command's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The description, the lock, or a file that they name is wrong: exit code 1.
    Input,
    /// The command line is wrong: exit code 2.
    Usage,
    /// Network, registry, disk, or another program failed: exit code 3.
    World,
}

impl Kind {
    /// The command's exit code for an error of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Input => 1,
            Kind::Usage => 2,
            Kind::World => 3,
        }
    }
}

/// A text that was read from a file, kept so that errors can show its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's name as the user knows it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// One thing that is wrong, with its place in a text where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong and why, one sentence.
    pub message: String,
    /// The text that it is about, and the bytes of it to mark.
    pub place: Option<(Arc<Source>, Range<usize>)>,
    /// A few words for the mark.
    pub label: Option<String>,
    /// What to do next.
    pub help: Option<String>,
}

impl Problem {
    /// A problem without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Problem { message: message.into(), place: None, label: None, help: None }
    }

    /// What an error says, with all its causes and its way out.
    pub fn of(error: &Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.fault().source();
        while let Some(why) = cause {
            message = format!("{message}: {why}");
            cause = why.source();
        }
        Problem { help: error.fault().help(), ..Problem::new(message) }
    }

    /// The same problem at bytes `span` of `source`.
    pub fn at(mut self, source: &Arc<Source>, span: Range<usize>) -> Self {
        self.place = Some((source.clone(), span));
        self
    }

    /// The same problem with a few words at its mark.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same problem with a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What each error type of the library implements beside [`std::error::Error`].
pub trait Fault: StdError + Send + Sync + 'static {
    /// Whose fault it is.
    fn kind(&self) -> Kind;

    /// What the user can do next, as a full sentence.
    fn help(&self) -> Option<String> {
        None
    }

    /// The single problems of which this error consists, where it has places or is several: the renderer shows these instead of the message.
    fn problems(&self) -> &[Problem] {
        &[]
    }

    /// Whether the same attempt may succeed a little later.
    fn is_temporary(&self) -> bool {
        false
    }
}

/// Any error of the library: a boxed [`Fault`]. Rooms with few kinds of failure return their own types; rooms that call many return this.
pub struct Error(Box<dyn Fault>);

impl Error {
    /// The fault inside.
    pub fn fault(&self) -> &dyn Fault {
        &*self.0
    }

    /// The fault inside, if it is a `T`.
    pub fn downcast_ref<T: Fault>(&self) -> Option<&T> {
        let fault: &dyn StdError = &*self.0;
        fault.downcast_ref()
    }

    /// An input error made of one problem.
    pub fn input(problem: Problem) -> Self {
        Invalid { problems: vec![problem] }.into()
    }

    /// Says what was being done when `self` came up; kind and help stay.
    pub fn while_doing(self, doing: impl Into<String>) -> Self {
        Doing { doing: doing.into(), cause: self }.into()
    }
}

impl Error {
    /// The error that travels in an I/O error through code that knows no others, such as a reader's.
    ///
    /// # Errors
    /// The I/O error itself, where it carries none.
    pub fn carried_by(error: io::Error) -> Result<Self, io::Error> {
        if Error::inside(&error).is_none() {
            return Err(error);
        }
        let inner = error.into_inner().and_then(|inner| inner.downcast::<Carried>().ok());
        inner.map(|carried| carried.0).ok_or_else(|| io::Error::other("it failed"))
    }

    /// Like [`Error::carried_by`], only looking.
    pub fn inside(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref().map(|Carried(error)| error)
    }
}

impl From<Error> for io::Error {
    /// Puts the error into an I/O error, so that a reader can give it; [`Error::carried_by`] takes it out again.
    fn from(error: Error) -> Self {
        io::Error::other(Carried(error))
    }
}

#[derive(Debug)]
struct Carried(Error);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Carried {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.0.source()
    }
}

impl<F: Fault> From<F> for Error {
    fn from(fault: F) -> Self {
        Error(Box::new(fault))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Something the user wrote is wrong, in one or several places.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct Invalid {
    /// All that is wrong; never empty.
    pub problems: Vec<Problem>,
}

impl Fault for Invalid {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

#[derive(Debug)]
struct Doing {
    doing: String,
    cause: Error,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl StdError for Doing {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.cause.0)
    }
}

impl Fault for Doing {
    fn kind(&self) -> Kind {
        self.cause.0.kind()
    }

    fn help(&self) -> Option<String> {
        self.cause.0.help()
    }

    fn problems(&self) -> &[Problem] {
        self.cause.0.problems()
    }

    fn is_temporary(&self) -> bool {
        self.cause.0.is_temporary()
    }
}

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct FileError {
    /// The verb: "read", "write", "create", …
    pub doing: &'static str,
    /// The file or directory on this machine.
    pub path: std::path::PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

impl FileError {
    /// For `map_err`: `fs::read(path).map_err(FileError::at("read", path))`.
    pub fn at(doing: &'static str, path: impl Into<std::path::PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| FileError { doing, path, cause }
    }
}

impl Fault for FileError {
    fn kind(&self) -> Kind {
        Kind::World
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_travels_through_readers() {
        let error: Error = FileError::at("read", "x")(io::Error::other("broken")).into();
        let back = Error::carried_by(io::Error::from(error)).unwrap();
        assert!(Error::inside(&io::Error::other("plain")).is_none());
        assert!(back.downcast_ref::<FileError>().is_some());
        assert!(Error::carried_by(io::Error::other("plain")).is_err());
    }
}
