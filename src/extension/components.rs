//! The components that a description's extensions come to.

use std::path::Path;
use std::sync::Arc;

use super::lay::{Extension, Form};
use super::{ExtensionList, local};
use crate::description::{Description, ExtensionOrigin};
use crate::error::{Error, Problem};
use crate::lock::{self, Facts};
use crate::plan::Component;
use crate::store::Store;

/// The components that a description's extensions come to.
pub struct Extensions {
    /// One for each extension, sorted by id.
    pub each: Vec<Arc<dyn Component>>,
    /// `extensions.json`, where there are extensions.
    pub list: Option<Arc<dyn Component>>,
}

/// The components of a description's extensions. Local ones are read here; foreign ones are known by their entries in the lock.
///
/// # Errors
/// Local extensions that cannot be read, a list of the base that is none.
pub fn components(
    description: &Description,
    directory: &Path,
    locked: &[lock::Extension],
    facts: &Facts,
    store: &Store,
) -> Result<Extensions, Error> {
    let form = Form::of(facts.editor.as_deref());
    let mut extensions = Vec::new();
    for wanted in &description.extensions {
        let requirement = wanted.origin.requirement();
        extensions.push(match &wanted.origin {
            ExtensionOrigin::Path(path) => {
                let local = local::open(directory, path, store)?;
                let local::Local { manifest, sha256, timestamp } = local;
                Extension { id: manifest.id, version: manifest.version, sha256, timestamp, form }
            }
            _ => {
                let entry = locked.iter().find(|entry| entry.requirement == requirement).ok_or_else(|| {
                    let problem = Problem::new(format!("the lock has no entry for {requirement}")).at(&description.source, wanted.span.clone());
                    Error::input(problem.help("run `byoi lock`"))
                })?;
                Extension { id: entry.id.clone(), version: entry.version.clone(), sha256: entry.sha256, timestamp: entry.timestamp, form }
            }
        });
    }
    extensions.sort_by(|a, b| a.id.cmp(&b.id));
    let list: Option<Arc<dyn Component>> = match extensions.is_empty() {
        true => None,
        false => Some(Arc::new(ExtensionList::new(&extensions, facts)?)),
    };
    Ok(Extensions { each: extensions.into_iter().map(|extension| Arc::new(extension) as Arc<dyn Component>).collect(), list })
}
