//! `target` and `prefix`: where in the image something may be laid.

use crate::contract::{self, ENTRYPOINT, IMAGE_EXTENSIONS, IMAGE_SERVER_DATA, PLATFORM_ENTRYPOINT};
use crate::error::Problem;
use crate::image_path::ImagePath;

/// A path that byoi or the container runtime lays itself: nothing may lie there or below.
struct Laid {
    path: &'static str,
    /// What lies there, as the rest of a sentence that begins with the path.
    what: &'static str,
    instead: &'static str,
}

const LAID: &[Laid] = &[
    Laid { path: ENTRYPOINT, what: "is the entrypoint that byoi lays", instead: "choose another name; options of the editor are `editor.arguments`" },
    Laid { path: "/etc/passwd", what: "is merged by byoi: the user sagemaker-user joins the base's", instead: "see [account]" },
    Laid { path: "/etc/group", what: "is merged by byoi: the group 100 joins the base's", instead: "see [account]" },
    Laid { path: "/etc/hosts", what: "is written by the container runtime at every start", instead: "take it out: a file there is hidden" },
    Laid { path: "/etc/hostname", what: "is written by the container runtime at every start", instead: "take it out: a file there is hidden" },
    Laid { path: "/etc/resolv.conf", what: "is written by the container runtime at every start", instead: "take it out: a file there is hidden" },
];

/// The same below [`IMAGE_SERVER_DATA`], where each place has a table of the language.
const LAID_SERVER_DATA: &[Laid] = &[
    Laid { path: "extensions", what: "holds the image's extensions, which must be listed in its extensions.json", instead: "use [[extension]]" },
    Laid { path: "data/Machine/settings.json", what: "is written by byoi", instead: "use [settings.machine]" },
    Laid { path: "data/User/settings.json", what: "is written by byoi", instead: "use [settings.user]" },
];

/// Names that stand for deletions in a layer (OCI image specification, "Whiteouts").
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// What is laid at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Surely a single file.
    File,
    /// A directory, or what may be one.
    Directory,
    /// A conda environment.
    Prefix,
}

/// Reads a place in the image.
pub(super) fn parse(text: &str, place: Place) -> Result<ImagePath, Problem> {
    let is_file = place == Place::File;
    let what = if place == Place::Prefix { "prefix" } else { "target" };
    let bad = |message: &str, label: &str, help: &str| Err(Problem::new(message).label(label).help(help));
    if !text.starts_with('/') {
        return bad(&format!("a {what} is an absolute path in the image"), "not absolute", &format!("write \"/{}\"", text.trim_start_matches("./")));
    }
    let path = match ImagePath::parse(text) {
        Ok(path) => path,
        Err(error) => return bad(&format!("the {what} {}", error.reason), "not a path", "write the plain path of the file or directory"),
    };
    if path.is_root() {
        let help = match place {
            Place::Prefix => "name a directory of its own, such as \"/opt/conda\"",
            _ => "name a directory below it; several [[file]]s can fill several of them",
        };
        return bad(&format!("the root of the image cannot be a {what}"), "the root", help);
    }
    if path.components().any(|name| name.starts_with(WHITEOUT_PREFIX)) {
        return bad("in an image, names that begin with `.wh.` mean that a file was deleted", "a whiteout's name", "choose another name");
    }
    if is_file && text.ends_with('/') {
        return bad("the target of a single file is the file's own path", "names a directory", "write the file's name after the `/`");
    }
    match kept_for_others(&path).or_else(|| is_file.then(|| above_others(&path)).flatten()) {
        Some(problem) => Err(problem),
        None => Ok(path),
    }
}

/// Every path that is laid by byoi or the runtime.
fn laid() -> impl Iterator<Item = (ImagePath, &'static Laid)> {
    let below = |laid: &'static Laid| Some((ImagePath::literal(IMAGE_SERVER_DATA).join(laid.path).ok()?, laid));
    LAID.iter().map(|laid| (ImagePath::literal(laid.path), laid)).chain(LAID_SERVER_DATA.iter().filter_map(below))
}

fn kept_for_others(path: &ImagePath) -> Option<Problem> {
    if let Some(reserved) = contract::reserved_directory(path) {
        return Some(Problem::new(format!("{} {}", reserved.path, reserved.why)).label("not a place for files").help(reserved.instead));
    }
    if path.name() == PLATFORM_ENTRYPOINT.as_bytes() {
        let problem = Problem::new(format!("{PLATFORM_ENTRYPOINT} is the script by which the platform starts the editor: byoi lays it"));
        return Some(problem.label("laid by byoi").help("choose another name; options of the editor are `editor.arguments`"));
    }
    let (place, laid) = laid().find(|(place, _)| path.starts_with(place))?;
    Some(Problem::new(format!("{} {}", place.absolute(), laid.what)).label("not a place for files").help(laid.instead))
}

/// A single file where a directory of the contract must be.
fn above_others(path: &ImagePath) -> Option<Problem> {
    let reserved = contract::RESERVED_DIRECTORIES.iter().map(|reserved| ImagePath::literal(reserved.path));
    let below = reserved.chain(laid().map(|(place, _)| place)).chain([ImagePath::literal(IMAGE_EXTENSIONS)]).find(|place| place.starts_with(path))?;
    let problem = Problem::new(format!("{} must be a directory: {} lies in it", path.absolute(), below.absolute()));
    Some(problem.label("a single file").help("write the file's name after the directory's"))
}
