//! How long work tells how far it is, whoever listens: bars on a terminal, lines in CI, nobody in a library.

use std::io::{self, Read};
use std::sync::Arc;

/// Hears of work that takes time.
pub trait Progress: Send + Sync {
    /// Work on `what` begins; `total` is its number of bytes, where known. The work ends when the task is dropped.
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task>;
}

/// A piece of work that goes on.
pub trait Task: Send + Sync {
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
}

/// Nobody listens.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Silent)
    }
}

impl Task for Silent {
    fn advance(&self, _bytes: u64) {}
}

/// One work in several parts: each part tells of itself, and what is done of it counts for the whole, too.
pub struct Whole<'a> {
    progress: &'a dyn Progress,
    task: Arc<dyn Task>,
}

impl<'a> Whole<'a> {
    /// A whole of `total` bytes.
    pub fn begin(progress: &'a dyn Progress, what: &str, total: u64) -> Self {
        Whole { progress, task: Arc::from(progress.begin(what, Some(total))) }
    }
}

impl Progress for Whole<'_> {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
        Box::new(Part { own: self.progress.begin(what, total), whole: self.task.clone() })
    }
}

struct Part {
    own: Box<dyn Task>,
    whole: Arc<dyn Task>,
}

impl Task for Part {
    fn advance(&self, bytes: u64) {
        self.own.advance(bytes);
        self.whole.advance(bytes);
    }
}

/// A reader that tells a task what was read.
pub struct Counted<'a, R> {
    inner: R,
    task: &'a dyn Task,
}

impl<'a, R> Counted<'a, R> {
    /// What is read of `inner` is told to `task`.
    pub fn new(inner: R, task: &'a dyn Task) -> Self {
        Counted { inner, task }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.task.advance(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes down all that it hears.
    #[derive(Clone, Default)]
    struct Listener(Arc<Mutex<Vec<String>>>);

    struct Heard(Listener, String);

    impl Progress for Listener {
        fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
            self.0.lock().unwrap().push(format!("{what} of {total:?}"));
            Box::new(Heard(self.clone(), what.to_owned()))
        }
    }

    impl Task for Heard {
        fn advance(&self, bytes: u64) {
            self.0.0.lock().unwrap().push(format!("{} +{bytes}", self.1));
        }
    }

    #[test]
    fn parts_count_for_themselves_and_for_the_whole() {
        let listener = Listener::default();
        let whole = Whole::begin(&listener, "all", 5);
        let (first, second) = (whole.begin("a", Some(3)), whole.begin("b", None));
        first.advance(3);
        let mut read = Vec::new();
        Counted::new(&b"xy"[..], &*second).read_to_end(&mut read).unwrap();
        let heard = listener.0.lock().unwrap().clone();
        assert_eq!(heard, ["all of Some(5)", "a of Some(3)", "b of None", "a +3", "all +3", "b +2", "all +2", "b +0", "all +0"]);
    }
}
