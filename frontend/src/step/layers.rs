//! A layer out of its recipe: laid into a directory, of which BuildKit makes the layer; or packed into the very blob that the command makes.

use std::fs::{self, File, Permissions};
use std::io::BufWriter;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use byoi::assemble::{KnownLayer, Recipe};
use byoi::digest::Digesting;
use byoi::error::{Error, FileError};
use byoi::json;
use byoi::layer::{self, Tree};
use byoi::plan;
use byoi::store::Store;

use super::{Mounted, OUT, PACKED_FILE, RECIPE, RECIPE_FILE, RECIPE_VARIABLE, TEMPORARY};

/// Mode of the directory that becomes a layer's root.
const ROOT_MODE: u32 = 0o755;

/// Lays the layer of the recipe, by itself or over what lies there.
///
/// # Errors
/// Inputs that are not what was promised, a full disk.
pub fn lay(over: bool) -> Result<(), Error> {
    let (name, tree) = tree()?;
    let out = Path::new(OUT);
    layer::write_directory(&tree, out).map_err(|error| Error::from(error).while_doing(format!("cannot lay `{name}`")))?;
    if !over {
        finish_root(out).map_err(FileError::at("write", out))?;
    }
    Ok(())
}

/// Packs the layer of the recipe: its blob, named by its digest, and what is known of it then.
///
/// # Errors
/// As [`lay`].
pub fn pack() -> Result<(), Error> {
    let (name, tree) = tree()?;
    let out = Path::new(OUT);
    let begun = out.join("blob");
    let file = File::create_new(&begun).map_err(FileError::at("create", &begun))?;
    let mut blob = Digesting::new(BufWriter::new(file));
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let packed = layer::pack(&tree, threads, &mut blob, &|_| {});
    let layer::Packed { diff_id, .. } = packed.map_err(|error| Error::from(error).while_doing(format!("cannot pack `{name}`")))?;
    let (_, digest, size) = blob.finish();
    let place = out.join(digest.hex());
    fs::rename(&begun, &place).map_err(FileError::at("write", &place))?;
    super::write(out, PACKED_FILE, &json::canonical_of(&KnownLayer { digest, size, diff_id }))?;
    Ok(())
}

/// The tree of the recipe's layer, and its name.
fn tree() -> Result<(String, Tree), Error> {
    let recipe = match std::env::var(RECIPE_VARIABLE) {
        Ok(text) => text.into_bytes(),
        Err(_) => {
            let place = Path::new(RECIPE).join(RECIPE_FILE);
            fs::read(&place).map_err(FileError::at("read", &place))?
        }
    };
    let recipe = Recipe::read(&recipe)?;
    let store = Store::open(Path::new(TEMPORARY).join("store"))?;
    let (planned, directories) = recipe.restore(&store)?;
    let tree = plan::build_tree(&planned, &directories, &Mounted)?;
    Ok((recipe.name, tree))
}

/// The root is no entry of a layer; it gets a fixed mode and time all the same, so that the step's result is a function of its inputs.
fn finish_root(out: &Path) -> std::io::Result<()> {
    fs::set_permissions(out, Permissions::from_mode(ROOT_MODE))?;
    let time = rustix::fs::Timespec { tv_sec: plan::MTIME, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, out, &times, rustix::fs::AtFlags::empty())?)
}
