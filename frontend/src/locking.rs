//! A description without a current lock: one step with network runs the resolver of the library, and its lock is used. Whoever commits the lock
//! (`--target lock --output .`) has builds that are pinned, and whose steps use no network.

use std::time::SystemTime;

use byoi::conda;
use byoi::description::{self, Description};
use byoi::error::{Error, Fault, Kind, Problem, Source};
use byoi::lock::{self, Lock, Stale};

use crate::base::Replacement;
use crate::failure::{self, Failure};
use crate::gateway::Reference;
use crate::llb::{Edge, Exec, Graph, Mounted, VertexOptions};
use crate::messages::Outcome;
use crate::project::{self, Texts};
use crate::session::{BINARY, Session};
use crate::status::{CallFailed, code};
use crate::step;

/// A description with a lock that is current.
pub struct Locked {
    /// The description, on the base that is to be used.
    pub description: Description,
    /// The lock.
    pub lock: Lock,
    /// The lock's text.
    pub lock_text: String,
    /// What is in the base's place.
    pub replacement: Option<Replacement>,
    /// Whether the lock was made in this build.
    pub made: bool,
}

/// The lock is not current, and may not be made.
#[derive(Debug, thiserror::Error)]
#[error("{name} {}, and BYOI_LOCKED=1 forbids to make one{}", if *.missing { "is not there" } else { "is stale" }, lock::reasons(.stale))]
struct NotCurrent {
    name: String,
    missing: bool,
    stale: Vec<Stale>,
}

impl Fault for NotCurrent {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("run `byoi lock`, or `docker build --target lock --output . -f byoi.toml .`, and commit the lock".to_owned())
    }
}

/// The base may not be looked at, so it cannot be locked.
#[derive(Debug, thiserror::Error)]
#[error("the OCI layout in the base's place is {found}, but the lock is for {}", .locked.as_deref().unwrap_or("no base yet"))]
struct OtherLayout {
    found: String,
    locked: Option<String>,
}

impl Fault for OtherLayout {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some(
            "a layout stands in for the locked base alone: lock with the command, `byoi lock`, on `base = \"oci:DIRECTORY\"`, or use a registry"
                .to_owned(),
        )
    }
}

impl Locked {
    /// The lock as it is, where it is current; else one that a step makes. Local files have been brought over.
    ///
    /// # Errors
    /// A description or lock that is wrong; with `BYOI_LOCKED=1` a lock that is not current; what resolving reports.
    pub async fn find(session: &Session, texts: &Texts) -> Result<Self, Error> {
        let mut description = texts.description()?;
        let old = texts.lock()?;
        let replacement = Replacement::find(&description, &session.options)?;
        if let Some(replacement) = &replacement {
            let found = replacement.digest(&session.gateway, &session.options).await?;
            let locked = old.as_ref().and_then(|old| old.base.digest);
            let is_locked = found.is_some() && (found == locked || found == old.as_ref().and_then(|old| old.base.index));
            match replacement {
                _ if is_locked => {}
                Replacement::Image(reference) => {
                    let reference = found.map_or_else(|| reference.clone(), |digest| reference.with_digest(digest));
                    description = on_base(&description, &reference.to_string())?;
                }
                Replacement::Layout { digest, .. } => {
                    return Err(OtherLayout { found: digest.to_string(), locked: locked.map(|digest| digest.to_string()) }.into());
                }
            }
        }
        let conda = conda::requirement(&description, &session.project())?;
        let stale = old.as_ref().map(|old| old.staleness(&description, conda.as_ref()));
        if let (Some(lock), Some([])) = (&old, stale.as_deref()) {
            let lock_text = texts.lock.clone().unwrap_or_default();
            return Ok(Locked { description, lock: lock.clone(), lock_text, replacement, made: false });
        }
        if session.options.locked() {
            let missing = stale.is_none();
            return Err(NotCurrent { name: texts.lock_name.clone(), missing, stale: stale.unwrap_or_default() }.into());
        }
        let lock_text = resolve(session, texts, &description).await?;
        let lock = lock::parse(&texts.lock_name, &lock_text)?;
        Ok(Locked { description, lock, lock_text, replacement, made: true })
    }

    /// What a build with a lock that it made itself has to say.
    pub fn warning(&self, texts: &Texts) -> Option<Problem> {
        let what = if texts.lock.is_some() { "is stale" } else { "is not there" };
        let problem = Problem::new(format!("this build is not pinned: {} {what}, so its inputs were looked up anew", texts.lock_name));
        self.made.then(|| problem.help("commit the lock that `docker build --target lock --output . -f byoi.toml .` writes"))
    }

