//! What byoi needs to know of an extension: the facts of its `package.json` and of its `extension.vsixmanifest`.
//!
//! A manifest that the editor would not load is refused. Source of the rules: the editor's `extensionValidator.ts` and its semver package.

use serde::{Deserialize, Serialize};

use super::engine;
use super::javascript::{Object, Value};

/// The publisher of an extension that names none. Source: the editor's `extensionManagementUtil.ts`.
const NO_PUBLISHER: &str = "undefined_publisher";
/// Longest name of an extension's directory.
const NAME_MAX: usize = 255;

/// The facts of an extension. Kept in the cache by the digest of its VSIX.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `publisher.name`, lower case.
    pub id: String,
    /// The version, as it stands.
    pub version: String,
    /// `engines.vscode`.
    pub engine: String,
    /// Whether it runs code: `main` or `browser`.
    pub has_code: bool,
    /// Whether it translates the editor: such an extension is there for every profile.
    pub is_language_pack: bool,
    /// Ids of the extensions without which it does not start, lower case.
    pub dependencies: Vec<String>,
    /// Ids of the extensions that it brings along, lower case.
    pub pack: Vec<String>,
    /// Its target platform, where it names one.
    pub platform: Option<String>,
}

/// Why a manifest is refused: the rest of a sentence that begins with the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ManifestError(String);

impl Manifest {
    /// Reads `package.json`; the platform comes from the other manifest.
    ///
    /// # Errors
    /// When the editor would not load the extension.
    pub fn of_package(package: &Object, platform: Option<String>) -> Result<Self, ManifestError> {
        let publisher = text(package, "publisher")?.unwrap_or(NO_PUBLISHER);
        let name = mandatory(package, "name")?;
        for (key, part) in [("publisher", publisher), ("name", name)] {
            if !is_part(part) {
                return Err(ManifestError(format!("has the {key} `{}`, which is no part of an extension's id", part.escape_debug())));
            }
        }
        let version = mandatory(package, "version")?;
        if semver::Version::parse(version.strip_prefix('v').unwrap_or(version)).is_err() {
            return Err(ManifestError(format!("has the version `{}`, which is no semantic version", version.escape_debug())));
        }
        let id = format!("{publisher}.{name}").to_lowercase();
        if id.len() + 1 + version.len() > NAME_MAX {
            return Err(ManifestError("has an id and a version that are too long for the name of a directory".to_owned()));
        }
        let engines = package.get("engines").and_then(Value::as_object);
        let engine = engines.and_then(|engines| engines.get("vscode")).and_then(Value::as_str);
        let engine = engine.ok_or_else(|| ManifestError("has no text at `engines.vscode`".to_owned()))?;
        let has_code = has_code(package)?;
        engine::check(engine, has_code).map_err(|error| ManifestError(format!("is not valid: {error}")))?;
        Ok(Manifest {
            id,
            version: version.to_owned(),
            engine: engine.to_owned(),
            has_code,
            is_language_pack: is_language_pack(package),
            dependencies: ids(package, "extensionDependencies")?,
            pack: ids(package, "extensionPack")?,
            platform,
        })
    }

    /// The name of its directory. A VSIX never has a platform in it, whatever its target.
    pub fn directory(&self) -> String {
        directory(&self.id, &self.version)
    }
}

/// The name of the directory of an extension. Source: `ExtensionKey` in the editor's `extensionManagementUtil.ts`.
pub fn directory(id: &str, version: &str) -> String {
    format!("{id}-{version}")
}

/// Reads `TargetPlatform` from `extension.vsixmanifest`.
///
/// # Errors
/// When it is no XML. A document type is refused: entities could make it grow without end.
pub fn platform(text: &str) -> Result<Option<String>, ManifestError> {
    let document = roxmltree::Document::parse(text).map_err(|error| ManifestError(format!("is not valid: {error}")))?;
    let identity = document.descendants().find(|node| node.is_element() && node.tag_name().name() == "Identity");
    let platform = identity.and_then(|node| node.attribute("TargetPlatform"));
    Ok(platform.filter(|platform| !platform.is_empty()).map(str::to_owned))
}

fn text<'a>(package: &'a Object, key: &str) -> Result<Option<&'a str>, ManifestError> {
    match package.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ManifestError(format!("has no text at `{key}`"))),
    }
}

fn mandatory<'a>(package: &'a Object, key: &str) -> Result<&'a str, ManifestError> {
    text(package, key)?.ok_or_else(|| ManifestError(format!("has no `{key}`")))
}

/// A part of an id is part of a directory's name too, and a directory whose name begins with a dot is none to the editor.
fn is_part(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
}

