//! Whether this process may give files to the users that an image names: as root of the machine, or of a user namespace that has enough ids.

use std::fs;

use crate::contract;

/// Whether files can be given to all ids that images use; else why not.
///
/// # Errors
/// Why not.
pub(super) fn may_give_files_away() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can give files to the users that an image names".to_owned());
    }
    for name in ["uid_map", "gid_map"] {
        let map = fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        if mapped(&map) <= contract::MAX_ID {
            return Err(format!("the user namespace has not all ids up to {} (/proc/self/{name})", contract::MAX_ID));
        }
    }
    Ok(())
}

/// The first id that a map of a user namespace leaves out.
fn mapped(map: &str) -> u32 {
    let mut ranges: Vec<(u32, u32)> = map
        .lines()
        .filter_map(|line| {
            let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            Some((*numbers.first()?, *numbers.get(2)?))
        })
        .collect();
    ranges.sort_unstable();
    ranges.into_iter().fold(0, |next, (first, count)| if first <= next { next.max(first.saturating_add(count)) } else { next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_user_namespaces_are_read() {
        assert_eq!(mapped("         0          0 4294967295\n"), u32::MAX);
        assert_eq!(mapped("0 1000 1\n1 100000 65536\n"), 65537);
        assert_eq!(mapped("1 100000 65536\n0 1000 1\n"), 65537);
        assert_eq!(mapped("1000 1000 1\n"), 0);
        assert_eq!(mapped(""), 0);
    }
}