    /// The result of the target `lock`: a directory with the lock alone.
    ///
    /// # Errors
    /// As every call.
    pub async fn outcome(&self, session: &Session, texts: &Texts) -> Result<Outcome, Error> {
        let mut graph = Graph::default();
        let name = format!("write {}", texts.lock_name);
        let edge = graph.file(&format!("/{}", texts.lock_name), self.lock_text.clone().into_bytes(), &session.gateway.worker, session.vertex(&name));
        let Reference(id) = session.gateway.solve(&graph, &edge, false, &[], &name).await?;
        Ok(crate::result::of_directory(id))
    }
}

/// The description with another base.
fn on_base(description: &Description, base: &str) -> Result<Description, Error> {
    let Source { name, text } = &*description.source;
    let span = &description.base.span;
    let text = [&text[..span.start], "\"", base, "\"", &text[span.end..]].concat();
    Ok(description::parse(name, &text)?)
}

/// Runs the step and reads its lock, or why there is none. A failure of an earlier build, which the daemon remembers, is no failure of this one.
async fn resolve(session: &Session, texts: &Texts, description: &Description) -> Result<String, Error> {
    let begun = SystemTime::now();
    match attempt(session, texts, description, session.options.no_cache()).await? {
        Ok(lock) => Ok(lock),
        Err(failure) if failure.is_before(begun) => {
            let again = attempt(session, texts, description, true).await?;
            again.map_err(|failure| failure.into_error(&description.source))
        }
        Err(failure) => Err(failure.into_error(&description.source)),
    }
}

async fn attempt(session: &Session, texts: &Texts, description: &Description, ignore_cache: bool) -> Result<Result<String, Failure>, Error> {
    let mut graph = Graph::of(Some(crate::diagnostics::source_info(&texts.source)));
    let edge = vertex(session, texts, description, ignore_cache, &mut graph)?;
    let reference = session.gateway.solve(&graph, &edge, true, &[], &format!("lock {}", texts.source.name)).await?;
    match project::read_text(&session.gateway, &reference, failure::FILE).await {
        Ok(text) => match Failure::read(&text) {
            Some(failure) => Ok(Err(failure)),
            None => Err(CallFailed::new("read why there is no lock", code::INTERNAL, "the step did not write it").into()),
        },
        Err(error) if project::is_missing(&error) => Ok(Ok(project::read_text(&session.gateway, &reference, &texts.lock_name).await?)),
        Err(error) => Err(error),
    }
}

fn vertex(session: &Session, texts: &Texts, description: &Description, ignore_cache: bool, graph: &mut Graph) -> Result<Edge, Error> {
    let worker = &session.gateway.worker;
    let tool = session.tool.edge(graph)?;
    let name = &texts.source.name;
    let description_edge =
        graph.file(&format!("/{name}"), description.source.text.clone().into_bytes(), worker, session.vertex(format!("[internal] {name}")));
    let mut mounts = vec![
        Mounted::Input { edge: description_edge, selector: String::new(), at: step::DESCRIPTION.to_owned() },
        Mounted::Scratch { at: step::TEMPORARY.to_owned() },
    ];
    mounts.extend(session.secrets(graph));
    if let Some(old) = &texts.lock {
        let edge = graph.file(&format!("/{}", texts.lock_name), old.clone().into_bytes(), worker, session.vertex("[internal] the lock before"));
        mounts.push(Mounted::Input { edge, selector: String::new(), at: step::OLD_LOCK.to_owned() });
    }
    let mut paths = project::local_paths(description);
    paths.extend(project::base_file(description));
    let project = session.project().display().to_string();
    mounts.push(if paths.is_empty() {
        Mounted::Scratch { at: project.clone() }
    } else {
        let edge = session.folder.edge(graph, &session.gateway, &paths, session.vertex("[internal] load local files to lock with"));
        Mounted::Input { edge, selector: String::new(), at: project.clone() }
    });
    let args = [BINARY, step::LOCK, name, &texts.lock_name, &project];
    let exec = Exec {
        args: args.map(str::to_owned).to_vec(),
        env: step::environment(),
        out: step::OUT.to_owned(),
        mounts,
        network: session.options.network(),
        hosts: session.options.hosts(),
        ..Exec::default()
    };
    let base = Some(crate::diagnostics::range(&description.source, &description.base.span));
    let what = if texts.lock.is_some() { "is stale" } else { "is not there" };
    // Older clients show no warnings: the step's name says it too.
    let options = session.vertex(format!("lock {name}: {} {what}, so this build is not pinned", texts.lock_name));
    Ok(graph.exec(&tool, exec, worker, VertexOptions { range: base, ignore_cache, ..options }))
}
