//! BuildKit's gateway: what a frontend may ask of the daemon (`frontend/gateway/pb/gateway.proto`). Capabilities are asked before they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use byoi::contract;

use crate::grpc::Connection;
use crate::llb::proto::{Definition, Platform};
use crate::llb::{Edge, Graph};
use crate::messages::{
    CacheImport, Empty, FileContent, FileRange, ImageConfig, InputsAnswer, Listing, Outcome, Pong, ReadDir, ReadFile, Ref, ResolveImageConfig,
    Return, Solve, Solved, Stat, Status, Warn,
};
use crate::status::{CallFailed, code};
use crate::wire::{Many, Message};

const SERVICE: &str = "/moby.buildkit.v1.frontend.LLBBridge/";

/// How long the daemon may take for what it answers out of its memory. Calls that may solve a graph have no deadline.
const PROMPT: Duration = Duration::from_secs(60);

/// Bytes of a file that are read at once: below the limit of a message in every release.
const PIECE: u64 = 2 << 20;

/// The daemon, and what it can do.
#[derive(Clone)]
pub struct Gateway {
    connection: Connection,
    frontend: BTreeSet<String>,
    llb: BTreeSet<String>,
    /// The platform on which steps run.
    pub worker: Platform,
}

/// A solved graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(pub String);

/// An image's config, looked up by the daemon.
#[derive(Debug, Clone)]
pub struct ResolvedImage {
    /// The manifest's digest; none for an image of docker's own store.
    pub digest: Option<String>,
    /// The config's bytes.
    pub config: Vec<u8>,
}

impl Gateway {
    /// Asks the daemon what it can do.
    ///
    /// # Errors
    /// A daemon that does not answer, or lacks what every build needs.
    pub async fn ping(connection: Connection) -> Result<Self, CallFailed> {
        let pong: Pong = connection.call(&format!("{SERVICE}Ping"), &Empty {}, Some(PROMPT)).await?;
        let enabled = |caps: Many<crate::messages::ApiCap>| caps.0.into_iter().filter(|cap| cap.enabled).map(|cap| cap.id).collect();
        let worker = pong.workers.0.into_iter().flat_map(|worker| worker.platforms.0).next().unwrap_or_else(target_platform);
        let gateway = Gateway { connection, frontend: enabled(pong.frontend), llb: enabled(pong.llb), worker };
        for needed in ["solve.base", "readfile", "resolveimage", "return"] {
            if !gateway.can(needed) {
                return Err(CallFailed::new("ask the daemon what it can do", code::UNIMPLEMENTED, lacks(needed)));
            }
        }
        Ok(gateway)
    }

    /// Whether the gateway has a capability.
    pub fn can(&self, capability: &str) -> bool {
        self.frontend.contains(capability)
    }

    /// Whether graphs may use a capability.
    pub fn can_solve(&self, capability: &str) -> bool {
        self.llb.contains(capability)
    }

    /// Whether this is BuildKit before 0.13, as in docker before 26, which does not bear much at the same time: it begins all sources of a graph at
    /// once and lets the build fail with the first connection that a server refuses; and calls for one result get in each other's way
    /// until one gives up ("flightcontrol: exceeded retry timeout").
    pub fn is_old(&self) -> bool {
        const NEW: &str = "source.metaresolver";
        !self.can(NEW) && !self.can_solve(NEW)
    }

    async fn call<Q: Message, A: Message>(&self, method: &str, request: &Q, deadline: Option<Duration>, doing: &str) -> Result<A, CallFailed> {
        let called = self.connection.call(&format!("{SERVICE}{method}"), request, deadline).await;
        called.map_err(|failed| CallFailed { doing: doing.to_owned(), ..failed })
    }

    /// States that the caller gives in the place of local sources, by name.
    ///
    /// # Errors
    /// As every call.
    pub async fn inputs(&self) -> Result<BTreeMap<String, Definition>, CallFailed> {
        if !self.can("frontend.inputs") {
            return Ok(BTreeMap::new());
        }
        let answer: InputsAnswer = self.call("Inputs", &Empty {}, Some(PROMPT), "ask for inputs").await?;
        Ok(answer.definitions)
    }

    /// Looks an image up.
    ///
    /// # Errors
    /// An image that is not there, or not for the platform.
    pub async fn resolve_image(&self, request: &ResolveImageConfig) -> Result<ResolvedImage, CallFailed> {
        let doing = format!("look up the image {}", request.reference);
        let answer: ImageConfig = self.call("ResolveImageConfig", request, None, &doing).await?;
        Ok(ResolvedImage { digest: Some(answer.digest).filter(|digest| !digest.is_empty()), config: answer.config })
    }

