//! `conda-meta/history`: what makes a directory an environment for conda, and tells it which packages were asked for (the format is that of
//! conda's `history.py`).

use crate::image_path::InvalidPath;
use crate::lock;
use crate::plan::Fixed;

use super::record::CONDA_META;

/// The channel alias of conda, left out of channels' names in the history.
const ALIAS: &str = "https://conda.anaconda.org/";
/// The one date of a history that byoi writes: that of all that has no time of its own.
const DATE: &str = "1980-01-02 00:00:00";

/// What made the environment. conda takes what was asked for only from entries that name a command.
const COMMAND: &str = "byoi build";

/// The component of the history, after what the base's history, if it has one, already says.
///
/// # Errors
/// A prefix below which nothing can lie.
pub fn history(conda: &lock::Conda, owner: (u32, u32), earlier: &str) -> Result<Fixed, InvalidPath> {
    let prefix = &conda.requirement.prefix;
    let place = prefix.join(format!("{CONDA_META}/history"))?;
    let text = text(conda, earlier);
    Ok(Fixed::new("conda history").directory(prefix.clone(), 0o755, owner).text(place, text, 0o644, owner))
}

fn text(conda: &lock::Conda, earlier: &str) -> String {
    let mut text = String::new();
    if !earlier.is_empty() {
        text.push_str(earlier.trim_end_matches('\n'));
        text.push('\n');
    }
    text.push_str(&format!("==> {DATE} <==\n# cmd: {COMMAND}\n"));
    // What is laid again for another Python came and went all the same.
    let is_replaced = |package: &lock::CondaPackage| conda.replaced.iter().any(|old| same_build(old, package));
    for package in conda.replaced.iter().filter(|old| !conda.packages.iter().any(|package| same_build(old, package))) {
        text.push_str(&format!("-{}-{}-{}\n", package.name, package.version, package.build));
    }
    for package in conda.packages.iter().filter(|package| !is_replaced(package)) {
        let channel = package.channel.trim_end_matches('/');
        let channel = channel.strip_prefix(ALIAS).unwrap_or(channel);
        text.push_str(&format!("+{channel}/{}::{}\n", package.subdir, package.record_name()));
    }
    let specs: Vec<String> = conda.requirement.specs.iter().map(|spec| quoted(spec)).collect();
    if !specs.is_empty() {
        text.push_str(&format!("# update specs: [{}]\n", specs.join(", ")));
    }
    text
}

fn same_build(old: &lock::ReplacedPackage, package: &lock::CondaPackage) -> bool {
    old.name == package.name && old.version == package.version && old.build == package.build
}

/// A text as a literal of Python, which is what conda reads. mamba takes either quote, and knows no escapes.
fn quoted(text: &str) -> String {
    if text.contains('"') && !text.contains(['\'', '\\']) {
        return format!("'{text}'");
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
