//! How long work tells how far it is, whoever listens: bars on a terminal, lines in CI, nobody in a library.

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
