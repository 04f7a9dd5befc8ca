//! What a request sends: nothing, a few bytes, or a stream that can be opened again for another attempt.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use tokio_util::io::ReaderStream;

use super::Http;
use crate::error::{Error, FileError};

/// Bytes that arrive in pieces.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Where the bytes of an upload come from. It is opened once for each attempt.
pub trait Source: Send + Sync + 'static {
    /// The bytes, from the first one.
    fn open(&self) -> BoxFuture<'_, Result<ByteStream, Error>>;
}

impl Source for Bytes {
    fn open(&self) -> BoxFuture<'_, Result<ByteStream, Error>> {
        let bytes = self.clone();
        Box::pin(async move { Ok(stream::iter([Ok(bytes)]).boxed()) })
    }
}

/// A file on this machine.
impl Source for PathBuf {
    fn open(&self) -> BoxFuture<'_, Result<ByteStream, Error>> {
        Box::pin(async move {
            let file = tokio::fs::File::open(self).await.map_err(FileError::at("read", self))?;
            Ok(ReaderStream::with_capacity(file, 256 << 10).boxed())
        })
    }
}

/// The body of a request.
#[derive(Clone, Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// `size` bytes from a source.
    Stream {
        /// How many bytes the source has.
        size: u64,
        /// The source.
        source: Arc<dyn Source>,
    },
}

/// Watches a body on its way out.
#[derive(Clone, Default)]
pub(super) struct Watch {
    sent: Arc<AtomicU64>,
    /// What stopped the source, told beside the HTTP stack, which would say only that sending failed.
    problem: Arc<Mutex<Option<io::Error>>>,
}

impl Watch {
    /// How many bytes have left.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn problem(&self) -> Option<io::Error> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: io::Error) -> io::Error {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        io::Error::other("the source failed")
    }
}

/// `stream` as a body of exactly `size` bytes, counted as they leave.
pub(super) fn watched(stream: ByteStream, size: u64, http: Http, watch: Watch) -> reqwest::Body {
    reqwest::Body::wrap_stream(stream::try_unfold((stream, size, http, watch), |(mut stream, left, http, watch)| async move {
        match stream.next().await {
            Some(Ok(bytes)) if bytes.len() as u64 > left => Err(watch.fail(io::Error::other("it is longer than its stated size"))),
            Some(Ok(bytes)) => {
                http.counters().uploaded(bytes.len());
                watch.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let left = left - bytes.len() as u64;
                Ok(Some((bytes, (stream, left, http, watch))))
            }
            Some(Err(error)) => Err(watch.fail(error)),
            None if left > 0 => Err(watch.fail(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than its stated size"))),
            None => Ok(None),
        }
    }))
}
