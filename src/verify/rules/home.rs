//! 025–029: what the space's volume hides, since it is mounted over the home. Extensions and conda environments have rules of their own.

use std::collections::BTreeSet;

use crate::base::index::Node;
use crate::contract::HOME;
use crate::image_path::ImagePath;
use crate::verify::programs::absolute;
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, Lookup, is_hidden, may};

const MOUNT: &str = "AWS documentation, Custom image specifications (WorkingDirectory: the volume is mounted at /home/sagemaker-user)";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI025",
        name: "hidden-path",
        title: "No directory of PATH with programs of the image lies in the home",
        level: Level::Must,
        why: "The programs work in `docker run` and are not there in Studio: the space's volume is mounted over the home",
        dockerfile: "install under /opt or /usr/local (`pip install` without `--user`, `npm config set prefix /usr/local`) and put that on PATH",
        description: "give the [[file]] a target outside the home",
        source: MOUNT,
        check: Check::Upper(hidden_path),
    },
    Rule {
        id: "BYOI026",
        name: "hidden-command",
        title: "No program of the start command lies in the home",
        level: Level::Must,
        why: "The app ends at once with `no such file or directory`: the space's volume is mounted over the program",
        dockerfile: "copy the script to /usr/local/bin",
        description: "cannot be broken: byoi's entrypoint lies in /usr/local/bin",
        source: MOUNT,
        check: Check::Files(hidden_command),
    },
    Rule {
        id: "BYOI028",
        name: "hidden-variable",
        title: "No variable names a file of the image that lies in the home",
        level: Level::Should,
        why: "What the variable promises (a configuration, a library, a data set) is not there in Studio: the space's volume is mounted over it",
        dockerfile: "put the file under /opt or /etc and name it there",
        description: "put the [[file]] elsewhere and name it there",
        source: MOUNT,
        check: Check::Upper(hidden_variable),
    },
    Rule {
        id: "BYOI029",
        name: "hidden-files",
        title: "The home holds no files but the usual ones whose names begin with a dot",
        level: Level::Should,
        why: "Users never see them: the space's volume is mounted over the home",
        dockerfile: "put files for users under /opt, or copy them into the home when the app starts",
        description: "cannot be broken by a [[file]]; the base has them",
        source: MOUNT,
        check: Check::Files(hidden_files),
    },
];

fn hidden_path(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let directories = evidence.config.path().into_iter().filter_map(|directory| ImagePath::parse(absolute(&directory, "/")).ok());
    let hidden = directories.filter(is_hidden).collect::<BTreeSet<_>>().into_iter();
    hidden
        .filter_map(|directory| {
            let is_program = |node: &Node| matches!(node, Node::File(_) | Node::Symlink(_));
            let own = files.index.below(&directory).filter(|(path, _)| path.parent().as_ref() == Some(&directory));
            let count = own.filter(|(_, entry)| is_program(&entry.node) && may(&entry.attributes, 1)).count();
            (count > 0).then(|| Found::at_path(&directory, format!("PATH has this directory, in which the image has {count} programs")))
        })
        .collect()
}

fn hidden_command(_: &Evidence, files: &Files) -> Vec<Found> {
    let hops = files.start.hops.iter();
    hops.filter_map(|hop| match &hop.lookup {
        Lookup::Hidden(path) => Some(Found::at_path(path, format!("{} starts it as `{}`", hop.by, hop.word))),
        _ => None,
    })
    .collect()
}

fn hidden_variable(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let others = evidence.config.env.iter().filter(|(name, _)| name != "PATH");
    let values = others.flat_map(|(name, value)| value.split(':').map(move |part| (name, part))).filter(|(_, part)| part.starts_with('/'));
    let paths = values.filter_map(|(name, part)| Some((name, ImagePath::parse(absolute(part, "/")).ok()?)));
    let there = paths.filter(|(_, path)| is_hidden(path) && files.index.get(path).is_some());
    there.map(|(name, path)| Found::at_path(&path, format!("the variable {name} names it"))).collect()
}

fn hidden_files(_: &Evidence, files: &Files) -> Vec<Found> {
    let home = ImagePath::literal(HOME);
    let plain = files.index.below(&home).filter(|(path, entry)| {
        let first = path.strip_prefix(&home).and_then(|below| below.components().next().map(<[u8]>::to_vec)).unwrap_or_default();
        entry.node != Node::Directory && !first.starts_with(b".")
    });
    // What other rules say is not said again.
    let known = roots(files);
    let mut paths = plain.map(|(path, _)| path).filter(|path| !known.iter().any(|root| path.starts_with(root)) && !is_program_of(files, path));
    let Some(first) = paths.next() else { return Vec::new() };
    let more = paths.count();
    let what = if more == 0 { "the volume hides it".to_owned() } else { format!("the volume hides it, and {more} more files") };
    vec![Found::at_path(first, what)]
}

/// Environments and homes of extensions.
fn roots(files: &Files) -> Vec<ImagePath> {
    let home = ImagePath::literal(HOME);
    let roots = files.index.below(&home).filter(|(path, _)| path.name() == b"conda-meta" || path.name() == b"extensions");
    roots.filter_map(|(path, _)| path.parent()).collect()
}

/// Whether the start command names the file, or it stands in a directory called `bin`.
fn is_program_of(files: &Files, path: &ImagePath) -> bool {
    let is_started = files.start.hops.iter().any(|hop| hop.lookup == Lookup::Hidden(path.clone()));
    is_started || path.parent().is_some_and(|parent| parent.name() == b"bin")
}
