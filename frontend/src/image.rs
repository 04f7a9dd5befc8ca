//! The frontend's own image: a static binary, the certificate authorities that the step with network trusts, and labels. It is made by the same
//! layer code as every image of byoi, so its digest is a function of those two files.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use byoi::assemble::{Earlier, Image, ImageLayer};
use byoi::base::{BlobReader, Blobs, Verified};
use byoi::digest::Digest;
use byoi::error::{Error, FileError};
use byoi::image_path::ImagePath;
use byoi::layer::{self, Content, Entry, Tree};
use byoi::manifest::{Compression, Descriptor, Family, Manifest};
use byoi::output;
use byoi::progress::Silent;
use byoi::reference::Destination;
use byoi::registry::http::{Http, HttpOptions};
use byoi::registry::{Credentials, Registry};
use byoi::store::Store;
use byoi::user_config::UserConfig;
use byoi::world::World;
use byoi::{contract, json, plan};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::session::BINARY;
use crate::step::CERTIFICATES;

/// Labels that BuildKit reads: which of its newer options the frontend understands, and that it needs no network itself
/// (`frontend/gateway/gateway.go`).
const LABELS: [(&str, &str); 3] = [
    ("moby.buildkit.frontend.caps", "moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts"),
    ("moby.buildkit.frontend.network.none", "true"),
    ("org.opencontainers.image.title", "byoi-frontend"),
];

/// Packs a binary and a file of certificates, and writes the image. Gives its digest.
///
/// # Errors
/// Files that cannot be read, a destination that refuses.
pub fn write(binary: &Path, certificates: &Path, destination: &Destination) -> Result<Digest, Error> {
    let config = UserConfig::load()?;
    let http = Http::new(HttpOptions::from(&config))?;
    let registry = Registry::new(http.clone(), Credentials::from_environment(), &config);
    let scratch = tempfile::tempdir().map_err(FileError::at("create a directory in", std::env::temp_dir()))?;
    let store = Store::open(scratch.path())?;
    let cancelled = AtomicBool::new(false);
    let world = World { http: &http, registry: &registry, store: &store, progress: &Silent, cancelled: &cancelled };
    let image = packed(&tree(binary, certificates)?, &store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(FileError::at("start", "the async runtime"))?;
    runtime.block_on(async {
        match destination {
            Destination::OciLayout { directory, tag } => output::layout::write(&image, directory, tag.as_deref()).await,
            Destination::OciArchive { file } => output::archive::write_oci(&image, file, None).await,
            Destination::DockerArchive { file, reference } => output::archive::write_docker(&image, file, reference.as_ref(), &store).await,
            Destination::Registry(reference) => {
                let earlier = Earlier::look(std::slice::from_ref(destination), &[], &world).await?;
                output::registry::Uploaded::default().finish(&image, reference, &earlier, &world).await
            }
            Destination::DockerDaemon(reference) => {
                let host = byoi::environment::DOCKER_HOST.text();
                output::daemon::Daemon::new(host)?.write(&image, reference, &store).await
            }
        }
    })?;
    Ok(image.digest)
}

fn tree(binary: &Path, certificates: &Path) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for (source, target, mode) in [(binary, BINARY, 0o755), (certificates, CERTIFICATES, 0o644)] {
        // Links, as Debian's bundle is one in other distributions, are followed.
        let size = std::fs::metadata(source).map_err(FileError::at("read", source))?.len();
        let path = ImagePath::literal(target);
        path.ancestors().filter(|above| !above.is_root()).for_each(|above| drop(tree.insert(above, Entry::directory(0o755, 0, 0, plan::MTIME))));
        tree.insert(path, Entry::file(Content::file(source, size), mode, 0, 0, plan::MTIME));
    }
    Ok(tree)
}

fn packed(tree: &Tree, store: &Store) -> Result<Image, Error> {
    let mut writer = store.writer()?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let packed = layer::pack(tree, threads, &mut writer, &|_| {})?;
    let (digest, size) = writer.commit()?;
    let family = Family::Oci;
    let descriptor = Descriptor::new(family.layer(Compression::Gzip).unwrap_or_default(), digest, size);
    let labels: BTreeMap<_, _> = LABELS.into_iter().chain([("org.opencontainers.image.version", env!("CARGO_PKG_VERSION"))]).collect();
    let created = jiff::Timestamp::UNIX_EPOCH.to_string();
    let config = json::canonical(&json!({
        "architecture": contract::ARCHITECTURE, "os": contract::OS, "created": created,
        "config": {"Entrypoint": [BINARY], "Env": ["PATH=/"], "Labels": labels, "WorkingDir": "/"},
        "history": [{"created": created, "created_by": "byoi-frontend"}],
        "rootfs": {"type": "layers", "diff_ids": [packed.diff_id]},
    }));
    let config_descriptor = Descriptor::new(family.config(), Digest::of(&config), config.len() as u64);
    let manifest = Manifest { family, config: config_descriptor.clone(), layers: vec![descriptor.clone()], annotations: BTreeMap::new() }.to_bytes();
    let layer = ImageLayer { descriptor, diff_id: packed.diff_id, blobs: Arc::new(InStore(store.clone())), built: None };
    Ok(Image { digest: Digest::of(&manifest), manifest, family, config, config_descriptor, layers: vec![layer] })
}

/// The layer, which lies in the store.
struct InStore(Store);

impl Blobs for InStore {
    fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
        async move {
            let file = byoi::inputs::Inputs::open(&self.0, &descriptor.digest)?;
            let reader: BlobReader = Box::pin(Verified::new(tokio::fs::File::from_std(file), descriptor));
            Ok(reader)
        }
        .boxed()
    }
}
