//! 020–029: whom the app runs as, and its working directory.

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
        why: "Studio cannot launch the app: \"Ensure that the UID/GID provided in the AppImageConfig matches the default UID/GID defined in the image\"; with another group the home volume is not writable",
        dockerfile: "end with `USER 1000:100`; a bare `USER 1000` without a line in /etc/passwd means group 0",
        description: "cannot be broken: byoi always writes `1000:100`",
        source: "AWS documentation, Custom image specifications (UID, GID); moby, GetExecUser",
        check: Check::Files(user),
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

fn working_directory(evidence: &Evidence) -> Vec<Found> {
    let directory = &evidence.config.working_dir;
    let is_home = ImagePath::parse(directory).is_ok_and(|path| path.starts_with(&ImagePath::literal(HOME)));
    if is_home && directory.starts_with('/') {
        return Vec::new();
    }
    let named = if directory.is_empty() { "/".to_owned() } else { directory.clone() };
    vec![Found::at_config("WorkingDir", format!("the working directory is {named}"))]
}
