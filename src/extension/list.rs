//! `extensions.json` of the image: the one file that says which extensions the editor loads. A directory that it does not list is invisible, and
//! is deleted at a later start if the editor made it; one entry that is not as it should be hides all extensions. So it is complete: what the
//! base has stays listed as it was, an extension of ours takes the place of another version of the same.
//!
//! The editor caches what it found by this file's modification time, so that follows from the content.
//!
//! Source: the editor's `extensionsProfileScannerService.ts`, `extensionsWatcher.ts` and `extensionsScannerService.ts`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::javascript::{Object, Value};
use super::lay::Extension;
use crate::contract::{GID, IMAGE_EXTENSIONS, IMAGE_SERVER_DATA, UID};
use crate::digest::Digest;
use crate::error::{Error, Fault, Kind};
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Content, Entry};
use crate::lock::{DirectoryRule, Facts};
use crate::plan::{Component, Laid, MTIME, recipe};

/// The list, and the names of directories that the editor is to delete.
const LIST: &str = "extensions.json";
const OBSOLETE: &str = ".obsolete";

/// The component that lays `extensions.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExtensionList {
    list: String,
    /// The base's `.obsolete`, where it would delete an extension of the list.
    obsolete: Option<String>,
}

/// The base's list is not one.
#[derive(Debug, thiserror::Error)]
#[error("the base's {IMAGE_EXTENSIONS}/{file} is not what an editor wrote: {reason}")]
pub struct ListError {
    file: &'static str,
    reason: String,
}

impl Fault for ListError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("the editor shows no extension at all with such a file: use another base".to_owned())
    }
}

impl ExtensionList {
    /// The list of an image with these extensions, sorted by id, on a base with these facts.
    ///
    /// # Errors
    /// When the base has a list that is none.
    pub fn new(extensions: &[Extension], base: &Facts) -> Result<Self, ListError> {
        let mut entries = kept(extensions, base)?;
        for extension in extensions {
            let mut entry = entry(&extension.id, &extension.version, &extension.directory());
            entry.set("metadata", extension.form.list_metadata(extension.timestamp.as_millisecond()));
            entries.push(Value::Object(entry));
        }
        let listed = entries.iter().filter_map(|entry| relative_location(entry.as_object()?)).map(str::to_owned).collect();
        Ok(ExtensionList { obsolete: obsolete(&listed, base)?, list: Value::Array(entries).stringify() })
    }

    /// The text of `extensions.json`.
    pub fn text(&self) -> &str {
        &self.list
    }
}

/// Entries of the base that stay, in its order.
fn kept(extensions: &[Extension], base: &Facts) -> Result<Vec<Value>, ListError> {
    let ours: BTreeSet<&str> = extensions.iter().map(|extension| extension.id.as_str()).collect();
    let listed = listed_by_base(base)?;
    let known: BTreeSet<String> = listed.iter().map(|(id, _)| id.clone()).collect();
    let mut entries: Vec<Value> = listed.into_iter().filter(|(id, _)| !ours.contains(id.as_str())).map(|(_, entry)| entry).collect();
    for (id, (version, directory)) in newest_of_base(base, &marked(base)?) {
        if !known.contains(id) && !ours.contains(id) {
            entries.push(Value::Object(entry(id, version, directory)));
        }
    }
    Ok(entries)
}

/// The entries of the base's own list, each with its id in lower case.
fn listed_by_base(base: &Facts) -> Result<Vec<(String, Value)>, ListError> {
    let invalid = |reason: &str| ListError { file: LIST, reason: reason.to_owned() };
    let Some(text) = base.texts.get(&place(LIST)) else { return Ok(Vec::new()) };
    let text = text.content.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Value::Array(entries) = Value::parse(text).map_err(|error| invalid(&error.to_string()))? else { return Err(invalid("it is no list")) };
    let with_id = |value: Value| {
        let entry = value.as_object().filter(|entry| is_entry(entry)).ok_or_else(|| invalid("an entry is not complete"))?;
        let id = entry.get("identifier").and_then(Value::as_object).and_then(|identifier| identifier.get("id")).and_then(Value::as_str);
        let id = id.ok_or_else(|| invalid("an entry has no id"))?.to_lowercase();
        Ok((id, value))
    };
    entries.into_iter().map(with_id).collect()
}

/// What the editor asks of an entry, else it reads none at all.
fn is_entry(entry: &Object) -> bool {
    let location = match entry.get("location") {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(uri)) => ["path", "scheme"].iter().all(|key| uri.get(key).is_some_and(|value| value.as_str().is_some())),
        _ => false,
    };
    let relative = entry.get("relativeLocation").is_none_or(|value| value.as_str().is_some());
    location && relative && entry.get("version").and_then(Value::as_str).is_some_and(|version| !version.is_empty())
}

