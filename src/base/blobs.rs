//! Blobs of an opened image, whatever the transport. What is read is checked against its digest and size.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, ReadBuf};

use crate::digest::{Digest, Digester};
use crate::error::Error;
use crate::manifest::Descriptor;
use crate::reference::Reference;

/// The bytes of a blob. The end is reported only if size and digest were right; else the last read fails.
pub type BlobReader = Pin<Box<dyn AsyncRead + Send>>;

/// Opens blobs of an image.
pub trait Blobs: Send + Sync {
    /// A reader over the blob's bytes.
    ///
    /// # Errors
    /// When the blob is not there or cannot be reached.
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>>;

    /// The repository that holds the blobs, where it is one in a registry: an upload to the same registry can mount them.
    fn repository(&self) -> Option<&Reference> {
        None
    }
}

/// A reader that checks what passes through it against a digest and a size.
pub struct Verified<R> {
    inner: R,
    digester: Option<Digester>,
    digest: Digest,
    size: u64,
}

impl<R> Verified<R> {
    /// Checks that `inner` gives exactly the bytes that `descriptor` promises.
    pub fn new(inner: R, descriptor: &Descriptor) -> Self {
        Verified { inner, digester: Some(Digester::new()), digest: descriptor.digest, size: descriptor.size }
    }

    fn judge(&mut self) -> io::Result<()> {
        let Some(digester) = self.digester.take() else { return Ok(()) };
        let (size, digest) = (digester.size(), digester.finish());
        if size != self.size {
            return Err(invalid(format!("{}: {size} bytes came, {} were promised", self.digest, self.size)));
        }
        if digest != self.digest {
            return Err(invalid(format!("{}: the bytes have the digest {digest}", self.digest)));
        }
        Ok(())
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl<R: AsyncRead + Unpin> AsyncRead for Verified<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let new = &buffer.filled()[before..];
        if new.is_empty() {
            return Poll::Ready(self.judge());
        }
        let size = self.size;
        if let Some(digester) = &mut self.digester {
            digester.update(new);
            if digester.size() > size {
                buffer.set_filled(before);
                return Poll::Ready(Err(invalid(format!("{}: more than the {size} bytes came that were promised", self.digest))));
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    async fn read(promised: &str, size: u64, given: &'static [u8]) -> io::Result<Vec<u8>> {
        let descriptor = Descriptor::new("x", Digest::of(promised), size);
        let mut bytes = Vec::new();
        Verified::new(given, &descriptor).read_to_end(&mut bytes).await.map(|_| bytes)
    }

    #[tokio::test]
    async fn only_the_promised_bytes_pass() {
        assert_eq!(read("hello", 5, b"hello").await.unwrap(), b"hello");
        for (promised, size, given) in
            [("hello", 5, &b"hell"[..]), ("hello", 5, b"hellO"), ("hello", 5, b"hello!"), ("hello", 4, b"hello"), ("", 1, b"")]
        {
            assert!(read(promised, size, given).await.is_err(), "{promised} {size}");
        }
    }
}
