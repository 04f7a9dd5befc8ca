//! `byoi check`: a description and its lock judged without any network.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;

use super::input::{read_description, read_lock};
use super::lock::locked;
use crate::conda;
use crate::description::{Description, ExtensionOrigin, FileItem, FileOrigin};
use crate::error::{Error, FileError, Invalid, Problem};
use crate::file;
use crate::lock::{self, CondaRequirement, Facts, Lock};
use crate::reference::ImageSource;

/// Judge a description, the local files that it names and its lock, without any network
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  byoi check\n  byoi check --locked -f ide.toml\n\nExit code: 0 when nothing is wrong, 1 when something is.")]
pub struct CheckArgs {
    /// The description
    #[arg(short = 'f', long, default_value = "byoi.toml", value_name = "FILE")]
    pub file: PathBuf,

    /// Fail where the lock is absent or not current (default when CI is set)
    #[arg(long, overrides_with = "no_locked")]
    pub locked: bool,

    /// Only say how the lock stands, even in CI
    #[arg(long, overrides_with = "locked")]
    pub no_locked: bool,
}

/// Runs the command.
///
/// # Errors
/// As `check`.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<Vec<Problem>, Error> {
    check(&args.file, locked(args.locked, args.no_locked), out)
}

/// Judges description, local files and lock, and says on `out` how they stand. Returns warnings, which are for standard error.
///
/// # Errors
/// All that is wrong; with `locked`, a lock that is absent or not current.
fn check(file: &Path, locked: bool, out: &mut dyn Write) -> Result<Vec<Problem>, Error> {
    let description = read_description(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let problems: Vec<_> = local_problems(&description, folder).into_iter().chain(conda::check(&description, folder)).collect();
    if !problems.is_empty() {
        return Err(Invalid { problems }.into());
    }
    let lock_file = lock::path_for(file);
    let lock = read_lock(&lock_file)?;
    let conda = conda::requirement(&description, folder)?;
    if let Some(facts) = facts(&description, conda.as_ref(), lock.as_ref()) {
        file::demand_programs(&description, folder, &facts)?;
    }
    let state = lock_state(&description, conda.as_ref(), lock.as_ref());
    if locked && !state.problems.is_empty() {
        return Err(Invalid { problems: state.problems }.into());
    }
    let mut text = format!("{}: nothing is wrong\n{}: {}\n", file.display(), lock_file.display(), state.summary);
    for problem in &state.problems[..if lock.is_some() { state.problems.len() } else { 0 }] {
        text.push_str(&format!("  {}\n", problem.message));
    }
    out.write_all(text.as_bytes()).map_err(FileError::at("write", "standard output"))?;
    Ok(description.warnings)
}

/// What the lock knows of the description's base and conda packages; none where it is of others.
fn facts(description: &Description, conda: Option<&CondaRequirement>, lock: Option<&Lock>) -> Option<Facts> {
    let lock = lock?;
    let current = lock.base.requirement == description.base_requirement && lock.conda.as_ref().map(|conda| &conda.requirement) == conda;
    current.then(|| lock.base.facts.clone().with_conda(lock.conda.as_ref()))
}

/// How a lock stands to its description.
struct LockState {
    summary: &'static str,
    problems: Vec<Problem>,
}

fn lock_state(description: &Description, conda: Option<&CondaRequirement>, lock: Option<&Lock>) -> LockState {
    let Some(lock) = lock else {
        let problem = Problem::new("there is no lock").help("run `byoi lock`, and commit the lock that it writes");
        return LockState { summary: "absent; `byoi lock` makes it", problems: vec![problem] };
    };
    let problems: Vec<_> = lock.staleness(description, conda).iter().map(|stale| stale.problem(description)).collect();
    let summary = if problems.is_empty() { "current" } else { "not current; `byoi lock` brings it up to date" };
    LockState { summary, problems }
}

/// What is wrong with the local files that a description names.
fn local_problems(description: &Description, folder: &Path) -> Vec<Problem> {
    let base = base_problem(&description.base.value, folder).map(|problem| (problem, &description.base.span));
    let extensions = description.extensions.iter().filter_map(|extension| match &extension.origin {
        ExtensionOrigin::Path(path) => Some((expect_file(folder, path, "an extension is one VSIX file")?, &extension.span)),
        _ => None,
    });
    let files = description.files.iter().filter_map(|file| match &file.origin {
        FileOrigin::Source(path) => Some((source_problem(folder, path, file)?, &file.span)),
        _ => None,
    });
    let place = |(problem, span): (Problem, &Range<usize>)| problem.at(&description.source, span.clone());
    base.into_iter().chain(extensions).chain(files).map(place).collect()
}

fn base_problem(base: &ImageSource, folder: &Path) -> Option<Problem> {
    match base {
        ImageSource::Registry(_) | ImageSource::Scratch => None,
        ImageSource::OciLayout { directory, .. } => {
            let metadata = metadata(folder, directory);
            let bad = |metadata: Metadata| {
                (!metadata.is_dir()).then(|| is_not("an OCI layout is a directory", "write `oci-archive:FILE` for a tar of one"))
            };
            metadata.map_or_else(Some, bad)
        }
        ImageSource::OciArchive { file } | ImageSource::DockerArchive { file } | ImageSource::RootFs { file } => {
            expect_file(folder, file, "this base is one tar file")
        }
    }
}

fn is_not(what: &str, help: &str) -> Problem {
    Problem::new(what).label("something else").help(help)
}

/// The target's metadata: a base may be reached through a link.
fn metadata(folder: &Path, path: &Path) -> Result<Metadata, Problem> {
    fs::metadata(folder.join(path)).map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &io::Error) -> Problem {
    if error.kind() == io::ErrorKind::NotFound {
        let problem = Problem::new(format!("there is no {} in the description's folder", path.display())).label("not found");
        return problem.help("create it, or correct the path; it is relative to the description");
    }
    Problem::new(format!("cannot read {}: {error}", path.display())).label("not readable").help("see that you may read it")
}

fn expect_file(folder: &Path, path: &Path, what: &str) -> Option<Problem> {
    match metadata(folder, path) {
        Err(problem) => Some(problem),
        Ok(metadata) if !metadata.is_file() => Some(is_not(&format!("{what}, and {} is none", path.display()), "name the file itself")),
        Ok(_) => None,
    }
}

fn source_problem(folder: &Path, path: &Path, file: &FileItem) -> Option<Problem> {
    // A link is laid as a link, wherever it leads: its target is not looked at.
    let metadata = match fs::symlink_metadata(folder.join(path)) {
        Ok(metadata) => metadata,
        Err(error) => return Some(cannot_read(path, &error)),
    };
    let shown = path.display();
    if metadata.is_dir() && file.mode.is_some() {
        return Some(is_not(
            &format!("`mode` is for single files, and {shown} is a directory"),
            "take `mode` out: files keep whether they are executable",
        ));
    }
    if metadata.is_dir() && file.unpack.is_some() {
        return Some(is_not(
            &format!("`unpack` is for archives, and {shown} is a directory"),
            "take `unpack` out: a directory's content is laid as it is",
        ));
    }
    if metadata.is_file() && !file.exclude.is_empty() {
        return Some(is_not(&format!("`exclude` is for directories, and {shown} is a file"), "take `exclude` out"));
    }
    let known = metadata.is_dir() || metadata.is_file() || metadata.is_symlink();
    (!known).then(|| is_not(&format!("{shown} is a device, a pipe or a socket"), "name a file or a directory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::{Style, render};
    use crate::digest::Digest;
    use crate::error::Kind;
    use crate::image_path::ImagePath;
    use crate::lock::{Base, Directories, DirectoryRule};

    const DESCRIPTION: &str = "schema = 1\nbase = \"ubuntu:24.04\"\n";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(description: &str) -> Self {
            let folder = Folder(tempfile::tempdir().unwrap());
            folder.write("byoi.toml", description)
        }

        fn write(self, name: &str, text: &str) -> Self {
            fs::write(self.0.path().join(name), text).unwrap();
            self
        }

        fn check(&self, locked: bool) -> Result<String, Error> {
            let mut out = Vec::new();
            check(&self.0.path().join("byoi.toml"), locked, &mut out)?;
            Ok(self.without_folder(&String::from_utf8(out).unwrap()))
        }

        fn refused(&self, locked: bool) -> String {
            let error = self.check(locked).unwrap_err();
            assert_eq!(error.fault().kind(), Kind::Input);
            self.without_folder(&render(&error, Style { colour: false, width: 200 }))
        }

        fn without_folder(&self, text: &str) -> String {
            text.replace(&format!("{}/", self.0.path().display()), "")
        }
    }

    fn lock_of(requirement: &str) -> String {
        let facts = Facts { shell: true, launcher: Some(ImagePath::literal("/usr/bin/sagemaker-code-editor")), ..Facts::default() };
        lock_with(requirement, facts)
    }

    fn lock_with(requirement: &str, facts: Facts) -> String {
        let root = DirectoryRule { mode: 0o755, uid: 0, gid: 0 };
        let directories = Directories { rules: [(ImagePath::root(), root)].into(), ..Directories::default() };
        let base = Base {
            requirement: requirement.to_owned(),
            digest: Some(Digest::of("x")),
            index: None,
            timestamp: jiff::Timestamp::UNIX_EPOCH,
            facts,
            directories,
        };
        Lock { base, conda: None, extensions: Vec::new(), files: Vec::new() }.to_toml()
    }

    #[test]
    fn says_how_description_and_lock_stand() {
        let folder = Folder::new(DESCRIPTION);
        assert_eq!(folder.check(false).unwrap(), "byoi.toml: nothing is wrong\nbyoi.lock: absent; `byoi lock` makes it\n");
        let folder = folder.write("byoi.lock", &lock_of("ubuntu:24.04"));
        assert_eq!(folder.check(true).unwrap(), "byoi.toml: nothing is wrong\nbyoi.lock: current\n");
        let folder = folder.write("byoi.lock", &lock_of("ubuntu:22.04"));
        insta::assert_snapshot!(folder.check(false).unwrap());
    }

    #[test]
    fn a_lock_that_is_asked_for_must_be_current() {
        let folder = Folder::new(DESCRIPTION);
        assert!(folder.refused(true).contains("there is no lock"));
        insta::assert_snapshot!(folder.write("byoi.lock", &lock_of("ubuntu:22.04")).refused(true));
    }

    #[test]
    fn a_broken_lock_is_an_error() {
        let folder = Folder::new(DESCRIPTION).write("byoi.lock", "version = 1\nformat = 1\n");
        assert!(folder.refused(false).contains("this is not a lock that byoi wrote"));
    }

    #[test]
    fn a_base_without_the_programs_that_an_image_needs_is_an_error() {
        let folder = Folder::new(DESCRIPTION).write("byoi.lock", &lock_with("ubuntu:24.04", Facts::default()));
        insta::assert_snapshot!(folder.refused(false));
        // Of another base nothing is known.
        assert!(folder.write("byoi.lock", &lock_with("ubuntu:22.04", Facts::default())).check(false).is_ok());
    }

    #[test]
    fn warnings_are_returned() {
        let folder = Folder::new(&format!("{DESCRIPTION}[env]\nAWS_PROFILE = \"x\"\n"));
        let warnings = check(&folder.0.path().join("byoi.toml"), false, &mut Vec::new()).unwrap();
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn local_files_must_be_what_they_are_named_as() {
        let text = r#"schema = 1
base = "oci:image"

[[extension]]
path = "mine.vsix"

[[extension]]
path = "dir"

[[file]]
source = "nothing"
target = "/opt/a"

[[file]]
source = "dir"
target = "/opt/b"
mode = "0644"

[[file]]
source = "dir"
target = "/opt/c"
unpack = true

[[file]]
source = "file"
target = "/opt/d"
exclude = ["*.tmp"]

[[file]]
source = "pipe"
target = "/opt/e"

[[file]]
source = "link"
target = "/opt/f"
"#;
        let folder = Folder::new(text).write("file", "").write("image", "");
        let path = folder.0.path();
        fs::create_dir(path.join("dir")).unwrap();
        std::os::unix::fs::symlink("/nowhere", path.join("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        insta::assert_snapshot!(folder.refused(false));
    }
}
