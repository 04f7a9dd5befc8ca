//! Whom `config.User` is, as a container runtime finds out: through the image's passwd and group.
//!
//! Source: moby's `GetExecUser`: a name or number is looked up in passwd; a number that is not there is taken with group 0; an unknown name is an
//! error. The part after a colon is a name in group, or a number.

use super::config::RunConfig;
use crate::base::Index;
use crate::contract::UID;
use crate::image_path::ImagePath;

/// A line of passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The user's name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Its home.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

/// Whom `config.User` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User and group, or why no container starts.
    pub ids: Result<(u32, u32), String>,
    /// All lines of the image's passwd that can be read.
    pub passwd: Vec<Entry>,
}

impl Account {
    /// Looks `user` up.
    pub fn of(user: &str, index: &Index) -> Self {
        let text = |path: &'static str| String::from_utf8_lossy(index.content(&ImagePath::literal(path)).unwrap_or_default()).into_owned();
        let passwd: Vec<Entry> = text("etc/passwd").lines().filter_map(entry).collect();
        let ids = ids(user, &passwd, &text("etc/group"));
        Account { ids, passwd }
    }

    /// The home that the app's user gets, whatever user the config names: Studio starts the app as user 1000.
    pub fn home(&self, config: &RunConfig) -> String {
        let own = || self.entry(UID).map(|entry| entry.home.clone()).filter(|home| !home.is_empty());
        config.variable("HOME").filter(|home| !home.is_empty()).map(str::to_owned).or_else(own).unwrap_or_else(|| "/".to_owned())
    }

    /// The first line of passwd with this number, which is the one that counts.
    pub fn entry(&self, uid: u32) -> Option<&Entry> {
        self.passwd.iter().find(|entry| entry.uid == uid)
    }
}

fn entry(line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    Some(Entry { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: home.to_owned(), shell: shell.to_owned() })
}

fn ids(user: &str, passwd: &[Entry], group: &str) -> Result<(u32, u32), String> {
    let (user, wanted_group) = user.split_once(':').unwrap_or((user, ""));
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let found = passwd.iter().find(|entry| entry.name == user || Some(entry.uid) == number);
    let (uid, gid) = match (found, number) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(number)) => (number, 0),
        (None, None) => return Err(format!("/etc/passwd has no user `{user}`")),
    };
    if wanted_group.is_empty() {
        return Ok((uid, gid));
    }
    let mut groups = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let named = groups.find(|fields| fields[0] == wanted_group).and_then(|fields| fields.get(2)?.parse().ok());
    let gid = named.or_else(|| wanted_group.parse().ok());
    gid.map(|gid| (uid, gid)).ok_or_else(|| format!("/etc/group has no group `{wanted_group}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_as_a_runtime_does() {
        let passwd: Vec<Entry> = "root:x:0:0:root:/root:/bin/sh\nsage:x:1000:100::/home/sage:/bin/bash\nbroken\n".lines().filter_map(entry).collect();
        let group = "root:x:0:\nusers:x:100:\n";
        for (user, found) in [
            ("", Ok((0, 0))),
            ("sage", Ok((1000, 100))),
            ("1000", Ok((1000, 100))),
            ("1000:100", Ok((1000, 100))),
            ("1000:0", Ok((1000, 0))),
            ("sage:users", Ok((1000, 100))),
            ("2000", Ok((2000, 0))),
            ("nobody", Err("/etc/passwd has no user `nobody`".to_owned())),
            ("sage:staff", Err("/etc/group has no group `staff`".to_owned())),
        ] {
            assert_eq!(ids(user, &passwd, group), found, "{user}");
        }
    }
}
