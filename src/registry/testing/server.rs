//! The test registry's server: one thread with its own runtime; each request passes the log, ordered trouble, access, and the protocol.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::answer::{self, Answer, Body};
use super::log::Entry;
use super::protocol::{self, Route};
use super::trouble::Effect;
use super::{Asked, Shared};
use crate::digest::Digest;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stop => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(shared.clone(), request));
            // A client that goes away, or trouble that was ordered, ends the connection: nothing to be said about it.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(shared: Arc<Shared>, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
    let entry = shared.log.begin(&request);
    let effects = shared.troubles.due(request.method().as_str(), request.uri().path());
    let mut ordered = None;
    for effect in &effects {
        match effect {
            Effect::Delay(wait) => tokio::time::sleep(*wait).await,
            Effect::Drop => return Err(io::Error::other("the test ordered no answer")),
            Effect::WithoutRanges => {
                request.headers_mut().remove("range");
            }
            Effect::Answer { status, headers, body } => {
                let mut answer = answer::with_body(*status, answer::full(body.clone()));
                headers.iter().for_each(|(name, value)| answer::set(&mut answer, name, value));
                ordered = Some(answer);
            }
            Effect::Redirect(base) => {
                let mut answer = answer::empty(307);
                answer::set(&mut answer, "location", &format!("{base}{}?signature=secret", request.uri().path()));
                ordered = Some(answer);
            }
            Effect::Break(_) | Effect::Corrupt | Effect::Longer | Effect::Header(..) => {}
        }
    }
    let answer = match ordered {
        Some(answer) => answer,
        None => allowed(&shared, request, &entry).await?,
    };
    let answer = effects.into_iter().fold(answer, change);
    entry.answered(answer.status().as_u16());
    Ok(answer.map(|body| {
        let entry = entry.clone();
        answer::mapped(body, move |piece| {
            entry.bytes_out.fetch_add(piece.len() as u64, Ordering::SeqCst);
            piece
        })
    }))
}

/// What ordered trouble makes of an answer.
fn change(mut answer: Answer, effect: Effect) -> Answer {
    match effect {
        Effect::Break(bytes) => answer.map(|body| answer::broken_after(body, bytes)),
        Effect::Corrupt => answer.map(answer::corrupted),
        Effect::Longer => {
            let length = answer.headers().get("content-length").and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
            if let Some(length) = length {
                answer::set(&mut answer, "content-length", &(length + 1).to_string());
            }
            answer.map(answer::longer)
        }
        Effect::Header(name, value) => {
            answer::set(&mut answer, &name, &value);
            answer
        }
        Effect::WithoutRanges => {
            answer.headers_mut().remove("etag");
            answer.headers_mut().remove("accept-ranges");
            answer
        }
        Effect::Answer { .. } | Effect::Drop | Effect::Delay(_) | Effect::Redirect(_) => answer,
    }
}

fn fields(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

async fn allowed(shared: &Shared, request: Request<Incoming>, entry: &Entry) -> io::Result<Answer> {
    let path = request.uri().path().to_owned();
    let query = fields(request.uri().query().unwrap_or_default());
    if path == "/token" {
        return token(shared, query, request, entry).await;
    }
    if !path.starts_with("/v2/") {
        return file(shared, &path, &request, entry);
    }
    let route = Route::of(&path);
    let needs = route.needs(request.method().as_str(), &query);
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let refused = shared.access().allows(authorization, &needs, &shared.tokens(), &shared.host).err();
    if let Some(challenge) = refused {
        let mut answer = answer::error(401, "UNAUTHORIZED", "authentication required");
        answer::set(&mut answer, "www-authenticate", &challenge);
        return Ok(answer);
    }
    protocol::answer(shared, route, &query, request, entry).await
}

async fn token(shared: &Shared, mut query: Vec<(String, String)>, request: Request<Incoming>, entry: &Entry) -> io::Result<Answer> {
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    if request.method() == "POST" {
        let body = protocol::collect(request, entry).await?;
        query.extend(fields(&String::from_utf8_lossy(&body)));
    }
    let issued = shared.access().token(authorization.as_deref(), &query, &mut shared.tokens());
    Ok(match issued {
        None => answer::error(401, "UNAUTHORIZED", "incorrect username or password"),
        Some((token, expires_in)) => {
            let body = serde_json::json!({"token": token, "access_token": token, "expires_in": expires_in});
            answer::with_body(200, answer::full(body.to_string()))
        }
    })
}

fn file(shared: &Shared, path: &str, request: &Request<Incoming>, entry: &Entry) -> io::Result<Answer> {
    let handler = shared.handlers().get(path).cloned();
    if let Some(handler) = handler {
        let Asked { status, headers, body } = handler(&entry.snapshot());
        let mut answer = answer::with_body(status, answer::full(body));
        headers.iter().for_each(|(name, value)| answer::set(&mut answer, name, value));
        return Ok(answer);
    }
    let found = {
        let contents = shared.contents();
        let put = contents.files.get(path).map(|(media_type, content)| (media_type.clone(), content.clone(), None));
        put.or_else(|| contents.in_directory(path).map(|(content, changed)| ("application/octet-stream".to_owned(), content, Some(changed))))
    };
    let Some((media_type, content, changed)) = found else {
        return Ok(answer::with_body(404, answer::full("not found")));
    };
    let etag = answer::etag(&Digest::of(format!("{path} {} {changed:?}", content.size())));
    if request.headers().get("if-none-match").is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
        let mut answer = answer::empty(304);
        answer::set(&mut answer, "etag", &etag);
        return Ok(answer);
    }
    answer::stored(&content, &media_type, &etag, request.headers(), request.method() == "HEAD")
}
