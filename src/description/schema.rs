//! The language as JSON Schema (draft 7, which editors for TOML read), made from the grammar.

use serde_json::{Map, Value as Json, json};

use super::grammar::{Form, Key, ROOT, Table, Value};

/// The JSON Schema of a description: structure and types, with texts for completion. What only the platform's rules can judge (targets,
/// variables, arguments) is left to `byoi check`.
pub fn schema() -> Json {
    let mut schema = table(&ROOT);
    schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".to_owned(), json!("byoi.toml"));
    let mut schema = Json::Object(schema);
    // Sorted here and not by the map type: another crate in the tree may switch on `serde_json/preserve_order`.
    schema.sort_all_objects();
    schema
}

fn table(table: &Table) -> Map<String, Json> {
    let required: Vec<_> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let properties: Map<String, Json> = table.keys.iter().map(|key| (key.name.to_owned(), Json::Object(property(key)))).collect();
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(table.about));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Json::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !table.forms.is_empty() {
        schema.insert("oneOf".to_owned(), table.forms.iter().map(|one| form(one, table)).collect());
    }
    schema
}

/// A form: its own keys there, and none that only other forms have.
fn form(form: &Form, table: &Table) -> Json {
    let required: Vec<_> = std::iter::once(&form.key).chain(form.needs).collect();
    let foreign = table.keys.iter().filter(|key| {
        let forms = table.forms_with(key.name);
        !forms.is_empty() && forms.iter().all(|other| other.key != form.key)
    });
    let foreign: Vec<_> = foreign.map(|key| json!({ "required": [key.name] })).collect();
    json!({ "required": required, "not": { "anyOf": foreign } })
}

fn property(key: &Key) -> Map<String, Json> {
    let mut schema = match value(&key.value) {
        Json::Object(schema) => schema,
        _ => Map::new(),
    };
    let about = if key.default.is_empty() { key.about.to_owned() } else { format!("{} Default: {}.", key.about, key.default) };
    schema.insert("description".to_owned(), json!(about));
    if let Some(example) = example(key) {
        schema.insert("examples".to_owned(), json!([example]));
    }
    schema
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text("") => json!({ "type": "string" }),
        Value::Text(pattern) => json!({ "type": "string", "pattern": pattern }),
        Value::OneOf(values) => json!({ "type": "string", "enum": values }),
        Value::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Value::Boolean => json!({ "type": "boolean" }),
        Value::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Value::TextMap => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Value::AnyMap => json!({ "type": "object" }),
        Value::Table(inner) => Json::Object(table(inner)),
        Value::Tables(inner) => json!({ "type": "array", "items": table(inner) }),
    }
}

/// The key's example as JSON; none for tables that have keys of their own.
fn example(key: &Key) -> Option<Json> {
    if key.example.is_empty() {
        return None;
    }
    let document = match key.value {
        Value::TextMap | Value::AnyMap => format!("[example]\n{}\n", key.example),
        _ => format!("example = {}\n", key.example),
    };
    let mut table: toml::Table = toml::from_str(&document).ok()?;
    serde_json::to_value(table.remove("example")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(table: &Table) -> Vec<&Key> {
        let inner = |key: &Key| match key.value {
            Value::Table(inner) | Value::Tables(inner) => keys(inner),
            _ => Vec::new(),
        };
        table.keys.iter().flat_map(|key| std::iter::once(key).chain(inner(key))).collect()
    }

    #[test]
    fn every_key_has_a_meaning_and_an_example_that_reads() {
        for key in keys(&ROOT) {
            assert!(!key.about.is_empty(), "{}", key.name);
            let is_table = matches!(key.value, Value::Table(_) | Value::Tables(_));
            assert_eq!(example(key).is_some(), !is_table, "{}", key.name);
        }
    }

    #[test]
    fn forms_name_keys_of_their_table() {
        for table in [&ROOT, &super::super::grammar::EXTENSION, &super::super::grammar::FILE, &super::super::grammar::CONDA] {
            for form in table.forms {
                for name in std::iter::once(&form.key).chain(form.needs).chain(form.may) {
                    assert!(table.key(name).is_some(), "{name}");
                }
            }
        }
    }
}
