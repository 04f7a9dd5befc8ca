//! What runs inside build steps: one lays a layer, without network; one makes a lock, with it. Both find what they need at fixed places.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use byoi::assemble::Recipe;
use byoi::description;
use byoi::digest::Digest;
use byoi::error::{Error, FileError};
use byoi::layer;
use byoi::lock;
use byoi::plan;
use byoi::progress::Silent;
use byoi::registry::http::{Http, HttpOptions};
use byoi::registry::{Credentials, Registry};
use byoi::resolve::{self, Update};
use byoi::store::Store;
use byoi::user_config::UserConfig;
use byoi::world::World;

/// The first argument for a step that lays a layer.
pub const LAYER: &str = "lay";
/// The first argument for a step that locks.
pub const LOCK: &str = "lock";

/// Where a step's result goes.
pub const OUT: &str = "/out";
/// Where the recipe is mounted, and its name there.
pub const RECIPE: &str = "/recipe";
/// See [`RECIPE`].
pub const RECIPE_FILE: &str = "recipe.json";
/// Where temporary files go: a directory that is thrown away.
pub const TEMPORARY: &str = "/tmp";
/// Where the description is mounted.
pub const DESCRIPTION: &str = "/description";
/// Where the lock before is mounted, if there is one.
pub const OLD_LOCK: &str = "/old-lock";
/// The directory of docker's `config.json`, a secret of the client.
pub const DOCKER_CONFIG: &str = "/run/byoi/docker";
/// The user's configuration of byoi, a secret of the client.
pub const CONFIG: &str = "/run/byoi/config.toml";
/// The certificate authorities of the frontend's image.
pub const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Mode and time of the directory that becomes a layer's root.
const ROOT_MODE: u32 = 0o755;

/// The name of the file in an input's directory. Of an http source it is part of the cache key, so it is always the same.
pub const INPUT_FILE: &str = "input";

/// Where an input is mounted.
pub fn input_directory(digest: &Digest) -> String {
    format!("/in/{}", digest.hex())
}

/// The variables of every step.
pub fn environment() -> Vec<String> {
    let variables = [("PATH", "/"), ("TMPDIR", TEMPORARY), ("DOCKER_CONFIG", DOCKER_CONFIG), ("SSL_CERT_FILE", CERTIFICATES)];
    variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Inputs where [`input_directory`] says.
struct Mounted;

impl byoi::inputs::Inputs for Mounted {
    fn open(&self, digest: &Digest) -> Result<fs::File, Error> {
        let place = Path::new(&input_directory(digest)).join(INPUT_FILE);
        Ok(fs::File::open(&place).map_err(FileError::at("read", place))?)
    }
}

/// Lays the layer whose recipe is mounted.
///
/// # Errors
/// Inputs that are not what was promised, a full disk.
pub fn lay() -> Result<(), Error> {
    let place = Path::new(RECIPE).join(RECIPE_FILE);
    let recipe = Recipe::read(&fs::read(&place).map_err(FileError::at("read", &place))?)?;
    let store = Store::open(Path::new(TEMPORARY).join("store"))?;
    let (planned, directories) = recipe.restore(&store)?;
    let tree = plan::build_tree(&planned, &directories, &Mounted)?;
    let out = Path::new(OUT);
    layer::write_directory(&tree, out).map_err(|error| Error::from(error).while_doing(format!("cannot lay `{}`", recipe.name)))?;
    finish_root(out).map_err(FileError::at("write", out))?;
    Ok(())
}

/// The root is no entry of a layer; it gets a fixed mode and time all the same, so that the step's result is a function of its inputs.
fn finish_root(out: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(out, fs::Permissions::from_mode(ROOT_MODE))?;
    let time = rustix::fs::Timespec { tv_sec: plan::MTIME, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, out, &times, rustix::fs::AtFlags::empty())?)
}

/// Makes the lock of the description that is mounted, whose local files lie in `project`.
///
/// # Errors
/// Whatever resolving reports.
pub fn lock(description_name: &str, lock_name: &str, project: &Path) -> Result<(), Error> {
    let read = |directory: &str, name: &str| {
        let place = Path::new(directory).join(name);
        match fs::read_to_string(&place) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::at("read", place)(error)),
        }
    };
    let description = description::parse(description_name, &read(DESCRIPTION, description_name)?.unwrap_or_default())?;
    let old = read(OLD_LOCK, lock_name)?.map(|text| lock::parse(lock_name, &text)).transpose()?;
    let config = match Path::new(CONFIG) {
        place if place.is_file() => UserConfig::read(place)?,
        _ => UserConfig::default(),
    };
    let http = Http::new(HttpOptions::from(&config))?;
    let registry = Registry::new(http.clone(), Credentials::from_environment(), &config);
    let store = Store::open(Path::new(TEMPORARY).join("store"))?;
    let cancelled = AtomicBool::new(false);
    let world = World { http: &http, registry: &registry, store: &store, progress: &Silent, cancelled: &cancelled };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(FileError::at("start", "the async runtime"))?;
    let new = runtime.block_on(resolve::resolve(&description, project, old.as_ref(), &Update::Nothing, &world))?;
    // The build's log shows what was found.
    let changes = lock::table(&lock::diff(old.as_ref(), &new));
    std::io::stderr().write_all(changes.as_bytes()).map_err(FileError::at("write to", "standard error"))?;
    let place = Path::new(OUT).join(lock_name);
    fs::write(&place, new.to_toml()).map_err(FileError::at("write", &place))?;
    Ok(())
}
