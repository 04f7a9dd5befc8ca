//! `[[extension]]`: what the editor is extended with.

use std::collections::BTreeSet;

use super::address;
use super::document::{Findings, View};
use super::grammar::EXTENSION;
use super::model::{Extension, ExtensionOrigin};
use crate::error::Problem;

/// Longest owner and repository name on GitHub.
const OWNER_MAX: usize = 39;
const REPOSITORY_MAX: usize = 100;

/// Reads all extensions.
pub(super) fn read(root: &View<'_>, findings: &mut Findings) -> Vec<Extension> {
    let mut extensions = Vec::new();
    let mut requirements = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for table in root.tables("extension") {
        let sha256 = address::sha256(&table, findings);
        let Some(origin) = origin(&table, findings) else { continue };
        if !requirements.insert(origin.requirement()) {
            let problem = Problem::new(format!("{} stands twice", origin.requirement())).label("a second time");
            findings.error(&table.span, problem.help("take one of them out"));
        } else if let ExtensionOrigin::OpenVsx { id, .. } = &origin
            && !ids.insert(id.to_lowercase())
        {
            let problem = Problem::new(format!("the extension {id} stands twice, in two versions")).label("another version");
            findings.error(&table.span, problem.help("an editor loads one version of an extension: take one of them out"));
        }
        extensions.push(Extension { span: table.origin_span(EXTENSION.forms), origin, sha256 });
    }
    extensions
}

fn origin(table: &View<'_>, findings: &mut Findings) -> Option<ExtensionOrigin> {
    if table.has("github") {
        return github(table, findings);
    }
    if table.has("open-vsx") {
        return open_vsx(table, findings);
    }
    if table.has("url") {
        return Some(ExtensionOrigin::Url(address::url(table, findings)?));
    }
    Some(ExtensionOrigin::Path(address::local(table, "path", findings)?))
}

fn github(table: &View<'_>, findings: &mut Findings) -> Option<ExtensionOrigin> {
    let repository = checked(table, "github", repository, findings);
    let tag = checked(table, "tag", tag, findings);
    let asset = checked(table, "asset", asset, findings);
    Some(ExtensionOrigin::GitHub { repository: repository?, tag: tag?, asset: asset? })
}

fn open_vsx(table: &View<'_>, findings: &mut Findings) -> Option<ExtensionOrigin> {
    let id = checked(table, "open-vsx", open_vsx_id, findings);
    let version = checked(table, "version", version, findings);
    Some(ExtensionOrigin::OpenVsx { id: id?, version: version? })
}

/// The text at `key`, where `check` has nothing against it.
fn checked(table: &View<'_>, key: &str, check: fn(&str) -> Result<(), Problem>, findings: &mut Findings) -> Option<String> {
    let text = table.text(key)?;
    match check(text.value) {
        Ok(()) => Some(text.value.to_owned()),
        Err(problem) => {
            findings.error(&text.span, problem);
            None
        }
    }
}

fn repository(text: &str) -> Result<(), Problem> {
    let is_owner = |owner: &str| {
        let inner = owner.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        (1..=OWNER_MAX).contains(&owner.len()) && inner && !owner.starts_with('-')
    };
    let is_name = |name: &str| {
        let inner = name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c));
        (1..=REPOSITORY_MAX).contains(&name.len()) && inner && name != "." && name != ".."
    };
    if text.split_once('/').is_some_and(|(owner, name)| is_owner(owner) && is_name(name)) {
        return Ok(());
    }
    let problem = Problem::new("`github` names a repository as OWNER/NAME").label("not OWNER/NAME");
    Err(match text.split_once("github.com/") {
        Some((_, rest)) => {
            let short: Vec<_> = rest.split('/').take(2).collect();
            problem.help(format!("write github = \"{}\"", short.join("/").trim_end_matches(".git")))
        }
        None => problem.help("write it as it stands in the repository's URL, such as \"VSCodeVim/Vim\""),
    })
}

/// What git allows in a tag's name (`git check-ref-format`).
fn tag(text: &str) -> Result<(), Problem> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    let bad =
        text.is_empty() || text.contains(odd) || text.contains("..") || text.contains("//") || text.starts_with(['-', '/']) || text.ends_with('/');
    if !bad {
        return Ok(());
    }
    Err(Problem::new("this is not the name of a tag")
        .label("not a tag")
        .help("write one exact tag as the release page shows it, such as \"v1.27.2\""))
}

fn asset(text: &str) -> Result<(), Problem> {
    if !text.is_empty() && !text.contains(['/', '\\']) && !text.contains(char::is_control) && text != "." && text != ".." {
        return Ok(());
    }
    let problem = Problem::new("`asset` is the file name of one asset of the release").label("not a file name");
    Err(problem.help("write the name as the release page shows it, such as \"vim-1.27.2.vsix\""))
}

fn open_vsx_id(text: &str) -> Result<(), Problem> {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
    if text.split_once('.').is_some_and(|(namespace, name)| is_part(namespace) && is_part(name)) {
        return Ok(());
    }
    let problem = Problem::new("`open-vsx` names an extension as NAMESPACE.NAME").label("not NAMESPACE.NAME");
    let id = text.rsplit_once("open-vsx.org/extension/").map_or(text, |(_, id)| id);
    if let Some((id, version)) = id.split_once('@') {
        return Err(problem.help(format!("the version has a key of its own: version = \"{version}\" beside open-vsx = \"{id}\"")));
    }
    let parts: Vec<_> = id.split('/').collect();
    Err(match parts[..] {
        [namespace, name, ..] if is_part(namespace) && is_part(name) => problem.help(format!("write open-vsx = \"{namespace}.{name}\"")),
        _ => problem.help("write the id as the extension's page shows it, such as \"ms-python.python\""),
    })
}

fn version(text: &str) -> Result<(), Problem> {
    let begins = text.starts_with(|c: char| c.is_ascii_digit());
    let wild = text.split('.').any(|part| part.eq_ignore_ascii_case("x"));
    if begins && !wild && text.bytes().all(|c| c.is_ascii_alphanumeric() || b".+-".contains(&c)) {
        return Ok(());
    }
    let problem = Problem::new("a description names one exact version of an extension, no range and no `latest`").label("not an exact version");
    Err(problem.help("write a version as the extension's page lists it, such as \"2023.20.0\""))
}
