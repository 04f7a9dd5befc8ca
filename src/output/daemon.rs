//! Into the local docker daemon, through its API: what `docker load` does, without the docker command and without a file.

use futures_util::TryStreamExt;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::{OutputError, Written, archive};
use crate::assemble::Image;
use crate::error::{Error, FileError};
use crate::reference::Reference;
use crate::store::Store;

/// Where docker listens unless `DOCKER_HOST` says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// Bytes on the way between the archive's writer and the daemon.
const BUFFER: usize = 1 << 20;
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// A docker daemon.
pub struct Daemon {
    client: reqwest::Client,
    host: String,
    url: String,
}

impl Daemon {
    /// The daemon at `host`, in the form of `DOCKER_HOST`; none for the default.
    ///
    /// # Errors
    /// An address that is neither `unix://` nor `tcp://`.
    pub fn new(host: Option<String>) -> Result<Self, Error> {
        let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let builder = reqwest::Client::builder().no_proxy();
        let (builder, url) = match host.split_once("://") {
            Some(("unix", path)) => (builder.unix_socket(std::path::PathBuf::from(path)), "http://docker".to_owned()),
            Some(("tcp", address)) => (builder, format!("http://{address}")),
            _ => return Err(OutputError::DaemonAddress(host).into()),
        };
        let client = builder.build().map_err(|error| OutputError::DaemonAway { host: host.clone(), cause: error.into() })?;
        Ok(Daemon { client, host, url })
    }

    /// Loads the image under `reference`, unless it is there under this name already.
    ///
    /// # Errors
    /// A daemon that does not answer or refuses.
    pub async fn write(&self, image: &Image, reference: &Reference, store: &Store) -> Result<Written, Error> {
        if self.has(image, reference).await? {
            return Ok(Written::default());
        }
        let (reader, writer) = tokio::io::duplex(BUFFER);
        let body = reqwest::Body::wrap_stream(ReaderStream::with_capacity(reader, BUFFER));
        let request = self.client.post(format!("{}/images/load?quiet=1", self.url)).header("Content-Type", "application/x-tar").body(body);
        let streaming = archive::stream_docker(image, writer, Some(reference), store, format!("send the image to {}", self.host));
        let sending = async { request.send().await.map_err(|error| self.away(error)) };
        let (written, answer) = tokio::join!(streaming, sending);
        // A daemon that refuses ends the connection: its answer says more than the writer's broken pipe.
        let answer = answer?;
        self.judge(answer).await?;
        written
    }

    /// Writes the image that the daemon knows by this name to `out`, as `docker save` does.
    ///
    /// # Errors
    /// A daemon that does not answer or has no such image; a full disk.
    pub async fn save(&self, name: &str, out: &mut tokio::fs::File) -> Result<(), Error> {
        let answer = self.client.get(format!("{}/images/{name}/get", self.url)).send().await.map_err(|error| self.away(error))?;
        if !answer.status().is_success() {
            let text = limited(answer).await.map_err(|error| self.away(error))?;
            let message = serde_json::from_str(&text).ok().and_then(|value: serde_json::Value| Some(value.get("message")?.as_str()?.to_owned()));
            let message = message.unwrap_or(text).trim().chars().take(500).collect();
            return Err(OutputError::DaemonHasNot { host: self.host.clone(), name: name.to_owned(), message }.into());
        }
        let mut stream = answer.bytes_stream();
        while let Some(bytes) = stream.try_next().await.map_err(|error| self.away(error))? {
            out.write_all(&bytes).await.map_err(FileError::at("write to", "the cache"))?;
        }
        Ok(out.flush().await.map_err(FileError::at("write to", "the cache"))?)
    }

    /// Whether the daemon knows this image, by the digest of its config or of its manifest, under this name.
    async fn has(&self, image: &Image, reference: &Reference) -> Result<bool, Error> {
        let name = format!("{}:{}", reference.name(), reference.tag().unwrap_or("latest"));
        let answer = self.client.get(format!("{}/images/{name}/json", self.url)).send().await.map_err(|error| self.away(error))?;
        if !answer.status().is_success() {
            return Ok(false);
        }
        let text = limited(answer).await.map_err(|error| self.away(error))?;
        let id = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|value| value.get("Id")?.as_str()?.parse().ok());
        Ok(id == Some(image.config_descriptor.digest) || id == Some(image.digest))
    }

    /// `docker load` answers 200 and tells of errors inside the stream of its progress.
    async fn judge(&self, answer: reqwest::Response) -> Result<(), Error> {
        let status = answer.status();
        let text = limited(answer).await.map_err(|error| self.away(error))?;
        let refused =
            |message: &str| Error::from(OutputError::DaemonRefused { host: self.host.clone(), message: message.trim().chars().take(500).collect() });
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            if let Some(message) = value.get("error").or_else(|| value.get("message")).and_then(serde_json::Value::as_str) {
                return Err(refused(message));
            }
        }
        if status.is_success() { Ok(()) } else { Err(refused(&text)) }
    }

    fn away(&self, error: reqwest::Error) -> Error {
        OutputError::DaemonAway { host: self.host.clone(), cause: error.into() }.into()
    }
}

async fn limited(answer: reqwest::Response) -> Result<String, reqwest::Error> {
    let mut text = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(bytes) = stream.try_next().await? {
        if text.len() < MAX_ANSWER {
            text.extend_from_slice(&bytes);
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
