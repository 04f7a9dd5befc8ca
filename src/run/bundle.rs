//! runc or crun, where there is no docker: an OCI bundle in a temporary directory, made by byoi itself. Needs root, of this machine or of a
//! user namespace that has the ids up to 65535: files belong to whom the image says.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::diagnosis;
use super::engine::{Engine, MAX_OUTPUT, Said, Start, State};
use super::error::RunError;
use super::ids::may_give_files_away;
use super::listeners::Listeners;
use super::oci_config::{self, Places};
use super::relay::Relay;
use super::request::{Home, Prepared, Request, Source};
use super::space::{self, ImageConfig, METADATA_FILE, Space};
use crate::assemble::Image;
use crate::base;
use crate::error::{Error, FileError};
use crate::json;
use crate::progress::Progress;

/// The container's name for the runtime, which keeps its state in our own directory.
const ID: &str = "byoi-run";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a runtime may take until the container is made.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a container may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// A bundle and, later, a container.
pub struct Bundle {
    client: Client,
    version: String,
    /// The first process of the container and what belongs to it.
    running: Option<Running>,
    listener: TcpListener,
    /// Ends the unpacking.
    stop: Arc<AtomicBool>,
    /// Held while layers are being unpacked.
    unpacking: Arc<Mutex<()>>,
    home: PathBuf,
    directory: TempDir,
}

struct Running {
    /// Its number on this machine.
    process: u32,
    /// The runtime, which ends with the container and with its exit code.
    runtime: Mutex<Child>,
    /// Goes first, so that nobody is led to a network that is going.
    _relay: Option<Relay>,
}

impl Bundle {
    /// The runtime behind this program, if it can serve here; else why not.
    ///
    /// # Errors
    /// Why not.
    pub async fn version(client: &Client) -> Result<String, String> {
        let said = client.ask(&["--version"]).await.map_err(|error| crate::error::Problem::of(&error).message)?;
        may_give_files_away()?;
        Ok(said.out.lines().next().and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned())
    }

    /// Unpacks the image, ready to be started.
    ///
    /// # Errors
    /// An image that cannot be read, a full disk, a port that is taken.
    pub async fn prepare(client: Client, version: String, request: Request<'_>) -> Result<Prepared, Error> {
        let Request { source, space, home, port, progress } = request;
        let image = match source {
            Source::Image(image, _) => image,
            Source::Engine(name) => return Err(RunError::NoImage { engine: client.program(), image: name.to_owned() }.into()),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()));
        let listener = TcpListener::bind(address).map_err(FileError::at("listen on", address.to_string()))?;
        let directory =
            tempfile::Builder::new().prefix("byoi-run-").tempdir().map_err(FileError::at("create a directory in", std::env::temp_dir()))?;
        let (home, used_home) = home_directory(home, directory.path())?;
        let (stop, unpacking) = (Arc::default(), Arc::default());
        // From here on its end takes away whatever was made.
        let bundle = Bundle { client, version, running: None, listener, stop, unpacking, home, directory };
        bundle.unpack(image, progress).await?;
        let config = config(image);
        bundle.write(&config, &space)?;
        Ok(Prepared { engine: Box::new(bundle), command: space.command(&config), used_home })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn path_text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// In a thread that comes to its end, so that nothing is written into a directory that is being taken away.
    async fn unpack(&self, image: &Image, progress: Arc<dyn Progress>) -> Result<(), Error> {
        let root = self.path("rootfs");
        fs::create_dir(&root).and_then(|()| open_to_all(&root)).map_err(FileError::at("create", &root))?;
        let layers: Vec<_> = image.layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let blobs: Vec<_> = image.layers.iter().map(|layer| layer.blobs.clone()).collect();
        let (stop, unpacking) = (self.stop.clone(), self.unpacking.clone());
        let runtime = tokio::runtime::Handle::current();
        let unpacked = tokio::task::spawn_blocking(move || {
            let _held = unpacking.lock().unwrap_or_else(PoisonError::into_inner);
            runtime.block_on(base::unpack(&layers, &diff_ids, &blobs, &root, &*progress, &stop))
        });
        unpacked.await.unwrap_or_else(|panic| Err(self.failed("unpack", panic.to_string())))
    }

