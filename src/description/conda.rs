//! `[conda]`: channels, what is asked of them, and where it lies.
//!
//! Whether a text is a MatchSpec, and what a channel's name means, is for the solver to say; here is judged what can be without it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use url::Url;

use super::conda_model::{Activate, Conda, CondaSource, DEFAULT_PREFIX, Existing};
use super::document::{Findings, View};
use super::model::{FileItem, Spanned};
use super::owner::owner;
use super::target::{self, Place};
use super::{address, file};
use crate::contract::{GID, UID};
use crate::error::Problem;
use crate::image_path::ImagePath;

/// Longest prefix, in bytes: packages are built with a placeholder of 255, which the prefix must fit into.
const PREFIX_MAX: usize = 255;

/// Reads the table. `files` are the description's, for those that would lie in the environment's way.
pub(super) fn read(root: &View<'_>, files: &[FileItem], findings: &mut Findings) -> Option<Conda> {
    let table = root.table("conda")?;
    let channels = list(&table, "channels", channel, findings);
    let source = source(&table, findings);
    let owner = table.parsed("owner", owner, findings).unwrap_or((UID, GID));
    let existing = table.parsed("existing", existing, findings).unwrap_or_default();
    let activate = table.parsed("activate", activate, findings).unwrap_or_default();
    let allow_link_scripts = list(&table, "allow-link-scripts", package_name, findings);
    table.parsed("cuda", cuda, findings);
    let prefix = match table.has("prefix") {
        true => table.parsed("prefix", prefix, findings)?,
        false => ImagePath::literal(DEFAULT_PREFIX),
    };
    check_files(&prefix, files, findings);
    Some(Conda {
        channels,
        source: source?,
        prefix,
        existing,
        owner,
        activate,
        allow_link_scripts,
        cuda: table.text("cuda").map(|cuda| Spanned { value: cuda.value.to_owned(), span: cuda.span }),
        compile_bytecode: table.boolean("compile-bytecode").is_some_and(|compile| compile.value),
        span: table.span,
    })
}

fn source(table: &View<'_>, findings: &mut Findings) -> Option<CondaSource> {
    if table.has("packages") {
        return Some(CondaSource::Packages(list(table, "packages", spec, findings)));
    }
    let key = if table.has("environment") { "environment" } else { "lock" };
    let path: PathBuf = address::local(table, key, findings)?;
    let text = table.text(key)?;
    if let Err(problem) = input_file(key, text.value) {
        findings.error(&text.span, problem);
    }
    let path = Spanned { value: path, span: text.span };
    Some(if key == "environment" { CondaSource::Environment(path) } else { CondaSource::Lock(path) })
}

/// The texts of a list, each judged, none twice; a list that is there is not empty.
fn list(table: &View<'_>, key: &str, judge: fn(&str) -> Result<(), Problem>, findings: &mut Findings) -> Vec<Spanned<String>> {
    let texts = table.texts(key);
    let mut seen = BTreeSet::new();
    for text in &texts {
        match judge(text.value) {
            Err(problem) => findings.error(&text.span, problem),
            Ok(()) if !seen.insert(text.value) => {
                let problem = Problem::new(format!("`{}` stands twice in `{key}`", text.value)).label("a second time");
                findings.error(&text.span, problem.help("take one of them out"));
            }
            Ok(()) => {}
        }
    }
    if table.is_empty_array(key)
        && let Some(span) = table.value_span(key)
    {
        findings.error(&span, empty(key));
    }
    texts.into_iter().map(|text| Spanned { value: text.value.to_owned(), span: text.span }).collect()
}

fn empty(key: &str) -> Problem {
    match key {
        "packages" => {
            let problem = Problem::new("`packages` names no package: an environment of nothing would be built").label("empty");
            problem.help("name a package, such as \"python =3.12\", or take [conda] out")
        }
        "channels" => {
            let problem = Problem::new("`channels` names no channel: packages come from nowhere else").label("empty");
            problem.help("name a channel, such as \"conda-forge\"")
        }
        _ => Problem::new(format!("`{key}` names nothing")).label("empty").help("take the key out"),
    }
}

/// Whether a text can name a channel: by a name, a URL, or a directory.
fn channel(text: &str) -> Result<(), Problem> {
    let bad = |message: &str, label: &str, help: &str| Err(Problem::new(message).label(label).help(help));
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("a channel is a name, a URL or a directory, without spaces", "not a channel", "write a channel such as \"conda-forge\"");
    }
    if text.contains("://") {
        return channel_url(text);
    }
    if text == "defaults" || text == "nodefaults" {
        let help = "write \"https://repo.anaconda.com/pkgs/main\" for Anaconda's own packages, mind its terms, or use \"conda-forge\"";
        return bad("`defaults` stands for several channels that conda's configuration of one machine names", "not one channel", help);
    }
    if text.starts_with(['/', '~']) || text.split('/').any(|part| part == "..") {
        let help = "write \"./DIRECTORY\" for one below the description's folder, or \"file:///DIRECTORY\" for one of this machine";
        return bad("a directory as a channel lies in the description's folder, so that it means the same on every machine", "leads elsewhere", help);
    }
    if let Some(directory) = text.strip_prefix("./") {
        let named = directory.split('/').any(|part| !matches!(part, "" | "."));
        return if named { Ok(()) } else { bad("the description's own folder is no channel", "no directory", "write \"./DIRECTORY\"") };
    }
    let name = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c));
    if !text.split('/').all(name) {
        let help = "write a name as \"conda-forge\" or \"conda-forge/label/dev\", a URL, or \"./DIRECTORY\"; the platform is always linux-64";
        return bad("this is neither the name of a channel nor a URL nor a directory", "not a channel", help);
    }
    Ok(())
}

