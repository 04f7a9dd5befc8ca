//! `[conda]` of a lock from text. What stands in it becomes names of files, variables of the image and URLs that are fetched, so each is judged.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;
use url::Url;

use super::{Wrong, sha256, timestamp, wrong};
use crate::digest::Digest;
use crate::image_path::ImagePath;
use crate::lock::{Conda, CondaEditor, CondaPackage, CondaRequirement, Noarch, Python, ReplacedPackage};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CondaForm {
    channels: Vec<String>,
    #[serde(default)]
    specs: Vec<String>,
    pixi_lock: Option<Digest>,
    prefix: Spanned<ImagePath>,
    existing: Spanned<String>,
    cuda: Option<String>,
    #[serde(default)]
    activation_scripts: Vec<Spanned<String>>,
    #[serde(default)]
    history: Vec<Spanned<String>>,
    python: Option<PythonForm>,
    editor: Option<EditorForm>,
    variables: Option<Spanned<BTreeMap<String, String>>>,
    #[serde(default)]
    package: Vec<Spanned<PackageForm>>,
    #[serde(default)]
    replaced: Vec<Spanned<ReplacedForm>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PythonForm {
    version: Spanned<String>,
    site_packages: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EditorForm {
    version: String,
    launcher: ImagePath,
    #[serde(default)]
    builtin_extensions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PackageForm {
    name: Spanned<String>,
    version: Spanned<String>,
    build: Spanned<String>,
    channel: Spanned<String>,
    subdir: Spanned<String>,
    url: Spanned<Url>,
    sha256: Spanned<String>,
    #[serde(default)]
    md5_only: bool,
    size: u64,
    timestamp: Option<Spanned<Datetime>>,
    noarch: Option<Spanned<String>>,
    depends: Option<Vec<String>>,
    constrains: Option<Vec<String>>,
    laid_size: u64,
    #[serde(default)]
    clobbered: Vec<Spanned<String>>,
    #[serde(default)]
    link_scripts: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ReplacedForm {
    name: Spanned<String>,
    version: Spanned<String>,
    build: Spanned<String>,
    removes: Vec<Spanned<String>>,
    #[serde(default)]
    makes_way: Vec<Spanned<String>>,
}

impl CondaForm {
    pub(super) fn conda(self) -> Result<Conda, Wrong> {
        let mut packages = BTreeMap::new();
        for form in self.package {
            let span = form.span();
            let package = form.into_inner().package()?;
            let doubled = wrong(format!("the lock has two packages named {}", package.name), span);
            if packages.insert(package.name.clone(), package).is_some() {
                return Err(doubled);
            }
        }
        let mut replaced = BTreeMap::new();
        for form in self.replaced {
            let span = form.span();
            let package = form.into_inner().package()?;
            let doubled = wrong(format!("the lock replaces the base's package {} twice", package.name), span);
            if replaced.insert(package.name.clone(), package).is_some() {
                return Err(doubled);
            }
        }
        if self.prefix.get_ref().is_root() {
            return Err(wrong("the root of the image is no prefix", self.prefix.span()));
        }
        let requirement = CondaRequirement {
            channels: self.channels,
            specs: self.specs,
            pixi_lock: self.pixi_lock,
            prefix: self.prefix.into_inner(),
            update_existing: update_existing(&self.existing)?,
            cuda: self.cuda,
        };
        Ok(Conda {
            requirement,
            python: self.python.map(PythonForm::python).transpose()?,
            editor: self.editor.map(EditorForm::editor),
            variables: self.variables.map(variables).transpose()?.unwrap_or_default(),
            activation_scripts: paths(self.activation_scripts)?,
            history: self.history.into_iter().map(history_line).collect::<Result<_, _>>()?,
            packages: packages.into_values().collect(),
            replaced: replaced.into_values().collect(),
        })
    }
}

/// A line of a history that says something of requests: `==> DATE <==` or a comment.
fn history_line(line: Spanned<String>) -> Result<String, Wrong> {
    let span = line.span();
    let line = line.into_inner();
    if line.starts_with(['=', '#']) && !line.contains(['\n', '\r', '\0']) { Ok(line) } else { Err(wrong("this is no line of a conda history", span)) }
}

impl PythonForm {
    fn python(self) -> Result<Python, Wrong> {
        Ok(Python { version: word(self.version)?, site_packages: path(self.site_packages)? })
    }
}

impl EditorForm {
    fn editor(self) -> CondaEditor {
        CondaEditor { version: self.version, launcher: self.launcher, builtin_extensions: self.builtin_extensions }
    }
}

impl PackageForm {
    fn package(self) -> Result<CondaPackage, Wrong> {
        Ok(CondaPackage {
            name: word(self.name)?,
            version: word(self.version)?,
            build: word(self.build)?,
            channel: channel(self.channel)?,
            subdir: subdir(self.subdir)?,
            url: archive(self.url)?,
            sha256: sha256(self.sha256)?,
            md5_only: self.md5_only,
            size: self.size,
            timestamp: self.timestamp.map(timestamp).transpose()?,
            noarch: noarch(self.noarch)?,
            depends: self.depends,
            constrains: self.constrains,
            laid_size: self.laid_size,
            clobbered: paths(self.clobbered)?,
            link_scripts: paths(self.link_scripts)?,
        })
    }
}

impl ReplacedForm {
    fn package(self) -> Result<ReplacedPackage, Wrong> {
        let removes = self.removes.into_iter().map(removed).collect::<Result<_, _>>()?;
        Ok(ReplacedPackage {
            name: word(self.name)?,
            version: word(self.version)?,
            build: word(self.build)?,
            removes,
            makes_way: paths(self.makes_way)?,
        })
    }
}

fn update_existing(existing: &Spanned<String>) -> Result<bool, Wrong> {
    match existing.get_ref().as_str() {
        "keep" => Ok(false),
        "update" => Ok(true),
        _ => Err(wrong("`existing` is `keep` or `update`", existing.span())),
    }
}

/// A part of a package's name: it becomes part of a file's name.
fn word(text: Spanned<String>) -> Result<String, Wrong> {
    let span = text.span();
    let text = text.into_inner();
    let fits = !text.is_empty() && !text.starts_with('.') && text.bytes().all(|c| c.is_ascii_graphic() && c != b'/' && c != b'\\');
    if fits { Ok(text) } else { Err(wrong("names, versions and builds of packages are visible ASCII without slashes", span)) }
}

fn subdir(text: Spanned<String>) -> Result<String, Wrong> {
    match text.get_ref().as_str() {
        "linux-64" | "noarch" => Ok(text.into_inner()),
        _ => Err(wrong("packages are of linux-64 or noarch", text.span())),
    }
}

fn noarch(text: Option<Spanned<String>>) -> Result<Noarch, Wrong> {
    match text {
        None => Ok(Noarch::No),
        Some(text) if text.get_ref() == "python" => Ok(Noarch::Python),
        Some(text) => Err(wrong("`noarch` is `python` or absent", text.span())),
    }
}

/// A channel's URL: it goes into the image's records of packages.
fn channel(text: Spanned<String>) -> Result<String, Wrong> {
    let open = |url: &Url| url.username().is_empty() && url.password().is_none();
    let fits = Url::parse(text.get_ref()).map_or_else(|_| !text.get_ref().contains('@'), |url| open(&url));
    if fits { Ok(text.into_inner()) } else { Err(wrong("the URL of a channel has no credentials", text.span())) }
}

/// The URL of an archive, whose name says how it is packed.
fn archive(url: Spanned<Url>) -> Result<Url, Wrong> {
    let span = url.span();
    let url = url.into_inner();
    if !matches!(url.scheme(), "http" | "https" | "file") || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("byoi fetches packages by https, http and file only, without credentials in the URL", span));
    }
    if !url.path().ends_with(".conda") && !url.path().ends_with(".tar.bz2") {
        return Err(wrong("a package is a .conda or .tar.bz2 archive", span));
    }
    Ok(url)
}

fn paths(texts: Vec<Spanned<String>>) -> Result<Vec<String>, Wrong> {
    texts.into_iter().map(path).collect()
}

/// A path below the prefix.
fn path(text: Spanned<String>) -> Result<String, Wrong> {
    let read = text.get_ref().parse::<ImagePath>();
    match read {
        Ok(path) if !path.is_root() && path.to_string() == *text.get_ref() => Ok(text.into_inner()),
        _ => Err(wrong("this is not a path below the prefix", text.span())),
    }
}

/// A path below the prefix, or with `/` at its end a directory there.
fn removed(text: Spanned<String>) -> Result<String, Wrong> {
    let span = text.span();
    let text = text.into_inner();
    let plain = Spanned::new(span, text.strip_suffix('/').unwrap_or(&text).to_owned());
    path(plain).map(|_| text)
}

fn variables(variables: Spanned<BTreeMap<String, String>>) -> Result<BTreeMap<String, String>, Wrong> {
    let is_name =
        |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    match variables.get_ref().iter().find(|(name, value)| !is_name(name) || value.contains('\0')) {
        Some((name, _)) => Err(wrong(format!("`{name}` is not a variable of an image"), variables.span())),
        None => Ok(variables.into_inner()),
    }
}
