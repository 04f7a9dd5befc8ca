//! A lock from text, strictly: what this program did not write is an error, so that nothing in a lock is ever silently ignored.

mod conda;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use toml::value::Datetime;
use toml::{Spanned, de::DeTable};
use url::Url;

use super::model::{Base, BaseExtension, Directories, DirectoryRule, Extension, FORMAT, Facts, File, Lock, Text, VERSION};
use crate::digest::Digest;
use crate::error::{Error, Problem, Source};
use crate::image_path::ImagePath;

/// Longest lock, in bytes.
const MAX_SIZE: usize = 16 << 20;

const REMAKE: &str = "delete the file and run `byoi lock`: it makes it anew from the description";

/// Reads a lock. `name` is the file's name for messages.
///
/// # Errors
/// When the text is not a whole lock of this program's version and format; with its place and what to do.
pub fn parse(name: &str, text: &str) -> Result<Lock, Error> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    read(text).map_err(|(problem, span)| {
        let span = span.map_or(0..0, |span| span.start.min(text.len())..span.end.min(text.len()));
        Error::input(problem.at(&source, span))
    })
}

/// A problem and where it is.
type Wrong = (Problem, Option<Range<usize>>);

fn wrong(message: impl Into<String>, span: Range<usize>) -> Wrong {
    (Problem::new(message).help(REMAKE), Some(span))
}

fn read(text: &str) -> Result<Lock, Wrong> {
    if text.len() > MAX_SIZE {
        return Err((Problem::new(format!("the lock has {} bytes, more than a lock can have ({MAX_SIZE})", text.len())).help(REMAKE), None));
    }
    check_versions(text)?;
    let form: LockForm = toml::from_str(text).map_err(toml_problem(text))?;
    form.lock()
}

