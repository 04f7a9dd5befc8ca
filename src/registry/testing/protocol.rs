//! The distribution protocol as the test registry speaks it: versions, manifests, blobs, uploads, mounts, tags.

use std::io;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::access::Need;
use super::answer::{self, Answer};
use super::content::{Receiving, StoredManifest, Upload};
use super::log::Entry;
use super::{Rules, Shared};
use crate::digest::Digest;
use crate::manifest::MAX_MANIFEST_SIZE;

/// What a path below `/v2/` is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Version,
    Manifest(String, String),
    Blob(String, String),
    Uploads(String),
    Upload(String, String),
    Tags(String),
    Unknown,
}

impl Route {
    pub(super) fn of(path: &str) -> Self {
        let Some(path) = path.strip_prefix("/v2/") else { return Route::Unknown };
        if path.is_empty() {
            return Route::Version;
        }
        if let Some((repository, rest)) = path.split_once("/blobs/uploads/") {
            return if rest.is_empty() { Route::Uploads(repository.to_owned()) } else { Route::Upload(repository.to_owned(), rest.to_owned()) };
        }
        for (infix, route) in [("/manifests/", Route::Manifest as fn(String, String) -> Route), ("/blobs/", Route::Blob)] {
            if let Some((repository, name)) = path.rsplit_once(infix) {
                return route(repository.to_owned(), name.to_owned());
            }
        }
        path.strip_suffix("/tags/list").map_or(Route::Unknown, |repository| Route::Tags(repository.to_owned()))
    }

    /// What a request of this route needs.
    pub(super) fn needs(&self, method: &str, query: &[(String, String)]) -> Vec<Need> {
        let pulls = ["GET", "HEAD"].contains(&method);
        match self {
            Route::Manifest(repository, _) | Route::Blob(repository, _) | Route::Tags(repository) if pulls => vec![(repository.clone(), "pull")],
            Route::Manifest(repository, _) | Route::Blob(repository, _) | Route::Uploads(repository) | Route::Upload(repository, _) => {
                let mut needs = vec![(repository.clone(), "pull"), (repository.clone(), "push")];
                needs.extend(field(query, "from").map(|from| (from.to_owned(), "pull")));
                needs
            }
            Route::Version | Route::Tags(_) | Route::Unknown => Vec::new(),
        }
    }
}

pub(super) fn field<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Answers a request that is allowed.
pub(super) async fn answer(
    shared: &Shared,
    route: Route,
    query: &[(String, String)],
    request: Request<Incoming>,
    entry: &Entry,
) -> io::Result<Answer> {
    let method = request.method().as_str().to_owned();
    let head = method == "HEAD";
    match (method.as_str(), route) {
        ("GET", Route::Version) => {
            let mut ok = answer::with_body(200, answer::full("{}"));
            answer::set(&mut ok, "docker-distribution-api-version", "registry/2.0");
            Ok(ok)
        }
        ("GET" | "HEAD", Route::Manifest(repository, name)) => Ok(get_manifest(shared, &repository, &name, head)),
        ("PUT", Route::Manifest(repository, name)) => {
            let media_type = request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            let bytes = collect(request, entry).await?;
            Ok(put_manifest(shared, &repository, &name, media_type, bytes))
        }
        ("GET" | "HEAD", Route::Blob(repository, name)) => get_blob(shared, &repository, &name, request, head),
        ("POST", Route::Uploads(repository)) => begin_upload(shared, &repository, query),
        ("PATCH", Route::Upload(repository, id)) => patch_upload(shared, &repository, &id, request, entry).await,
        ("PUT", Route::Upload(repository, id)) => finish_upload(shared, &repository, &id, query, request, entry).await,
        ("DELETE", Route::Upload(_, id)) => {
            let known = shared.contents().uploads.remove(&id).is_some();
            Ok(if known { answer::empty(204) } else { unknown_upload() })
        }
        ("GET", Route::Tags(repository)) => Ok(tags(shared, &repository)),
        _ => Ok(answer::error(404, "UNSUPPORTED", "no such endpoint")),
    }
}

fn unknown_repository(repository: &str) -> Answer {
    answer::error(404, "NAME_UNKNOWN", &format!("The repository with name '{repository}' does not exist in the registry"))
}

