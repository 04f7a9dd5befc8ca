//! `base`: which image to build on.

use super::document::{Findings, View};
use super::model::Spanned;
use crate::error::Problem;
use crate::reference::{ImageSource, InvalidReference, Reference};

/// Transports of other tools that a base cannot have, and what to write instead.
const OTHER_TRANSPORTS: &[(&str, &str)] = &[
    ("docker-daemon:", "byoi reads no daemon: save the image with `docker save` and write `docker-archive:FILE`"),
    ("containers-storage:", "save the image with `skopeo copy containers-storage:NAME oci:DIR` and write `oci:DIR`"),
    ("oci-layout:", "write `oci:DIR` or `oci:DIR:TAG`"),
    ("dir:", "copy the image with `skopeo copy dir:DIR oci:LAYOUT` and write `oci:LAYOUT`"),
    ("tarball:", "write `rootfs:FILE` for a root filesystem, `docker-archive:FILE` or `oci-archive:FILE` for an image"),
    ("tar:", "write `rootfs:FILE` for a root filesystem, `docker-archive:FILE` or `oci-archive:FILE` for an image"),
    ("file:", "write `rootfs:FILE` for a root filesystem, `docker-archive:FILE` or `oci-archive:FILE` for an image"),
];

/// What other tools write before a reference to a registry.
const BEFORE_REFERENCES: &[&str] = &["docker://", "docker-image://", "https://", "http://"];

/// A local transport followed by `//`, as URLs have it.
const LOCAL_TRANSPORTS: &[&str] = &["oci", "oci-archive", "docker-archive", "rootfs"];

/// Reads the base.
pub(super) fn read(root: &View<'_>, findings: &mut Findings) -> Option<Spanned<ImageSource>> {
    let text = root.text("base")?;
    match parse(text.value) {
        Ok(value) => Some(Spanned { value, span: text.span }),
        Err(problem) => {
            findings.error(&text.span, problem);
            None
        }
    }
}

fn parse(text: &str) -> Result<ImageSource, Problem> {
    if let Some((prefix, reference)) = BEFORE_REFERENCES.iter().find_map(|prefix| Some((prefix, text.strip_prefix(prefix)?))) {
        let problem = Problem::new(format!("a reference to a registry stands alone, without `{prefix}`")).label("another tool's form");
        return Err(match reference.trim_end_matches('/').parse::<Reference>() {
            Ok(_) => problem.help(format!("write base = \"{}\"", reference.trim_end_matches('/'))),
            Err(_) => problem.help("write it as for `docker pull`, such as `ubuntu:24.04`"),
        });
    }
    if let Some((transport, instead)) = OTHER_TRANSPORTS.iter().find(|(transport, _)| text.starts_with(transport)) {
        let problem = Problem::new(format!("a base cannot be named with `{transport}`")).label("another transport");
        return Err(problem.help(*instead));
    }
    if let Some((transport, _)) = text.split_once("://").filter(|(transport, _)| LOCAL_TRANSPORTS.contains(transport)) {
        let problem = Problem::new(format!("`{transport}:` is followed by a path, not by `//`")).label("not a URL");
        return Err(problem.help(format!("write `{transport}:PATH`")));
    }
    if text.chars().any(|c| c.is_control()) || text.trim() != text {
        return Err(Problem::new("a base has no control characters, and no spaces at its ends").label("odd characters").help("take them out"));
    }
    text.parse().map_err(|error: InvalidReference| {
        let help =
            "write a reference such as `ubuntu:24.04`, or `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`, `rootfs:FILE`, `scratch`";
        Problem::new(format!("this is not a base: {}", error.reason)).label("not an image").help(help)
    })
}