fn relative_location(entry: &Object) -> Option<&str> {
    entry.get("relativeLocation")?.as_str()
}

/// For each id that the base has a directory of, none that it has uninstalled: the highest version, and its directory.
fn newest_of_base<'a>(base: &'a Facts, uninstalled: &Object) -> BTreeMap<&'a str, (&'a str, &'a str)> {
    let mut newest: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let order = |version: &str| semver::Version::parse(version.strip_prefix('v').unwrap_or(version)).ok();
    for (directory, extension) in base.extensions.iter().filter(|(directory, _)| uninstalled.get(directory).is_none()) {
        let candidate = (extension.version.as_str(), directory.as_str());
        let best = newest.entry(&extension.id).or_insert(candidate);
        if order(candidate.0) > order(best.0) {
            *best = candidate;
        }
    }
    newest
}

fn entry(id: &str, version: &str, directory: &str) -> Object {
    let location =
        Object::of([("$mid", Value::Number(1.0)), ("path", format!("{IMAGE_EXTENSIONS}/{directory}").as_str().into()), ("scheme", "file".into())]);
    let mut entry = Object::default();
    entry.set("identifier", Object::of([("id", id.into())]));
    entry.set("version", version.into());
    entry.set("location", location);
    entry.set("relativeLocation", directory.into());
    entry
}

/// What the base's `.obsolete` names: directories of uninstalled extensions, which the editor deletes at its next start.
fn marked(base: &Facts) -> Result<Object, ListError> {
    let invalid = |reason: &str| ListError { file: OBSOLETE, reason: reason.to_owned() };
    let Some(text) = base.texts.get(&place(OBSOLETE)).map(|text| text.content.trim()).filter(|text| !text.is_empty()) else {
        return Ok(Object::default());
    };
    let value = Value::parse(text).map_err(|error| invalid(&error.to_string()))?;
    value.as_object().cloned().ok_or_else(|| invalid("it is no object"))
}

/// The base's `.obsolete` without what is listed now; none where it may stay as it is.
fn obsolete(listed: &BTreeSet<String>, base: &Facts) -> Result<Option<String>, ListError> {
    let marked = marked(base)?;
    if !marked.iter().any(|(directory, _)| listed.contains(directory)) {
        return Ok(None);
    }
    let mut rest = Object::default();
    for (directory, flag) in marked.iter().filter(|(directory, _)| !listed.contains(*directory)) {
        rest.set(directory, flag.clone());
    }
    Ok(Some(Value::Object(rest).stringify()))
}

fn place(name: &'static str) -> ImagePath {
    ImagePath::literal(IMAGE_EXTENSIONS).join(name).expect("short enough")
}

/// A time that changes with the content, within 34 years from [`MTIME`].
fn time_of(text: &str) -> i64 {
    let digest = Digest::of(text);
    let [.., a, b, c, d] = *digest.as_bytes();
    MTIME + i64::from(u32::from_be_bytes([a, b, c, d]) % (1 << 30))
}

impl Component for ExtensionList {
    fn name(&self) -> String {
        LIST.to_owned()
    }

    fn key(&self) -> serde_json::Value {
        json!({"extension list": {"list": Digest::of(&self.list).hex(), "obsolete": self.obsolete.as_ref().map(|text| Digest::of(text).hex())}})
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        let rule = DirectoryRule { mode: 0o755, uid: UID, gid: GID };
        [IMAGE_SERVER_DATA, IMAGE_EXTENSIONS].map(|path| (ImagePath::literal(path), rule)).to_vec()
    }

    fn claims(&self) -> Vec<ImagePath> {
        let mut claims = vec![place(LIST)];
        claims.extend(self.obsolete.as_ref().map(|_| place(OBSOLETE)));
        claims
    }

    fn lays_more(&self) -> bool {
        false
    }

    fn recipe(&self) -> Option<serde_json::Value> {
        recipe("extension-list", self)
    }

