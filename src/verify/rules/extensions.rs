//! 080–084, 093–096: where extensions lie, whether the user may read them, and whether the editor runs them.

use crate::base::index::{Entry, Node};
use crate::contract::{EXTENSION_PLATFORMS, HOME, IMAGE_EXTENSIONS};
use crate::extension::engine;
use crate::image_path::ImagePath;
use crate::verify::extensions::{Directory, Extensions, Folder, Manifest, Use};
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, may};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI080",
        name: "extensions-hidden",
        title: "No extension lies below /home/sagemaker-user",
        level: Level::Must,
        why: "The extensions are there with `docker run`, and gone in Studio: the space's volume is mounted over them",
        dockerfile: "install with `--extensions-dir /opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions`, as user 1000",
        description: "cannot be broken: `[[extension]]` never lays anything there",
        source: "AWS documentation, Custom image specifications (WorkingDirectory: the volume's mount point)",
        check: Check::Files(hidden),
    },
    Rule {
        id: "BYOI081",
        name: "extensions-elsewhere",
        title: "Extensions lie where the editor's server or Studio's own start script looks for them",
        level: Level::Should,
        why: "The editor starts without the extensions; `--install-extension` without directories puts them into the home of whoever runs it, mostly root",
        dockerfile: "install with `--extensions-dir /opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions`, as user 1000",
        description: "name them as `[[extension]]`",
        source: "Code-OSS, serverEnvironmentService.ts; sagemaker-distribution, start-code-editor; SageMaker's extensions-sync",
        check: Check::Files(elsewhere),
    },
    Rule {
        id: "BYOI082",
        name: "extensions-readable",
        title: "User 1000:100 may read the directory of extensions and all in it",
        level: Level::Must,
        why: "The editor answers, and shows no extension: `--install-extension` run by root makes a directory that it did not find with mode 0700",
        dockerfile: "`mkdir -p` the directory before, install as user 1000, or `chmod -R a+rX` it",
        description: "of a base: take another one; what `[[extension]]` lays can be read",
        source: "Code-OSS, extensionsScannerService.ts; measured: extensions directory 0700, owned by root",
        check: Check::Upper(unreadable),
    },
    Rule {
        id: "BYOI084",
        name: "extensions-leftovers",
        title: "No installation left its temporary directories between the extensions",
        level: Level::Should,
        why: "The image is larger for nothing; an extension of which only such a directory is there is not installed",
        dockerfile: "let the installation end, or delete directories whose names begin with a dot, and `*.vsctmp`",
        description: "of a base: take another one, or tell who makes it",
        source: "Code-OSS, extensionManagementService.ts",
        check: Check::Upper(leftovers),
    },
    Rule {
        id: "BYOI093",
        name: "extension-manifest",
        title: "The package.json of every extension is one",
        level: Level::Must,
        why: "The editor passes the extension over, and says so only in its log",
        dockerfile: "install from the VSIX instead of copying files",
        description: "of a base: take another one; byoi refuses such a VSIX",
        source: "Code-OSS, extensionsScannerService.ts",
        check: Check::Upper(manifests),
    },
    Rule {
        id: "BYOI094",
        name: "extension-engine",
        title: "The editor's version is one that every extension runs on",
        level: Level::Must,
        why: "The extension is listed and never starts: the editor does not load one whose `engines.vscode` it does not meet",
        dockerfile: "install an older version of the extension, or a newer editor; the editor's own `--install-extension` refuses it",
        description: "name an older version, or a base with a newer editor: byoi refuses the combination when it locks",
        source: "Code-OSS, extensionValidator.ts",
        check: Check::Files(engines),
    },
    Rule {
        id: "BYOI095",
        name: "extension-platform",
        title: "Every extension is made for linux-x64, or for all platforms",
        level: Level::Must,
        why: "The editor installs it without a word, and its programs and native modules fail when they are needed",
        dockerfile: "download the VSIX for linux-x64, or the universal one",
        description: "name the file for linux-x64: byoi refuses others",
        source: "Code-OSS, targetPlatform; measured: a VSIX for linux-arm64 is installed without complaint",
        check: Check::Upper(platforms),
    },
    Rule {
        id: "BYOI096",
        name: "extension-dependencies",
        title: "The extensions that an extension depends on are there",
        level: Level::Must,
        why: "The editor does not start the extension. It looks for what is missing in its gallery, which a space without internet does not reach",
        dockerfile: "install them too; `--install-extension` without a network only warns of it",
        description: "add an `[[extension]]` for each",
        source: "Code-OSS, extensionDependencies",
        check: Check::Files(dependencies),
    },
];

fn hidden(_: &Evidence, files: &Files) -> Vec<Found> {
    let hidden = files.extensions.directories.iter().filter(|directory| directory.purpose == Use::Hidden && !directory.folders.is_empty());
    hidden.map(|directory| Found::at_path(&directory.path, format!("{} there, where the volume hides them", counted(directory)))).collect()
}

fn elsewhere(_: &Evidence, files: &Files) -> Vec<Found> {
    let Extensions { directories, read, .. } = &files.extensions;
    // A directory of its own may be what only a running shell knows.
    let is_lost = |directory: &&Directory| read.is_some() || is_in_a_home(files, &directory.path);
    let elsewhere = directories.iter().filter(|directory| directory.purpose == Use::Elsewhere && !directory.folders.is_empty()).filter(is_lost);
    let found = |directory: &Directory| {
        let looks = match read {
            Some(path) => format!("the server looks in {}, and Studio's start script in {IMAGE_EXTENSIONS}", path.absolute()),
            None => format!("Studio's start script looks in {IMAGE_EXTENSIONS}"),
        };
        Found::at_path(&directory.path, format!("{} there; {looks}", counted(directory)))
    };
    elsewhere.map(found).collect()
}

