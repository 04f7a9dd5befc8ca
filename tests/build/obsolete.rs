//! An extension that the base uninstalled, and the image has again, is not deleted by the editor: its directory is no longer marked.

use std::path::Path;

use byoi::contract::IMAGE_EXTENSIONS;
use byoi::digest::Digest;
use byoi::registry::testing::TestRegistry;

use crate::support::base::{LayerTar, editor_base, write_project};
use crate::support::byoi::Workplace;
use crate::support::file_tree::Item;
use crate::support::readers;

#[test]
fn an_extension_that_is_there_again_is_not_marked_for_deletion() {
    let extensions = IMAGE_EXTENSIONS.trim_start_matches('/');
    let marked = LayerTar::new()
        .file(&format!("{extensions}/extensions.json"), 0o644, "[]")
        .file(&format!("{extensions}/.obsolete"), 0o644, r#"{"acme-labs.hello-studio-1.2.3":true,"gone.gone-1.0.0":true}"#)
        .layer();
    let mut base = editor_base(2);
    base.layers.push(marked);
    let registry = TestRegistry::start();
    registry.put_image("base", "1", &base);
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    place.build(&["oci:image:1"]);
    let tree = readers::umoci_tree(&place.path("image"), "1");
    let Item::File { content, .. } = &tree[&Path::new(extensions).join(".obsolete")] else { panic!("no file") };
    assert_eq!(*content, Digest::of(r#"{"gone.gone-1.0.0":true}"#));
}
