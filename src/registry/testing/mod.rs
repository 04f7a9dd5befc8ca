//! A registry in this process, for tests: the distribution protocol with a log of all requests, trouble on order, and ECR's ways as a switch.
//! It also serves plain files, so that the web places of a test (release assets, extension galleries) need no other server.
//!
//! It has a thread and a runtime of its own: blocking tests use it like asynchronous ones.
//!
//! ```
//! use byoi::registry::testing::{TestRegistry, Trouble};
//! let registry = TestRegistry::start();
//! let digest = registry.put_blob("team/image", "hello");
//! registry.order(Trouble::status("GET", "/blobs/", 503).times(2));
//! let reference = format!("{}/team/image@{digest}", registry.host());
//! // … use it …
//! assert!(registry.log().is_empty());
//! ```

mod access;
mod answer;
mod content;
mod image;
mod log;
mod protocol;
mod server;
mod trouble;

pub use access::{Access, BearerAccess};
pub use image::{TestImage, TestLayer};
pub use log::Logged;
pub use trouble::Trouble;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::digest::Digest;
use access::Tokens;
use content::{Content, Contents, StoredManifest};
use log::Log;
use trouble::Troubles;

/// How the registry behaves where registries differ.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// A push to a repository that was not made before fails.
    pub repositories_must_exist: bool,
    /// A mount of a blob that the source repository has succeeds; else it is answered with 202 and an upload.
    pub mounts: bool,
    /// `PATCH` fails.
    pub no_chunks: bool,
    /// A tag cannot be pushed twice.
    pub immutable_tags: bool,
    /// `Location` of uploads is a whole URL.
    pub absolute_locations: bool,
}

impl Rules {
    /// A friendly registry.
    pub fn docker() -> Self {
        Rules { mounts: true, absolute_locations: true, ..Rules::default() }
    }

    /// Amazon ECR: no mounts, no chunks, repositories are made by hand. Its accounts are [`Access::Basic`] with the user `AWS`.
    pub fn ecr() -> Self {
        Rules { repositories_must_exist: true, mounts: false, no_chunks: true, immutable_tags: false, absolute_locations: true }
    }
}

/// The answer of a handler that a test installs, see [`TestRegistry::on`].
#[derive(Debug, Clone)]
pub struct Asked {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Asked {
    /// 200 with a JSON body.
    pub fn json(value: &serde_json::Value) -> Self {
        Asked { status: 200, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body: value.to_string().into() }
    }
}

type Handler = Arc<dyn Fn(&Logged) -> Asked + Send + Sync>;

/// What the server's thread and the test share.
struct Shared {
    host: String,
    contents: Mutex<Contents>,
    rules: Mutex<Rules>,
    access: Mutex<Access>,
    tokens: Mutex<Tokens>,
    handlers: Mutex<BTreeMap<String, Handler>>,
    log: Log,
    troubles: Troubles,
}

impl Shared {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("no holder panics")
    }

    fn rules(&self) -> Rules {
        *self.rules.lock().expect("no holder panics")
    }

    fn access(&self) -> Access {
        self.access.lock().expect("no holder panics").clone()
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().expect("no holder panics")
    }

    fn handlers(&self) -> MutexGuard<'_, BTreeMap<String, Handler>> {
        self.handlers.lock().expect("no holder panics")
    }
}

/// A running test registry. It stops when it is dropped.
pub struct TestRegistry {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl TestRegistry {
    /// An empty, open, friendly registry on a free port of 127.0.0.1, with its content in memory.
    ///
    /// # Panics
    /// Like all of this module, where the machine does not give what a test needs.
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Like [`TestRegistry::start`], with its content in a temporary directory.
    pub fn start_on_disk() -> Self {
        Self::start_with(true)
    }

    /// A registry with ECR's ways: [`Rules::ecr`], and the account `AWS` with the password `ecr-password`.
    pub fn start_ecr() -> Self {
        let registry = Self::start();
        registry.set_rules(Rules::ecr());
        registry.set_access(Access::Basic { user: "AWS".to_owned(), password: "ecr-password".to_owned() });
        registry
    }