    fn write(&self, config: &ImageConfig, space: &Space) -> Result<(), Error> {
        let metadata = self.path("metadata");
        let put = |path: &Path, bytes: &[u8]| fs::write(path, bytes).map_err(FileError::at("write", path));
        fs::create_dir(&metadata).and_then(|()| open_to_all(&metadata)).map_err(FileError::at("create", &metadata))?;
        put(&metadata.join(METADATA_FILE), &Space::metadata())?;
        put(&self.path("hosts"), oci_config::hosts().as_bytes())?;
        let (home, metadata, hosts) = (self.home.display().to_string(), metadata.display().to_string(), self.path_text("hosts"));
        let document = oci_config::document(config, space, &Places { home: &home, metadata: &metadata, hosts: &hosts });
        put(&self.path("config.json"), json::pretty(document).as_bytes())?;
        Ok(())
    }

    /// The runtime's words for something about the container.
    fn words<'a>(&self, words: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
        let state = self.path_text("state");
        let first = ["--root".into(), state.into()];
        first.into_iter().chain(words.iter().map(|word| (*word).into())).collect()
    }

    /// Starts the runtime, which stays beside the container and passes its output on.
    fn spawn(&self) -> Result<Child, Error> {
        let log = self.path("log");
        let out = File::create(&log).map_err(FileError::at("create", &log))?;
        let err = out.try_clone().map_err(FileError::at("write", &log))?;
        let (directory, runtime_log, number) = (self.path_text(""), self.path_text("runtime.log"), self.path_text("process"));
        // What the last container left.
        let _ = fs::remove_file(&runtime_log);
        let _ = fs::remove_file(&number);
        let words = self.words(&["--log", &runtime_log, "run", "--bundle", &directory, "--pid-file", &number, ID]);
        let spawned = self.client.command(&words).stdout(out).stderr(err).spawn();
        Ok(spawned.map_err(|cause| RunError::Program { program: self.client.program(), cause })?)
    }

    /// The number of the container's first process, once it is made.
    fn made(&self) -> Option<u32> {
        fs::read_to_string(self.path("process")).ok()?.trim().parse().ok()
    }

    /// Waits for that number; none where the runtime ended without making it.
    async fn process(&self) -> Result<Option<u32>, Error> {
        let begun = Instant::now();
        loop {
            let ended = self.ended()?.is_some();
            if let Some(number) = self.made() {
                return Ok(Some(number));
            }
            if ended {
                return Ok(None);
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.failed("run", format!("no container after {} s", PATIENCE.as_secs())));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn failed(&self, what: &str, message: String) -> Error {
        RunError::Refused { command: format!("{} {what}", self.client.program()), message }.into()
    }

    /// The exit code, if the container has ended.
    fn ended(&self) -> Result<Option<i64>, Error> {
        let Some(running) = &self.running else { return Ok(Some(0)) };
        let mut runtime = running.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let status = runtime.try_wait().map_err(FileError::at("wait for", self.client.program()))?;
        Ok(status.map(|status| status.code().map_or(137, i64::from)))
    }

    async fn wait(&self) -> Result<Option<i64>, Error> {
        let begun = Instant::now();
        loop {
            match self.ended()? {
                None if begun.elapsed() < GRACE => tokio::time::sleep(PAUSE).await,
                ended => return Ok(ended),
            }
        }
    }

    /// Takes the container away, now. A runtime that is about to make one makes it first: one that is killed meanwhile leaves half of it.
    fn remove(&mut self) {
        let begun = Instant::now();
        while self.made().is_none() && matches!(self.ended(), Ok(None)) && begun.elapsed() < GRACE {
            std::thread::sleep(PAUSE);
        }
        let Some(running) = self.running.take() else { return };
        self.client.remove(&self.words(&["kill", ID, "KILL"]));
        self.client.remove(&self.words(&["delete", "--force", ID]));
        let mut runtime = running.runtime.into_inner().unwrap_or_else(PoisonError::into_inner);
        // It ends with the container.
        let _ = runtime.kill();
        let _ = runtime.wait();
    }
}

#[async_trait]
impl Engine for Bundle {
    fn name(&self) -> String {
        format!("{} {}", self.client.program(), self.version)
    }

    async fn start(&mut self) -> Result<Start, Error> {
        self.remove();
        // Known before anything is waited for: whoever ends the waiting takes it away.
        self.running = Some(Running { process: 0, runtime: Mutex::new(self.spawn()?), _relay: None });
        let Some(process) = self.process().await? else {
            let said = [read_end(&self.path("runtime.log")), read_end(&self.path("log"))].concat();
            self.remove();
            return if diagnosis::is_refusal(&said) { Ok(Start::Refused(said)) } else { Err(self.failed("run", said.trim().to_owned())) };
        };
        if let Some(running) = &mut self.running {
            running.process = process;
            // A process that has ended already has no network; that it ended is seen next.
            running._relay = Relay::start(&self.listener, process).ok();
        }
        Ok(Start::Begun)
    }

    async fn state(&self) -> Result<State, Error> {
        Ok(self.ended()?.map_or(State::Running, State::Ended))
    }

    async fn listeners(&self) -> Option<Listeners> {
        let process = self.running.as_ref()?.process;
        let table = |name: &str| fs::read_to_string(format!("/proc/{process}/net/{name}"));
        Some(Listeners::read(&(table("tcp").ok()? + &table("tcp6").unwrap_or_default())))
    }

    async fn address(&self) -> Result<SocketAddr, Error> {
        Ok(self.listener.local_addr().map_err(FileError::at("find", "the port"))?)
    }

    async fn exec(&self, words: &[&str]) -> Result<Said, Error> {
        self.client.ask(&self.words(&[&["exec", ID], words].concat())).await
    }

    async fn log(&self) -> Result<String, Error> {
        Ok(read_end(&self.path("log")))
    }

    async fn stop(&mut self) -> Result<i64, Error> {
        self.client.ask(&self.words(&["kill", ID, "TERM"])).await?;
        let code = self.wait().await?;
        self.remove();
        Ok(code.unwrap_or(137))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.unpacking.lock().unwrap_or_else(PoisonError::into_inner));
        self.remove();
    }
}

