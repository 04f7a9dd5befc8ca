//! gRPC's unary calls over one HTTP/2 connection (grpc.io, "gRPC over HTTP2"): on stdin and stdout to the daemon, whose client the frontend is.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

use crate::messages::Status;
use crate::status::{CallFailed, code};
use crate::wire::Message;

/// Most bytes of an answer. BuildKit sends 16 MiB at most.
const MAX_ANSWER: usize = 32 << 20;
/// Bytes of one message's prefix: a flag and a length.
const PREFIX: usize = 5;

/// A connection. Cheap to clone; calls may run at the same time.
#[derive(Clone)]
pub struct Connection {
    send: SendRequest<Bytes>,
}

impl Connection {
    /// Takes over stdin and stdout. Whatever else writes to stdout later writes to stderr, the daemon's log.
    ///
    /// # Errors
    /// When they are no pipes to a daemon.
    pub async fn stdio() -> Result<Self, CallFailed> {
        let failed = |error: io::Error| CallFailed::new("connect to the daemon on stdin and stdout", code::UNAVAILABLE, error.to_string());
        let (receiver, sender) = take_pipes().map_err(failed)?;
        Self::over(tokio::io::join(receiver, sender)).await
    }

    /// Speaks over any byte stream.
    ///
    /// # Errors
    /// When the other side speaks something else.
    pub async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self, CallFailed> {
        let failed = |error: h2::Error| CallFailed::new("connect to the daemon", code::UNAVAILABLE, error.to_string());
        let window = 4 << 20;
        let handshake = h2::client::Builder::new().initial_window_size(window).initial_connection_window_size(2 * window).handshake(io);
        let (send, connection) = handshake.await.map_err(failed)?;
        // Calls see for themselves when it ends.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { send })
    }

    /// Calls a method by its whole path, with a deadline where one is sensible.
    ///
    /// # Errors
    /// Whatever the daemon answers, and every break of the protocol: never a wait without end, as far as `deadline` goes.
    pub async fn call<Q: Message, A: Message>(&self, path: &str, request: &Q, deadline: Option<Duration>) -> Result<A, CallFailed> {
        let calling = self.unary(path, request.to_bytes());
        let answer = match deadline {
            None => calling.await,
            Some(limit) => tokio::time::timeout(limit, calling)
                .await
                .unwrap_or_else(|_| Err(CallFailed::new(path, code::DEADLINE_EXCEEDED, format!("no answer within {} s", limit.as_secs())))),
        }?;
        A::read(&answer).map_err(|error| CallFailed::new(path, code::INTERNAL, error.to_string()))
    }

    async fn unary(&self, path: &str, message: Vec<u8>) -> Result<Bytes, CallFailed> {
        let broken = |error: h2::Error| CallFailed::new(path, code::UNAVAILABLE, error.to_string());
        let wrong = |why: &str| CallFailed::new(path, code::INTERNAL, why);
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(|error| wrong(&error.to_string()))?;
        let mut send = self.send.clone().ready().await.map_err(broken)?;
        let (answer, mut body) = send.send_request(request, false).map_err(broken)?;
        body.send_data(framed(&message), true).map_err(broken)?;

        let (head, mut body) = answer.await.map_err(broken)?.into_parts();
        let mut data = BytesMut::new();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(broken)?;
            // It only fails for more than was received.
            let _ = body.flow_control().release_capacity(piece.len());
            if data.len() + piece.len() > MAX_ANSWER {
                return Err(wrong("the answer is larger than 32 MiB"));
            }
            data.extend_from_slice(&piece);
        }
        // An answer that is all trailers has them in its head.
        let trailers = body.trailers().await.map_err(broken)?;
        let trailers = trailers.as_ref().unwrap_or(&head.headers);
        if let Some(failed) = status(path, trailers) {
            return Err(failed);
        }
        unframed(data.freeze()).map_err(wrong)
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // A message of 4 GiB would not get here.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

fn unframed(mut data: Bytes) -> Result<Bytes, &'static str> {
    match data.first() {
        _ if data.len() < PREFIX => return Err("the answer ends in its prefix"),
        Some(0) => {}
        _ => return Err("the answer is compressed, which was not asked for"),
    }
    let prefix = data.split_to(PREFIX);
    let size = prefix.iter().skip(1).fold(0_usize, |size, byte| size << 8 | usize::from(*byte));
    if data.len() == size { Ok(data) } else { Err("the answer has another length than it says") }
}

/// What the trailers say, if it is not success.
fn status(path: &str, trailers: &HeaderMap) -> Option<CallFailed> {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    let Some(code) = text("grpc-status") else { return Some(CallFailed::new(path, code::INTERNAL, "the answer has no status")) };
    let code = code.parse().unwrap_or(code::UNKNOWN);
    if code == 0 {
        return None;
    }
    let message = percent_decode_str(text("grpc-message").unwrap_or_default()).decode_utf8_lossy().into_owned();
    let details = text("grpc-status-details-bin").and_then(|text| STANDARD_NO_PAD.decode(text).or_else(|_| STANDARD.decode(text)).ok());
    let details = details.and_then(|bytes| Status::read(&bytes).ok()).map(|status| status.details).unwrap_or_default();
    let mut failed = CallFailed::new(path, code, message);
    failed.status.details = details;
    Some(failed)
}

fn take_pipes() -> io::Result<(pipe::Receiver, pipe::Sender)> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let receiver = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    let sender = rustix::io::fcntl_dupfd_cloexec(stdout.as_fd(), 3)?;
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    for end in [&receiver, &sender] {
        let flags = rustix::fs::fcntl_getfl(end)?;
        rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK)?;
    }
    Ok((pipe::Receiver::from_owned_fd(receiver)?, pipe::Sender::from_owned_fd(sender)?))
}
