//! docker and podman, told by their command what to do: so contexts, rootless daemons and remote ones work as the user has set them up.

use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;

use super::client::Client;
use super::diagnosis;
use super::engine::{Engine, Said, Start, State};
use super::error::RunError;
use super::laid::Member;
use super::listeners::Listeners;
use super::request::{Home, Prepared, Request, Source};
use super::space::{self, HIDDEN_DIRECTORIES, ImageConfig, METADATA_DIRECTORY, METADATA_FILE, Space};
use crate::assemble::Image;
use crate::contract;
use crate::error::{Error, FileError, Problem};
use crate::output::archive;
use crate::reference::Reference;
use crate::store::Store;

/// Seconds after which a container that was asked to end is killed.
const GRACE: &str = "10";
/// Lines of the log that are looked at.
const LOG_LINES: &str = "2000";
/// How long an engine may take to notice that an image does not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);
/// The label of all that byoi makes: `docker ps --filter label=byoi.run` finds what a killed byoi left.
const LABEL: &str = "byoi.run";

/// What asks docker for its daemon's version.
const SERVER_VERSION: [&str; 3] = ["version", "--format", "{{.Server.Version}}"];

/// docker or podman with an image, a volume and, later, a container.
pub struct Docker {
    client: Client,
    version: String,
    space: Space,
    /// What container, volumes and image are called.
    name: String,
    image: String,
    home: Home,
    port: Option<u16>,
}

