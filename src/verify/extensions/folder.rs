//! A directory of one extension, and its manifest as far as the editor looks at it.

use serde_json::Value;

use crate::base::Index;
use crate::base::index::{Attributes, Entry, Node};
use crate::conda::editor::MANIFEST;
use crate::extension;
use crate::image_path::ImagePath;

/// What a VSIX says beside its `package.json`.
const VSIX_MANIFEST: &str = ".vsixmanifest";
/// The publisher of an extension that names none. Source: the editor's `extensionManagementUtil.ts`.
const NO_PUBLISHER: &str = "undefined_publisher";

/// A directory with a manifest.
#[derive(Debug)]
pub struct Folder {
    /// Where it lies, links followed.
    pub path: ImagePath,
    /// Whether a link leads there.
    pub is_link: bool,
    /// Mode and owner of its manifest.
    pub attributes: Attributes,
    /// Its manifest; why it is none. None where it is too large to be read here.
    pub manifest: Option<Result<Manifest, String>>,
    /// The platform that it was made for, where it says one.
    pub platform: Option<String>,
}

impl Folder {
    /// What stands at `path`; none where it has no manifest.
    pub(super) fn read(index: &Index, path: &ImagePath, entry: &Entry) -> Option<Self> {
        let real = index.resolve(path)?;
        let (attributes, file) = index.file(&real.join(MANIFEST).ok()?)?;
        let text = |name: &str| real.join(name).ok().and_then(|file| index.content(&file)).map(String::from_utf8_lossy);
        let platform = text(VSIX_MANIFEST).and_then(|text| extension::platform(&text).ok().flatten());
        Some(Folder {
            is_link: matches!(entry.node, Node::Symlink(_)),
            attributes: *attributes,
            manifest: file.content.as_deref().map(|text| Manifest::read(text).ok_or_else(|| "is no JSON object with name and version".to_owned())),
            platform,
            path: real,
        })
    }

    /// The manifest, where it is one.
    pub fn known(&self) -> Option<&Manifest> {
        self.manifest.as_ref()?.as_ref().ok()
    }
}

/// What the editor looks at in `package.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `publisher.name`, lower case.
    pub id: String,
    /// Its version.
    pub version: String,
    /// `engines.vscode`.
    pub engine: Option<String>,
    /// Whether it runs code.
    pub has_code: bool,
    /// Ids of extensions without which it does not start, lower case.
    pub dependencies: Vec<String>,
    /// Whether an editor installed it, which then may delete it.
    pub is_installed: bool,
}

impl Manifest {
    /// Reads a manifest; none where it has neither name nor version.
    pub fn read(text: &[u8]) -> Option<Self> {
        let Value::Object(package) = serde_json::from_slice(text).ok()? else { return None };
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let publisher = text("publisher").filter(|publisher| !publisher.is_empty()).unwrap_or(NO_PUBLISHER);
        let name = text("name").filter(|name| !name.is_empty())?;
        let dependencies = package.get("extensionDependencies").and_then(Value::as_array).into_iter().flatten();
        Some(Manifest {
            id: format!("{publisher}.{name}").to_lowercase(),
            version: text("version").filter(|version| !version.is_empty())?.to_owned(),
            engine: package.get("engines").and_then(|engines| engines.get("vscode")).and_then(Value::as_str).map(str::to_owned),
            has_code: text("main").or(text("browser")).is_some(),
            dependencies: dependencies.filter_map(Value::as_str).map(str::to_lowercase).collect(),
            is_installed: package.contains_key("__metadata"),
        })
    }
}
