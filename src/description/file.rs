//! `[[file]]`: files, directories and archives.

use std::collections::BTreeMap;
use std::ops::Bound;

use globset::GlobBuilder;

use super::address;
use super::document::{Findings, View};
use super::grammar::FILE;
use super::model::{FileItem, FileOrigin, Spanned, Unpack};
use super::owner::owner;
use super::target::{self, Place};
use crate::error::Problem;
use crate::image_path::ImagePath;

/// Reads all files.
pub(super) fn read(root: &View<'_>, findings: &mut Findings) -> Vec<FileItem> {
    let mut files: Vec<FileItem> = Vec::new();
    let mut by_target: BTreeMap<ImagePath, FileItem> = BTreeMap::new();
    for table in root.tables("file") {
        let Some(file) = file(&table, findings) else { continue };
        if let Some(problem) = conflict(&by_target, &file) {
            findings.error(&table.value_span("target").unwrap_or(table.span), problem);
        }
        by_target.entry(file.target.clone()).or_insert_with(|| file.clone());
        files.push(file);
    }
    files
}

fn file(table: &View<'_>, findings: &mut Findings) -> Option<FileItem> {
    let unpack = unpack(table, findings);
    let is_file = table.has("content") || table.has("mode") || (table.has("url") && unpack.is_none());
    let place = if is_file { Place::File } else { Place::Directory };
    let origin = origin(table, findings);
    let mode = table.parsed("mode", mode, findings);
    let owner = table.parsed("owner", owner, findings);
    let target = table.parsed("target", |text| target::parse(text, place), findings);
    let exclude = exclude(table, findings);
    if unpack.is_some() {
        check_unpacked(table, findings);
    }
    Some(FileItem { span: table.origin_span(FILE.forms), origin: origin?, target: target?, mode, owner: owner.unwrap_or((0, 0)), exclude, unpack })
}

fn origin(table: &View<'_>, findings: &mut Findings) -> Option<FileOrigin> {
    let sha256 = address::sha256(table, findings);
    if table.has("source") {
        return Some(FileOrigin::Source(address::local(table, "source", findings)?));
    }
    if let Some(content) = table.text("content") {
        return Some(FileOrigin::Content(content.value.to_owned()));
    }
    Some(FileOrigin::Url { url: address::url(table, findings)?, sha256 })
}

fn unpack(table: &View<'_>, findings: &mut Findings) -> Option<Unpack> {
    let unpack = table.boolean("unpack").is_some_and(|unpack| unpack.value);
    let strip = table.integer("strip");
    if let Some(strip) = &strip
        && !unpack
        && !table.has("content")
    {
        let problem = Problem::new("`strip` cuts the paths of an archive's members, and nothing is unpacked here").label("without `unpack`");
        findings.error(&strip.span, problem.help("add `unpack = true`, or take `strip` out"));
    }
    unpack.then(|| Unpack { strip: strip.map_or(0, |strip| usize::try_from(strip.value).unwrap_or(0)) })
}

/// Keys that mean nothing for an archive that is unpacked.
fn check_unpacked(table: &View<'_>, findings: &mut Findings) {
    for (key, why) in [("mode", "the members of an archive have modes of their own"), ("exclude", "an archive is unpacked whole")] {
        if table.has(key) && !table.has("content") {
            let problem = Problem::new(format!("`{key}` means nothing beside `unpack`: {why}")).label("beside `unpack`");
            findings.error(&table.key_span(key), problem.help("take it out, or unpack the archive yourself and name the directory as `source`"));
        }
    }
}

fn mode(text: &str) -> Result<u16, Problem> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|c| (b'0'..=b'7').contains(&c));
    let Some(mode) = octal.then(|| u16::from_str_radix(text, 8).ok()).flatten() else {
        let problem = Problem::new("a mode is three or four octal digits").label("not a mode");
        return Err(problem.help("write \"0644\" for a file that all may read, \"0755\" for one that all may run"));
    };
    if mode & 0o7000 == 0 {
        return Ok(mode);
    }
    // A setuid file in an image is a door to root for everyone in the space that no review of a package has seen; setgid is the same for
    // groups, and sticky means nothing on a file. The door that the language has is `[account] sudo`.
    let problem = Problem::new("setuid, setgid and sticky bits cannot be given: such a file would be a way to root beside the declared one");
    Err(problem
        .label("more than permissions")
        .help(format!("write \"0{:03o}\"; users who must become root get `[account] sudo = true`", mode & 0o777)))
}

fn exclude(table: &View<'_>, findings: &mut Findings) -> Vec<String> {
    let patterns = table.texts("exclude");
    for pattern in &patterns {
        if let Some(problem) = pattern_problem(pattern) {
            findings.error(&pattern.span, problem);
        }
    }
    patterns.into_iter().map(|pattern| pattern.value.to_owned()).collect()
}

fn pattern_problem(pattern: &Spanned<&str>) -> Option<Problem> {
    let glob = pattern.value.strip_prefix('!').unwrap_or(pattern.value);
    if glob.trim_matches('/').trim().is_empty() {
        return Some(Problem::new("this pattern matches nothing").label("empty").help("write a pattern such as \"**/*.tmp\", or take it out"));
    }
    if glob.split('/').any(|part| part == "..") {
        let problem = Problem::new("patterns are relative to the source, and nothing above it is taken").label("leads out with `..`");
        return Some(problem.help("take the `..` out"));
    }
    let error = GlobBuilder::new(glob).literal_separator(true).build().err()?;
    let problem = Problem::new(format!("this is not a pattern: {}", error.kind())).label("not a pattern");
    Some(problem.help("patterns are as in .dockerignore: `*`, `?`, `[a-z]` and `**`; a backslash takes a sign literally"))
}

/// Whether what lies at the target is surely one file, not a directory.
pub(super) fn is_single(file: &FileItem) -> bool {
    match &file.origin {
        FileOrigin::Content(_) => true,
        FileOrigin::Source(_) => file.mode.is_some(),
        FileOrigin::Url { .. } => file.unpack.is_none(),
    }
}

/// What is wrong with a file beside earlier ones. Two directories may be laid in one place: what they hold is compared when it is known.
fn conflict(earlier: &BTreeMap<ImagePath, FileItem>, file: &FileItem) -> Option<Problem> {
    if let Some(other) = earlier.get(&file.target)
        && (is_single(other) || is_single(file) || other.origin == file.origin)
    {
        let problem = Problem::new(format!("{} is the target of two [[file]]s", file.target.absolute()));
        return Some(problem.label("a second time").help("take one of them out"));
    }
    let is_file = |path: &ImagePath| earlier.get(path).is_some_and(is_single);
    let above =
        file.target.ancestors().find(is_file).or_else(|| (is_single(file) && has_below(earlier, &file.target)).then(|| file.target.clone()))?;
    let problem = Problem::new(format!("{} is a single file, and another [[file]] is laid below it", above.absolute()));
    Some(problem.label("file and directory").help("change one of the two targets"))
}

/// Whether one of the paths lies below `path`: those follow it in the order of paths.
fn has_below(paths: &BTreeMap<ImagePath, FileItem>, path: &ImagePath) -> bool {
    let mut after = paths.range((Bound::Excluded(path), Bound::Unbounded));
    after.next().is_some_and(|(next, _)| next.starts_with(path))
}
