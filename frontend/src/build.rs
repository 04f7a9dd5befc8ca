//! The build: description and lock from the client, the library's plan, and the graph that makes of it what is asked for.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use byoi::assemble::{self, BuildRequest, ConfigLayer, Planned, compose};
use byoi::description::Description;
use byoi::error::Error;
use byoi::progress::Silent;
use byoi::registry::http::{Http, HttpOptions};
use byoi::registry::{Credentials, Registry};
use byoi::store::Store;
use byoi::user_config::UserConfig;
use byoi::world::World;

use crate::base::Base;
use crate::drawing::Drawing;
use crate::fetching;
use crate::gateway::Reference;
use crate::hashing::Hashing;
use crate::inputs::Inputs;
use crate::layout::ImageParts;
use crate::llb::Graph;
use crate::locking::Locked;
use crate::messages::Outcome;
use crate::options::Target;
use crate::project::{self, Texts, Transfer};
use crate::session::Session;
use crate::{diagnostics, result};

/// Builds what is asked for.
///
/// # Errors
/// Whatever any stage reports.
pub async fn run(session: &Session, texts: &Texts) -> Result<Outcome, Error> {
    session.options.check_platform()?;
    let target = session.options.target()?;
    let description = texts.description()?;
    let base = match target {
        Target::Lock => None,
        Target::Image | Target::Layout => Base::early(&description, texts.lock()?.as_ref(), session).await,
    };
    let fetched = base.as_ref().filter(|_| target == Target::Image && !session.can_merge());
    let rest = whole(session, texts, &description, target, base.clone());
    match fetched {
        // All of the image is laid over it, and it is mostly the largest of what is fetched.
        Some(base) => alongside(base.fetch(&description, session), rest).await,
        None => rest.await,
    }
}

/// Does something, and beside it what it does not wait for.
async fn alongside<T>(beside: impl Future<Output = ()>, main: impl Future<Output = T>) -> T {
    let beside = async {
        beside.await;
        std::future::pending().await
    };
    tokio::select! { biased; never = beside => never, outcome = main => outcome }
}

async fn whole(session: &Session, texts: &Texts, description: &Description, target: Target, early: Option<Base>) -> Result<Outcome, Error> {
    bring_local_files(session, description).await?;
    let locked = Locked::find(session, texts).await?;
    warn(session, texts, &locked).await?;
    if target == Target::Lock {
        return locked.outcome(session, texts).await;
    }
    let base = match early.filter(|_| !locked.made) {
        Some(base) => base,
        None => Base::resolve(&locked.description, &locked.lock, locked.replacement.as_ref(), session).await?,
    };
    image(session, texts, &locked, &base, target).await
}

/// Brings over what planning needs of the folder: files, or where they are many or large their digests.
async fn bring_local_files(session: &Session, description: &Description) -> Result<(), Error> {
    let paths = project::local_paths(description);
    let mut transfer = Transfer::read(&session.folder, &session.gateway, &paths, &session.project()).await?;
    transfer.files = Hashing::of(session, description).take(transfer.files, &paths).await?;
    transfer.bring(&session.gateway).await
}

async fn warn(session: &Session, texts: &Texts, locked: &Locked) -> Result<(), Error> {
    for problem in locked.description.warnings.iter().chain(locked.warning(texts).as_ref()) {
        session.gateway.warn(&diagnostics::warning(problem, &texts.vertex)).await?;
    }
    Ok(())
}

/// The image, or its layout.
async fn image(session: &Session, texts: &Texts, locked: &Locked, base: &Base, target: Target) -> Result<Outcome, Error> {
    let Locked { description, lock, .. } = locked;
    let project = session.project();
    let request = BuildRequest {
        description,
        directory: &project,
        lock,
        labels: session.options.labels(),
        family: None,
        epoch: session.options.epoch()?,
        rebuild: false,
        threads: NonZeroUsize::MIN,
        survey: None,
    };
    let planned = plan(&request, base.diff_ids.len(), &session.store())?;
    let inputs = Inputs::find(description, lock, &project)?;
    let mut graph = Graph::of(Some(diagnostics::source_info(&texts.source)));
    fetching::in_batches(session, &inputs, &planned).await?;
    let drawing = Drawing { session, description, inputs: &inputs, planned: &planned, graph: &mut graph };
    let name = format!("build {}", texts.source.name);
    let caches = session.options.cache_imports();
    if target == Target::Layout {
        let parts = ImageParts::of(&request, &planned, base);
        let head = drawing.layout(base, &parts)?;
        let Reference(id) = session.gateway.solve(&graph, &head, false, &caches, &name).await?;
        return Ok(result::of_directory(id));
    }
    let head = drawing.image(base)?;
    // Where the base is being fetched already the daemon has to hear of its use before that ends with the frontend.
    let evaluate = !session.can_merge();
    let Reference(id) = session.gateway.solve(&graph, &head, evaluate, &caches, &name).await?;
    let (config, base_config) = configs(&request, &planned, base);
    Ok(result::of_image(id, config, base_config, session.options.multi_platform()))
}

/// The image's config, and the base's with its history as it stands in the image's.
fn configs(request: &BuildRequest<'_>, planned: &Planned, base: &Base) -> (Vec<u8>, Option<Vec<u8>>) {
    // BuildKit puts its own list of diff ids in the place of whatever stands there.
    let layer = |layer: &byoi::plan::PlannedLayer| ConfigLayer { diff_id: layer.key, created_by: layer.name.clone(), key: layer.key };
    let layers: Vec<ConfigLayer> = planned.plan.layers.iter().map(layer).collect();
    let config = compose(&base.config, &base.diff_ids, &layers, &planned.additions, assemble::created(request));
    let base_config = base.config_within(&config, layers.len());
    (config, base_config)
}

/// Plans with a world of which nothing but the store is used.
fn plan(request: &BuildRequest<'_>, base_layers: usize, store: &Path) -> Result<Planned, Error> {
    let config = UserConfig::default();
    let http = Http::new(HttpOptions::from(&config))?;
    let registry = Registry::new(http.clone(), Credentials::from_environment(), &config);
    let store = Store::open(store)?;
    let cancelled = AtomicBool::new(false);
    assemble::plan(request, base_layers, &World { http: &http, registry: &registry, store: &store, progress: &Silent, cancelled: &cancelled })
}
