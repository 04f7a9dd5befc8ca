//! Canonical JSON: the one form in which byoi writes documents whose bytes count (manifests, layer keys, image configs).

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// Writes `value` with the keys of every object sorted by bytes, no spaces, and Go's escapes (`<`, `>`, `&`, U+2028 and U+2029 as `\u…`),
/// which is what BuildKit makes of a document that passes through it.
///
/// Sorted here and not by the map type: another crate in the tree may switch on `serde_json/preserve_order`.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write_value(&mut out, value);
    out.into_bytes()
}

/// Writes `value` for people, with the keys of every object sorted, and a newline at the end.
pub fn pretty(value: Value) -> String {
    format!("{:#}\n", sorted(value))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Like [`canonical`], for a value of a type.
///
/// # Panics
/// When `value` does not serialize to JSON: the types of this crate do.
pub fn canonical_of(value: &impl Serialize) -> Vec<u8> {
    canonical(&serde_json::to_value(value).expect("our own types serialize"))
}

/// Appends `value` canonically.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => write!(out, "{number}").expect("a String takes all"),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            write_object(out, fields.into_iter().map(|(key, value)| (key.as_str(), value)));
        }
    }
}

/// Writes an object with its fields in the given order; the values canonically.
pub fn write_object<'a>(out: &mut String, fields: impl IntoIterator<Item = (&'a str, &'a Value)>) {
    out.push('{');
    for (index, (key, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                write!(out, "\\u{:04x}", c as u32).expect("a String takes all");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sorts_keys_at_every_depth_and_escapes_like_go() {
        let value = json!({"b": {"z": 1, "a": [null, true, -2]}, "a": "<x> & \u{2028}\"\\\n\u{1}é"});
        let text = String::from_utf8(canonical(&value)).unwrap();
        assert_eq!(text, r#"{"a":"\u003cx\u003e \u0026 \u2028\"\\\n\u0001é","b":{"a":[null,true,-2],"z":1}}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
