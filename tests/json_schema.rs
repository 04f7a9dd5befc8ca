//! The part of JSON Schema (draft 7) that our schema uses, so that tests can hold documents against it. An unknown keyword is a panic: nothing
//! is silently left unchecked.

use serde_json::Value;

/// Everything in `value` that `schema` does not allow, with its path.
pub fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn is_valid(schema: &Value, value: &Value) -> bool {
    violations(schema, value).is_empty()
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let ok = match keyword.as_str() {
            "$schema" | "title" | "description" | "examples" => true,
            "type" => has_type(value, rule.as_str().unwrap()),
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|value| value >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|value| value <= rule.as_i64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
            "required" => {
                value.as_object().is_none_or(|object| rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap())))
            }
            "oneOf" => rule.as_array().unwrap().iter().filter(|one| is_valid(one, value)).count() == 1,
            "anyOf" => rule.as_array().unwrap().iter().any(|one| is_valid(one, value)),
            "not" => !is_valid(rule, value),
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = rule.get(key) {
                        check(schema, value, &format!("{path}/{key}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| known.is_none_or(|known| known.get(key).is_none())) {
                    match rule {
                        Value::Bool(true) => {}
                        Value::Bool(false) => found.push(format!("{path}/{key}: not allowed")),
                        schema => check(schema, value, &format!("{path}/{key}"), found),
                    }
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, &format!("{path}/{index}"), found);
                }
                true
            }
            other => panic!("the schema uses `{other}`, which this check does not know"),
        };
        if !ok {
            found.push(format!("{path}: {keyword}"));
        }
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("the schema uses the type `{other}`"),
    }
}

#[test]
fn sees_what_is_wrong() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": { "a": { "type": "string", "pattern": "^x$" }, "b": { "type": "array", "items": { "type": "integer", "maximum": 3 } } },
    });
    for (value, count) in [
        (serde_json::json!({ "a": "x", "b": [1, 2] }), 0),
        (serde_json::json!({ "a": "y" }), 1),
        (serde_json::json!({ "b": [4, "x"] }), 3),
        (serde_json::json!({ "a": "x", "c": 1 }), 1),
        (serde_json::json!([]), 1),
    ] {
        assert_eq!(violations(&schema, &value).len(), count, "{value}");
    }
}