fn channel_url(text: &str) -> Result<(), Problem> {
    let bad = |message: String, label: &str, help: &str| Err(Problem::new(message).label(label).help(help));
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return bad(format!("this is not a URL: {error}"), "not a URL", "write a whole URL that begins with https://"),
    };
    if !matches!(url.scheme(), "http" | "https" | "file") {
        let message = format!("byoi reaches channels by https, http and file only, not by `{}`", url.scheme());
        return bad(message, "another scheme", "use an https URL");
    }
    let has_token = url.path().starts_with("/t/") || url.path().contains("/t/tk-");
    if !url.username().is_empty() || url.password().is_some() || has_token {
        let message = "the URL of a channel holds no credentials: the file lies in git, and the lock repeats it".to_owned();
        return bad(message, "credentials", "take them out, and put them into rattler's auth file (`RATTLER_AUTH_FILE`) or netrc");
    }
    if url.fragment().is_some() || url.query().is_some() {
        return bad("the URL of a channel has no query and no fragment".to_owned(), "query or fragment", "take what follows `?` or `#` out");
    }
    Ok(())
}

/// Whether a text can be a MatchSpec; the solver knows the rest.
fn spec(text: &str) -> Result<(), Problem> {
    let bad = |message: &str, label: &str, help: &str| Err(Problem::new(message).label(label).help(help));
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return bad("a package is named by a MatchSpec on one line", "not a MatchSpec", "write a spec such as \"scrapy >=2.11\"");
    }
    if text.starts_with('-') {
        return bad("options of `conda install` are keys of [conda]", "an option", "see `channels`, `prefix` and `existing`");
    }
    let is_archive = text.ends_with(".conda") || text.ends_with(".tar.bz2");
    if is_archive && text.contains('/') {
        let help = "name the package by a MatchSpec, and the directory or URL that holds it as a channel: it needs an index (`conda index`)";
        return bad("a package comes from a channel, not from an archive's path or URL", "an archive", help);
    }
    if text.starts_with("pip:") {
        return bad("[conda] takes conda packages only, not PyPI's", "a PyPI package", "name the conda package of the same project");
    }
    Ok(())
}

/// Whether a text is the name of a package, with no version.
fn package_name(text: &str) -> Result<(), Problem> {
    let is_name = !text.is_empty() && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c));
    if is_name {
        return Ok(());
    }
    let problem = Problem::new("this is not the name of a package: those are lower case, and no version goes with them").label("not a name");
    Err(problem.help("write the name alone, such as \"fontconfig\""))
}

fn input_file(key: &str, text: &str) -> Result<(), Problem> {
    let yaml = text.ends_with(".yml") || text.ends_with(".yaml");
    match key {
        "environment" if !yaml => {
            let problem = Problem::new("`environment` names an environment file, which is YAML").label("not .yml");
            Err(problem.help("write environment = \"environment.yml\"; for a pixi.lock the key is `lock`"))
        }
        "lock" if yaml => {
            let problem = Problem::new("`lock` names a pixi.lock, and this is another file").label("not a pixi.lock");
            Err(problem.help("write lock = \"pixi.lock\"; for an environment.yml the key is `environment`"))
        }
        _ => Ok(()),
    }
}

fn prefix(text: &str) -> Result<ImagePath, Problem> {
    let path = target::parse(text, Place::Prefix)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+@/-".contains(c);
    if !text.chars().all(is_plain) {
        let problem = Problem::new("the prefix stands in scripts, in `#!` lines and in PATH, where other signs have a meaning").label("odd signs");
        return Err(problem.help("use letters, digits and `. _ + @ -` alone"));
    }
    if path.absolute().len() > PREFIX_MAX {
        let message = format!("packages have room for a prefix of {PREFIX_MAX} bytes, and this one has {}", path.absolute().len());
        return Err(Problem::new(message).label("too long").help("choose a shorter path, such as \"/opt/conda\""));
    }
    Ok(path)
}

fn existing(text: &str) -> Result<Existing, Problem> {
    match text {
        "keep" => Ok(Existing::Keep),
        "update" => Ok(Existing::Update),
        _ => {
            let problem = Problem::new("packages of the base are kept, or may be updated").label("neither");
            Err(problem.help("write existing = \"keep\" or existing = \"update\""))
        }
    }
}

fn activate(text: &str) -> Result<Activate, Problem> {
    match text {
        "env" => Ok(Activate::Env),
        "entrypoint" => Ok(Activate::Entrypoint),
        _ => {
            let problem = Problem::new("an environment is activated by the image's variables, or also by its entrypoint").label("neither");
            Err(problem.help("write activate = \"env\" or activate = \"entrypoint\""))
        }
    }
}

fn cuda(text: &str) -> Result<(), Problem> {
    let parts: Vec<_> = text.split('.').collect();
    let is_number = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
    if parts.len() <= 3 && parts.iter().all(is_number) {
        return Ok(());
    }
    let problem = Problem::new("`cuda` is the version of CUDA that the instances' driver supports, in numbers").label("not a version");
    Err(problem.help("write the version that `nvidia-smi` shows there, such as \"12.4\""))
}

/// Single files where the prefix must be a directory.
fn check_files(prefix: &ImagePath, files: &[FileItem], findings: &mut Findings) {
    for file in files.iter().filter(|file| file::is_single(file) && prefix.starts_with(&file.target)) {
        let message = format!("{} must be a directory: the conda environment lies in {}", file.target.absolute(), prefix.absolute());
        findings.error(&file.span, Problem::new(message).label("a single file").help("change the file's target, or the prefix"));
    }
}