    /// Solves a graph up to `head`. Without `evaluate` its errors may come up later, where the result is used.
    ///
    /// # Errors
    /// A daemon that lacks a capability which the graph needs; what its steps report.
    pub async fn solve(&self, graph: &Graph, head: &Edge, evaluate: bool, cache: &[CacheImport], doing: &str) -> Result<Reference, CallFailed> {
        if let Some(lacking) = graph.capabilities().into_iter().find(|name| !self.can_solve(name)) {
            return Err(CallFailed::new(doing, code::UNIMPLEMENTED, lacks(lacking)));
        }
        let cache = if self.can("importcaches") { cache.to_vec() } else { Vec::new() };
        let request = Solve {
            definition: Some(graph.definition(head)),
            allow_result_return: true,
            allow_result_array_ref: true,
            cache_imports: Many(cache),
            evaluate: evaluate && self.can("gateway.solve.evaluate"),
        };
        let solved: Solved = self.call("Solve", &request, None, doing).await?;
        let reference = match solved.result {
            Some(Outcome { reference: Some(Ref { id, .. }), .. }) | Some(Outcome { ref_deprecated: Some(id), .. }) => id,
            Some(_) => return Err(CallFailed::new(doing, code::INTERNAL, "the daemon gave another kind of result than was asked for")),
            None => solved.reference,
        };
        Ok(Reference(reference))
    }

    /// A file of a result, whole.
    ///
    /// # Errors
    /// A file that is not there or larger than `most` bytes.
    pub async fn read_file(&self, of: &Reference, path: &str, most: u64) -> Result<Vec<u8>, CallFailed> {
        let mut all = Vec::new();
        loop {
            let piece = self.read_piece(of, path, all.len() as u64).await?;
            let last = (piece.len() as u64) < PIECE;
            all.extend_from_slice(&piece);
            if all.len() as u64 > most {
                return Err(CallFailed::new(format!("read {path}"), code::UNKNOWN, format!("it is larger than {most} bytes")));
            }
            if last {
                return Ok(all);
            }
        }
    }

    /// A piece of a file from `offset` on; shorter than others only at the end.
    ///
    /// # Errors
    /// A file that is not there.
    pub async fn read_piece(&self, of: &Reference, path: &str, offset: u64) -> Result<Vec<u8>, CallFailed> {
        let range = Some(FileRange { offset: offset as i64, length: PIECE as i64 });
        let request = ReadFile { reference: of.0.clone(), path: path.to_owned(), range };
        let content: FileContent = self.call("ReadFile", &request, None, &format!("read {path}")).await?;
        if content.data.len() as u64 > PIECE {
            return Err(CallFailed::new(format!("read {path}"), code::INTERNAL, "the daemon gave more than was asked for"));
        }
        Ok(content.data)
    }

    /// What stands in a directory of a result.
    ///
    /// # Errors
    /// A directory that is not there.
    pub async fn read_directory(&self, of: &Reference, path: &str) -> Result<Vec<Stat>, CallFailed> {
        let request = ReadDir { reference: of.0.clone(), path: path.to_owned() };
        let listing: Listing = self.call("ReadDir", &request, None, &format!("read {path}")).await?;
        Ok(listing.entries.0)
    }

    /// Shows a warning, where the daemon can.
    ///
    /// # Errors
    /// As every call.
    pub async fn warn(&self, warning: &Warn) -> Result<(), CallFailed> {
        if self.can("gateway.warnings") {
            let Empty {} = self.call("Warn", warning, Some(PROMPT), "show a warning").await?;
        }
        Ok(())
    }

    /// Ends the build with its result.
    ///
    /// # Errors
    /// As every call.
    pub async fn finish(&self, result: Result<Outcome, Status>) -> Result<(), CallFailed> {
        let request = match result {
            Ok(outcome) => Return { result: Some(outcome), error: None },
            Err(status) => Return { result: None, error: Some(status) },
        };
        let Empty {} = self.call("Return", &request, Some(PROMPT), "end the build").await?;
        Ok(())
    }
}

fn lacks(capability: &str) -> String {
    format!("this BuildKit lacks `{capability}`, or has it switched off")
}

/// The platform of the images that byoi makes.
pub fn target_platform() -> Platform {
    Platform { architecture: contract::ARCHITECTURE.to_owned(), os: contract::OS.to_owned(), ..Platform::default() }
}