impl Docker {
    /// The engine behind this program, if it answers; else why not.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn version(client: &Client) -> Result<String, String> {
        // Podman has a server only where it is remote.
        let words = if client.program().ends_with("podman") { ["info", "--format", "{{.Version.Version}}"] } else { SERVER_VERSION };
        let said = client.ask(&words).await.map_err(|error| Problem::of(&error).message)?;
        if said.success { Ok(said.out.trim().to_owned()) } else { Err(last_line(&said.err)) }
    }

    /// Brings the image and makes the volume, ready to be started.
    ///
    /// # Errors
    /// An image that is not there or not taken, an engine that fails.
    pub async fn prepare(client: Client, version: String, request: Request<'_>) -> Result<Prepared, Error> {
        let Request { source, space, home, port, .. } = request;
        let name = format!("byoi-run-{:016x}", fastrand::u64(..));
        let image = format!("localhost/{name}:latest");
        // From here on its end takes away whatever was made.
        let docker = Docker { client, version, space, name, image, home: absolute(home)?, port };
        match source {
            Source::Engine(name) => docker.take(name).await?,
            Source::Image(image, store) => docker.load(image, store).await?,
        }
        let command = docker.space.command(&docker.config().await?);
        let used_home = docker.make_volumes().await?;
        Ok(Prepared { engine: Box::new(docker), command, used_home })
    }

    /// Gives an image of the engine our own name, which goes with us.
    async fn take(&self, image: &str) -> Result<(), Error> {
        let said = self.client.make(&["tag", image, &self.image], None).await?;
        if said.success {
            return Ok(());
        }
        if said.err.to_lowercase().contains("no such image") || said.err.contains("image not known") {
            return Err(RunError::NoImage { engine: self.client.program(), image: image.to_owned() }.into());
        }
        Err(self.client.refused(&["tag"], &said))
    }

    /// Loads the image, unless the engine has it already under any name.
    async fn load(&self, image: &Image, store: &Store) -> Result<(), Error> {
        for id in [image.config_descriptor.digest, image.digest] {
            if self.client.make(&["tag", &id.to_string(), &self.image], None).await?.success {
                return Ok(());
            }
        }
        let reference: Reference = self.image.parse().expect("`localhost/`, letters and digits are a reference");
        let words = ["load", "--quiet"];
        let spawned = self.client.command(&words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let failed = |cause| Error::from(RunError::Program { program: self.client.program(), cause });
        let mut loading = Loading(spawned.map_err(failed)?);
        let stdin = loading.0.stdin.take().map(tokio::process::ChildStdin::from_std).transpose().map_err(failed)?;
        let stderr = loading.0.stderr.take();
        let told = tokio::task::spawn_blocking(move || stderr.map(std::io::read_to_string).transpose().unwrap_or_default().unwrap_or_default());
        let streamed = match stdin {
            Some(stdin) => {
                archive::stream_docker(image, stdin, Some(&reference), store, format!("send the image to {}", self.client.program())).await
            }
            None => Ok(Default::default()),
        };
        // An engine that refuses ends the stream: what it says, says more than the broken pipe.
        let err = told.await.unwrap_or_default();
        let success = loading.0.wait().map_err(failed)?.success();
        if !success && !err.trim().is_empty() {
            return Err(self.client.refused(&words, &Said { success, out: String::new(), err }));
        }
        streamed?;
        Ok(())
    }

    async fn config(&self) -> Result<ImageConfig, Error> {
        let text = self.client.answer(&["image", "inspect", "--format", "{{json .Config}}", &self.image]).await?;
        Ok(ImageConfig::read(&serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn home_volume(&self) -> &str {
        match &self.home {
            Home::New => &self.name,
            Home::Kept(name) => name,
        }
    }

    fn metadata_volume(&self) -> String {
        format!("{}-metadata", self.name)
    }

    /// A volume is root's and has what the image has at its place. Studio's is neither: so it is made without the copy, and then gets its owner
    /// from a tar, for which no program of the image has to run.
    /// Whether somebody has used the home before is the answer.
    async fn make_volumes(&self) -> Result<bool, Error> {
        let mut members = vec![Member::File(METADATA_DIRECTORY, METADATA_FILE, Space::metadata())];
        let is_new = match &self.home {
            Home::New => true,
            // A directory of this machine.
            Home::Kept(path) if path.contains('/') => std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()),
            Home::Kept(volume) => !self.client.ask(&["volume", "inspect", volume]).await?.success,
        };
        if is_new {
            members.push(Member::Directory(contract::HOME));
        }
        let volumes = [self.home_volume().to_owned(), self.metadata_volume()];
        for volume in volumes.iter().filter(|volume| !volume.contains('/')) {
            self.client.made(&["volume", "create", "--label", LABEL, volume], None).await?;
        }
        let words = self.create_words();
        self.client.made(&words, None).await?;
        for member in &members {
            let place = format!("{}:{}", self.name, member.above());
            self.client.made(&["cp", "-", &place], Some(member.tar())).await?;
        }
        self.client.made(&["rm", "--force", &self.name], None).await?;
        Ok(!is_new)
    }

    /// `docker create` as Studio would.
    fn create_words(&self) -> Vec<String> {
        let (uid, gid) = space::owner();
        let mut words: Vec<String> = ["create", "--name", &self.name, "--label", LABEL].map(str::to_owned).into();
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        option("--user", format!("{uid}:{gid}"));
        option("--publish", format!("127.0.0.1:{}:{}", self.port.map(|port| port.to_string()).unwrap_or_default(), contract::SERVER_PORT));
        for directory in HIDDEN_DIRECTORIES {
            option("--tmpfs", (*directory).to_owned());
        }
        option("--volume", format!("{}:{METADATA_DIRECTORY}:nocopy", self.metadata_volume()));
        let home = self.home_volume();
        let nocopy = if home.contains('/') { "" } else { ":nocopy" };
        option("--volume", format!("{home}:{}{nocopy}", contract::HOME));
        for (name, value) in &self.space.variables {
            option("--env", format!("{name}={value}"));
        }
        if let Some(word) = &self.space.entrypoint {
            option("--entrypoint", word.clone());
        }
        words.push(self.image.clone());
        words.extend(self.space.arguments.iter().flatten().cloned());
        words
    }

    async fn state_object(&self) -> Result<Value, Error> {
        let text = self.client.answer(&["inspect", "--format", "{{json .State}}", &self.name]).await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

#[async_trait]
impl Engine for Docker {
    fn name(&self) -> String {
        format!("{} {}", self.client.program(), self.version)
    }

    async fn start(&mut self) -> Result<Start, Error> {
        self.client.make(&["rm", "--force", &self.name], None).await?;
        // Podman looks for the program when it creates, docker when it starts.
        for words in [self.create_words(), vec!["start".to_owned(), self.name.clone()]] {
            let said = self.client.make(&words, None).await?;
            if !said.success {
                let refused = diagnosis::is_refusal(&said.err);
                return if refused { Ok(Start::Refused(said.err.trim().to_owned())) } else { Err(self.client.refused(&words, &said)) };
            }
        }
        Ok(Start::Begun)
    }

    async fn state(&self) -> Result<State, Error> {
        let state = self.state_object().await?;
        let code = state.get("ExitCode").and_then(Value::as_i64).unwrap_or_default();
        Ok(if state.get("Running").and_then(Value::as_bool).unwrap_or_default() { State::Running } else { State::Ended(code) })
    }

    async fn listeners(&self) -> Option<Listeners> {
        // Without IPv6 the second table is missing, and the first is still read.
        let said = self.exec(&["cat", "/proc/net/tcp", "/proc/net/tcp6"]).await.ok()?;
        said.out.contains("local_address").then(|| Listeners::read(&said.out))
    }

    async fn address(&self) -> Result<SocketAddr, Error> {
        let words = ["port", &self.name, &format!("{}/tcp", contract::SERVER_PORT)];
        let text = self.client.answer(&words).await?;
        let address = text.lines().find_map(|line| line.trim().parse().ok());
        address.ok_or_else(|| self.client.refused(&words, &Said { err: format!("it says `{}`", text.trim()), ..Said::default() }))
    }

    async fn exec(&self, words: &[&str]) -> Result<Said, Error> {
        let all: Vec<&str> = ["exec", &self.name].into_iter().chain(words.iter().copied()).collect();
        self.client.ask(&all).await
    }

    async fn log(&self) -> Result<String, Error> {
        let said = self.client.ask(&["logs", "--tail", LOG_LINES, &self.name]).await?;
        Ok(said.out + &said.err)
    }

    async fn stop(&mut self) -> Result<i64, Error> {
        self.client.made(&["stop", "--time", GRACE, &self.name], None).await?;
        Ok(self.state_object().await?.get("ExitCode").and_then(Value::as_i64).unwrap_or_default())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let settled = self.client.settled();
        self.client.remove(&["rm", "--force", "--volumes", &self.name]);
        if self.home == Home::New {
            self.client.remove(&["volume", "rm", "--force", &self.name]);
        }
        self.client.remove(&["volume", "rm", "--force", &self.metadata_volume()]);
        self.client.remove(&["image", "rm", &self.image]);
        drop(settled);
    }
}

/// An image on its way into the engine. Its stream ends before it does, so the engine's answer is not far: waiting for it leaves no image that
/// comes after its name was taken away.
struct Loading(Child);

impl Drop for Loading {
    fn drop(&mut self) {
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if begun.elapsed() > PATIENCE {
                // An engine that hangs keeps nobody from leaving.
                let _ = self.0.kill();
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A directory as an engine takes it; it is made if it is not there.
fn absolute(home: Home) -> Result<Home, Error> {
    match home {
        Home::Kept(path) if path.contains('/') => {
            std::fs::create_dir_all(&path).map_err(FileError::at("create", &path))?;
            let path = std::path::absolute(&path).map_err(FileError::at("find", &path))?;
            Ok(Home::Kept(path.display().to_string()))
        }
        other => Ok(other),
    }
}

/// What a program says last: the error itself, after what it says about its way there.
fn last_line(text: &str) -> String {
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it failed and said nothing").to_owned()
}
