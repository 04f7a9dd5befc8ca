//! The editor's own rule for `engines.vscode`: whether an extension may run on a version of the editor.
//!
//! Source: the editor's `src/vs/platform/extensions/common/extensionValidator.ts`. It is no semver range: `^1.90.0` means 1.90.0 up to any
//! later 1.x, `x` is a wildcard, and every version before 1.0.0 also runs on 1.x. A suffix `-YYYYMMDD` asks for a build of that day or later;
//! the day of a build is not known here, so the suffix is read and not held against anything, as the editor does when it does not know it either.

/// Why an extension may not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The text is no requirement that the editor reads.
    #[error("`engines.vscode` is `{0}`, which is no version that an editor reads (such as `^1.90.0`)")]
    Unreadable(String),
    /// The text does not fix what may change incompatibly.
    #[error("`engines.vscode` is `{0}`, which does not say for which major version (such as `^1.90.0`), so that no editor runs it")]
    Unspecific(String),
    /// The editor is not the right one.
    #[error("it needs the editor in version {engine}, and the editor is {editor}")]
    Mismatch {
        /// What the extension asks for.
        engine: String,
        /// The editor's version.
        editor: String,
    },
}

/// A number, and whether it must be met exactly.
#[derive(Debug, Clone, Copy)]
struct Part {
    base: u64,
    exact: bool,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    minimum: bool,
    major: Part,
    minor: Part,
    patch: Part,
}

/// Checks that `engine` is a text that the editor reads; `has_code` says whether the extension runs any (`main` or `browser`): the editor
/// installs `*` always, and then runs it only without code.
///
/// # Errors
/// [`EngineError::Unreadable`] and [`EngineError::Unspecific`].
pub fn check(engine: &str, has_code: bool) -> Result<(), EngineError> {
    if engine == "*" && !has_code {
        return Ok(());
    }
    wanted(engine).map(drop)
}

/// Checks that an extension with this `engine` may be installed on this version of the editor, and runs there.
///
/// # Errors
/// [`EngineError`]. A version of the editor that cannot be read satisfies nothing.
pub fn satisfies(engine: &str, has_code: bool, editor: &str) -> Result<(), EngineError> {
    if engine == "*" && !has_code {
        return Ok(());
    }
    let wanted = wanted(engine)?;
    let met = parse(editor).is_some_and(|version| meets([version.major.base, version.minor.base, version.patch.base], wanted));
    if met { Ok(()) } else { Err(EngineError::Mismatch { engine: engine.to_owned(), editor: editor.to_owned() }) }
}

fn wanted(engine: &str) -> Result<Wanted, EngineError> {
    let wanted = parse(engine).ok_or_else(|| EngineError::Unreadable(engine.to_owned()))?;
    let specific = wanted.major.exact && (wanted.major.base != 0 || wanted.minor.exact);
    if specific { Ok(wanted) } else { Err(EngineError::Unspecific(engine.to_owned())) }
}

/// Reads `^(\^|>=)?((\d+)|x)\.((\d+)|x)\.((\d+)|x)(\-.*)?$`, or `*`.
fn parse(text: &str) -> Option<Wanted> {
    let any = Part { base: 0, exact: false };
    let text = text.trim();
    if text == "*" {
        return Some(Wanted { minimum: false, major: any, minor: any, patch: any });
    }
    let caret = text.strip_prefix('^');
    let minimum = text.strip_prefix(">=");
    let numbers = caret.or(minimum).unwrap_or(text);
    let numbers = match numbers.split_once('-') {
        // `.` of the expression does not match the ends of lines.
        Some((_, suffix)) if suffix.contains(['\n', '\r', '\u{2028}', '\u{2029}']) => return None,
        Some((numbers, _)) => numbers,
        None => numbers,
    };
    let mut parts = numbers.split('.');
    let (major, minor, patch) = (part(parts.next()?)?, part(parts.next()?)?, part(parts.next()?)?);
    if parts.next().is_some() {
        return None;
    }
    let mut wanted = Wanted { minimum: minimum.is_some(), major, minor, patch };
    if caret.is_some() {
        wanted.minor.exact &= major.base == 0;
        wanted.patch.exact = false;
    }
    Some(wanted)
}