fn toml_problem(text: &str) -> impl FnOnce(toml::de::Error) -> Wrong {
    let conflict = text.lines().any(|line| line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>"));
    move |error| {
        let message = error.message().trim_end();
        let problem = if conflict {
            let problem = Problem::new("the lock holds the two sides of a merge that git could not join");
            problem
                .help("take one side (`git checkout --ours` or `--theirs` on the file), then run `byoi lock`: it adds what the description asks for")
        } else {
            Problem::new(format!("this is not a lock that byoi wrote: {message}")).help(REMAKE)
        };
        (problem, error.span())
    }
}

/// Tells a lock of another version before its form is judged.
fn check_versions(text: &str) -> Result<(), Wrong> {
    let document = DeTable::parse(text).map_err(toml_problem(text))?;
    for (key, own, what) in [("version", VERSION, "form"), ("format", FORMAT, "format of images")] {
        let Some(value) = document.get_ref().get(key) else {
            return Err(wrong(format!("the lock has no `{key}`"), 0..0));
        };
        let found = value.get_ref().as_integer().and_then(|value| u32::from_str_radix(value.as_str(), value.radix()).ok());
        match found {
            Some(found) if found == own => {}
            Some(found) if found > own => {
                let message = format!("the lock has {what} {found}, and this byoi knows {own}");
                let help = "use the newer byoi that wrote it (`byoi --version` says which this is)";
                return Err((Problem::new(message).label("newer").help(help), Some(value.span())));
            }
            Some(found) => return Err(wrong(format!("the lock has {what} {found}, and this byoi writes {own}"), value.span())),
            None => return Err(wrong(format!("`{key}` is not a version number"), value.span())),
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LockForm {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "format")]
    _format: u32,
    base: BaseForm,
    conda: Option<conda::CondaForm>,
    #[serde(default)]
    extension: Vec<Spanned<ExtensionForm>>,
    #[serde(default)]
    file: Vec<Spanned<FileForm>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseForm {
    requirement: String,
    digest: Option<Digest>,
    index: Option<Digest>,
    timestamp: Spanned<Datetime>,
    facts: FactsForm,
    #[serde(default)]
    extension: Vec<Spanned<BaseExtensionForm>>,
    #[serde(default)]
    text: Vec<Spanned<TextForm>>,
    directories: DirectoriesForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FactsForm {
    editor: Option<String>,
    launcher: Option<ImagePath>,
    entrypoint: Option<ImagePath>,
    glibc: Option<String>,
    shell: bool,
    sudo: bool,
    #[serde(default)]
    builtin_extensions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseExtensionForm {
    directory: String,
    id: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextForm {
    path: ImagePath,
    mode: Spanned<String>,
    owner: Spanned<String>,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoriesForm {
    rules: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    links: BTreeMap<ImagePath, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtensionForm {
    requirement: String,
    id: String,
    version: String,
    url: Spanned<Url>,
    sha256: Spanned<String>,
    size: u64,
    engine: String,
    platform: Option<String>,
    timestamp: Spanned<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    requirement: Spanned<Url>,
    sha256: Spanned<String>,
    size: u64,
}

impl LockForm {
    fn lock(self) -> Result<Lock, Wrong> {
        let mut requirements = BTreeSet::new();
        let mut extensions = BTreeMap::new();
        for form in self.extension {
            let span = form.span();
            let extension = form.into_inner().extension()?;
            let doubled = wrong(format!("the lock has two entries for the extension {}", extension.id), span);
            let new = requirements.insert(extension.requirement.clone());
            if extensions.insert(extension.id.clone(), extension).is_some() || !new {
                return Err(doubled);
            }
        }
        let mut files = BTreeMap::new();
        for form in self.file {
            let span = form.span();
            let file = form.into_inner().file()?;
            let doubled = wrong(format!("the lock has two entries for {}", file.requirement), span);
            if files.insert(file.requirement.clone(), file).is_some() {
                return Err(doubled);
            }
        }
        let conda = self.conda.map(conda::CondaForm::conda).transpose()?;
        Ok(Lock { base: self.base.base()?, conda, extensions: extensions.into_values().collect(), files: files.into_values().collect() })
    }
}

impl BaseForm {
    fn base(self) -> Result<Base, Wrong> {
        let mut extensions = BTreeMap::new();
        for form in self.extension {
            let span = form.span();
            let BaseExtensionForm { directory, id, version } = form.into_inner();
            if extensions.insert(directory.clone(), BaseExtension { id, version }).is_some() {
                return Err(wrong(format!("the lock has two entries for the base's extension {directory}"), span));
            }
        }
        let mut texts = BTreeMap::new();
        for form in self.text {
            let span = form.span();
            let TextForm { path, mode, owner, content } = form.into_inner();
            let text = Text { mode: mode_of(mode.get_ref(), mode.span())?, owner: owner_of(owner.get_ref(), owner.span())?, content };
            if texts.insert(path.clone(), text).is_some() {
                return Err(wrong(format!("the lock has two texts of {}", path.absolute()), span));
            }
        }
        let FactsForm { editor, launcher, entrypoint, glibc, shell, sudo, builtin_extensions } = self.facts;
        let facts = Facts { editor, launcher, entrypoint, glibc, shell, sudo, builtin_extensions, extensions, texts };
        Ok(Base {
            requirement: self.requirement,
            digest: self.digest,
            index: self.index,
            timestamp: timestamp(self.timestamp)?,
            facts,
            directories: self.directories.directories()?,
        })
    }
}

impl DirectoriesForm {
    fn directories(self) -> Result<Directories, Wrong> {
        let mut rules = BTreeMap::new();
        let span = self.rules.span();
        for line in self.rules.into_inner() {
            let (path, rule) = rule(line.get_ref(), line.span())?;
            if rules.insert(path, rule).is_some() {
                return Err(wrong("the lock has two rules for this directory", line.span()));
            }
        }
        if !rules.contains_key(&ImagePath::root()) {
            return Err(wrong("the lock has no rule for the base's root directory", span));
        }
        Ok(Directories { rules, links: self.links })
    }
}

impl ExtensionForm {
    fn extension(self) -> Result<Extension, Wrong> {
        Ok(Extension {
            requirement: self.requirement,
            id: self.id,
            version: self.version,
            url: web(self.url)?,
            sha256: sha256(self.sha256)?,
            size: self.size,
            engine: self.engine,
            platform: self.platform,
            timestamp: timestamp(self.timestamp)?,
        })
    }
}

impl FileForm {
    fn file(self) -> Result<File, Wrong> {
        Ok(File { requirement: web(self.requirement)?, sha256: sha256(self.sha256)?, size: self.size })
    }
}

/// A URL that byoi may fetch: a lock comes from a repository, which may be anyone's.
fn web(url: Spanned<Url>) -> Result<Url, Wrong> {
    let span = url.span();
    let url = url.into_inner();
    match matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() {
        true => Ok(url),
        false => Err(wrong("byoi fetches by https and http only, without credentials in the URL", span)),
    }
}

fn sha256(text: Spanned<String>) -> Result<Digest, Wrong> {
    let digest = Digest::from_hex(text.get_ref());
    digest.map_err(|_| wrong("a sha256 is 64 hexadecimal digits", text.span()))
}

fn timestamp(value: Spanned<Datetime>) -> Result<Timestamp, Wrong> {
    value.get_ref().to_string().parse().map_err(|_| wrong("this is not a time with a date and an offset", value.span()))
}

fn mode_of(text: &str, span: Range<usize>) -> Result<u16, Wrong> {
    let octal = text.len() == 4 && text.bytes().all(|c| (b'0'..=b'7').contains(&c));
    octal.then(|| u16::from_str_radix(text, 8).ok()).flatten().ok_or_else(|| wrong("a mode is four octal digits", span))
}

fn owner_of(text: &str, span: Range<usize>) -> Result<(u32, u32), Wrong> {
    let id = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let owner = text.split_once(':').and_then(|(uid, gid)| Some((id(uid)?, id(gid)?)));
    owner.ok_or_else(|| wrong("an owner is two numbers, UID:GID", span))
}

/// `path mode uid:gid`; the path may hold spaces.
fn rule(line: &str, span: Range<usize>) -> Result<(ImagePath, DirectoryRule), Wrong> {
    let mut parts = line.rsplitn(3, ' ');
    let (Some(owner), Some(mode), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong("a rule is `path mode uid:gid`", span));
    };
    let path = path.parse::<ImagePath>().map_err(|error| wrong(error.to_string(), span.clone()))?;
    let mode = mode_of(mode, span.clone())?;
    let (uid, gid) = owner_of(owner, span)?;
    Ok((path, DirectoryRule { mode, uid, gid }))
}
