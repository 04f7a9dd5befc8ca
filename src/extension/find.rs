//! Where an extension's VSIX lies on the network: releases on GitHub, Open VSX, any URL.

use std::io::Write;

use futures_util::StreamExt;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;

use super::vsix::SIZE_MAX;
use crate::description::ExtensionOrigin;
use crate::digest::Digest;
use crate::environment;
use crate::error::{Error, Fault, FileError, Kind};
use crate::registry::Secret;
use crate::registry::http::{self, Expected, HttpError, Request};
use crate::world::World;

/// Largest answer of an API that is read, in bytes.
const MAX_ANSWER: u64 = 8 << 20;
/// The API's address of GitHub.
const GITHUB_API: &str = "https://api.github.com";
/// The platform that Studio runs, in Open VSX's words.
const OPEN_VSX_PLATFORM: &str = "linux-x64";

/// An extension is not where the description says.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No such asset in the release.
    #[error("the release {tag} of {repository} has no asset `{asset}`; it has {}", list(.assets))]
    NoAsset {
        /// `owner/name`.
        repository: String,
        /// The tag.
        tag: String,
        /// The asset that was asked for.
        asset: String,
        /// The assets that are there.
        assets: Vec<String>,
    },
    /// An API answered with something that it does not document.
    #[error("the answer of {url} is not what its API documents")]
    Answer {
        /// The address.
        url: String,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The gallery gave another extension than it was asked for.
    #[error("its VSIX is of {found}")]
    Identity {
        /// Id and version of the manifest.
        found: String,
    },
    /// Not a URL after all.
    #[error("`{0}` does not make a URL")]
    Url(String),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().take(20).cloned().collect::<Vec<_>>().join(", ") }
}

impl Fault for FindError {
    fn kind(&self) -> Kind {
        match self {
            FindError::NoAsset { .. } | FindError::Identity { .. } | FindError::Url(_) => Kind::Input,
            FindError::Answer { .. } => Kind::World,
        }
    }
}

/// A VSIX that was fetched into the store.
pub struct Fetched {
    /// Where it was found: what the lock says.
    pub url: Url,
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Finds the VSIX of an origin and fetches it into the store.
///
/// # Errors
/// An extension that is not there, a download that fails or has another digest than was demanded.
pub async fn find(origin: &ExtensionOrigin, sha256: Option<Digest>, world: &World<'_>) -> Result<Fetched, Error> {
    let (url, request, stated) = match origin {
        ExtensionOrigin::GitHub { repository, tag, asset } => {
            let url = release_url(repository, tag, asset)?;
            (url.clone(), github_request(&url, world).await?, None)
        }
        ExtensionOrigin::OpenVsx { id, version } => {
            let (url, stated) = open_vsx(id, version, world).await?;
            (url.clone(), Request::get(url), stated)
        }
        ExtensionOrigin::Url(url) => (url.clone(), Request::get(url.clone()), None),
        ExtensionOrigin::Path(path) => return Err(FindError::Url(path.display().to_string()).into()),
    };
    let expected = Expected { digest: sha256.or(stated), size: None, limit: SIZE_MAX };
    let (sha256, size) = download(&request, expected, world).await?;
    Ok(Fetched { url, sha256, size })
}

/// Checks that the VSIX is the extension that was asked for by name.
///
/// # Errors
/// [`FindError::Identity`].
pub fn check_identity(origin: &ExtensionOrigin, id: &str, version: &str) -> Result<(), FindError> {
    match origin {
        ExtensionOrigin::OpenVsx { id: wanted, version: wanted_version } if !wanted.eq_ignore_ascii_case(id) || wanted_version != version => {
            Err(FindError::Identity { found: format!("{id} {version}") })
        }
        _ => Ok(()),
    }
}

/// Fetches a locked VSIX into the store again.
///
/// # Errors
/// A download that fails or brings other bytes than the lock says.
pub async fn fetch_again(url: &Url, sha256: Digest, size: u64, world: &World<'_>) -> Result<(), Error> {
    let request = if is_github_release(url) { github_request(url, world).await? } else { Request::get(url.clone()) };
    download(&request, Expected::exactly(sha256, size), world).await.map(drop)
}

async fn download(request: &Request, expected: Expected, world: &World<'_>) -> Result<(Digest, u64), Error> {
    let download = world.http.download(request, expected).await?;
    let name = download.url().path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
    let task = world.progress.begin(&format!("fetch {name}"), download.size());
    let mut writer = world.store.writer()?;
    let mut stream = download.into_byte_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| Error::carried_by(error).unwrap_or_else(|error| FileError::at("read", name.clone())(error).into()))?;
        writer.write_all(&bytes).map_err(FileError::at("write", world.store.root()))?;
        task.advance(bytes.len() as u64);
    }
    Ok(writer.commit()?)
}