    fn lay(&self, _: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let file = |name, text: &str| {
            let content = Content::inline(text.as_bytes());
            (place(name), Entry::file(content, 0o644, UID, GID, time_of(text)))
        };
        let mut entries = vec![file(LIST, &self.list)];
        entries.extend(self.obsolete.as_ref().map(|text| file(OBSOLETE, text)));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lay::tests::extension;
    use super::*;
    use crate::lock::{BaseExtension, Text};

    const OURS: &str = r#"{"identifier":{"id":"acme.hello"},"version":"1.2.3","location":{"$mid":1,"path":"/opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/acme.hello-1.2.3","scheme":"file"},"relativeLocation":"acme.hello-1.2.3","metadata":{"installedTimestamp":1714979290000,"pinned":true,"source":"vsix"}}"#;
    const THEIRS: &str = r#"{"identifier":{"id":"MS.py","uuid":"1"},"version":"2.0.0","location":{"$mid":1,"path":"/x","scheme":"file"},"relativeLocation":"ms.py-2.0.0","metadata":{"b":1,"a":2}}"#;

    fn base(texts: &[(&'static str, &str)], extensions: &[(&str, &str, &str)]) -> Facts {
        let text = |content: &str| Text { mode: 0o644, owner: (0, 0), content: content.to_owned() };
        Facts {
            texts: texts.iter().map(|(name, content)| (place(name), text(content))).collect(),
            extensions: extensions
                .iter()
                .map(|(directory, id, version)| ((*directory).to_owned(), BaseExtension { id: (*id).to_owned(), version: (*version).to_owned() }))
                .collect(),
            ..Facts::default()
        }
    }

    fn list(base: &Facts) -> Result<ExtensionList, ListError> {
        ExtensionList::new(&[extension(b"", None)], base)
    }

    #[test]
    fn ours_are_listed_as_the_editor_lists_them() {
        assert_eq!(list(&Facts::default()).unwrap().text(), format!("[{OURS}]"));
        let old = ExtensionList::new(&[extension(b"", Some("1.90.1"))], &Facts::default()).unwrap();
        assert_eq!(old.text(), format!("[{OURS}]").replace("\"pinned\":true,", ""));
    }

    #[test]
    fn what_the_base_has_stays_listed() {
        let listed = base(&[(LIST, &format!("[{THEIRS}]"))], &[("ms.py-2.0.0", "ms.py", "2.0.0"), ("ms.py-1.0.0", "ms.py", "1.0.0")]);
        assert_eq!(list(&listed).unwrap().text(), format!("[{THEIRS},{OURS}]"));
        let unlisted = base(&[], &[("ms.py-2.0.0", "ms.py", "2.0.0"), ("ms.py-10.0.0", "ms.py", "10.0.0")]);
        let text = list(&unlisted).unwrap();
        assert!(text.text().starts_with(r#"[{"identifier":{"id":"ms.py"},"version":"10.0.0","location":{"$mid":1,"path":"/opt/"#), "{}", text.text());
    }

    #[test]
    fn ours_replace_another_version() {
        let theirs = THEIRS.replace("MS.py", "Acme.Hello");
        assert_eq!(
            list(&base(&[(LIST, &format!("[{theirs}]"))], &[("acme.hello-1.0.0", "acme.hello", "1.0.0")])).unwrap().text(),
            format!("[{OURS}]")
        );
    }

    #[test]
    fn nothing_that_is_listed_is_marked_for_deletion() {
        let marked = r#"{"acme.hello-1.2.3":true,"acme.hello-1.0.0":true}"#;
        assert_eq!(list(&base(&[(OBSOLETE, marked)], &[])).unwrap().obsolete.as_deref(), Some(r#"{"acme.hello-1.0.0":true}"#));
        assert_eq!(list(&base(&[(OBSOLETE, r#"{"x-1":true}"#)], &[])).unwrap().obsolete, None);
        assert_eq!(list(&base(&[(OBSOLETE, "")], &[])).unwrap().obsolete, None);
        assert!(list(&base(&[(OBSOLETE, "[]")], &[])).is_err());
    }

    #[test]
    fn what_the_base_has_uninstalled_is_not_listed_again() {
        let uninstalled = base(&[(LIST, "[]"), (OBSOLETE, r#"{"ms.py-2.0.0":true}"#)], &[("ms.py-2.0.0", "ms.py", "2.0.0")]);
        let list = list(&uninstalled).unwrap();
        assert_eq!((list.text(), &list.obsolete), (format!("[{OURS}]").as_str(), &None));
    }

    #[test]
    fn a_list_that_hides_everything_is_refused() {
        for text in [
            "{}",
            "[1]",
            "[{}]",
            "[",
            r#"[{"identifier":{"id":"a.b"},"version":"1"}]"#,
            r#"[{"identifier":{"id":"a.b"},"version":"1","location":{}}]"#,
        ] {
            assert!(list(&base(&[(LIST, text)], &[])).is_err(), "{text}");
        }
        assert_eq!(list(&base(&[(LIST, " \n")], &[])).unwrap().text(), format!("[{OURS}]"));
    }

    #[test]
    fn the_time_follows_the_content() {
        let entries = list(&Facts::default()).unwrap().lay(&super::super::lay::tests::One(Vec::new())).unwrap();
        let later = ExtensionList::new(&[], &Facts::default()).unwrap().lay(&super::super::lay::tests::One(Vec::new())).unwrap();
        let times = [&entries[0].1, &later[0].1].map(|entry| entry.mtime);
        assert_ne!(times[0], times[1]);
        let digest = Digest::of("[]").hex();
        assert_eq!(times[1], MTIME + i64::from_str_radix(&digest[56..], 16).unwrap() % (1 << 30));
        assert!(times.iter().all(|time| (MTIME..MTIME + (1 << 30)).contains(time)));
    }
}
