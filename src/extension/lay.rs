//! Lays an extension into the image's extensions directory: the tree that the editor's own `--install-extension` makes of the VSIX, to the byte,
//! with the lock's timestamp for that of the installation.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::javascript::{Object, Value};
use super::manifest::directory;
use super::vsix::{Node, Vsix};
use crate::contract::{GID, IMAGE_EXTENSIONS, UID};
use crate::digest::Digest;
use crate::error::{Error, Fault, Kind};
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Content, Entry};
use crate::lock::DirectoryRule;
use crate::plan::{Component, Laid, MTIME, recipe};

/// What the editor writes into an extension's `package.json`, which changed from version to version. Measured on the servers of 1.83.1; 1.90.2;
/// 1.99.3 and 1.100.3. Between them the older form is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Up to 1.89: the time, and for language packs that they are there for every profile.
    Oldest,
    /// 1.90 to 1.96: the whole record of the installation.
    Whole,
    /// From 1.97: time, platform and size.
    Newest,
}

impl Form {
    /// The form of this version of the editor; the newest where it is not known.
    pub fn of(editor: Option<&str>) -> Self {
        match editor.and_then(version) {
            Some((major, minor)) if (major, minor) < (1, 90) => Form::Oldest,
            Some((major, minor)) if (major, minor) < (1, 97) => Form::Whole,
            _ => Form::Newest,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Form::Oldest => "1.83",
            Form::Whole => "1.90",
            Form::Newest => "1.97",
        }
    }

    /// The properties of `__metadata` in `package.json`.
    fn package_metadata(self, milliseconds: i64, is_language_pack: bool, size: u64) -> Vec<(&'static str, Value)> {
        let time = ("installedTimestamp", number(milliseconds));
        let scoped = ("isApplicationScoped", Value::Bool(is_language_pack));
        match self {
            Form::Oldest if is_language_pack => vec![scoped, time],
            Form::Oldest => vec![time],
            Form::Whole => vec![scoped, time, ("pinned", Value::Bool(false)), ("source", "vsix".into())],
            // A size beyond 2^53 does not occur: a VSIX has a limit.
            Form::Newest => vec![time, ("targetPlatform", "undefined".into()), ("size", number(i64::try_from(size).unwrap_or(i64::MAX)))],
        }
    }

    /// The `metadata` of the entry in `extensions.json`. The editor also writes there that a language pack is there for every profile;
    /// that would need the VSIX, and the editor reads it only in profiles of one's own.
    pub(super) fn list_metadata(self, milliseconds: i64) -> Value {
        let mut metadata = Object::default();
        metadata.set("installedTimestamp", number(milliseconds));
        if self == Form::Newest {
            metadata.set("pinned", Value::Bool(true));
        }
        if self != Form::Oldest {
            metadata.set("source", "vsix".into());
        }
        Value::Object(metadata)
    }
}

fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A number that a double holds exactly.
fn number(value: i64) -> Value {
    Value::Number(value as f64)
}

/// An extension that goes into the image: what the lock or a local file says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// `publisher.name`, lower case.
    pub id: String,
    /// The version.
    pub version: String,
    /// The digest of the VSIX.
    pub sha256: Digest,
    /// The time of its newest member, which is the time of its installation.
    pub timestamp: Timestamp,
    /// What the editor writes of an installation.
    pub form: Form,
}

impl Extension {
    /// The name of its directory.
    pub fn directory(&self) -> String {
        directory(&self.id, &self.version)
    }

    /// The directory in the image.
    fn root(&self) -> ImagePath {
        let path = format!("{IMAGE_EXTENSIONS}/{}", self.directory());
        ImagePath::parse(path).expect("ids and versions are checked to be names of a directory")
    }
}

/// A VSIX is not the one that the lock describes.
#[derive(Debug, thiserror::Error)]
pub enum LayError {
    /// Its manifest says something else.
    #[error("the VSIX {sha256} is {found}, but the lock says {expected}")]
    Other {
        /// The VSIX.
        sha256: Digest,
        /// What the manifest says.
        found: String,
        /// What the lock says.
        expected: String,
    },
    /// It cannot be laid.
    #[error("the extension {name} cannot be laid down: {reason}")]
    Refused {
        /// Id and version.
        name: String,
        /// Why, as a sentence.
        reason: String,
    },
}

