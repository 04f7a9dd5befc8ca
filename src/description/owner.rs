//! `owner`: user and group as numbers.

use crate::contract::MAX_ID;
use crate::error::Problem;

/// Reads an owner.
pub(super) fn owner(text: &str) -> Result<(u32, u32), Problem> {
    let id = |text: &str| (text.len() <= 5 && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse::<u32>().ok()).flatten();
    let Some((uid, gid)) = text.split_once(':').and_then(|(uid, gid)| Some((id(uid)?, id(gid)?))) else {
        let problem = Problem::new("an owner is two numbers, UID:GID, since names mean another number in every base").label("not UID:GID");
        return Err(problem.help("write \"0:0\" for root, \"1000:100\" for the space's user"));
    };
    if uid.max(gid) > MAX_ID {
        let problem = Problem::new(format!("the platform knows user and group ids up to {MAX_ID} only")).label("too large");
        return Err(problem.help("choose smaller numbers"));
    }
    Ok((uid, gid))
}
