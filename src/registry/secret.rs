//! A text that must not be seen: passwords, tokens, authorization headers.

use std::fmt;

use reqwest::header::HeaderValue;

/// A secret. It is never printed: its `Debug` shows that it is there and nothing else, and it has no `Display`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text, to be sent and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// As a header's value, marked so that no log of the HTTP stack shows it; none if it holds characters that no header can have.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?} {:?}", Secret::new("hunter2"), Secret::new("hunter2").header()).contains("hunter2"));
    }
}
