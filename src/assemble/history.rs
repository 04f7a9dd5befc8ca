//! History items of an image's config: the base's in the form that BuildKit would give them, ours with the key of their layer.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::json;

/// Begins the comment of our history items; the layer's key follows.
const KEY_PREFIX: &str = "byoi.v1 key=";

/// One item. Empty fields are not written, unknown ones are lost, as in BuildKit's exporter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryItem {
    /// RFC 3339, without trailing zeros of the fraction.
    pub created: String,
    /// What made the layer.
    pub created_by: String,
    /// Who.
    pub author: String,
    /// Anything; in our items the layer's key.
    pub comment: String,
    /// Whether the item has no layer.
    pub empty_layer: bool,
}

impl HistoryItem {
    /// The item of a layer of ours.
    pub fn ours(created: Timestamp, created_by: &str, key: &Digest) -> Self {
        HistoryItem {
            created: created.to_string(),
            created_by: created_by.to_owned(),
            comment: format!("{KEY_PREFIX}{key}"),
            ..HistoryItem::default()
        }
    }

    /// The key of the layer, if byoi made it.
    pub fn key(&self) -> Option<Digest> {
        self.comment.strip_prefix(KEY_PREFIX)?.parse().ok()
    }

    fn read(value: &Value) -> Self {
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        HistoryItem {
            created: go_time(&text("created")),
            created_by: text("created_by"),
            author: text("author"),
            comment: text("comment"),
            empty_layer: value.get("empty_layer").and_then(Value::as_bool).unwrap_or(false),
        }
    }
}

/// All items of a config as they stand.
pub fn read(config: &Map<String, Value>) -> Vec<HistoryItem> {
    config.get("history").and_then(Value::as_array).into_iter().flatten().map(HistoryItem::read).collect()
}

/// The items of a base with `layers` layers, made whole: exactly one item that is not empty for each layer, each with a time. BuildKit
/// would add missing items at the end with the time of day, and mark surplus ones empty.
pub fn of_base(config: &Map<String, Value>, layers: usize) -> Vec<HistoryItem> {
    let base_created = config.get("created").and_then(Value::as_str).map(go_time).filter(|time| !time.is_empty());
    let base_created = base_created.unwrap_or_else(|| Timestamp::UNIX_EPOCH.to_string());
    let mut items = read(config);
    let mut with_layer = 0;
    for item in &mut items {
        if !item.empty_layer {
            with_layer += 1;
            item.empty_layer = with_layer > layers;
        }
        if item.created.is_empty() {
            item.created.clone_from(&base_created);
        }
    }
    let missing = layers.saturating_sub(with_layer);
    items.extend((0..missing).map(|_| HistoryItem { created: base_created.clone(), created_by: "base layer".to_owned(), ..HistoryItem::default() }));
    items
}

/// Writes the items as an array, fields in the order of Go's struct.
pub fn write(out: &mut String, items: &[HistoryItem]) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let texts = [("created", &item.created), ("created_by", &item.created_by), ("author", &item.author), ("comment", &item.comment)];
        let mut fields: Vec<_> = texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, json!(text))).collect();
        if item.empty_layer {
            fields.push(("empty_layer", json!(true)));
        }
        json::write_object(out, fields.iter().map(|(name, value)| (*name, value)));
    }
    out.push(']');
}

/// A time as Go prints what it parsed: no trailing zeros of the fraction, `Z` for an offset of nothing. What is no time stays out.
fn go_time(text: &str) -> String {
    if text.parse::<Timestamp>().is_err() {
        return String::new();
    }
    let (clock, offset) = match text.rfind(['Z', 'z', '+', '-']) {
        Some(at) if at >= 19 => text.split_at(at),
        _ => return String::new(),
    };
    let clock = if clock.contains('.') { clock.trim_end_matches('0').trim_end_matches('.') } else { clock };
    let offset = if matches!(offset, "+00:00" | "-00:00" | "z") { "Z" } else { offset };
    format!("{clock}{offset}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn written(items: &[HistoryItem]) -> String {
        let mut out = String::new();
        write(&mut out, items);
        out
    }

    #[test]
    fn items_come_out_in_go_s_order_without_unknown_fields() {
        let config = base(json!({"history": [
            {"empty_layer": true, "created": "2024-01-02T03:04:05.120000Z", "zzz": 1, "comment": "c", "author": "a", "created_by": "b & c"},
            {"created": "2024-01-02T03:04:05+02:00", "created_by": "x"},
        ]}));
        assert_eq!(
            written(&of_base(&config, 1)),
            r#"[{"created":"2024-01-02T03:04:05.12Z","created_by":"b \u0026 c","author":"a","comment":"c","empty_layer":true},{"created":"2024-01-02T03:04:05+02:00","created_by":"x"}]"#
        );
    }

    #[test]
    fn missing_items_and_times_are_filled_in_and_surplus_ones_are_empty() {
        let config = base(json!({"created": "2020-01-01T00:00:00Z", "history": [{"created_by": "a"}]}));
        let items = of_base(&config, 3);
        assert_eq!(items.len(), 3);
        assert!(items.iter().all(|item| item.created == "2020-01-01T00:00:00Z" && !item.empty_layer));
        let config = base(json!({"history": [{"created_by": "a"}, {"created_by": "b"}]}));
        assert_eq!(of_base(&config, 1).iter().map(|item| item.empty_layer).collect::<Vec<_>>(), [false, true]);
        assert_eq!(of_base(&base(json!({})), 1)[0].created, "1970-01-01T00:00:00Z");
    }

    #[test]
    fn times_are_as_go_prints_them() {
        for (given, printed) in [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.000Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.100200300Z", "2024-01-02T03:04:05.1002003Z"),
            ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.5-07:00", "2024-01-02T03:04:05.5-07:00"),
            ("yesterday", ""),
        ] {
            assert_eq!(go_time(given), printed, "{given}");
        }
    }

    #[test]
    fn the_key_comes_back() {
        let item = HistoryItem::ours(Timestamp::UNIX_EPOCH, "x", &Digest::of("k"));
        assert_eq!(item.key(), Some(Digest::of("k")));
        assert_eq!(HistoryItem::default().key(), None);
    }
}