impl Fault for LayError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        match self {
            LayError::Other { .. } => Some("somebody changed the lock by hand: run `byoi lock --update`".to_owned()),
            LayError::Refused { .. } => None,
        }
    }
}

impl Component for Extension {
    fn name(&self) -> String {
        format!("extension {} {}", self.id, self.version)
    }

    fn key(&self) -> serde_json::Value {
        json!({"extension": {
            "form": self.form.name(),
            "id": self.id,
            "sha256": self.sha256.hex(),
            "timestamp": self.timestamp.as_millisecond(),
            "version": self.version,
        }})
    }

    fn directories(&self) -> Vec<(ImagePath, DirectoryRule)> {
        vec![(self.root(), DirectoryRule { mode: 0o755, uid: UID, gid: GID })]
    }

    fn inputs(&self) -> Vec<Digest> {
        vec![self.sha256]
    }

    fn claims(&self) -> Vec<ImagePath> {
        vec![self.root().join("package.json").expect("short enough")]
    }

    fn recipe(&self) -> Option<serde_json::Value> {
        recipe("extension", self)
    }

    fn lay(&self, inputs: &dyn Inputs) -> Result<Vec<Laid>, Error> {
        let file = Arc::new(inputs.open(&self.sha256)?);
        let vsix = Vsix::open(&file).map_err(|error| Error::from(error).while_doing(format!("cannot read the VSIX of {}", self.name())))?;
        let found = (vsix.manifest.id.as_str(), vsix.manifest.version.as_str(), vsix.timestamp);
        if found != (self.id.as_str(), self.version.as_str(), self.timestamp) {
            let text = |(id, version, time): (&str, &str, Timestamp)| format!("{id} {version} of {time}");
            let expected = text((&self.id, &self.version, self.timestamp));
            return Err(LayError::Other { sha256: self.sha256, found: text(found), expected }.into());
        }
        Ok(self.entries(vsix)?)
    }
}

impl Extension {
    fn entries(&self, vsix: Vsix) -> Result<Vec<Laid>, LayError> {
        let refused = |reason: String| LayError::Refused { name: format!("{} {}", self.id, self.version), reason };
        let root = self.root();
        let package = self.package(&vsix).map_err(refused)?;
        let mut entries = vec![(root.clone(), directory_entry())];
        let package_json = ImagePath::literal("package.json");
        for (path, node) in vsix.tree {
            let entry = match node {
                Node::Directory => directory_entry(),
                Node::File(_, mode) if path == package_json => file_entry(Content::inline(package.clone()), mode),
                Node::File(content, mode) => file_entry(content, mode),
            };
            let place = root.join(path.as_bytes()).map_err(|error| refused(error.to_string()))?;
            entries.push((place, entry));
        }
        Ok(entries)
    }

    /// The `package.json` as the editor rewrites it.
    fn package(&self, vsix: &Vsix) -> Result<Vec<u8>, String> {
        let mut metadata = match vsix.package.get("__metadata") {
            None | Some(Value::Null) => Object::default(),
            Some(Value::Object(old)) => old.clone(),
            Some(_) => return Err("its `package.json` has a `__metadata` that is no object".to_owned()),
        };
        let milliseconds = self.timestamp.as_millisecond();
        for (key, value) in self.form.package_metadata(milliseconds, vsix.manifest.is_language_pack, vsix.size()) {
            metadata.set(key, value);
        }
        let mut package = vsix.package.clone();
        package.set("__metadata", Value::Object(metadata));
        Ok(Value::Object(package).stringify_indented().into_bytes())
    }
}

fn directory_entry() -> Entry {
    Entry::directory(0o755, UID, GID, MTIME)
}