/// The config of an image that byoi has.
fn config(image: &Image) -> ImageConfig {
    let config: Value = serde_json::from_slice(&image.config).unwrap_or_default();
    ImageConfig::read(config.get("config").unwrap_or(&Value::Null))
}

/// The directory that lies over the home, and whether somebody has used it before.
fn home_directory(home: Home, temporary: &Path) -> Result<(PathBuf, bool), Error> {
    let path = match home {
        Home::New => temporary.join("home"),
        Home::Kept(path) if path.contains('/') => std::path::absolute(&path).map_err(FileError::at("find", path))?,
        Home::Kept(name) => return Err(RunError::NoVolumes { name }.into()),
    };
    fs::create_dir_all(&path).map_err(FileError::at("create", &path))?;
    let used = fs::read_dir(&path).map_err(FileError::at("read", &path))?.next().is_some();
    if !used {
        let (uid, gid) = space::owner();
        chown(&path, Some(uid), Some(gid)).and_then(|()| open_to_all(&path)).map_err(FileError::at("give away", &path))?;
    }
    Ok((path, used))
}

/// Whatever the umask is.
fn open_to_all(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// The last part of a file; empty where there is none.
fn read_end(path: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_OUTPUT)))?;
        let mut bytes = Vec::new();
        file.take(MAX_OUTPUT).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}
