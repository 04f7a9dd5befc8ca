//! Patterns of what is left out of a directory, as in `.dockerignore`: anchored at the directory, `**` for any depth, `!` brings back, the
//! last match wins, and what matches a directory matches all below it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobMatcher};

use crate::image_path::ImagePath;

/// A list of patterns.
#[derive(Default)]
pub struct Exclude(Vec<(GlobMatcher, bool)>);

impl Exclude {
    /// Reads patterns.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(patterns: &[String]) -> Result<Self, globset::Error> {
        patterns.iter().map(|pattern| one(pattern)).collect::<Result<_, _>>().map(Exclude)
    }

    /// Whether the path, relative to the directory, is left out.
    pub fn leaves_out(&self, path: &ImagePath) -> bool {
        let mut out = false;
        for (matcher, brings_back) in &self.0 {
            if out == *brings_back && and_above(path).any(|path| matcher.is_match(OsStr::from_bytes(path.as_bytes()))) {
                out = !brings_back;
            }
        }
        out
    }

    /// Whether something below a directory that is left out may be brought back.
    pub fn may_bring_back(&self) -> bool {
        self.0.iter().any(|(_, brings_back)| *brings_back)
    }
}

fn one(pattern: &str) -> Result<(GlobMatcher, bool), globset::Error> {
    let (pattern, brings_back) = match pattern.trim().strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (pattern.trim(), false),
    };
    let pattern = pattern.trim_start_matches("./").trim_matches('/');
    // Braces mean nothing in .dockerignore.
    let pattern = pattern.replace('{', "[{]").replace('}', "[}]");
    let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build()?;
    Ok((glob.compile_matcher(), brings_back))
}

/// The path and the directories above it, without the root.
fn and_above(path: &ImagePath) -> impl Iterator<Item = ImagePath> {
    std::iter::once(path.clone()).chain(path.ancestors()).filter(|path| !path.is_root())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(patterns: &[&str], path: &str) -> bool {
        Exclude::new(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>()).unwrap().leaves_out(&ImagePath::parse(path).unwrap())
    }

    #[test]
    fn patterns_are_those_of_dockerignore() {
        for (patterns, path, expected) in [
            (&["*.tmp"][..], "a.tmp", true),
            (&["*.tmp"], "d/a.tmp", false),
            (&["**/*.tmp"], "d/e/a.tmp", true),
            (&["**/*.tmp"], "a.tmp", true),
            (&["d"], "d/e/f", true),
            (&["d/"], "d/e", true),
            (&["/d"], "d", true),
            (&["d", "!d/keep"], "d/keep", false),
            (&["d", "!d/keep"], "d/other", true),
            (&["!d/keep", "d"], "d/keep", true),
            (&["**/__pycache__"], "a/__pycache__/x.pyc", true),
            (&["d/**"], "d/x/y", true),
            (&["a{b,c}"], "ab", false),
            (&["a{b,c}"], "a{b,c}", true),
            (&["[a-c]?"], "bx", true),
            (&["a*"], "a/b", true),
            (&["a*c"], "ab/c", false),
            (&[], "x", false),
        ] {
            assert_eq!(left_out(patterns, path), expected, "{patterns:?} {path}");
        }
    }
}
