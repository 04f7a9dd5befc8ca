//! `extensions.json` and `.obsolete`, as the editor reads them.
//!
//! Source: the editor's `extensionsProfileScannerService.ts`: one entry that is not as it should be, and the whole file counts as none.
//! `relativeLocation` wins over `location`; a location that is a text leads nowhere by itself.

use serde_json::{Map, Value};

use crate::image_path::ImagePath;

/// The list of extensions.
pub(super) const NAME: &str = "extensions.json";
/// What is to be deleted.
pub(super) const OBSOLETE: &str = ".obsolete";

/// The list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// It is none: why.
    Invalid(String),
    /// Its entries.
    Entries(Vec<Listed>),
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id, as it stands.
    pub id: String,
    /// The version.
    pub version: String,
    /// The name of its directory beside the list, or its path elsewhere; none where it leads nowhere.
    pub place: Option<Place>,
}

/// Where an entry leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To a directory of this name beside the list.
    Beside(String),
    /// To this path.
    At(ImagePath),
}

impl List {
    /// Reads a list. An empty file is an empty one.
    pub(super) fn read(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        if text.trim().is_empty() {
            return List::Entries(Vec::new());
        }
        let value = match serde_json::from_str(&text) {
            Ok(Value::Array(entries)) => entries,
            Ok(_) => return List::Invalid("it is no list".to_owned()),
            Err(error) => return List::Invalid(format!("it is no JSON: {error}")),
        };
        let entries = value.iter().enumerate().map(|(number, entry)| listed(entry).map_err(|why| format!("its entry {} {why}", number + 1)));
        match entries.collect() {
            Ok(entries) => List::Entries(entries),
            Err(why) => List::Invalid(why),
        }
    }

    /// Its entries; none where it is no list.
    pub fn entries(&self) -> &[Listed] {
        match self {
            List::Invalid(_) => &[],
            List::Entries(entries) => entries,
        }
    }
}

fn listed(entry: &Value) -> Result<Listed, &'static str> {
    let entry = entry.as_object().ok_or("is no object")?;
    let id = entry.get("identifier").and_then(|identifier| identifier.get("id")).and_then(Value::as_str).ok_or("has no id")?;
    let version = entry.get("version").and_then(Value::as_str).filter(|version| !version.is_empty()).ok_or("has no version")?;
    let at = match entry.get("location") {
        Some(Value::String(text)) if !text.is_empty() => None,
        Some(Value::Object(uri)) => Some(path(uri).ok_or("has a location without path and scheme")?),
        _ => return Err("has no location"),
    };
    let place = match entry.get("relativeLocation") {
        None => at.and_then(|path| ImagePath::parse(path).ok()).map(Place::At),
        Some(Value::String(name)) => Some(Place::Beside(name.clone())),
        Some(_) => return Err("has a relativeLocation that is no text"),
    };
    Ok(Listed { id: id.to_owned(), version: version.to_owned(), place })
}

fn path(uri: &Map<String, Value>) -> Option<&str> {
    uri.get("scheme").and_then(Value::as_str)?;
    uri.get("path").and_then(Value::as_str)
}

/// The names that `.obsolete` marks. What is no such file marks nothing.
pub(super) fn obsolete(text: &[u8]) -> Vec<String> {
    let Ok(Value::Object(marked)) = serde_json::from_slice(text) else { return Vec::new() };
    marked.into_iter().filter(|(_, marked)| *marked == Value::Bool(true)).map(|(name, _)| name).collect()
}
