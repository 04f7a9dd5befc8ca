//! The key of a layer: the sha256 of a canonical JSON of all that decides its bytes.
//!
//! ```json
//! {"components":[…],"directories":{"links":{…},"roots":[…],"rules":{…}},"format":1}
//! ```
//!
//! `components` are the components' own keys; `directories` is what the layer takes from the image's table: the places where its
//! components lie after the base's links, and every rule and link above or below them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Component, DirectoryTable};
use crate::digest::Digest;
use crate::image_path::ImagePath;
use crate::json;
use crate::lock::{Directories, DirectoryRule, FORMAT};

/// The key of a layer that holds these components in an image with these directories.
pub fn of_layer(components: &[Arc<dyn Component>], directories: &DirectoryTable) -> Digest {
    Digest::of(json::canonical(&document(components, directories)))
}

fn document(components: &[Arc<dyn Component>], directories: &DirectoryTable) -> Value {
    let keys: Vec<Value> = components.iter().map(|component| component.key()).collect();
    json!({"format": FORMAT, "components": keys, "directories": directory_part(components, directories)})
}

fn directory_part(components: &[Arc<dyn Component>], directories: &DirectoryTable) -> Value {
    let (roots, Directories { rules, links }) = directories_of(components, directories);
    let rules: BTreeMap<String, String> = rules.iter().map(|(path, rule)| (path.absolute(), rule_text(rule))).collect();
    let links: BTreeMap<String, String> = links.into_iter().map(|(path, target)| (path.absolute(), target)).collect();
    json!({"roots": roots.iter().map(ImagePath::absolute).collect::<Vec<_>>(), "rules": rules, "links": links})
}

/// The places where components lie after the base's links, and every rule and link above or below them: all that their layer takes from the
/// image's table.
pub fn directories_of(components: &[Arc<dyn Component>], directories: &DirectoryTable) -> (BTreeSet<ImagePath>, Directories) {
    let asked = asked(components);
    let roots: BTreeSet<ImagePath> = asked.iter().map(|path| directories.resolve(path).unwrap_or_else(|_| path.clone())).collect();
    let touched = |path: &ImagePath| asked.iter().chain(&roots).any(|root| root.starts_with(path) || path.starts_with(root));
    let rules = directories.rules().filter(|(path, _)| touched(path)).map(|(path, rule)| (path.clone(), *rule)).collect();
    let links = directories.links().filter(|(path, _)| touched(path)).map(|(path, target)| (path.clone(), target.to_owned())).collect();
    (roots, Directories { rules, links })
}

/// The paths that components name.
fn asked(components: &[Arc<dyn Component>]) -> BTreeSet<ImagePath> {
    let own = |component: &Arc<dyn Component>| component.claims().into_iter().chain(component.directories().into_iter().map(|(path, _)| path));
    components.iter().flat_map(own).collect()
}

/// What of [`directories_of`] decides how the components are laid: where all that they lay is known, nothing below them does.
pub fn directories_needed(components: &[Arc<dyn Component>], directories: &DirectoryTable) -> Directories {
    let (roots, mut needed) = directories_of(components, directories);
    if components.iter().all(|component| !component.lays_more()) {
        let asked: BTreeSet<ImagePath> = asked(components).into_iter().chain(roots).collect();
        needed.rules.retain(|path, _| asked.iter().any(|root| root.starts_with(path)));
        needed.links.retain(|path, _| asked.iter().any(|root| root.starts_with(path)));
    }
    needed
}

fn rule_text(rule: &DirectoryRule) -> String {
    format!("{:04o} {}:{}", rule.mode, rule.uid, rule.gid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Fixed;

    /// The vector of `docs/reproducibility.md`.
    const DOCUMENT: &str = r#"{"components":[{"directories":[],"files":[["/bin/x","text",493,0,0,"sha256:98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"]],"name":"sample"}],"directories":{"links":{"/bin":"usr/bin"},"roots":["/usr/bin/x"],"rules":{"/":"0755 0:0","/usr":"0755 0:0","/usr/bin":"0755 0:0"}},"format":1}"#;

    #[test]
    fn the_documented_vector_holds() {
        let links = BTreeMap::from([(ImagePath::literal("bin"), "usr/bin".to_owned())]);
        let table = DirectoryTable::new(&Directories { rules: BTreeMap::new(), links });
        let component = Fixed::new("sample").text(ImagePath::literal("bin/x"), "hi\n", 0o755, (0, 0));
        let components: Vec<Arc<dyn Component>> = vec![Arc::new(component)];
        assert_eq!(String::from_utf8(json::canonical(&document(&components, &table))).unwrap(), DOCUMENT);
        assert_eq!(of_layer(&components, &table), Digest::of(DOCUMENT));
        let documented = include_str!("../../docs/reproducibility.md");
        assert!(documented.contains(DOCUMENT) && documented.contains(&Digest::of(DOCUMENT).to_string()));
    }
}
