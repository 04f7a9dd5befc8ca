//! What the test registry was asked.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use hyper::Request;

/// A request that was made, and what came of it.
#[derive(Debug, Clone)]
pub struct Logged {
    /// `GET`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without its `?`; often empty.
    pub query: String,
    /// Headers by lower-case name; of several with one name, the last.
    pub headers: BTreeMap<String, String>,
    /// The status of the answer; 0 where there was none.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body that left so far.
    pub bytes_out: u64,
}

impl Logged {
    /// `GET /v2/x/blobs/…`, for messages and short comparisons.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// An entry of the log while its request runs.
#[derive(Debug)]
pub(super) struct Entry {
    asked: Logged,
    status: AtomicU16,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl Entry {
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        let headers =
            request.headers().iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        let asked = Logged {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
        };
        Entry { asked, status: AtomicU16::new(0), bytes_in: AtomicU64::new(0), bytes_out: AtomicU64::new(0) }
    }

    pub(super) fn answered(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(super) fn snapshot(&self) -> Logged {
        Logged {
            status: self.status.load(Ordering::SeqCst),
            bytes_in: self.bytes_in.load(Ordering::SeqCst),
            bytes_out: self.bytes_out.load(Ordering::SeqCst),
            ..self.asked.clone()
        }
    }
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Vec<std::sync::Arc<Entry>>>);

impl Log {
    pub(super) fn begin<B>(&self, request: &Request<B>) -> std::sync::Arc<Entry> {
        let entry = std::sync::Arc::new(Entry::new(request));
        self.0.lock().expect("no holder panics").push(entry.clone());
        entry
    }

    pub(super) fn snapshot(&self) -> Vec<Logged> {
        self.0.lock().expect("no holder panics").iter().map(|entry| entry.snapshot()).collect()
    }

    pub(super) fn clear(&self) {
        self.0.lock().expect("no holder panics").clear();
    }
}
