//! 085–092: the list of extensions, where the server reads it out of the image.
//!
//! A server whose extensions lie on the volume makes its own list there; then the image's list counts only for who runs the image without Studio, and
//! for start scripts that go by it.

use crate::base::index::Entry;
use crate::verify::extensions::{Directory, Fault, Kind, Use};
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, may};

/// Who says what the editor makes of a list.
const SOURCE: &str =
    "Code-OSS, extensionsProfileScannerService.ts, extensionManagementService.ts; measured with the server 1.90.2, 1.100.3 and 1.117.0";
/// How to mend a list.
const REINSTALL: &str =
    "install with the editor's own `--install-extension … --extensions-dir DIR`, which keeps the list; never copy directories beside one";
/// Why ours are right.
const BY_BYOI: &str = "cannot be broken by `[[extension]]`: byoi writes the whole list. Of a base: take another one";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI085",
        name: "extension-list-absent",
        title: "extensions.json is there, or the server may make it",
        level: Level::Must,
        why: "The editor answers, and shows no extension: it lists what it finds in a file that it may not write",
        dockerfile: "install with the editor's own `--install-extension`, or make the directory writable: `chown 1000:100`",
        description: BY_BYOI,
        source: SOURCE,
        check: Check::Files(absent_list),
    },
    Rule {
        id: "BYOI086",
        name: "extension-list-valid",
        title: "extensions.json is what an editor writes",
        level: Level::Must,
        why: "One entry that is not as it should be, and the editor shows no extension at all",
        dockerfile: REINSTALL,
        description: BY_BYOI,
        source: SOURCE,
        check: Check::Files(|_, files| of_kind(files, Kind::Invalid)),
    },
    Rule {
        id: "BYOI087",
        name: "extension-listed-missing",
        title: "Every extension that extensions.json lists is there",
        level: Level::Must,
        why: "The editor lists the extension, and it never starts",
        dockerfile: "install it again, or uninstall it with `--uninstall-extension` instead of deleting its directory",
        description: BY_BYOI,
        source: SOURCE,
        check: Check::Files(|_, files| of_kind(files, Kind::Absent)),
    },
    Rule {
        id: "BYOI088",
        name: "extension-unlisted",
        title: "Every extension beside extensions.json is listed in it",
        level: Level::Must,
        why: "The editor does not show the extension, and deletes its directory at its second start if an editor made it",
        dockerfile: REINSTALL,
        description: BY_BYOI,
        source: SOURCE,
        check: Check::Files(|_, files| of_kind(files, Kind::Unlisted)),
    },
    Rule {
        id: "BYOI089",
        name: "extension-list-different",
        title: "extensions.json says the ids and versions that are there",
        level: Level::Must,
        why: "The editor takes the directory for that of an old version: it marks it as obsolete, and some versions do not show it",
        dockerfile: REINSTALL,
        description: BY_BYOI,
        source: SOURCE,
        check: Check::Files(|_, files| of_kind(files, Kind::Different)),
    },
    Rule {
        id: "BYOI090",
        name: "extension-obsolete",
        title: "No extension that is there is marked as obsolete",
        level: Level::Must,
        why: "The editor hides the extension or deletes it when it starts",
        dockerfile: "delete `.obsolete` after the last installation, or the directories that it names",
        description: BY_BYOI,
        source: SOURCE,
        check: Check::Files(|_, files| of_kind(files, Kind::Obsolete)),
    },
    Rule {
        id: "BYOI091",
        name: "extension-twice",
        title: "No extension is there in two versions",
        level: Level::Should,
        why: "The editor loads one of them, the newest, and marks the other as obsolete; the image is larger for nothing",
        dockerfile: "delete the older directory and its entry",
        description: "take one of the two `[[extension]]` out; byoi refuses two of one id",
        source: SOURCE,
        check: Check::Files(twice),
    },
    Rule {
        id: "BYOI092",
        name: "extension-list-of-image",
        title: "The list of the image's extensions is as complete as if the server read it",
        level: Level::Should,
        why: "In Studio the start script links the extensions into the volume, and the editor lists what it finds there. Without Studio, and for scripts \
              that go by the list, extensions are missing; a directory that is a link is passed over by sagemaker-distribution's script",
        dockerfile: REINSTALL,
        description: BY_BYOI,
        source: "sagemaker-distribution, start-code-editor; Code-OSS, extensionsProfileScannerService.ts",
        check: Check::Files(of_image),
    },
];

/// Faults of one kind in the directory that the server reads.
fn of_kind(files: &Files, kind: Kind) -> Vec<Found> {
    let faults = files.extensions.read_by_server().flat_map(Directory::faults);
    faults.filter(|fault| fault.kind == kind).map(found).collect()
}

fn found(fault: Fault) -> Found {
    Found::at_path(&fault.path, fault.what)
}

fn absent_list(_: &Evidence, files: &Files) -> Vec<Found> {
    let is_writable = |directory: &Directory| matches!(files.index.get(&directory.path), Some(Entry { attributes, .. }) if may(attributes, 2));
    let has_list = |directory: &Directory| files.index.find(&directory.at("extensions.json")).is_some();
    let lost = files.extensions.read_by_server().filter(|directory| !directory.folders.is_empty() && !has_list(directory) && !is_writable(directory));
    lost.map(|directory| Found::at_path(&directory.path, "there is no extensions.json, and user 1000 may not write one")).collect()
}

fn twice(_: &Evidence, files: &Files) -> Vec<Found> {
    files.extensions.in_use().flat_map(Directory::faults).filter(|fault| fault.kind == Kind::Twice).map(found).collect()
}

fn of_image(_: &Evidence, files: &Files) -> Vec<Found> {
    let of_image = || files.extensions.directories.iter().filter(|directory| directory.purpose == Use::Image);
    let faults = of_image().flat_map(Directory::faults).filter(|fault| fault.kind != Kind::Twice).map(found);
    let links = of_image().flat_map(|directory| directory.folders.iter().filter(|(_, folder)| folder.is_link).map(|(name, _)| directory.at(name)));
    faults.chain(links.map(|path| Found::at_path(&path, "the directory is a link: sagemaker-distribution's start script passes it over"))).collect()
}
