//! What the daemon gets at the end: a directory, or an image with its config (`frontend/dockerui/build.go`, `exporter/containerimage/exptypes`).

use std::collections::BTreeMap;

use byoi::contract;
use serde_json::json;

use crate::messages::{Outcome, Ref, RefMap};

/// The id of the only platform.
fn platform() -> String {
    format!("{}/{}", contract::OS, contract::ARCHITECTURE)
}

/// A directory.
pub fn of_directory(id: String) -> Outcome {
    Outcome { reference: Some(Ref { id, definition: None }), ..Outcome::default() }
}

/// An image. `base_config` protects the base's layers and history from what the exporter may do to ours; `as_map` names the platform as builds
/// of several platforms do.
pub fn of_image(id: String, config: Vec<u8>, base_config: Option<Vec<u8>>, as_map: bool) -> Outcome {
    let platform = platform();
    let suffix = if as_map { format!("/{platform}") } else { String::new() };
    let platforms = json!({"Platforms": [{"ID": platform, "Platform": {"architecture": contract::ARCHITECTURE, "os": contract::OS}}]});
    let mut metadata =
        BTreeMap::from([(format!("containerimage.config{suffix}"), config), ("refs.platforms".to_owned(), platforms.to_string().into_bytes())]);
    metadata.extend(base_config.map(|config| (format!("containerimage.base.config{suffix}"), config)));
    let reference = Ref { id, definition: None };
    if as_map {
        let references = Some(RefMap { refs: BTreeMap::from([(platform, reference)]) });
        return Outcome { metadata, references, ..Outcome::default() };
    }
    Outcome { metadata, reference: Some(reference), ..Outcome::default() }
}