fn part(text: &str) -> Option<Part> {
    if text == "x" {
        return Some(Part { base: 0, exact: false });
    }
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    // A number beyond 64 bits is one that no editor reaches.
    digits.then(|| Part { base: text.parse().unwrap_or(u64::MAX), exact: true })
}

fn meets(version: [u64; 3], wanted: Wanted) -> bool {
    let [major, minor, patch] = version;
    if wanted.minimum {
        return version >= [wanted.major.base, wanted.minor.base, wanted.patch.base];
    }
    let all_exact = wanted.major.exact && wanted.minor.exact && wanted.patch.exact;
    if major == 1 && wanted.major.base == 0 && !all_exact {
        return true;
    }
    for (have, want) in [(major, wanted.major), (minor, wanted.minor), (patch, wanted.patch)] {
        if have != want.base {
            return have > want.base && !want.exact;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each row was put to the editor's own code (1.100.3, without a product date): version, requirement, whether it is met.
    #[test]
    fn decides_as_the_editor_does() {
        for (editor, engine, expected) in [
            ("0.10.0-dev", "^0.10.0", true),
            ("0.10.0", "0.10.x", true),
            ("0.10.1", "0.10.0", false),
            ("0.10.1", "^0.10.0", true),
            ("0.11.0", "^0.10.0", false),
            ("0.11.0", "0.10.x", false),
            ("1.0.0", "0.10.0", false),
            ("1.0.0", "^0.10.0", true),
            ("1.10.0", "^0.10.0", true),
            ("1.100.0", "0.10.x", true),
            ("2.0.0", "^0.10.0", false),
            ("1.0.0", "^1.0.0", true),
            ("1.0.1", "1.0.0", false),
            ("1.0.1", "1.0.x", true),
            ("1.1.0", "1.0.x", false),
            ("1.1.0", "1.x.x", true),
            ("1.100.3", "^1.90.0", true),
            ("1.90.1", "^1.90.2", false),
            ("1.90.2", "^1.90.2", true),
            ("1.91.0", "^1.90.2", true),
            ("1.89.9", "^1.90.0", false),
            ("2.0.0", "^1.90.0", false),
            ("2.0.0", ">=1.90.0", true),
            ("1.89.0", ">=1.90.0", false),
            ("1.90.0", ">=1.90.0", true),
            ("1.90.0", "1.90.0-20240101", true),
            ("1.90.0", " ^1.90.0 ", true),
            ("1.90.1-insider", "^1.90.0-insider", true),
        ] {
            assert_eq!(satisfies(engine, true, editor).is_ok(), expected, "{editor} {engine}");
        }
    }

    // The answers of the editor's own code (1.100.3) to all 1152 questions.
    #[test]
    fn decides_a_whole_grid_as_the_editor_does() {
        let mut answers = String::new();
        for prefix in ["", "^", ">="] {
            for major in ["0", "1", "2", "x"] {
                for minor in ["0", "9", "90", "x"] {
                    for patch in ["0", "2", "x"] {
                        let engine = format!("{prefix}{major}.{minor}.{patch}");
                        for editor in ["0.9.0", "1.0.0", "1.9.2", "1.90.0", "1.90.2", "1.91.0", "2.0.0", "2.9.1"] {
                            answers.push(if satisfies(&engine, true, editor).is_ok() { '1' } else { '0' });
                        }
                    }
                }
            }
        }
        assert_eq!(answers.len(), 1152);
        assert_eq!(crate::digest::Digest::of(answers).hex(), "a2c080ad588cb62363cc4aac666f98cfad022d30787bbe9bd57490fd19dbb2af");
    }

    #[test]
    fn what_the_editor_does_not_read_is_refused() {
        for engine in ["", "1", "1.90", "~1.90.0", ">1.90.0", "latest", "^1.90.0 || ^2.0.0", "1.90.0.0", "v1.90.0", "^1.+0.0", "^^1.0.0", "X.x.x"] {
            assert_eq!(check(engine, true), Err(EngineError::Unreadable(engine.to_owned())), "{engine}");
        }
        for engine in ["x.x.x", "x.90.0", "0.x.0", "^0.x.0", "*"] {
            assert_eq!(check(engine, true), Err(EngineError::Unspecific(engine.to_owned())), "{engine}");
        }
        assert_eq!(check("*", false), Ok(()));
        assert_eq!(satisfies("*", false, "1.90.1"), Ok(()));
    }
}
