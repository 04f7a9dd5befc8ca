//! Asks an editor over HTTP, as a platform and a browser do: pages, and the upgrade to a websocket.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes of a page that are read.
const MAX_PAGE: usize = 1 << 20;
/// Most bytes of the head of an answer to an upgrade.
const MAX_HEAD: usize = 64 << 10;

/// Why there was no answer.
pub type Unanswered = Box<dyn StdError + Send + Sync>;

/// What a page came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type, without parameters.
    pub media_type: String,
    /// The first part of the body.
    pub body: String,
}

/// An editor at an address of this machine.
pub struct Probe {
    client: reqwest::Client,
    address: SocketAddr,
}

impl Probe {
    /// The editor that is reached here.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(address: SocketAddr) -> Result<Self, Unanswered> {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build()?;
        Ok(Probe { client, address })
    }

    /// Where it is reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// GET of a path.
    ///
    /// # Errors
    /// Where nobody answers, or not in HTTP.
    pub async fn get(&self, path: &str) -> Result<Answer, Unanswered> {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await?;
        let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let mut stream = answer.bytes_stream();
        while let Some(bytes) = stream.try_next().await? {
            body.extend_from_slice(&bytes[..bytes.len().min(MAX_PAGE - body.len())]);
            if body.len() == MAX_PAGE {
                break;
            }
        }
        Ok(Answer { status, media_type, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Asks for a websocket, as the workbench does for its connection to the server, and gives the status: 101 where it is granted.
    ///
    /// # Errors
    /// Where nobody answers, or not in HTTP.
    pub async fn websocket(&self, path: &str) -> Result<u16, Unanswered> {
        tokio::time::timeout(PATIENCE, self.upgrade(path)).await?
    }

    async fn upgrade(&self, path: &str) -> Result<u16, Unanswered> {
        let key = base64::engine::general_purpose::STANDARD.encode(fastrand::u128(..).to_be_bytes());
        let token = fastrand::u64(..);
        let request = format!(
            "GET {path}?reconnectionToken={token:016x}&reconnection=false&skipWebSocketFrames=false HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
            self.address
        );
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.windows(2).any(|end| end == b"\r\n") && head.len() < MAX_HEAD {
            let mut piece = [0; 1024];
            match stream.read(&mut piece).await? {
                0 => break,
                count => head.extend_from_slice(&piece[..count]),
            }
        }
        status(&head).ok_or_else(|| "it does not answer in HTTP".into())
    }
}

/// The status of `HTTP/1.1 101 Switching Protocols`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that gives each connection this answer.
    async fn server(answer: &'static [u8]) -> Probe {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            }
        });
        Probe::new(address).unwrap()
    }

    #[tokio::test]
    async fn a_page_is_status_type_and_body() {
        let probe = server(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n\r\nhi").await;
        let answer = probe.get("/").await.unwrap();
        assert_eq!((answer.status, answer.media_type.as_str(), answer.body.as_str()), (200, "text/html", "hi"));
        assert_eq!(probe.websocket("/").await.unwrap(), 200);
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_endless_pages_end() {
        let probe = server(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(probe.get("/").await.unwrap().status, 302);
        let endless: &'static [u8] = Box::leak([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; 3 << 20]].concat().into_boxed_slice());
        assert_eq!(server(endless).await.get("/").await.unwrap().body.len(), MAX_PAGE);
    }

    #[tokio::test]
    async fn what_is_no_http_is_no_answer() {
        let probe = server(b"SSH-2.0-x\r\n").await;
        assert!(probe.get("/").await.is_err());
        assert!(probe.websocket("/").await.is_err());
        assert_eq!(server(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.websocket("/").await.unwrap(), 101);
    }
}
