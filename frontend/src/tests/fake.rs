//! A daemon that is none: an HTTP/2 server in this process that answers the gateway's calls out of its memory and remembers them all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};

use crate::grpc::Connection;
use crate::llb::proto::{Definition, Op};
use crate::messages::{
    ApiCap, FileContent, ImageConfig, Listing, Outcome, Pong, ReadDir, ReadFile, Ref, ResolveImageConfig, Return, Solve, Solved, Stat, WorkerRecord,
};
use crate::options::Options;
use crate::status::CallFailed;
use crate::wire::{Many, Message};

/// What docker 20.10 can do (BuildKit 0.8), as far as it matters here.
pub const OLD: &[&str] = &[
    "constraints",
    "exec.meta.base",
    "exec.meta.network",
    "exec.mount.bind",
    "exec.mount.bind.readwrite-nooutput",
    "exec.mount.secret",
    "exec.mount.selector",
    "file.base",
    "meta.description",
    "meta.ignorecache",
    "platform",
    "source.git",
    "source.git.fullurl",
    "source.git.httpauth",
    "source.http",
    "source.http.checksum",
    "source.http.perm",
    "source.image",
    "source.image.resolvemode",
    "source.local",
    "source.local.followpaths",
    "source.local.sessionid",
    "source.local.sharedkeyhint",
];
const FRONTEND: &[&str] = &["solve.base", "readfile", "readdir", "resolveimage", "return", "frontend.inputs", "gateway.solve.evaluate"];

/// How an answer goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A status and nothing else.
    TrailersOnly,
    /// A message byte by byte: no trouble at all.
    OneByteFrames,
    /// A length that is longer than what follows.
    LongLength,
    /// A message that says it is compressed.
    Compressed,
    /// The stream is reset in the middle.
    Reset,
    /// The connection ends in the middle.
    Gone,
    /// No status at the end.
    NoStatus,
    /// A message that is none.
    Garbage,
    /// More bytes than a message may have.
    Endless,
}

/// The daemon.
#[derive(Clone, Default)]
pub struct Fake {
    /// The folder of the description.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What a step that locks makes.
    pub made_lock: Option<String>,
    /// Why it makes none.
    pub lock_failure: Option<Vec<u8>>,
    /// What the step that hashes local files makes; else what it should make.
    pub digests: Option<Vec<u8>>,
    /// Images: digest and config by reference.
    pub images: BTreeMap<String, (String, Vec<u8>)>,
    /// Capabilities beyond the old ones.
    pub more: Vec<&'static str>,
    /// A method whose answers go wrong.
    pub trouble: Option<(&'static str, Trouble)>,
}

/// What came of a build.
pub struct Built {
    /// What the frontend's process ends with.
    pub outcome: Result<(), CallFailed>,
    /// All calls: method and message.
    pub calls: Vec<(String, Vec<u8>)>,
    /// Most graphs that were being evaluated at the same time.
    pub most_at_once: usize,
}

impl Built {
    /// The messages of all calls of a method.
    pub fn of<M: Message>(&self, method: &str) -> Vec<M> {
        self.calls.iter().filter(|(name, _)| name == method).map(|(_, bytes)| M::read(bytes).unwrap()).collect()
    }

    /// The result that the frontend returned.
    #[track_caller]
    pub fn result(&self) -> Outcome {
        let returned = self.of::<Return>("Return").pop().expect("the frontend returned");
        returned.result.unwrap_or_else(|| panic!("{:?}", returned.error))
    }

    /// The message of the error that the frontend returned.
    #[track_caller]
    pub fn error(&self) -> crate::messages::Status {
        self.of::<Return>("Return").pop().expect("the frontend returned").error.expect("an error")
    }

