//! Counts what goes over the wire.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went over the wire so far. Bodies are counted, headers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests made: every attempt and every hop of a redirect is one.
    pub requests: u64,
    /// Bytes of bodies received.
    pub downloaded: u64,
    /// Bytes of bodies sent, those of attempts that failed included.
    pub uploaded: u64,
}

impl std::ops::Sub for Traffic {
    type Output = Traffic;

    /// What came since `earlier`.
    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            requests: self.requests - earlier.requests,
            downloaded: self.downloaded - earlier.downloaded,
            uploaded: self.uploaded - earlier.uploaded,
        }
    }
}

/// The counters behind [`Traffic`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    downloaded: AtomicU64,
    uploaded: AtomicU64,
}

impl Counters {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn downloaded(&self, bytes: usize) {
        self.downloaded.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn uploaded(&self, bytes: usize) {
        self.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            downloaded: self.downloaded.load(Ordering::Relaxed),
            uploaded: self.uploaded.load(Ordering::Relaxed),
        }
    }
}
