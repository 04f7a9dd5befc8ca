//! What a registry says in the answer by which it refuses.

use serde::Deserialize;

/// Most errors of one answer that are kept, and most characters of each.
const MAX_MESSAGES: usize = 5;
const MAX_MESSAGE: usize = 500;

/// An entry of a registry's error answer (distribution specification, "Error Codes").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryMessage {
    /// The code: `MANIFEST_UNKNOWN`, …
    pub code: String,
    /// What the registry says besides.
    pub message: String,
}

/// The errors in a body; of a body in no such form, its first line.
pub(super) fn messages(body: &[u8]) -> Vec<RegistryMessage> {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        code: serde_json::Value,
        #[serde(default)]
        message: Option<String>,
    }
    let cut = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect::<String>().trim().to_owned();
    if let Ok(Body { errors }) = serde_json::from_slice(body) {
        let message = |item: Item| RegistryMessage {
            code: cut(item.code.as_str().unwrap_or_default()),
            message: cut(item.message.as_deref().unwrap_or_default()),
        };
        return errors.into_iter().take(MAX_MESSAGES).map(message).collect();
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(cut).find(|line| !line.is_empty()).unwrap_or_default();
    // A page of HTML says nothing in a terminal.
    if line.is_empty() || line.starts_with('<') { Vec::new() } else { vec![RegistryMessage { code: String::new(), message: line }] }
}

/// The messages as the end of a sentence.
pub(super) fn shown(messages: &[RegistryMessage]) -> String {
    let one = |RegistryMessage { code, message }: &RegistryMessage| match (code.as_str(), message.as_str()) {
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{message} ({code})"),
    };
    let all: Vec<_> = messages.iter().map(one).filter(|text| !text.is_empty()).collect();
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_errors_of_registries() {
        for (body, text) in [
            (r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository","detail":{}}]}"#, ": no such repository (NAME_UNKNOWN)"),
            (r#"{"errors":[{"code":"DENIED"},{"message":"also\nthis"}]}"#, ": DENIED; also this"),
            (r#"{"errors":[]}"#, ""),
            ("<html><body>nginx</body></html>", ""),
            ("\n\nupstream \u{1b}[31m down\nmore", ": upstream  [31m down"),
            ("", ""),
        ] {
            assert_eq!(shown(&messages(body.as_bytes())), text, "{body}");
        }
    }

    #[test]
    fn keeps_little_of_a_long_answer() {
        let items: Vec<_> = (0..99).map(|_| serde_json::json!({"code": "X", "message": "y".repeat(9999)})).collect();
        let all = messages(serde_json::json!({"errors": items}).to_string().as_bytes());
        assert!(all.len() == MAX_MESSAGES && all.iter().all(|message| message.message.len() == MAX_MESSAGE));
    }
}