    /// The operations of the last graph, with their names.
    pub fn operations(&self) -> Vec<(String, Op)> {
        let definition = self.of::<Solve>("Solve").pop().unwrap().definition.unwrap();
        operations(&definition)
    }
}

/// The operations of a graph, with their names.
pub fn operations(definition: &Definition) -> Vec<(String, Op)> {
    let name = |bytes: &Vec<u8>| {
        let digest = byoi::digest::Digest::of(bytes).to_string();
        definition.metadata.get(&digest).and_then(|metadata| metadata.description.get("llb.customname")).cloned().unwrap_or_default()
    };
    definition.def.0.iter().map(|bytes| (name(bytes), Op::read(bytes).unwrap())).collect()
}

/// Builds with these options against the daemon.
pub fn build(fake: &Fake, options: &[(&str, &str)]) -> Built {
    build_at(fake, options, tempfile::tempdir().unwrap().path())
}

/// Builds in this directory, whose path is part of what steps are told, and takes it away.
pub fn build_at(fake: &Fake, options: &[(&str, &str)], work: &Path) -> Built {
    let variables = options
        .iter()
        .enumerate()
        .map(|(number, (name, value))| (format!("BUILDKIT_FRONTEND_OPT_{number}").into(), format!("{name}={value}").into()));
    let options = Options::read(variables.chain([("BUILDKIT_SESSION_ID".into(), "session".into())]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let evaluating = Arc::new(Mutex::new(Evaluating::default()));
    let outcome = runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(serve(fake.clone(), theirs, calls.clone(), evaluating.clone()));
        let work = work.to_owned();
        let built = async { crate::over(Connection::over(ours).await?, options, work).await };
        let outcome = tokio::time::timeout(Duration::from_secs(20), built).await.expect("the frontend ends");
        serving.abort();
        outcome
    });
    runtime.shutdown_background();
    let _ = std::fs::remove_dir_all(work);
    let calls = calls.lock().unwrap().clone();
    let most_at_once = evaluating.lock().unwrap().most;
    Built { outcome, calls, most_at_once }
}

/// Graphs that are being evaluated.
#[derive(Default)]
struct Evaluating {
    now: usize,
    most: usize,
}

/// How long the evaluation of a graph takes, so that some go on at the same time.
const EVALUATION: Duration = Duration::from_millis(5);

async fn evaluate(method: &str, message: &[u8], evaluating: &Mutex<Evaluating>) {
    if method != "Solve" || !Solve::read(message).unwrap().evaluate {
        return;
    }
    let count = |by: isize| {
        let mut evaluating = evaluating.lock().unwrap();
        evaluating.now = evaluating.now.saturating_add_signed(by);
        evaluating.most = evaluating.most.max(evaluating.now);
    };
    count(1);
    tokio::time::sleep(EVALUATION).await;
    count(-1);
}

type Calls = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

async fn serve(fake: Fake, io: tokio::io::DuplexStream, calls: Calls, evaluating: Arc<Mutex<Evaluating>>) {
    let mut connection = h2::server::handshake(io).await.unwrap();
    let solved = Arc::new(Mutex::new(BTreeMap::new()));
    while let Some(Ok((request, respond))) = connection.accept().await {
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let (fake, calls, solved, evaluating) = (fake.clone(), calls.clone(), solved.clone(), evaluating.clone());
        if fake.trouble == Some((name_of(&method), Trouble::Gone)) {
            return;
        }
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut message = Vec::new();
            while let Some(piece) = body.data().await {
                let Ok(piece) = piece else { return };
                let _ = body.flow_control().release_capacity(piece.len());
                message.extend_from_slice(&piece);
            }
            let message = message.split_off(5);
            calls.lock().unwrap().push((method.clone(), message.clone()));
            evaluate(&method, &message, &evaluating).await;
            let answer = fake.answer(&method, &message, &mut solved.lock().unwrap());
            let trouble = fake.trouble.filter(|(troubled, _)| *troubled == method).map(|(_, trouble)| trouble);
            send(respond, answer, trouble).await;
        });
    }
}

/// The method's name, as long as the program lives.
fn name_of(method: &str) -> &'static str {
    ["Ping", "Inputs", "Solve", "ReadFile", "ReadDir", "ResolveImageConfig", "Return", "Warn"].into_iter().find(|name| *name == method).unwrap_or("")
}

async fn send(mut respond: SendResponse<Bytes>, answer: Result<Vec<u8>, (i64, String)>, trouble: Option<Trouble>) {
    let head = Response::builder().status(200).header("content-type", "application/grpc");
    let failed = match (&answer, trouble) {
        (_, Some(Trouble::TrailersOnly)) => Some((5, "it%20is%20not%20here".to_owned())),
        (Err((code, message)), _) => Some((*code, message.clone())),
        _ => None,
    };
    if let Some((code, message)) = failed {
        let head = head.header("grpc-status", code.to_string()).header("grpc-message", message).body(()).unwrap();
        let _ = respond.send_response(head, true);
        return;
    }
    let message = answer.unwrap_or_default();
    let mut framed = vec![u8::from(trouble == Some(Trouble::Compressed))];
    let length = message.len() as u32 + if trouble == Some(Trouble::LongLength) { 7 } else { 0 };
    framed.extend(length.to_be_bytes());
    framed.extend(if trouble == Some(Trouble::Garbage) { vec![0xff; message.len().max(1)] } else { message });
    if trouble == Some(Trouble::Garbage) {
        let length = (framed.len() - 5) as u32;
        framed[1..5].copy_from_slice(&length.to_be_bytes());
    }
    let Ok(mut body) = respond.send_response(head.body(()).unwrap(), false) else { return };
    match trouble {
        Some(Trouble::Reset) => {
            body.send_reset(h2::Reason::INTERNAL_ERROR);
            return;
        }
        Some(Trouble::Endless) => loop {
            body.reserve_capacity(1 << 16);
            let Some(Ok(room)) = std::future::poll_fn(|context| body.poll_capacity(context)).await else { return };
            if body.send_data(Bytes::from(vec![0; room]), false).is_err() {
                return;
            }
        },
        Some(Trouble::OneByteFrames) => {
            for byte in framed {
                let _ = body.send_data(Bytes::from(vec![byte]), false);
            }
        }
        _ => drop(body.send_data(Bytes::from(framed), false)),
    }
    let mut trailers = HeaderMap::new();
    if trouble != Some(Trouble::NoStatus) {
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
    }
    let _ = body.send_trailers(trailers);
}