/// Whether a path lies in the home of an account, or of one whom passwd does not know.
fn is_in_a_home(files: &Files, path: &ImagePath) -> bool {
    let homes = files.account.passwd.iter().map(|entry| entry.home.as_str()).chain(["/root", "/home", HOME]);
    homes.filter_map(|home| ImagePath::parse(home).ok()).any(|home| !home.is_root() && path.starts_with(&home))
}

fn counted(directory: &Directory) -> String {
    let mut names = directory.folders.keys().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = directory.folders.len().saturating_sub(3);
    if rest > 0 {
        names = format!("{names} and {rest} more");
    }
    if directory.folders.len() == 1 { format!("the extension {names} lies") } else { format!("the extensions {names} lie") }
}

fn unreadable(_: &Evidence, files: &Files) -> Vec<Found> {
    let mut found = Vec::new();
    for directory in files.extensions.in_use().filter(|directory| !directory.folders.is_empty()) {
        if !files.programs().is_reachable(&directory.path) || !is_open(files, &directory.path) {
            found.push(Found::at_path(&directory.path, format!("user 1000 may not read the directory{}", mode(files, &directory.path))));
            continue;
        }
        let list = directory.at("extensions.json");
        let folders = directory.folders.values().map(|folder| folder.path.clone());
        for path in folders.chain([list]) {
            let below = files.index.below(&path).map(|(path, _)| path);
            let closed: Vec<_> = [&path].into_iter().chain(below).filter(|path| !is_open(files, path)).collect();
            let Some(first) = closed.first() else { continue };
            let more = if closed.len() > 1 { format!(", nor {} more below", closed.len() - 1) } else { String::new() };
            found.push(Found::at_path(first, format!("user 1000 may not read it{}{more}", mode(files, first))));
        }
    }
    found
}

/// Whether the user may read what stands at a path, as far as its own mode says.
fn is_open(files: &Files, path: &ImagePath) -> bool {
    match files.index.get(path) {
        Some(Entry { attributes, node: Node::Directory }) => may(attributes, 5),
        Some(Entry { attributes, node: Node::File(_) }) => may(attributes, 4),
        _ => true,
    }
}

fn mode(files: &Files, path: &ImagePath) -> String {
    let attributes = files.index.get(path).map(|entry| entry.attributes);
    attributes.map(|found| format!(" (mode {:04o}, owner {}:{})", found.mode, found.uid, found.gid)).unwrap_or_default()
}

fn leftovers(_: &Evidence, files: &Files) -> Vec<Found> {
    let left = files.extensions.in_use().flat_map(|directory| directory.leftovers.iter().map(|name| directory.at(name)));
    left.map(|path| Found::at_path(&path, "an interrupted installation left it")).collect()
}

/// All extensions in use, each by its path.
fn in_use(files: &Files) -> impl Iterator<Item = (ImagePath, &Folder)> {
    files.extensions.in_use().flat_map(|directory| directory.folders.iter().map(|(name, folder)| (directory.at(name), folder)))
}

fn known(files: &Files) -> impl Iterator<Item = (ImagePath, &Manifest)> {
    in_use(files).filter_map(|(path, folder)| Some((path, folder.known()?)))
}

fn manifests(_: &Evidence, files: &Files) -> Vec<Found> {
    let broken = in_use(files).filter_map(|(path, folder)| Some((path, folder.manifest.as_ref()?.as_ref().err()?)));
    broken.map(|(path, why)| Found::at_path(&path, format!("its package.json {why}"))).collect()
}

fn engines(_: &Evidence, files: &Files) -> Vec<Found> {
    let Some(editor) = &files.extensions.editor else { return Vec::new() };
    let judged = known(files).filter_map(|(path, manifest)| {
        // Without code nothing asks for the version.
        let engine = manifest.engine.as_deref().unwrap_or("").trim();
        let error = engine::satisfies(engine, manifest.has_code, editor).err().filter(|_| manifest.has_code)?;
        Some(Found::at_path(&path, format!("the editor does not run {} {}: {error}", manifest.id, manifest.version)))
    });
    judged.collect()
}

fn platforms(_: &Evidence, files: &Files) -> Vec<Found> {
    let foreign = in_use(files).filter_map(|(path, folder)| Some((path, folder.platform.as_deref()?)));
    let foreign = foreign.filter(|(_, platform)| !EXTENSION_PLATFORMS.contains(platform));
    foreign.map(|(path, platform)| Found::at_path(&path, format!("the extension is made for {platform}"))).collect()
}

fn dependencies(_: &Evidence, files: &Files) -> Vec<Found> {
    let present: Vec<&str> =
        known(files).map(|(_, manifest)| manifest.id.as_str()).chain(files.extensions.built_in.iter().map(String::as_str)).collect();
    let judged = known(files).filter_map(|(path, manifest)| {
        let missing: Vec<&str> = manifest.dependencies.iter().map(String::as_str).filter(|id| !present.contains(id)).collect();
        let what = || format!("{} {} depends on what is not in the image: {}", manifest.id, manifest.version, missing.join(", "));
        (!missing.is_empty()).then(|| Found::at_path(&path, what()))
    });
    judged.collect()
}
