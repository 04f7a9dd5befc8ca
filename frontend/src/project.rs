//! The description, its lock, and the local files that it names, brought from the client into the frontend's own throw-away file system, so that
//! the library plans with them as the command does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use byoi::description::{self, CondaSource, Description, ExtensionOrigin, FileOrigin};
use byoi::error::{Error, FileError, Problem, Source};
use byoi::lock::{self, Lock};
use byoi::reference::ImageSource;
use futures_util::{StreamExt, TryStreamExt};

use crate::folder::{Folder, LOCAL_FILES};
use crate::gateway::{Gateway, Reference};
use crate::messages::Stat;
use crate::options::Options;
use crate::status::{CallFailed, code};

/// Largest description or lock that is read, in bytes: a little more than either language takes, so that the parser says what the limit is.
const MAX_TEXT: u64 = (16 << 20) + 1;
/// Most files and directories that are brought over.
const MAX_FILES: usize = 2_000_000;
/// Files that are read at the same time, from daemons that bear it.
const AT_ONCE: usize = 16;

/// Bits of Go's `os.FileMode` (`io/fs`).
const GO_DIRECTORY: i64 = 1 << 31;
const GO_SYMLINK: i64 = 1 << 27;
const GO_SPECIAL: i64 = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
const PERMISSIONS: i64 = 0o777;

/// A description and its lock as the client has them.
pub struct Texts {
    /// The description's text, with its name.
    pub source: Arc<Source>,
    /// The lock's name and text, where there is one.
    pub lock: Option<String>,
    /// The lock's file name.
    pub lock_name: String,
    /// The digest of the vertex that brought them.
    pub vertex: String,
}

impl Texts {
    /// Reads both in one transfer.
    ///
    /// # Errors
    /// A description that is not there.
    pub async fn read(folder: &Folder, gateway: &Gateway, options: &Options) -> Result<Self, Error> {
        let filename = options.filename();
        let lock_path = lock::path_for(Path::new(filename));
        let lock_name = lock_path.to_string_lossy().into_owned();
        let name = format!("[internal] load {filename} and {lock_name}");
        let (reference, edge) = folder.solve(gateway, &[filename, &lock_name], &name).await?;
        let text = match read_text(gateway, &reference, filename).await {
            Err(error) if is_missing(&error) => {
                let problem = Problem::new(format!("there is no description {filename}"));
                return Err(Error::input(problem.help("`-f FILE` names another file; `byoi init` writes one to start from")));
            }
            text => text?,
        };
        let lock = match read_text(gateway, &reference, &lock_name).await {
            Ok(text) => Some(text),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Texts { source: Arc::new(Source { name: filename.to_owned(), text }), lock, lock_name, vertex: edge.digest })
    }

    /// The description.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn description(&self) -> Result<Description, Error> {
        Ok(description::parse(&self.source.name, &self.source.text)?)
    }

    /// The lock, where there is one.
    ///
    /// # Errors
    /// A text that is no lock.
    pub fn lock(&self) -> Result<Option<Lock>, Error> {
        self.lock.as_ref().map(|text| lock::parse(&self.lock_name, text)).transpose()
    }
}

/// Whether an error says that there is no such file.
pub fn is_missing(error: &Error) -> bool {
    error.downcast_ref::<CallFailed>().is_some_and(CallFailed::is_not_found)
}

/// A text out of a result.
///
/// # Errors
/// What is not there, or is no text.
pub async fn read_text(gateway: &Gateway, of: &Reference, path: &str) -> Result<String, Error> {
    let bytes = gateway.read_file(of, path, MAX_TEXT).await?;
    String::from_utf8(bytes).map_err(|_| {
        let problem = Problem::new(format!("{path} is not text in UTF-8, as TOML files are"));
        Error::input(problem.help("save it in UTF-8"))
    })
}

/// The environment file or pixi.lock of the `[conda]` table, where it names one: what is asked of conda stands there.
pub fn conda_file(description: &Description) -> Option<&str> {
    match &description.conda.as_ref()?.source {
        CondaSource::Environment(file) | CondaSource::Lock(file) => file.value.to_str(),
        CondaSource::Packages(_) => None,
    }
}

