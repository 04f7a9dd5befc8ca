//! The four account files, `passwd`, `group`, `shadow` and `gshadow` (their manual pages in section 5), with the account merged in. Pure.
//!
//! Lines that do not concern the account stay as they are, byte for byte. Another user with the account's uid is replaced, under its name in
//! the member lists of groups too: two names for one uid would show the wrong one in the terminal.

use std::collections::BTreeSet;

use crate::contract::{GID, GROUP_NAME, HOME, SHELL, UID, USER_NAME};

/// The texts of the account files; none where there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Files {
    pub(super) passwd: Option<String>,
    pub(super) group: Option<String>,
    pub(super) shadow: Option<String>,
    pub(super) gshadow: Option<String>,
}

impl Files {
    /// The files with the account in them. `passwd` and `group` are there in any case, the shadow files only where they were.
    ///
    /// `sudo`: whether the account must be able to pass sudo's account check. PAM's pam_unix looks for a line in `shadow` exactly when the
    /// password field of `passwd` is `x`, and fails without one (`PAM_AUTHINFO_UNAVAIL`). So where there is no `shadow` the field is `*`: no
    /// password either, and no other file to ask.
    pub(super) fn with_account(&self, sudo: bool) -> Files {
        let password = if sudo && self.shadow.is_none() { "*" } else { "x" };
        let (passwd, replaced) = passwd(self.passwd.as_deref().unwrap_or("root:x:0:0:root:/root:/bin/sh\n"), password);
        let (group, added) = group(self.group.as_deref().unwrap_or("root:x:0:\n"), &replaced);
        Files {
            passwd: Some(passwd),
            group: Some(group),
            shadow: self.shadow.as_deref().map(|base| shadow(base, &replaced)),
            gshadow: self.gshadow.as_deref().map(|base| gshadow(base, &replaced, added)),
        }
    }
}

/// `passwd` with the account's line, and the names of the users that it replaced.
fn passwd(base: &str, password: &str) -> (String, BTreeSet<String>) {
    let mut replaced = BTreeSet::new();
    let mut own = format!("{USER_NAME}:{password}:{UID}:{GID}::{HOME}:{SHELL}");
    let text = replace_lines(base, |line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, _] = fields[..] else { return false };
        let has_uid = uid.parse() == Ok(UID);
        if name == USER_NAME && has_uid && gid.parse() == Ok(GID) && home == HOME {
            // The base's own account is as it must be, whatever comment and shell it has.
            own = with_password(&fields, password);
        } else if name != USER_NAME && has_uid {
            replaced.insert(name.to_owned());
        }
        name == USER_NAME || has_uid
    });
    (text.with(&own), replaced)
}

/// The line of the base's own account. `password` counts only where it is `*`, so that there is no need of a shadow file.
fn with_password(fields: &[&str], password: &str) -> String {
    let mut fields = fields.to_vec();
    if password == "*" && fields[1] == "x" {
        fields[1] = password;
    }
    fields.join(":")
}

/// `group` with a name for the account's group, and that name where it was added.
fn group(base: &str, replaced: &BTreeSet<String>) -> (String, Option<&'static str>) {
    let text = rename_members(base, replaced, &[3]);
    let groups: Vec<Vec<&str>> = text.lines().map(|line| line.split(':').collect()).collect();
    if groups.iter().any(|fields| fields.get(2).is_some_and(|gid| gid.parse() == Ok(GID))) {
        return (text, None);
    }
    // Some distributions have a group `users` with another number.
    let free = [GROUP_NAME, USER_NAME].into_iter().find(|name| groups.iter().all(|fields| fields[0] != *name));
    match free {
        Some(name) => (append(text, &format!("{name}:x:{GID}:")), Some(name)),
        None => (text, None),
    }
}

/// `shadow` with a line that gives the account no password and no expiry.
fn shadow(base: &str, replaced: &BTreeSet<String>) -> String {
    let mut own = format!("{USER_NAME}:*:::::::");
    let text = replace_lines(base, |line| {
        let name = line.split(':').next().unwrap_or_default();
        if name == USER_NAME {
            own = line.to_owned();
        }
        name == USER_NAME || replaced.contains(name)
    });
    text.with(&own)
}

/// `gshadow` with the account's group, where `group` got it.
fn gshadow(base: &str, replaced: &BTreeSet<String>, added: Option<&str>) -> String {
    let text = rename_members(base, replaced, &[2, 3]);
    match added {
        Some(name) if text.lines().all(|line| line.split(':').next() != Some(name)) => append(text, &format!("{name}:!::")),
        _ => text,
    }
}

/// A text out of which lines were taken, and where the first of them stood.
struct Gap {
    before: String,
    after: String,
}

impl Gap {
    /// The text with `line` in the gap.
    fn with(self, line: &str) -> String {
        append(self.before, line) + &self.after
    }
}

/// Takes the lines out for which `takes` says so. Without any the gap is at the end.
fn replace_lines(base: &str, mut takes: impl FnMut(&str) -> bool) -> Gap {
    let mut gap = Gap { before: String::new(), after: String::new() };
    let mut found = false;
    for line in base.split_inclusive('\n') {
        match takes(line.strip_suffix('\n').unwrap_or(line)) {
            true => found = true,
            false if found => gap.after.push_str(line),
            false => gap.before.push_str(line),
        }
    }
    gap
}

/// A line more at the end of `text`.
fn append(mut text: String, line: &str) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text + line + "\n"
}

/// Lists of names at these fields, with the account in place of the users that it replaced, named once.
fn rename_members(base: &str, replaced: &BTreeSet<String>, at: &[usize]) -> String {
    let renamed = |list: &str| {
        if !list.split(',').any(|name| replaced.contains(name)) {
            return list.to_owned();
        }
        let mut names: Vec<&str> = Vec::new();
        for name in list.split(',').map(|name| if replaced.contains(name) { USER_NAME } else { name }) {
            if name != USER_NAME || !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(",")
    };
    let line = |line: &str| {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let fields = line.split(':').enumerate().map(|(index, field)| if at.contains(&index) { renamed(field) } else { field.to_owned() });
        fields.collect::<Vec<_>>().join(":") + end
    };
    base.split_inclusive('\n').map(line).collect()
}
