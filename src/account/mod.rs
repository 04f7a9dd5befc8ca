//! The account that the platform runs the editor as: its lines in the base's account files, its home, its right to become root, and a directory in
//! which it can keep temporary files.

mod files;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::contract::{self, GID, HOME, TEMPORARY, UID, USER_NAME};
use crate::description::Description;
use crate::error::{Error, Problem};
use crate::image_path::ImagePath;
use crate::lock::{DirectoryRule, Facts, Text};
use crate::plan::{Component, DirectoryTable, Fixed};
use files::Files;

/// Where the account's right to become root stands.
const SUDOERS: &str = "/etc/sudoers.d/byoi";

/// The account's components.
///
/// # Errors
/// When the description wants `sudo` and the base has none.
pub fn components(description: &Description, facts: &Facts) -> Result<Vec<Arc<dyn Component>>, Error> {
    let component = with_sudo(with_account_files(Fixed::new("account"), facts), description, facts)?;
    Ok(vec![Arc::new(component.directory(ImagePath::literal(HOME), 0o755, (UID, GID)))])
}

/// The directory for temporary files, where the base has none in which the account can write: it is missing in images that begin with nothing, and
/// without it the editor opens no terminal. The table of directories learns its mode.
pub fn temporary_directory(directories: &mut DirectoryTable) -> Option<Arc<dyn Component>> {
    let path = ImagePath::literal(TEMPORARY);
    let rule = directories.rule(&directories.resolve_directory(&path).ok()?);
    if contract::may(rule.mode, (rule.uid, rule.gid), 3) {
        return None;
    }
    directories.replace(&path, DirectoryRule { mode: 0o1777, uid: 0, gid: 0 });
    Some(Arc::new(Fixed::new("temporary files").directory(path, 0o1777, (0, 0))))
}

/// The account files that the account changes.
fn with_account_files(component: Fixed, facts: &Facts) -> Fixed {
    let paths = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"].map(ImagePath::literal);
    let [passwd, group, shadow, gshadow] = paths.each_ref().map(|path| facts.texts.get(path));
    let content = |text: Option<&Text>| text.map(|text| text.content.clone());
    let base = Files { passwd: content(passwd), group: content(group), shadow: content(shadow), gshadow: content(gshadow) };
    let Files { passwd, group, shadow, gshadow } = base.with_account(facts.sudo);
    let merged = paths.into_iter().zip([passwd, group, shadow, gshadow]);
    merged.fold(component, |component, (path, merged)| match (merged, facts.texts.get(&path)) {
        (None, _) => component,
        (Some(merged), Some(base)) if merged == base.content => component,
        (Some(merged), Some(base)) => component.text(path, merged, base.mode, base.owner),
        (Some(merged), None) => component.text(path, merged, 0o644, (0, 0)),
    })
}

fn with_sudo(component: Fixed, description: &Description, facts: &Facts) -> Result<Fixed, Error> {
    let Some(wanted) = description.sudo.as_ref().filter(|sudo| sudo.value) else {
        return Ok(component);
    };
    if !facts.sudo {
        let problem = Problem::new("the base has no sudo, which only root could install").at(&description.source, wanted.span.clone());
        let help = "take a base that has sudo, or take the line out";
        return Err(Error::input(problem.label("no sudo in the base").help(help)));
    }
    Ok(component.text(ImagePath::literal(SUDOERS), format!("{USER_NAME} ALL=(ALL) NOPASSWD: ALL\n"), 0o440, (0, 0)))
}