fn file_entry(content: Content, mode: u16) -> Entry {
    Entry::file(content, mode, UID, GID, MTIME)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::vsix::tests::{MANIFEST, vsix};
    use super::*;
    use crate::layer::Node as LayerNode;
    use std::fs::File;
    use std::io::{Read, Write};

    /// One input.
    pub struct One(pub Vec<u8>);

    impl Inputs for One {
        fn open(&self, digest: &Digest) -> Result<File, Error> {
            assert_eq!(*digest, Digest::of(&self.0));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&self.0).unwrap();
            Ok(file)
        }
    }

    pub fn extension(bytes: &[u8], editor: Option<&str>) -> Extension {
        let timestamp = "2024-05-06T07:08:10Z".parse().unwrap();
        Extension { id: "acme.hello".into(), version: "1.2.3".into(), sha256: Digest::of(bytes), timestamp, form: Form::of(editor) }
    }

    fn package(manifest: &str, editor: Option<&str>) -> String {
        let bytes = vsix(manifest, &[]);
        let entries = extension(&bytes, editor).lay(&One(bytes)).unwrap();
        let (_, entry) = entries.iter().find(|(path, _)| path.name() == b"package.json").unwrap();
        let LayerNode::File(content) = &entry.node else { panic!() };
        let mut text = String::new();
        content.open().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn everything_is_the_users_and_has_the_modes_of_the_editor() {
        let bytes = vsix(MANIFEST, &[("extension/bin/run", 0o775)]);
        let entries = extension(&bytes, None).lay(&One(bytes)).unwrap();
        let root = "opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/acme.hello-1.2.3";
        let text = |(path, entry): &Laid| format!("{} {:o} {}:{} {}", path, entry.mode, entry.uid, entry.gid, entry.mtime);
        let expected = ["", "/.vsixmanifest", "/bin", "/bin/run", "/package.json"]
            .map(|path| format!("{root}{path} {} 1000:100 315619200", if path.ends_with("json") || path.ends_with("manifest") { 644 } else { 755 }));
        assert_eq!(entries.iter().map(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_metadata_has_the_form_of_the_editors_version() {
        let plain =
            "{\n\t\"name\": \"Hello\",\n\t\"publisher\": \"Acme\",\n\t\"version\": \"1.2.3\",\n\t\"engines\": {\n\t\t\"vscode\": \"^1.80.0\"\n\t},";
        let time = "\"installedTimestamp\": 1714979290000";
        let size = MANIFEST.len() + "<PackageManifest/>".len();
        for (editor, metadata) in [
            (Some("1.83.1"), format!("{{\n\t\t{time}\n\t}}")),
            (Some("1.90.1"), format!("{{\n\t\t\"isApplicationScoped\": false,\n\t\t{time},\n\t\t\"pinned\": false,\n\t\t\"source\": \"vsix\"\n\t}}")),
            (Some("1.101.2"), format!("{{\n\t\t{time},\n\t\t\"targetPlatform\": \"undefined\",\n\t\t\"size\": {size}\n\t}}")),
            (None, format!("{{\n\t\t{time},\n\t\t\"targetPlatform\": \"undefined\",\n\t\t\"size\": {size}\n\t}}")),
        ] {
            assert_eq!(package(MANIFEST, editor), format!("{plain}\n\t\"__metadata\": {metadata}\n}}"), "{editor:?}");
        }
    }

    #[test]
    fn metadata_that_is_there_is_kept_in_its_place() {
        let manifest = MANIFEST.replacen('{', r#"{"__metadata":{"id":"x","size":5},"#, 1);
        let text = package(&manifest, None);
        assert!(text.starts_with("{\n\t\"__metadata\": {\n\t\t\"id\": \"x\",\n\t\t\"size\": "), "{text}");
    }

    #[test]
    fn another_vsix_than_the_lock_describes_is_refused() {
        let bytes = vsix(MANIFEST, &[]);
        let other = Extension { version: "1.2.4".into(), ..extension(&bytes, None) };
        let message = other.lay(&One(bytes)).unwrap_err().to_string();
        assert!(
            message.ends_with("is acme.hello 1.2.3 of 2024-05-06T07:08:10Z, but the lock says acme.hello 1.2.4 of 2024-05-06T07:08:10Z"),
            "{message}"
        );
    }
}
