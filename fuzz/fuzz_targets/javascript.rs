//! Any text as JSON: what is written reads the same, in both forms.
#![no_main]

use byoi::extension::javascript::Value;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(value) = Value::parse(text) else { return };
    for written in [value.stringify(), value.stringify_indented()] {
        // -0 is written as 0, so the texts are compared and not the values.
        assert_eq!(Value::parse(&written).expect("what is written can be read").stringify(), value.stringify());
    }
});
