//! Whatever a file holds, parsing ends, and every problem has a place in the file.

use proptest::prelude::*;

use super::SHORTEST;
use crate::description::parse;
use crate::error::Problem;

/// Words of the language, and what upsets its readers.
const WORDS: &[&str] = &[
    "schema",
    "base",
    "[[extension]]",
    "[[file]]",
    "[conda]",
    "channels",
    "packages",
    "prefix",
    "[env]",
    "[settings.user]",
    "[editor]",
    "[labels]",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "\"\"\"",
    "'",
    "'''",
    "#",
    "\n",
    " ",
    "\\",
    "\\u0000",
    "1",
    "0x",
    "-1",
    "1e999",
    "nan",
    "2026-01-01",
    "true",
    "target",
    "source",
    "content",
    "url",
    "PATH",
    "$PATH",
    "arguments",
    "--host",
    "é",
    "\u{202e}",
    "\u{feff}",
    "\r",
    "\0",
    "exclude",
    "mode",
    "owner",
    "path",
    "github",
    "a.b.c",
];

fn check(text: &str) -> Result<(), TestCaseError> {
    let problems: Vec<Problem> = match parse("byoi.toml", text) {
        Ok(description) => description.warnings,
        Err(invalid) => {
            prop_assert!(!invalid.problems.is_empty());
            invalid.problems
        }
    };
    for problem in problems {
        let (source, span) = problem.place.expect("every problem has a place");
        prop_assert_eq!(source.text.as_str(), text);
        prop_assert!(span.start <= span.end && text.get(span.clone()).is_some(), "{:?} in {:?}", span, text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_words_of_the_language(words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        check(&words.concat())?;
        check(&format!("{SHORTEST}{}", words.concat()))?;
    }

    #[test]
    fn any_values(key in prop::sample::select(&["target", "source", "url", "mode", "owner", "content"][..]), value in any::<String>()) {
        let value = toml::Value::String(value);
        check(&format!("{SHORTEST}[[file]]\n{key} = {value}\ntarget = \"/a\"\n"))?;
        check(&format!("{SHORTEST}[[file]]\nsource = \"a\"\nexclude = [{value}]\ntarget = {value}\n[env]\nPATH = {value}\n{value} = \"\"\n"))?;
        check(&format!("{SHORTEST}[[extension]]\ngithub = {value}\ntag = {value}\nasset = {value}\n[editor]\narguments = [{value}]\n"))?;
        check(&format!("{SHORTEST}[conda]\nchannels = [{value}]\npackages = [{value}]\nprefix = {value}\ncuda = {value}\nowner = {value}\n"))?;
        check(&format!("{SHORTEST}[conda]\nenvironment = {value}\nexisting = {value}\nactivate = {value}\nallow-link-scripts = [{value}]\n"))?;
        check(&format!("{SHORTEST}[conda]\nlock = {value}\nprefix = \"/\" \n"))?;
        check(&format!("schema = 1\nbase = {value}\n[[extension]]\nopen-vsx = {value}\nversion = {value}\n[settings.user]\n{value} = [{value}]\n"))?;
    }

    #[test]
    fn a_right_description_with_a_part_replaced(at in any::<prop::sample::Index>(), cut in 0usize..40, words in prop::collection::vec(prop::sample::select(WORDS), 0..4)) {
        let whole = include_str!("full.toml");
        let start = whole.floor_char_boundary(at.index(whole.len()));
        let end = whole.ceil_char_boundary((start + cut).min(whole.len()));
        check(&format!("{}{}{}", &whole[..start], words.concat(), &whole[end..]))?;
    }
}
