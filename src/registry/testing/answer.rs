//! Answers of the test registry: bodies in pieces, ranges, errors in the protocol's form.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::content::Content;
use crate::digest::Digest;

/// A body that may break.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer.
pub(super) type Answer = Response<Body>;

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer without a body.
pub(super) fn empty(status: u16) -> Answer {
    with_body(status, full(""))
}

pub(super) fn with_body(status: u16, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).expect("the tests name valid statuses");
    answer
}

pub(super) fn set(answer: &mut Answer, name: &str, value: &str) {
    let name: HeaderName = name.parse().expect("the tests name valid headers");
    answer.headers_mut().insert(name, HeaderValue::from_str(value).expect("the tests set valid values"));
}

/// An error in the form of the distribution specification, "Error Codes".
pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    let mut answer = with_body(status, full(body.to_string()));
    set(&mut answer, "content-type", "application/json");
    answer
}

/// Stored bytes, or the part of them that was asked for.
pub(super) fn stored(content: &Content, media_type: &str, etag: &str, asked: &HeaderMap, head: bool) -> io::Result<Answer> {
    let size = content.size();
    let text = |name: &str| asked.get(name).and_then(|value| value.to_str().ok());
    if text("if-none-match").is_some_and(|tag| tag == etag) {
        let mut answer = empty(304);
        set(&mut answer, "etag", etag);
        return Ok(answer);
    }
    let current = text("if-range").is_none_or(|tag| tag == etag);
    let range = text("range").filter(|_| current && !head).and_then(|range| range.strip_prefix("bytes=")).and_then(|range| range.split_once('-'));
    let (status, start, end) = match range {
        None => (200, 0, size),
        Some((first, last)) => {
            let start = first.parse().unwrap_or(0);
            if start >= size {
                return Ok(empty(416));
            }
            (206, start, last.parse().map_or(size, |last: u64| (last + 1).min(size)))
        }
    };
    let count = end - start;
    let body = if head { full("") } else { pieces(content.open(start, count)?) };
    let mut answer = with_body(status, body);
    for (name, value) in [("content-type", media_type), ("etag", etag), ("accept-ranges", "bytes"), ("content-length", &count.to_string())] {
        set(&mut answer, name, value);
    }
    if status == 206 {
        set(&mut answer, "content-range", &format!("bytes {start}-{}/{size}", end - 1));
    }
    Ok(answer)
}

/// A strong validator.
pub(super) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

fn pieces(reader: Box<dyn Read + Send>) -> Body {
    let pieces = stream::try_unfold(reader, |mut reader| async move {
        let mut piece = vec![0; 64 << 10];
        let count = reader.read(&mut piece)?;
        piece.truncate(count);
        Ok::<_, io::Error>((count > 0).then(|| (Bytes::from(piece), reader)))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces.map_ok(Frame::data)))
}

/// `body`, breaking off after `bytes`.
pub(super) fn broken_after(body: Body, bytes: u64) -> Body {
    let state = (Box::pin(body.into_data_stream()), bytes);
    let pieces = stream::try_unfold(state, |(mut data, left)| async move {
        if left == 0 {
            // The server gives up without sending what it has buffered: give it the time to send that first.
            tokio::time::sleep(Duration::from_millis(30)).await;
            return Err(io::Error::other("the test ordered it to break here"));
        }
        let Some(piece) = data.next().await else { return Ok(None) };
        let piece = piece?;
        let piece = piece.slice(..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let left = left - piece.len() as u64;
        Ok(Some((piece, (data, left))))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces.map_ok(Frame::data)))
}

/// `body` with its first byte inverted.
pub(super) fn corrupted(body: Body) -> Body {
    let mut first = true;
    mapped(body, move |piece| {
        if !std::mem::take(&mut first) || piece.is_empty() {
            return piece;
        }
        let mut bytes = piece.to_vec();
        bytes[0] = !bytes[0];
        bytes.into()
    })
}

/// `body`, each piece passed through `change`.
pub(super) fn mapped(body: Body, mut change: impl FnMut(Bytes) -> Bytes + Send + 'static) -> Body {
    let pieces = body.into_data_stream().map_ok(move |piece| Frame::data(change(piece)));
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

/// `body` and one byte more.
pub(super) fn longer(body: Body) -> Body {
    let pieces = body.into_data_stream().chain(stream::iter([Ok(Bytes::from_static(b"!"))]));
    BodyExt::boxed_unsync(StreamBody::new(pieces.map_ok(Frame::data)))
}
