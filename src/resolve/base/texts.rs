//! The small texts of a base that our layers merge into.

use std::collections::BTreeMap;

use crate::base::Index;
use crate::contract;
use crate::error::{Fault, Kind};
use crate::image_path::ImagePath;
use crate::lock::Text;

const ACCOUNTS: &[&str] = &["etc/passwd", "etc/group"];
/// They go into the lock only where they hold no secret.
const SHADOWS: &[&str] = &["etc/shadow", "etc/gshadow"];
/// Below the image's server data.
const SERVER: &[&str] = &["extensions/extensions.json", "extensions/.obsolete", "data/Machine/settings.json", "data/User/settings.json"];

/// A text is there, but cannot be kept in a lock.
#[derive(Debug, thiserror::Error)]
#[error("byoi has to merge into the base's {}, but {why}", .path.absolute())]
pub struct UnreadableText {
    /// The text.
    pub path: ImagePath,
    /// Why, as the rest of a sentence.
    pub why: &'static str,
}

impl Fault for UnreadableText {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// All paths that [`read`] may ask for.
pub(super) fn paths() -> impl Iterator<Item = String> {
    let server = contract::IMAGE_SERVER_DATA.trim_start_matches('/');
    let server = SERVER.iter().map(move |path| format!("{server}/{path}"));
    ACCOUNTS.iter().chain(SHADOWS).map(|path| (*path).to_owned()).chain(server)
}

/// The texts that are there.
///
/// # Errors
/// One that is too large, or not UTF-8.
pub(super) fn read(index: &Index) -> Result<BTreeMap<ImagePath, Text>, UnreadableText> {
    let mut texts = BTreeMap::new();
    for path in paths().filter_map(|path| ImagePath::parse(path).ok()) {
        let Some((attributes, file)) = index.file(&path) else { continue };
        let unreadable = |why| UnreadableText { path: path.clone(), why };
        let content = file.content.as_deref().ok_or_else(|| unreadable("it is too large, or a link to a file that byoi does not look at"))?;
        let content = std::str::from_utf8(content).map_err(|_| unreadable("it is not UTF-8"))?.to_owned();
        texts.insert(path, Text { mode: attributes.mode, owner: (attributes.uid, attributes.gid), content });
    }
    let shadows: Vec<ImagePath> = SHADOWS.iter().filter_map(|path| ImagePath::parse(path).ok()).collect();
    if shadows.iter().filter_map(|path| texts.get(path)).any(|text| holds_password(&text.content)) {
        shadows.iter().for_each(|path| drop(texts.remove(path)));
    }
    Ok(texts)
}

/// Whether a shadow file holds the hash of a password: its second fields are then more than a lock (`*`, `!`, `!!`), nothing, or `x`.
fn holds_password(shadow: &str) -> bool {
    let fields = shadow.lines().filter_map(|line| line.split(':').nth(1));
    fields.map(|field| field.trim_matches(['!', '*'])).any(|field| !matches!(field, "" | "x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_account_has_no_password_and_a_locked_password_is_one() {
        for shadow in ["root:*:19000:0:99999:7:::\nx:!:1::::::\ny:!!:1::::::\nz:!*:1::::::\n\nu::1::::::\n", "users:x::\n", ""] {
            assert!(!holds_password(shadow), "{shadow}");
        }
        for shadow in ["root:$6$salt$hash:1::::::\n", "root:*:1::::::\na:!$y$j9T$x:1::::::\n", "a:Ep6mckrOLChF.:1::::::\n"] {
            assert!(holds_password(shadow), "{shadow}");
        }
    }
}
