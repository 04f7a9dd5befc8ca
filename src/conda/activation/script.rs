//! A shell script that does nothing but export, strictly: what is not surely understood is not understood.

use std::collections::BTreeMap;

/// Variables that mean something to shells themselves: assigning them does more, or other things, than setting a variable.
const SHELLS_OWN: &[&str] = &[
    "COLUMNS",
    "COMPREPLY",
    "DIRSTACK",
    "ENV",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "HOSTNAME",
    "HOSTTYPE",
    "IFS",
    "LANG",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "MAILCHECK",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "PPID",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "TERM",
    "TMOUT",
    "UID",
    "_",
];
/// Beginnings of such names.
const SHELLS_OWN_PREFIXES: &[&str] = &["BASH", "COMP_", "HIST", "LC_", "READLINE_"];

/// The variables that sourcing the script with this prefix exports; none where it does more than that.
pub(super) fn variables(script: &[u8], prefix: &str) -> Option<BTreeMap<String, String>> {
    let text = std::str::from_utf8(script).ok()?;
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return None;
    }
    let mut variables = BTreeMap::new();
    text.split('\n').all(|line| statements(line, prefix, &mut variables).is_some()).then_some(variables)
}

/// Whether shells let a variable have this name.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// A line: statements divided by `;`, then perhaps a comment.
fn statements(line: &str, prefix: &str, variables: &mut BTreeMap<String, String>) -> Option<()> {
    let mut rest = line.trim_start_matches(BLANK);
    while !rest.is_empty() && !rest.starts_with('#') {
        rest = export(rest, prefix, variables)?;
        rest = match rest.strip_prefix(';') {
            Some(after) => after.trim_start_matches(BLANK),
            None => rest,
        };
    }
    Some(())
}

const BLANK: [char; 2] = [' ', '\t'];

/// `export NAME=VALUE…`; the rest begins with `;` or `#`, or is empty.
fn export<'a>(text: &'a str, prefix: &str, variables: &mut BTreeMap<String, String>) -> Option<&'a str> {
    let mut rest = text.strip_prefix("export").filter(|rest| rest.starts_with(BLANK))?.trim_start_matches(BLANK);
    loop {
        let (name, after) = rest.split_once('=')?;
        if !is_name(name) || is_shells_own(name) {
            return None;
        }
        let (value, after) = word(after, prefix)?;
        variables.insert(name.to_owned(), value);
        rest = after.trim_start_matches(BLANK);
        // A `#` begins a comment only after a blank: one that touches the word is part of it.
        let ends = rest.is_empty() || rest.starts_with(';') || (rest.starts_with('#') && rest.len() < after.len());
        if ends {
            return Some(rest);
        }
        if rest.len() == after.len() {
            return None;
        }
    }
}

fn is_shells_own(name: &str) -> bool {
    SHELLS_OWN.contains(&name) || SHELLS_OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The value of one word, and what follows it.
fn word<'a>(text: &'a str, prefix: &str) -> Option<(String, &'a str)> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '\'' => {
                let (quoted, after) = rest[1..].split_once('\'')?;
                value.push_str(quoted);
                after
            }
            '"' => double_quoted(&rest[1..], prefix, &mut value)?,
            '$' => expansion(rest, prefix, &mut value)?,
            c if is_plain(c) => {
                value.push(c);
                &rest[1..]
            }
            ' ' | '\t' | ';' => break,
            _ => return None,
        };
    }
    Some((value, rest))
}

/// Signs that mean nothing to a shell outside quotes, wherever they stand in a value.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./:,+@%=-".contains(c)
}

/// The inside of double quotes, up to what follows them.
fn double_quoted<'a>(text: &'a str, prefix: &str, value: &mut String) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let next = rest.chars().next()?;
        rest = match next {
            '"' => return Some(&rest[1..]),
            '$' => expansion(rest, prefix, value)?,
            '\\' => {
                let escaped = rest[1..].chars().next().filter(|c| "\\\"$`".contains(*c))?;
                value.push(escaped);
                &rest[2..]
            }
            '`' => return None,
            c => {
                value.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
}

/// `$CONDA_PREFIX` or `${CONDA_PREFIX}`, the only one that is known, up to what follows it.
fn expansion<'a>(text: &'a str, prefix: &str, value: &mut String) -> Option<&'a str> {
    let rest = match text.strip_prefix("${CONDA_PREFIX}") {
        Some(rest) => rest,
        None => text.strip_prefix("$CONDA_PREFIX").filter(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))?,
    };
    value.push_str(prefix);
    Some(rest)
}