fn texts<'a>(package: &'a Object, key: &str) -> Result<Vec<&'a str>, ManifestError> {
    let wrong = || ManifestError(format!("has no list of texts at `{key}`"));
    match package.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

fn ids(package: &Object, key: &str) -> Result<Vec<String>, ManifestError> {
    let mut ids: Vec<String> = texts(package, key)?.into_iter().map(str::to_lowercase).collect();
    if let Some(odd) = ids.iter().find(|id| !id.contains('.') || !is_part(id)) {
        return Err(ManifestError(format!("names `{}` in `{key}`, which is no id of an extension", odd.escape_debug())));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn has_code(package: &Object) -> Result<bool, ManifestError> {
    let has_code = text(package, "main")?.is_some() || text(package, "browser")?.is_some();
    texts(package, "activationEvents")?;
    if package.get("activationEvents").is_some() && !has_code {
        return Err(ManifestError("has `activationEvents` but neither `main` nor `browser`".to_owned()));
    }
    Ok(has_code)
}

fn is_language_pack(package: &Object) -> bool {
    let contributes = package.get("contributes").and_then(Value::as_object);
    matches!(contributes.and_then(|contributes| contributes.get("localizations")), Some(Value::Array(items)) if !items.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<Manifest, String> {
        let value = Value::parse(text).unwrap();
        Manifest::of_package(value.as_object().unwrap(), None).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_is_needed() {
        let read = manifest(
            r#"{"name":"Hello","publisher":"Acme-Labs","version":"1.2.3-beta.1","engines":{"vscode":"^1.90.0"},"main":"./x.js",
                "extensionDependencies":["MS-Python.python","vscode.git"],"extensionPack":[],"contributes":{"localizations":[{}]}}"#,
        )
        .unwrap();
        assert_eq!(read.id, "acme-labs.hello");
        assert_eq!(read.directory(), "acme-labs.hello-1.2.3-beta.1");
        assert_eq!(read.dependencies, ["ms-python.python", "vscode.git"]);
        assert!(read.has_code && read.is_language_pack && read.pack.is_empty());
        let bare = manifest(r#"{"name":"x","version":"v1.0.0","engines":{"vscode":"*"}}"#).unwrap();
        assert_eq!(bare.directory(), "undefined_publisher.x-v1.0.0");
    }

    #[test]
    fn refuses_what_the_editor_would_not_load() {
        for (change, expected) in [
            (r#""name":1"#, "has no text at `name`"),
            (r#""name":"a/b""#, "has the name `a/b`, which is no part of an extension's id"),
            (r#""publisher":"..""#, "has the publisher `..`, which is no part of an extension's id"),
            (r#""publisher":"""#, "has the publisher ``, which is no part of an extension's id"),
            (r#""version":"1.0""#, "has the version `1.0`, which is no semantic version"),
            (r#""version":"1.0.0/../x""#, "has the version `1.0.0/../x`, which is no semantic version"),
            (r#""engines":{}"#, "has no text at `engines.vscode`"),
            (
                r#""engines":{"vscode":"latest"}"#,
                "is not valid: `engines.vscode` is `latest`, which is no version that an editor reads (such as `^1.90.0`)",
            ),
            (r#""activationEvents":["*"]"#, "has `activationEvents` but neither `main` nor `browser`"),
            (r#""activationEvents":"*""#, "has no list of texts at `activationEvents`"),
            (r#""main":true"#, "has no text at `main`"),
            (r#""extensionDependencies":"a.b""#, "has no list of texts at `extensionDependencies`"),
            (r#""extensionPack":["b"]"#, "names `b` in `extensionPack`, which is no id of an extension"),
        ] {
            let text = format!(r#"{{"name":"x","publisher":"a","version":"1.0.0","engines":{{"vscode":"^1.0.0"}},{change}}}"#);
            assert_eq!(manifest(&text).unwrap_err(), expected, "{change}");
        }
        assert_eq!(manifest(r#"{"publisher":"a"}"#).unwrap_err(), "has no `name`");
    }

    #[test]
    fn finds_the_platform() {
        let with = |identity: &str| {
            platform(&format!(
                "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><PackageManifest Version=\"2.0.0\" \
                 xmlns=\"http://schemas.microsoft.com/developer/vsx-schema/2011\"><Metadata><Identity Id=\"x\" {identity}/></Metadata></PackageManifest>"
            ))
        };
        assert_eq!(with("TargetPlatform=\"linux-arm64\"").unwrap().as_deref(), Some("linux-arm64"));
        assert_eq!(with("").unwrap(), None);
        assert_eq!(with("TargetPlatform=\"\"").unwrap(), None);
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><x>&a;</x>";
        assert!(platform(bomb).is_err() && platform("<x>").is_err());
    }
}