impl Fake {
    fn answer(&self, method: &str, message: &[u8], solved: &mut BTreeMap<String, bool>) -> Result<Vec<u8>, (i64, String)> {
        match method {
            "Ping" => Ok(self.pong().to_bytes()),
            "Solve" => {
                let definition = Solve::read(message).unwrap().definition.unwrap();
                let locks = |op: &Op| op.exec.iter().filter_map(|exec| exec.meta.as_ref()).any(|meta| meta.args.0.iter().any(|arg| arg == "lock"));
                let id = format!("ref{}", solved.len());
                solved.insert(id.clone(), operations(&definition).iter().any(|(_, op)| locks(op)));
                let reference = Some(Ref { id, definition: None });
                Ok(Solved { result: Some(Outcome { reference, ..Outcome::default() }), ..Solved::default() }.to_bytes())
            }
            "ReadFile" => self.read_file(&ReadFile::read(message).unwrap(), solved).map(|data| FileContent { data }.to_bytes()),
            "ReadDir" => Ok(Listing { entries: Many(self.list(&ReadDir::read(message).unwrap().path)) }.to_bytes()),
            "ResolveImageConfig" => {
                let asked = ResolveImageConfig::read(message).unwrap().reference;
                let (digest, config) = self.images.get(&asked).cloned().ok_or((2, format!("{asked}: not found")))?;
                Ok(ImageConfig { digest, config, reference: asked }.to_bytes())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn pong(&self) -> Pong {
        let enabled = |id: &&str| ApiCap { id: (*id).to_owned(), enabled: true };
        let disabled = ApiCap { id: "mergeop".to_owned(), enabled: false };
        let llb = OLD.iter().chain(&self.more).map(enabled).chain((!self.more.contains(&"mergeop")).then_some(disabled)).collect();
        let frontend = FRONTEND.iter().chain(&self.more).map(enabled).collect();
        let worker = WorkerRecord { id: "worker".to_owned(), platforms: Many(vec![crate::gateway::target_platform()]) };
        Pong { frontend: Many(frontend), llb: Many(llb), workers: Many(vec![worker]) }
    }

    fn read_file(&self, asked: &ReadFile, solved: &BTreeMap<String, bool>) -> Result<Vec<u8>, (i64, String)> {
        let path = asked.path.trim_start_matches('/');
        let made = match path {
            crate::step::DIGESTS_FILE => return Ok(self.digests.clone().unwrap_or_else(|| self.hashed())),
            crate::failure::FILE => self.lock_failure.clone(),
            _ => self.made_lock.as_ref().map(|text| text.clone().into_bytes()),
        };
        let made = made.filter(|_| solved.get(&asked.reference) == Some(&true));
        let data = made.or_else(|| self.files.get(path).cloned()).ok_or((2, format!("open {path}: no such file or directory")))?;
        let range = asked.range.clone().unwrap_or_default();
        let from = (range.offset as usize).min(data.len());
        let to = data.len().min(from + range.length as usize);
        Ok(data[from..to].to_vec())
    }

    fn hashed(&self) -> Vec<u8> {
        let known = self.files.iter().map(|(path, data)| (path, (data.len(), byoi::digest::Digest::of(data))));
        byoi::json::canonical_of(&known.collect::<BTreeMap<_, _>>())
    }

    fn list(&self, directory: &str) -> Vec<Stat> {
        let prefix = match directory.trim_matches('/') {
            "" => String::new(),
            inside => format!("{inside}/"),
        };
        let mut names = BTreeSet::new();
        let below = self.files.iter().filter_map(|(path, data)| Some((path.strip_prefix(&prefix)?, data)));
        let entries = below.filter_map(|(rest, data)| {
            let (name, is_directory) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
            let mode = if is_directory { (1 << 31) | 0o755 } else { 0o644 };
            names.insert(name.to_owned()).then(|| Stat { path: name.to_owned(), mode, size: data.len() as i64, link: String::new() })
        });
        entries.collect()
    }
}