fn unknown_upload() -> Answer {
    answer::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

fn get_manifest(shared: &Shared, repository: &str, name: &str, head: bool) -> Answer {
    let contents = shared.contents();
    let Some(found) = contents.repositories.get(repository) else { return unknown_repository(repository) };
    let Some((digest, manifest)) = found.manifest(name) else { return answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown") };
    let mut ok = answer::with_body(200, answer::full(if head { Bytes::new() } else { manifest.bytes.clone() }));
    answer::set(&mut ok, "content-type", &manifest.media_type);
    answer::set(&mut ok, "docker-content-digest", &digest.to_string());
    answer::set(&mut ok, "content-length", &manifest.bytes.len().to_string());
    ok
}

fn put_manifest(shared: &Shared, repository: &str, name: &str, media_type: String, bytes: Bytes) -> Answer {
    let rules = shared.rules();
    if bytes.len() as u64 > MAX_MANIFEST_SIZE {
        return answer::error(413, "SIZE_INVALID", "the manifest is larger than 4 MiB");
    }
    let Ok(document) = serde_json::from_slice::<Value>(&bytes) else { return answer::error(400, "MANIFEST_INVALID", "manifest invalid") };
    let digest = Digest::of(&bytes);
    let mut contents = shared.contents();
    if rules.repositories_must_exist && !contents.repositories.contains_key(repository) {
        return unknown_repository(repository);
    }
    let found = contents.repository(repository);
    if let Some(missing) = missing_part(&document, |digest| found.blobs.contains(digest) || found.manifests.contains_key(digest)) {
        return answer::error(400, "MANIFEST_BLOB_UNKNOWN", &format!("blob unknown to registry: {missing}"));
    }
    match name.parse::<Digest>() {
        Ok(named) if named != digest => return answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content"),
        Ok(_) => {}
        Err(_) if rules.immutable_tags && found.tags.contains_key(name) => {
            let message = format!(
                "The image tag '{name}' already exists in the '{repository}' repository and cannot be overwritten because the repository is immutable."
            );
            return answer::error(400, "TAG_INVALID", &message);
        }
        Err(_) => {
            found.tags.insert(name.to_owned(), digest);
        }
    }
    found.manifests.insert(digest, StoredManifest { media_type, bytes });
    let mut created = answer::empty(201);
    answer::set(&mut created, "location", &format!("/v2/{repository}/manifests/{digest}"));
    answer::set(&mut created, "docker-content-digest", &digest.to_string());
    created
}

/// The first digest of a manifest or index that the repository lacks.
fn missing_part(document: &Value, is_here: impl Fn(&Digest) -> bool) -> Option<String> {
    let parts = ["config", "layers", "manifests"].into_iter().filter_map(|key| document.get(key));
    let descriptors = parts.flat_map(|part| part.as_array().map_or_else(|| vec![part], |list| list.iter().collect()));
    let digests = descriptors.filter_map(|descriptor| descriptor.get("digest").and_then(Value::as_str));
    digests.map(str::to_owned).find(|text| !text.parse().is_ok_and(|digest| is_here(&digest)))
}

fn get_blob(shared: &Shared, repository: &str, name: &str, request: Request<Incoming>, head: bool) -> io::Result<Answer> {
    let Ok(digest) = name.parse::<Digest>() else { return Ok(answer::error(400, "DIGEST_INVALID", "invalid digest")) };
    let Some(content) = shared.contents().blob(repository, &digest) else {
        return Ok(answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry"));
    };
    let mut ok = answer::stored(&content, "application/octet-stream", &answer::etag(&digest), request.headers(), head)?;
    answer::set(&mut ok, "docker-content-digest", &digest.to_string());
    Ok(ok)
}

fn begin_upload(shared: &Shared, repository: &str, query: &[(String, String)]) -> io::Result<Answer> {
    let Rules { repositories_must_exist, mounts, absolute_locations, .. } = shared.rules();
    let mut contents = shared.contents();
    if repositories_must_exist && !contents.repositories.contains_key(repository) {
        return Ok(unknown_repository(repository));
    }
    let mount = field(query, "mount").and_then(|digest| digest.parse::<Digest>().ok());
    if let (true, Some(digest), Some(from)) = (mounts, mount, field(query, "from"))
        && let Some(content) = contents.blob(from, &digest)
    {
        contents.add_blob(repository, digest, content);
        let mut created = answer::empty(201);
        answer::set(&mut created, "location", &format!("/v2/{repository}/blobs/{digest}"));
        answer::set(&mut created, "docker-content-digest", &digest.to_string());
        return Ok(created);
    }
    let id = contents.fresh();
    contents.uploads.insert(id.clone(), Upload { repository: repository.to_owned(), received: None });
    let mut accepted = answer::empty(202);
    let base = if absolute_locations { format!("http://{}", shared.host) } else { String::new() };
    answer::set(&mut accepted, "location", &format!("{base}/v2/{repository}/blobs/uploads/{id}?_state=opaque%3D{id}"));
    answer::set(&mut accepted, "docker-upload-uuid", &id);
    answer::set(&mut accepted, "range", "0-0");
    Ok(accepted)
}

/// Takes the session out of the table while its bytes come in: a second request for it finds none.
fn take_upload(shared: &Shared, repository: &str, id: &str) -> io::Result<Option<Receiving>> {
    let mut contents = shared.contents();
    match contents.uploads.remove(id) {
        Some(upload) if upload.repository == repository => Ok(Some(match upload.received {
            Some(received) => received,
            None => contents.receive()?,
        })),
        _ => Ok(None),
    }
}

async fn patch_upload(shared: &Shared, repository: &str, id: &str, request: Request<Incoming>, entry: &Entry) -> io::Result<Answer> {
    if shared.rules().no_chunks {
        return Ok(answer::error(405, "UNSUPPORTED", "chunked uploads are not supported"));
    }
    let Some(mut received) = take_upload(shared, repository, id)? else { return Ok(unknown_upload()) };
    receive(&mut received, request, entry).await?;
    let mut accepted = answer::empty(202);
    answer::set(&mut accepted, "location", &format!("/v2/{repository}/blobs/uploads/{id}?_state=opaque%3D{id}"));
    answer::set(&mut accepted, "range", &format!("0-{}", received.size().saturating_sub(1)));
    shared.contents().uploads.insert(id.to_owned(), Upload { repository: repository.to_owned(), received: Some(received) });
    Ok(accepted)
}

async fn finish_upload(
    shared: &Shared,
    repository: &str,
    id: &str,
    query: &[(String, String)],
    request: Request<Incoming>,
    entry: &Entry,
) -> io::Result<Answer> {
    let expected = field(query, "digest").and_then(|digest| digest.parse::<Digest>().ok());
    let state_is_kept = field(query, "_state") == Some(&format!("opaque={id}"));
    let (Some(expected), true) = (expected, state_is_kept) else {
        return Ok(answer::error(400, "DIGEST_INVALID", "the digest is missing, or the query of the Location was lost"));
    };
    let Some(mut received) = take_upload(shared, repository, id)? else { return Ok(unknown_upload()) };
    receive(&mut received, request, entry).await?;
    let (digest, content) = received.finish();
    if digest != expected {
        return Ok(answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content"));
    }
    shared.contents().add_blob(repository, digest, content);
    let mut created = answer::empty(201);
    answer::set(&mut created, "location", &format!("/v2/{repository}/blobs/{digest}"));
    answer::set(&mut created, "docker-content-digest", &digest.to_string());
    Ok(created)
}

fn tags(shared: &Shared, repository: &str) -> Answer {
    match shared.contents().repositories.get(repository) {
        None => unknown_repository(repository),
        Some(found) => {
            let tags: Vec<_> = found.tags.keys().collect();
            let mut ok = answer::with_body(200, answer::full(json!({"name": repository, "tags": tags}).to_string()));
            answer::set(&mut ok, "content-type", "application/json");
            ok
        }
    }
}

async fn receive(received: &mut Receiving, request: Request<Incoming>, entry: &Entry) -> io::Result<()> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() {
            entry.bytes_in.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            received.write(&bytes)?;
        }
    }
    Ok(())
}

/// A whole body of at most a little more than a manifest may have.
pub(super) async fn collect(request: Request<Incoming>, entry: &Entry) -> io::Result<Bytes> {
    let limit = MAX_MANIFEST_SIZE as usize + 1024;
    let bytes = http_body_util::Limited::new(request.into_body(), limit).collect().await.map_err(io::Error::other)?.to_bytes();
    entry.bytes_in.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_paths() {
        let route = Route::of;
        assert_eq!(route("/v2/"), Route::Version);
        assert_eq!(route("/v2/a/b/manifests/x"), Route::Manifest("a/b".into(), "x".into()));
        assert_eq!(route("/v2/a/b/blobs/sha256:x"), Route::Blob("a/b".into(), "sha256:x".into()));
        assert_eq!(route("/v2/a/b/blobs/uploads/"), Route::Uploads("a/b".into()));
        assert_eq!(route("/v2/a/b/blobs/uploads/7"), Route::Upload("a/b".into(), "7".into()));
        assert_eq!(route("/v2/a/tags/list"), Route::Tags("a".into()));
        assert_eq!(route("/files/x"), Route::Unknown);
    }
}
