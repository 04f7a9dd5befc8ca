//! Any text as a description: every error has a place that can be shown.
#![no_main]

use byoi::error::Problem;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let check = |problem: &Problem| {
        if let Some((source, span)) = &problem.place {
            assert!(source.text.get(span.clone()).is_some(), "{span:?}");
        }
    };
    match byoi::description::parse("byoi.toml", text) {
        Ok(description) => description.warnings.iter().for_each(check),
        Err(error) => error.problems.iter().for_each(check),
    }
});
