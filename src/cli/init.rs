//! `byoi init`: a description to start from.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::description;
use crate::error::{Error, Fault, FileError, Kind};

/// Write a commented description to start from
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  byoi init\n\nAn existing file is never overwritten.")]
pub struct InitArgs {
    /// The file to write
    #[arg(default_value = "byoi.toml")]
    pub file: PathBuf,
}

/// The file is there already.
#[derive(Debug, thiserror::Error)]
#[error("{} is there already, and byoi does not overwrite it", file.display())]
struct Exists {
    file: PathBuf,
}

impl Fault for Exists {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("edit it, or name another file: `byoi init NAME.toml`".to_owned())
    }
}

/// Writes the starting description, and says on `out` what to do next.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn init(args: &InitArgs, out: &mut dyn Write) -> Result<(), Error> {
    write_new(&args.file, description::template())?;
    let name = args.file.display();
    let next = format!(
        "wrote {name}\nnext: edit it, then run `byoi check{}`",
        if args.file == Path::new("byoi.toml") { String::new() } else { format!(" -f {name}") }
    );
    writeln!(out, "{next}").map_err(FileError::at("write", "standard output"))?;
    Ok(())
}

/// Writes a file that must not be there, whole or not at all.
fn write_new(file: &Path, text: &str) -> Result<(), Error> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().permissions(permissions()).tempfile_in(directory).map_err(FileError::at("write", file))?;
    temporary.write_all(text.as_bytes()).map_err(FileError::at("write", file))?;
    match temporary.persist_noclobber(file) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(Exists { file: file.to_owned() }.into()),
        Err(error) => Err(FileError { doing: "write", path: file.to_owned(), cause: error.error }.into()),
    }
}

/// As of any new file: the umask takes its part.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn writes_a_description_that_reads() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ide.toml");
        let mut out = Vec::new();
        init(&InitArgs { file: file.clone() }, &mut out).unwrap();
        assert!(description::parse("ide.toml", &fs::read_to_string(&file).unwrap()).is_ok());
        assert!(String::from_utf8(out).unwrap().contains("byoi check -f"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn never_overwrites() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("byoi.toml");
        fs::write(&file, "mine").unwrap();
        let error = init(&InitArgs { file: file.clone() }, &mut Vec::new()).unwrap_err();
        assert_eq!(error.fault().kind(), Kind::Input);
        assert!(error.fault().help().is_some_and(|help| help.contains("byoi init")));
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn says_where_it_cannot_write() {
        let file = PathBuf::from("/nowhere/byoi.toml");
        let error = init(&InitArgs { file }, &mut Vec::new()).unwrap_err();
        assert_eq!((error.fault().kind(), error.to_string().as_str()), (Kind::World, "cannot write /nowhere/byoi.toml"));
    }
}
