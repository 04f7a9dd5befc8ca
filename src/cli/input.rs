//! A description and its lock, read from their files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::description::{self, Description};
use crate::error::{Error, Fault, FileError, Kind, Problem};
use crate::lock::{self, Lock};

/// Bytes after which reading stops: more than either language takes, so that the parser says what the limit is.
const MAX_READ: u64 = (16 << 20) + 1;

/// There is no description.
#[derive(Debug, thiserror::Error)]
#[error("there is no description {}", file.display())]
struct NoDescription {
    file: PathBuf,
}

impl Fault for NoDescription {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("`byoi init` writes one to start from; `-f FILE` names another file".to_owned())
    }
}

/// The description in `file`, which messages name as the user does.
///
/// # Errors
/// When it cannot be read, or is wrong: then with all that is wrong.
pub fn read_description(file: &Path) -> Result<Description, Error> {
    match read(file)? {
        Some(text) => Ok(description::parse(&file.display().to_string(), &text)?),
        None => Err(NoDescription { file: file.to_owned() }.into()),
    }
}

/// The lock in `file`; none where there is no file.
///
/// # Errors
/// When it cannot be read or is not a lock.
pub fn read_lock(file: &Path) -> Result<Option<Lock>, Error> {
    read(file)?.map(|text| lock::parse(&file.display().to_string(), &text)).transpose()
}

/// The text of a file, where there is one.
fn read(path: &Path) -> Result<Option<String>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::at("read", path)(error).into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_READ).read_to_end(&mut bytes).map_err(FileError::at("read", path))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let problem = Problem::new(format!("{} is not text in UTF-8, as TOML files are", path.display()));
        Error::input(problem.help("save it in UTF-8"))
    })?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_description_that_is_not_there_says_how_to_make_one() {
        let error = read_description(Path::new("/nowhere/byoi.toml")).unwrap_err();
        assert_eq!((error.fault().kind(), error.to_string().as_str()), (Kind::Input, "there is no description /nowhere/byoi.toml"));
        assert!(error.fault().help().is_some_and(|help| help.contains("byoi init")));
    }

    #[test]
    fn a_lock_may_be_absent() {
        assert_eq!(read_lock(Path::new("/nowhere/byoi.lock")).unwrap(), None);
    }

    #[test]
    fn what_is_not_text_or_not_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("byoi.toml");
        fs::write(&file, b"schema = 1 # \xff").unwrap();
        let error = read_description(&file).unwrap_err();
        assert!(error.fault().kind() == Kind::Input && error.to_string().contains("not text in UTF-8"));
        assert_eq!(read_description(directory.path()).unwrap_err().fault().kind(), Kind::World);
    }

    #[test]
    fn endless_files_end() {
        assert!(read_lock(Path::new("/dev/zero")).unwrap_err().to_string().contains("more than a lock can have"));
    }
}
