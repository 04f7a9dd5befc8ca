//! Patterns of what is left out of a directory, as in `.dockerignore`: anchored at the directory, `**` for any depth, `!` brings back, the
//! last match wins, and what matches a directory matches all below it.

use globset::{GlobBuilder, GlobMatcher};

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

    /// Whether the path, relative to the directory and without a leading `/`, is left out.
    pub fn leaves_out(&self, path: &str) -> bool {
        let mut out = false;
        for (matcher, brings_back) in &self.0 {
            if out == *brings_back && and_above(path).any(|path| matcher.is_match(path)) {
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
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()?;
    Ok((glob.compile_matcher(), brings_back))
}

fn and_above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(patterns: &[&str], path: &str) -> bool {
        Exclude::new(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>()).unwrap().leaves_out(path)
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
            (&[], "x", false),
        ] {
            assert_eq!(left_out(patterns, path), expected, "{patterns:?} {path}");
        }
    }
}
