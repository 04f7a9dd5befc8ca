//! What extensions and files have in common: URLs, digests, and paths in the description's folder.

use std::path::{Component, Path, PathBuf};

use url::Url;

use super::document::{Findings, View};
use crate::digest::Digest;
use crate::error::Problem;

/// Reads `url`: `http` or `https`, no credentials, no fragment.
pub(super) fn url(table: &View<'_>, findings: &mut Findings) -> Option<Url> {
    let text = table.text("url")?;
    match parse_url(text.value) {
        Ok(url) => {
            if is_open_to_change(&url) && !table.has("sha256") {
                let problem = Problem::new("plain http lets anyone on the way change the file before it is locked").label("not encrypted");
                findings.warn(&text.span, problem.help("use https, or write the file's sha256 beside it"));
            }
            Some(url)
        }
        Err(problem) => {
            findings.error(&text.span, problem);
            None
        }
    }
}

fn parse_url(text: &str) -> Result<Url, Problem> {
    let bad = |message: String, label: &str, help: &str| Err(Problem::new(message).label(label).help(help));
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("a URL has no spaces or control characters".to_owned(), "odd characters", "write them as %20 and the like, or take them out");
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return bad(format!("this is not a URL: {error}"), "not a URL", "write a whole URL that begins with https://"),
    };
    if !matches!(url.scheme(), "http" | "https") || !text.contains("://") {
        let message = format!("byoi fetches by https and http only, not by `{}`", url.scheme());
        return bad(message, "another scheme", "use an https URL; a file of your own goes beside the description and is named by its path");
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "take the credentials out; tokens belong in the environment or in config.toml";
        return bad("a URL in a description holds no credentials: the file lies in git, and the lock repeats it".to_owned(), "credentials", help);
    }
    if url.fragment().is_some() {
        return bad("a fragment (`#…`) is never sent to the server".to_owned(), "fragment", "take the fragment out");
    }
    Ok(url)
}

fn is_open_to_change(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !loopback
}

/// Reads `sha256`.
pub(super) fn sha256(table: &View<'_>, findings: &mut Findings) -> Option<Digest> {
    let text = table.text("sha256")?;
    let digest = Digest::from_hex(text.value).ok();
    if digest.is_none() {
        let problem = Problem::new("a sha256 is 64 hexadecimal digits").label(format!("{} characters", text.value.chars().count()));
        findings.error(&text.span, problem.help("write the first word that `sha256sum FILE` prints, without `sha256:`"));
    }
    digest
}

/// Reads a path of the description's folder, without its `.` components.
pub(super) fn local(table: &View<'_>, key: &str, findings: &mut Findings) -> Option<PathBuf> {
    let text = table.text(key)?;
    let bad = |message: &str, label: &str| Problem::new(format!("`{key}` {message}")).label(label);
    let help = "name a path in the description's own folder, relative to it: only those are part of what is built";
    let path = Path::new(text.value);
    let problem = if text.value.is_empty() {
        bad("is empty", "empty")
    } else if text.value.contains('\0') {
        bad("holds a NUL byte, which no path can", "NUL byte")
    } else if text.value.starts_with("~/") {
        bad("begins with `~`, which byoi does not expand: a description means the same for everyone", "home directory")
    } else if path.is_absolute() {
        bad("must be relative to the description's folder, so that it means the same on every machine", "absolute path")
    } else if path.components().any(|part| part == Component::ParentDir) {
        bad("must stay in the description's folder", "leads out with `..`")
    } else {
        return Some(path.components().filter(|part| *part != Component::CurDir).collect());
    };
    findings.error(&text.span, problem.help(help));
    None
}