fn successful(answer: http::Fetched) -> Result<http::Fetched, HttpError> {
    if answer.status.is_success() { Ok(answer) } else { Err(answer.into_error()) }
}

fn release_url(repository: &str, tag: &str, asset: &str) -> Result<Url, FindError> {
    let mut url = parsed("https://github.com/")?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(repository.split('/')).extend(["releases", "download", tag, asset]);
    }
    Ok(url)
}

fn parsed(text: &str) -> Result<Url, FindError> {
    text.parse().map_err(|_| FindError::Url(text.to_owned()))
}

fn is_github_release(url: &Url) -> bool {
    url.host_str() == Some("github.com") && url.path().contains("/releases/download/")
}

#[derive(Deserialize)]
struct Release {
    assets: Vec<Asset>,
}

#[derive(Deserialize)]
struct Asset {
    name: String,
    url: String,
}

/// The request that brings a release's asset: the public address; with a token the API's, which is the only one that serves private
/// repositories. Where the API does not let the token see the release, the public address stays: a token for something else does no harm.
async fn github_request(url: &Url, world: &World<'_>) -> Result<Request, Error> {
    let Some(token) = environment::GITHUB_TOKEN.text() else { return Ok(Request::get(url.clone())) };
    let bearer = || Some(Secret::new(format!("Bearer {token}")));
    let segments: Vec<String> = url.path_segments().into_iter().flatten().map(decoded).collect();
    let [owner, name, _, _, tag, asset] = segments.as_slice() else { return Ok(Request::get(url.clone())) };
    let mut api = parsed(GITHUB_API)?;
    if let Ok(mut path) = api.path_segments_mut() {
        path.pop_if_empty().extend(["repos", owner, name, "releases", "tags", tag]);
    }
    let question = Request::get(api.clone()).authorization(bearer()).header(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    let answer = world.http.fetch_url(&question, MAX_ANSWER).await?;
    if [401, 403, 404].contains(&answer.status.as_u16()) {
        return Ok(Request::get(url.clone()));
    }
    let answer = successful(answer)?;
    let release: Release = serde_json::from_slice(&answer.body).map_err(|cause| FindError::Answer { url: api.to_string(), cause })?;
    let Some(found) = release.assets.iter().find(|one| one.name == *asset) else {
        let assets = release.assets.iter().map(|one| one.name.clone()).collect();
        return Err(FindError::NoAsset { repository: format!("{owner}/{name}"), tag: tag.clone(), asset: asset.clone(), assets }.into());
    };
    let asset_url = parsed(&found.url)?;
    // The token is GitHub's: an answer must not send it elsewhere.
    if asset_url.origin() != api.origin() {
        return Err(FindError::Url(asset_url.to_string()).into());
    }
    let version = HeaderName::from_static("x-github-api-version");
    Ok(Request::get(asset_url)
        .authorization(bearer())
        .header(ACCEPT, HeaderValue::from_static("application/octet-stream"))
        .header(version, HeaderValue::from_static("2022-11-28")))
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[derive(Deserialize)]
struct OpenVsxVersion {
    files: OpenVsxFiles,
}

#[derive(Deserialize)]
struct OpenVsxFiles {
    download: String,
    sha256: Option<String>,
}

/// The address of a version's VSIX and the digest that Open VSX states: the one for Studio's platform, else the one for all.
async fn open_vsx(id: &str, version: &str, world: &World<'_>) -> Result<(Url, Option<Digest>), Error> {
    let (namespace, name) = id.split_once('.').ok_or_else(|| FindError::Url(id.to_owned()))?;
    let at = |platform: Option<&str>| -> Result<Url, FindError> {
        let mut url = parsed("https://open-vsx.org/")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", namespace, name]).extend(platform).push(version);
        }
        Ok(url)
    };
    let mut url = at(Some(OPEN_VSX_PLATFORM))?;
    let mut answer = world.http.fetch_url(&Request::get(url.clone()), MAX_ANSWER).await?;
    if answer.status == reqwest::StatusCode::NOT_FOUND {
        url = at(None)?;
        answer = world.http.fetch_url(&Request::get(url.clone()), MAX_ANSWER).await?;
    }
    let answer = successful(answer)?;
    let found: OpenVsxVersion = serde_json::from_slice(&answer.body).map_err(|cause| FindError::Answer { url: url.to_string(), cause })?;
    let digest = match &found.files.sha256 {
        Some(at) => stated_digest(at, world).await?,
        None => None,
    };
    Ok((parsed(&found.files.download)?, digest))
}

/// The content of a `.sha256` file; none where it holds something else.
async fn stated_digest(at: &str, world: &World<'_>) -> Result<Option<Digest>, Error> {
    let answer = successful(world.http.fetch_url(&Request::get(parsed(at)?), 1 << 10).await?)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    Ok(text.split_whitespace().next().and_then(|hex| Digest::from_hex(hex).ok()))
}
