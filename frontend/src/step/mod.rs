//! What runs inside build steps. Layers are laid and packed without network; locks, and manifests of bases, are looked up with it. All find
//! what they need at fixed places.

mod digests;
mod layers;
mod layout;
mod locking;

use std::fs;
use std::path::Path;

use byoi::digest::Digest;
use byoi::error::{Error, FileError};
use byoi::registry::http::{Http, HttpOptions};
use byoi::registry::{Credentials, Registry};
use byoi::user_config::UserConfig;

pub use digests::digests;
pub use layers::{lay, pack};
pub use layout::{layout, manifest};
pub use locking::lock;

/// The first argument for a step that lays a layer.
pub const LAYER: &str = "lay";
/// The argument after it where what lies below is in the step's directory already.
pub const OVER: &str = "over";
/// The first argument for a step that packs a layer into the blob that the command would make.
pub const PACK: &str = "pack";
/// The first argument for a step that puts packed layers together.
pub const LAYOUT: &str = "layout";
/// The first argument for a step that looks up a base's manifest.
pub const MANIFEST: &str = "manifest";
/// The first argument for a step that locks.
pub const LOCK: &str = "lock";
/// The first argument for a step that hashes local files.
pub const DIGESTS: &str = "digests";

/// Where a step's result goes.
pub const OUT: &str = "/out";
/// The variable that holds the recipe.
pub const RECIPE_VARIABLE: &str = "BYOI_RECIPE";
/// Where a recipe is mounted that is too long for a variable, and its name there.
pub const RECIPE: &str = "/recipe";
/// See [`RECIPE`].
pub const RECIPE_FILE: &str = "recipe.json";
/// Most bytes of a recipe in a variable: Linux takes 128 KiB (`MAX_ARG_STRLEN`), with the name.
pub const LONGEST_VARIABLE: usize = 120 << 10;
/// Where the parts of an image are mounted that are no layers, and their name there.
pub const IMAGE: &str = "/image";
/// See [`IMAGE`].
pub const IMAGE_FILE: &str = "image.json";
/// Where the base's manifest is mounted, and its name there.
pub const BASE: &str = "/base";
/// See [`BASE`].
pub const MANIFEST_FILE: &str = "manifest.json";
/// The name of a packed layer's digests, beside its blob.
pub const PACKED_FILE: &str = "layer.json";
/// The name of the digests of local files.
pub const DIGESTS_FILE: &str = "digests.json";
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
/// The name of the file in an input's directory. Of an http source it is part of the cache key, so it is always the same.
pub const INPUT_FILE: &str = "input";

/// Where an input is mounted.
pub fn input_directory(digest: &Digest) -> String {
    format!("/in/{}", digest.hex())
}

/// Where the packed layer with this place in the image is mounted.
pub fn packed_directory(index: usize) -> String {
    format!("/layers/{index}")
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

/// The network as the client's secrets say that it is reached.
fn network() -> Result<(Http, Registry), Error> {
    let config = match Path::new(CONFIG) {
        place if place.is_file() => UserConfig::read(place)?,
        _ => UserConfig::default(),
    };
    let http = Http::new(HttpOptions::from(&config))?;
    let registry = Registry::new(http.clone(), Credentials::from_environment(), &config);
    Ok((http, registry))
}

fn runtime() -> Result<tokio::runtime::Runtime, FileError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(FileError::at("start", "the async runtime"))
}

/// Writes a file of a step's result.
fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), FileError> {
    let place = directory.join(name);
    fs::write(&place, bytes).map_err(FileError::at("write", &place))
}
