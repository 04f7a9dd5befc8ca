//! 020–024: whom the app runs as, its home and its working directory.

use crate::base::index::{Entry, Node};
use crate::contract::{GID, HOME, UID};
use crate::image_path::ImagePath;
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI020",
        name: "user",
        title: "The config's user is 1000:100",
        level: Level::Must,
        why: "Studio cannot launch the app: \"Ensure that the UID/GID provided in the AppImageConfig matches the default UID/GID defined in the image\"; with another group the home volume may not be writable",
        dockerfile: "end with `USER 1000:100`; a bare `USER 1000` without a line in /etc/passwd means group 0",
        description: "cannot be broken: byoi always writes `1000:100`",
        source: "AWS documentation, Custom image specifications (UID, GID); moby, GetExecUser",
        check: Check::Files(user),
    },
    Rule {
        id: "BYOI021",
        name: "account-entry",
        title: "/etc/passwd names user 1000, with group 100 and the home /home/sagemaker-user",
        level: Level::Should,
        why: "Terminals say `I have no name!`, programs that ask for the user's home get `/`, where they cannot write (\"Failed to create the remote server's install directory\"), and the editor's extension sync stops at the first line on stderr",
        dockerfile: "`RUN useradd --uid 1000 --gid 100 --home-dir /home/sagemaker-user --create-home --shell /bin/bash sagemaker-user`, after removing another user with that number (Ubuntu's `ubuntu`)",
        description: "cannot be broken: byoi merges the account into the base's files",
        source: "aws/aws-toolkit-vscode#8096; aws/sagemaker-distribution, Dockerfile (NB_USER, NB_UID, NB_GID)",
        check: Check::Files(account_entry),
    },
    Rule {
        id: "BYOI022",
        name: "home-variable",
        title: "The home of the app's user is /home/sagemaker-user",
        level: Level::Should,
        why: "Whatever programs keep in the home (settings, credentials, shell history, extensions without a directory of their own) is lost with each restart, or cannot be written",
        dockerfile: "`ENV HOME=/home/sagemaker-user`, or an account in /etc/passwd with this home",
        description: "cannot be broken: byoi always sets HOME",
        source: "AWS documentation, Custom image specifications (WorkingDirectory: the volume's mount path)",
        check: Check::Files(home_variable),
    },
    Rule {
        id: "BYOI023",
        name: "home-directory",
        title: "/home/sagemaker-user is a directory of 1000:100",
        level: Level::Should,
        why: "The volume cannot be mounted over a file or link, and where the image runs without the volume (`docker run`, a test) the editor cannot write its data and ends",
        dockerfile: "`RUN install -d -o 1000 -g 100 /home/sagemaker-user`",
        description: "cannot be broken: byoi always makes it",
        source: "measured with Code-OSS 1.100: a home of root's ends the start script with `Permission denied`",
        check: Check::Files(home_directory),
    },
    Rule {
        id: "BYOI024",
        name: "working-directory",
        title: "The working directory is /home/sagemaker-user or below",
        level: Level::Should,
        why: "Terminals and the editor open in a directory that is not on the space's volume: what a user saves there is lost with the app",
        dockerfile: "`WORKDIR /home/sagemaker-user`",
        description: "cannot be broken: byoi always writes it",
        source: "AWS documentation, Custom image specifications (WorkingDirectory)",
        check: Check::Documents(working_directory),
    },
];

fn user(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let user = &evidence.config.user;
    let named = if user.is_empty() { "no user is set, which means root".to_owned() } else { format!("the user is `{user}`") };
    let what = match &files.account.ids {
        Ok((UID, GID)) => return Vec::new(),
        Ok((uid, gid)) if format!("{uid}:{gid}") == *user => named,
        Ok((uid, gid)) => format!("{named}, that is {uid}:{gid}"),
        Err(why) => format!("{named}, but {why}"),
    };
    vec![Found::at_config("User", what)]
}

fn account_entry(_: &Evidence, files: &Files) -> Vec<Found> {
    let what = match files.account.entry(UID) {
        None => format!("it has no user {UID}"),
        Some(entry) if entry.gid != GID || entry.home != HOME => {
            format!("user {UID} is `{}` with group {} and home {}", entry.name, entry.gid, entry.home)
        }
        Some(_) => return Vec::new(),
    };
    vec![Found::at_path(&ImagePath::literal("/etc/passwd"), what)]
}

fn home_variable(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let home = files.account.home(&evidence.config);
    if home.trim_end_matches('/') == HOME {
        return Vec::new();
    }
    let what = match evidence.config.variable("HOME") {
        Some(_) => format!("HOME is {home}"),
        // The entry itself is another rule's.
        None if files.account.entry(UID).is_some_and(|entry| entry.home == home) => return Vec::new(),
        None => format!("HOME is not set, and without a line in /etc/passwd it is {home}"),
    };
    vec![Found::at_config("Env", what)]
}

fn home_directory(_: &Evidence, files: &Files) -> Vec<Found> {
    let path = ImagePath::literal(HOME);
    let what = match files.index.get(&path) {
        None => "it is not there".to_owned(),
        Some(Entry { attributes, node: Node::Directory }) => {
            let owner = (attributes.uid, attributes.gid);
            if owner == (UID, GID) && attributes.mode & 0o700 == 0o700 {
                return Vec::new();
            }
            format!("it belongs to {}:{} and has mode {:04o}", owner.0, owner.1, attributes.mode)
        }
        Some(_) => "it is no directory".to_owned(),
    };
    vec![Found::at_path(&path, what)]
}

fn working_directory(evidence: &Evidence) -> Vec<Found> {
    let directory = &evidence.config.working_dir;
    let is_home = ImagePath::parse(directory).is_ok_and(|path| path.starts_with(&ImagePath::literal(HOME)));
    if is_home && directory.starts_with('/') {
        return Vec::new();
    }
    let named = if directory.is_empty() { "/".to_owned() } else { directory.clone() };
    vec![Found::at_config("WorkingDir", format!("the working directory is {named}"))]
}
