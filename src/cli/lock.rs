//! `byoi lock`: brings byoi.lock up to date with byoi.toml.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::context::{self, Context, Project};
use crate::conda;
use crate::error::{Error, Fault, FileError, Kind};
use crate::lock::{self, Lock, Stale};
use crate::resolve::{self, Update};
use crate::verify;

/// Bring byoi.lock up to date with byoi.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  byoi lock                          add what is missing, keep the rest
  byoi lock --update                 look everything up anew
  byoi lock --update base            look the base up anew
  byoi lock --update vscodevim.vim   look one extension up anew")]
pub struct LockArgs {
    /// The description.
    #[arg(long, short, default_value = "byoi.toml")]
    file: PathBuf,
    /// Look inputs up anew: those named (`base`, an extension's id, a URL), else all.
    #[arg(long, value_name = "NAME", num_args = 0..)]
    update: Option<Vec<String>>,
    /// Fail where the lock is not up to date, and write nothing.
    #[arg(long, conflicts_with = "update")]
    locked: bool,
}

/// A lock that may not be changed would have to be.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}, and --locked (the default when CI is set) forbids to change it{}", path.display(), lock::reasons(.stale))]
struct NotCurrent {
    path: PathBuf,
    what: &'static str,
    stale: Vec<Stale>,
}

impl Fault for NotCurrent {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("run `byoi lock` and commit the lock".to_owned())
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever resolving reports; a lock that cannot be written.
pub async fn run(args: &LockArgs, context: &Context) -> Result<(), Error> {
    let project = Project::read(&args.file, &context.printer)?;
    let update = match &args.update {
        None => Update::Nothing,
        Some(names) if names.is_empty() => Update::All,
        Some(names) => Update::Names(names.clone()),
    };
    if args.locked {
        demand_current(&project)?;
    }
    resolve_and_write(&project, &update, context).await?;
    Ok(())
}

/// The lock as it is where it is current; else a new one, which is written, unless `locked`.
///
/// # Errors
/// As [`run`]; with `locked`, a lock that is missing or stale.
pub async fn bring_up_to_date(project: &Project, locked: bool, context: &Context) -> Result<Lock, Error> {
    if let Some(lock) = &project.lock
        && staleness(project, lock)?.is_empty()
    {
        conda::check_locked(&project.description, lock.conda.as_ref())?;
        return Ok(lock.clone());
    }
    if locked {
        demand_current(project)?;
    }
    resolve_and_write(project, &Update::Nothing, context).await
}

fn demand_current(project: &Project) -> Result<(), Error> {
    let path = project.lock_path.clone();
    let Some(lock) = &project.lock else { return Err(NotCurrent { path, what: "is not there", stale: Vec::new() }.into()) };
    let stale = staleness(project, lock)?;
    if stale.is_empty() { Ok(()) } else { Err(NotCurrent { path, what: "is stale", stale }.into()) }
}

fn staleness(project: &Project, lock: &Lock) -> Result<Vec<Stale>, Error> {
    let conda = conda::requirement(&project.description, &project.directory)?;
    Ok(lock.staleness(&project.description, conda.as_ref()))
}

async fn resolve_and_write(project: &Project, update: &Update, context: &Context) -> Result<Lock, Error> {
    let (old, survey) = (project.lock.as_ref(), verify::survey_interest());
    let lock = resolve::resolve(&project.description, &project.directory, old, update, Some(&survey), &context.world()).await?;
    let changes = lock::diff(project.lock.as_ref(), &lock);
    let unchanged = project.lock.as_ref() == Some(&lock);
    if unchanged {
        context.printer.say(format!("{} is up to date", project.lock_path.display()));
        return Ok(lock);
    }
    let warnings = lock.conda.iter().flat_map(|conda| conda::warnings(&project.description, conda));
    warnings.for_each(|problem| context.printer.warn(&problem));
    write(&project.lock_path, &lock)?;
    context.printer.say(format!("{} is written", project.lock_path.display()));
    context.printer.say(lock::table(&changes).trim_end());
    match lock::kept(project.lock.as_ref(), &lock) {
        0 => {}
        1 => context.printer.say("= conda      1 package is kept"),
        kept => context.printer.say(format!("= conda      {kept} packages are kept")),
    }
    Ok(lock)
}

fn write(path: &Path, lock: &Lock) -> Result<(), FileError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".byoi-").permissions(lock_permissions()).tempfile_in(directory)?;
        file.write_all(lock.to_toml().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(FileError::at("write", path))
}

/// As a new file of the user's would have: the umask takes its part.
fn lock_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

/// Whether locked is the default here.
pub fn locked(asked: bool, denied: bool) -> bool {
    asked || (!denied && context::locked_by_default())
}
