//! 040–059: directories and variables that the platform keeps for itself, and one that it needs.

use crate::base::index::{Entry, Node};
use crate::contract::{RESERVED_DIRECTORIES, RESERVED_VARIABLES, TEMPORARY};
use crate::image_path::ImagePath;
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, may};

/// Directories that are mounted over, beside the home.
const MOUNTED: &[&str] = &["/opt/ml", "/opt/.sagemakerinternal"];
/// The one that belongs to logs.
const LOGS: &[&str] = &["/var/log/studio"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI040",
        name: "reserved-directories",
        title: "The image has no files in /opt/ml and /opt/.sagemakerinternal",
        level: Level::Must,
        why: "They are not there at run time: AWS mounts its own directories over them",
        dockerfile: "put the files elsewhere under /opt",
        description: "cannot be broken by a description; take another base",
        source: "AWS documentation, Custom image specifications (Metadata directories)",
        check: Check::Upper(reserved_directories),
    },
    Rule {
        id: "BYOI041",
        name: "log-directory",
        title: "The image has no files in /var/log/studio",
        level: Level::Should,
        why: "It belongs to the logs of the app and its extensions: they write over what is there, or it hides among them",
        dockerfile: "keep other files elsewhere; an empty directory of 1000:100 is fine",
        description: "cannot be broken by a description; take another base",
        source: "AWS documentation, Custom image specifications (Logging)",
        check: Check::Upper(log_directory),
    },
    Rule {
        id: "BYOI042",
        name: "temporary-directory",
        title: "/tmp is a directory in which user 1000 can write",
        level: Level::Must,
        why: "The editor keeps sockets and the time of the last activity there: without it terminals do not open and idle shutdown fails",
        dockerfile: "`RUN mkdir -p /tmp && chmod 1777 /tmp`",
        description: "cannot be broken: byoi lays it where the base has none in which user 1000 can write",
        source: "aws/code-editor, `/api/idle` writes /tmp/.sagemaker-last-active-timestamp",
        check: Check::Files(temporary_directory),
    },
    Rule {
        id: "BYOI050",
        name: "reserved-variables",
        title: "The image sets no variable that SageMaker sets itself",
        level: Level::Should,
        why: "The value in the image has no effect in Studio, and makes a local run behave otherwise",
        dockerfile: "take the ENV out",
        description: "cannot be broken by a description; take another base",
        source: "AWS documentation, Custom image specifications (EnvVariables)",
        check: Check::Documents(reserved_variables),
    },
];

fn files_in(files: &Files, directories: &[&str]) -> Vec<Found> {
    let reserved = RESERVED_DIRECTORIES.iter().filter(|reserved| directories.contains(&reserved.path));
    let found = reserved.filter_map(|reserved| {
        let directory = ImagePath::literal(reserved.path);
        let mut below = files.index.below(&directory).filter(|(_, entry)| entry.node != Node::Directory);
        let (first, _) = below.next()?;
        let more = below.count();
        let more = if more == 0 { String::new() } else { format!(", and there are {more} more files") };
        Some(Found::at_path(first, format!("{} {}{more}", reserved.path, reserved.why)))
    });
    found.collect()
}

fn reserved_directories(_: &Evidence, files: &Files) -> Vec<Found> {
    files_in(files, MOUNTED)
}

fn log_directory(_: &Evidence, files: &Files) -> Vec<Found> {
    files_in(files, LOGS)
}

fn temporary_directory(_: &Evidence, files: &Files) -> Vec<Found> {
    let path = ImagePath::literal(TEMPORARY);
    let what = match files.index.find(&path) {
        Some((_, Entry { attributes, node: Node::Directory })) if may(attributes, 3) => return Vec::new(),
        Some((_, Entry { attributes, node: Node::Directory })) => {
            format!("it belongs to {}:{} and has mode {:04o}", attributes.uid, attributes.gid, attributes.mode)
        }
        Some(_) => "it is no directory".to_owned(),
        None => "it is not there".to_owned(),
    };
    vec![Found::at_path(&path, what)]
}

fn reserved_variables(evidence: &Evidence) -> Vec<Found> {
    let own = evidence.config.env.iter().filter(|(name, _)| RESERVED_VARIABLES.contains(&name.as_str()));
    own.map(|(name, value)| Found::at_config("Env", format!("{name} is set, to `{value}`"))).collect()
}