    fn start_with(on_disk: bool) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket that can be asked");
        let shared = Arc::new(Shared {
            host: listener.local_addr().expect("a bound socket has an address").to_string(),
            contents: Mutex::new(Contents::new(on_disk).expect("a temporary directory")),
            rules: Mutex::new(Rules::docker()),
            access: Mutex::default(),
            tokens: Mutex::default(),
            handlers: Mutex::default(),
            log: Log::default(),
            troubles: Troubles::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let served = shared.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                server::serve(listener, served, stopped).await;
            });
        });
        TestRegistry { shared, stop: Some(stop), thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.shared.host
    }

    /// `http://127.0.0.1:PORT` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.shared.host)
    }

    /// Changes how it behaves.
    pub fn set_rules(&self, rules: Rules) {
        *self.shared.rules.lock().expect("no holder panics") = rules;
    }

    /// Changes who may use it.
    pub fn set_access(&self, access: Access) {
        *self.shared.access.lock().expect("no holder panics") = access;
    }

    /// Makes all tokens given out so far worthless.
    pub fn forget_tokens(&self) {
        self.shared.tokens().forget();
    }

    /// Orders trouble.
    pub fn order(&self, trouble: Trouble) {
        self.shared.troubles.add(trouble);
    }

    /// Calls off all trouble.
    pub fn calm(&self) {
        self.shared.troubles.clear();
    }

    /// All requests so far, in the order in which they came.
    pub fn log(&self) -> Vec<Logged> {
        self.shared.log.snapshot()
    }

    /// The requests so far of one method whose path contains a text; an empty method means any.
    pub fn asked(&self, method: &str, path_part: &str) -> Vec<Logged> {
        let matches = |logged: &Logged| (method.is_empty() || logged.method == method) && logged.path.contains(path_part);
        self.log().into_iter().filter(matches).collect()
    }

    /// Empties the log.
    pub fn clear_log(&self) {
        self.shared.log.clear();
    }

    /// Makes an empty repository.
    pub fn create_repository(&self, name: &str) {
        self.shared.contents().repository(name);
    }

    /// Puts a blob into a repository.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let mut contents = self.shared.contents();
        let mut receiving = contents.receive().expect("room for a blob");
        receiving.write(&bytes).expect("room for a blob");
        let (digest, content) = receiving.finish();
        contents.add_blob(repository, digest, content);
        digest
    }

    /// Puts a manifest or index into a repository, under a tag where one is given; nothing is checked.
    pub fn put_manifest(&self, repository: &str, tag: Option<&str>, media_type: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let mut contents = self.shared.contents();
        let found = contents.repository(repository);
        found.manifests.insert(digest, StoredManifest { media_type: media_type.to_owned(), bytes });
        if let Some(tag) = tag {
            found.tags.insert(tag.to_owned(), digest);
        }
        digest
    }

    /// The bytes of a blob that a repository has.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        let content = self.shared.contents().blob(repository, digest)?;
        let mut bytes = Vec::new();
        content.open(0, content.size()).and_then(|mut reader| reader.read_to_end(&mut bytes)).expect("stored bytes can be read");
        Some(bytes)
    }

    /// Media type and bytes of a manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<(String, Bytes)> {
        let contents = self.shared.contents();
        let (_, manifest) = contents.repositories.get(repository)?.manifest(name)?;
        Some((manifest.media_type.clone(), manifest.bytes.clone()))
    }

    /// How many upload sessions are open.
    pub fn open_uploads(&self) -> usize {
        self.shared.contents().uploads.len()
    }

    /// Serves `bytes` at `path`, which lies outside `/v2/`, and gives its URL. Ranges and a strong validator work.
    pub fn put_file(&self, path: &str, media_type: &str, bytes: impl Into<Bytes>) -> String {
        let content = Content::Memory(bytes.into());
        self.shared.contents().files.insert(path.to_owned(), (media_type.to_owned(), content));
        self.url(path)
    }

    /// Serves the files below a directory of this machine, as they are when they are asked for, at `path`, which ends in a slash and lies outside
    /// `/v2/`; gives its URL. Ranges and a strong validator work.
    pub fn serve_directory(&self, path: &str, directory: impl Into<std::path::PathBuf>) -> String {
        self.shared.contents().directories.insert(path.to_owned(), directory.into());
        self.url(path)
    }

    /// Answers every request for `path`, which lies outside `/v2/`, by a function, and gives its URL.
    pub fn on(&self, path: &str, handler: impl Fn(&Logged) -> Asked + Send + Sync + 'static) -> String {
        self.shared.handlers().insert(path.to_owned(), Arc::new(handler));
        self.url(path)
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already; then nobody listens.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