/// Paths of the folder that the description names: sources of files, extensions, and the file of the `[conda]` table.
pub fn local_paths(description: &Description) -> Vec<&str> {
    let files = description.files.iter().filter_map(|file| match &file.origin {
        FileOrigin::Source(path) => path.to_str(),
        _ => None,
    });
    files.chain(read_paths(description)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Those of them whose content decides what is planned: extensions, and the file of the `[conda]` table.
pub fn read_paths(description: &Description) -> Vec<&str> {
    let extensions = description.extensions.iter().filter_map(|extension| match &extension.origin {
        ExtensionOrigin::Path(path) => path.to_str(),
        _ => None,
    });
    extensions.chain(conda_file(description)).collect()
}

/// The file of the folder that is the base, where it is one; planning needs only its digest, so it is not brought over.
pub fn base_file(description: &Description) -> Option<&str> {
    match &description.base.value {
        ImageSource::RootFs { file } => file.to_str(),
        _ => None,
    }
}

/// Brings these paths of the folder into `directory`.
///
/// # Errors
/// As [`Transfer::read`] and [`Transfer::bring`].
pub async fn fetch(folder: &Folder, gateway: &Gateway, paths: &[&str], directory: &Path) -> Result<(), Error> {
    Transfer::read(folder, gateway, paths, directory).await?.bring(gateway).await
}

/// What is to be brought over: directories and links are there already.
pub struct Transfer {
    /// None where nothing is asked for.
    reference: Option<Reference>,
    /// The files that are still to be brought.
    pub files: Vec<Wanted>,
}

impl Transfer {
    /// Makes directories and links below these paths of the folder in `directory`, and lists the files.
    ///
    /// # Errors
    /// What is neither file, directory nor link, a full disk. Paths that are not there are not missed here.
    pub async fn read(folder: &Folder, gateway: &Gateway, paths: &[&str], directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(FileError::at("create", directory))?;
        if paths.is_empty() {
            return Ok(Transfer { reference: None, files: Vec::new() });
        }
        let (reference, _) = folder.solve(gateway, paths, LOCAL_FILES).await?;
        let files = Visit { gateway, reference: &reference, wanted: paths, directory, files: Vec::new() }.walk().await?;
        Ok(Transfer { reference: Some(reference), files })
    }

    /// Brings the files.
    ///
    /// # Errors
    /// Files that the daemon cannot read, a full disk.
    pub async fn bring(self, gateway: &Gateway) -> Result<(), Error> {
        let Some(reference) = &self.reference else { return Ok(()) };
        let copies = self.files.into_iter().map(|file| copy(gateway, reference, file));
        let at_once = if gateway.is_old() { 1 } else { AT_ONCE };
        futures_util::stream::iter(copies).buffer_unordered(at_once).try_collect::<()>().await
    }
}

/// A file that is still to be copied.
pub struct Wanted {
    /// Its path in the folder.
    pub path: String,
    /// Where it is put.
    place: PathBuf,
    mode: u32,
    /// Its size in bytes.
    pub size: u64,
}

impl Wanted {
    /// Makes it with its size and mode, and without content.
    ///
    /// # Errors
    /// A full disk.
    pub fn stand_in(&self) -> Result<(), FileError> {
        let failed = || FileError::at("write", &self.place);
        let out = OpenOptions::new().write(true).create_new(true).open(&self.place).map_err(failed())?;
        out.set_len(self.size).and_then(|()| out.set_permissions(Permissions::from_mode(self.mode))).map_err(failed())
    }
}

struct Visit<'a> {
    gateway: &'a Gateway,
    reference: &'a Reference,
    wanted: &'a [&'a str],
    directory: &'a Path,
    files: Vec<Wanted>,
}

impl Visit<'_> {
    /// Makes directories and links, and lists the files.
    async fn walk(mut self) -> Result<Vec<Wanted>, Error> {
        let mut left = vec![String::new()];
        let mut seen = 0;
        while let Some(directory) = left.pop() {
            let at = if directory.is_empty() { "/" } else { &directory };
            for stat in self.gateway.read_directory(self.reference, at).await? {
                let name = stat.path.rsplit('/').next().unwrap_or_default();
                if matches!(name, "" | "." | "..") {
                    return Err(CallFailed::new(format!("read {at}"), code::INTERNAL, "the daemon lists a file without a name").into());
                }
                let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
                seen += 1;
                if seen > MAX_FILES {
                    return Err(Error::input(Problem::new(format!("the description names more than {MAX_FILES} files"))));
                }
                // A transfer brings what was asked for and what links among it lead to; other folders hold more.
                if self.concerns(&path) && self.entry(&path, &stat)? {
                    left.push(path);
                }
            }
        }
        Ok(self.files)
    }

    fn concerns(&self, path: &str) -> bool {
        let below = |a: &str, b: &str| a == b || b.is_empty() || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        self.wanted.iter().any(|wanted| {
            let wanted = wanted.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
            below(path, &wanted) || below(&wanted, path)
        })
    }

    /// Whether it is a directory, to be visited.
    fn entry(&mut self, path: &str, stat: &Stat) -> Result<bool, Error> {
        let place = self.directory.join(path);
        let mode = u32::try_from(stat.mode & PERMISSIONS).unwrap_or(0o644);
        if stat.mode & GO_DIRECTORY != 0 {
            fs::create_dir_all(&place).map_err(FileError::at("create", &place))?;
            return Ok(true);
        }
        if stat.mode & GO_SYMLINK != 0 {
            symlink(OsStr::from_bytes(stat.link.as_bytes()), &place).map_err(FileError::at("create", &place))?;
        } else if stat.mode & GO_SPECIAL != 0 {
            return Err(Error::input(Problem::new(format!("{path} is a socket, fifo or device, which no image can take over"))));
        } else {
            let size = u64::try_from(stat.size).unwrap_or(0);
            self.files.push(Wanted { path: path.to_owned(), place, mode, size });
        }
        Ok(false)
    }
}

async fn copy(gateway: &Gateway, reference: &Reference, file: Wanted) -> Result<(), Error> {
    let Wanted { path, place, mode, size } = file;
    let failed = || FileError::at("write", &place);
    let mut out: File = OpenOptions::new().write(true).create_new(true).open(&place).map_err(failed())?;
    let mut offset = 0;
    while offset < size {
        let piece = gateway.read_piece(reference, &path, offset).await?;
        if piece.is_empty() {
            return Err(CallFailed::new(format!("read {path}"), code::INTERNAL, "it is shorter than the daemon said").into());
        }
        out.write_all(&piece).map_err(failed())?;
        offset += piece.len() as u64;
    }
    out.set_permissions(Permissions::from_mode(mode)).map_err(failed())?;
    Ok(())
}
