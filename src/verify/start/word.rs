//! A word of a command, as far as it is known without running anything.

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text, as far as it is known.
    pub text: String,
    /// Whether all of it is known without running anything.
    pub is_known: bool,
}

impl Word {
    /// A word that stands in the config.
    pub fn known(text: impl AsRef<str>) -> Self {
        Word { text: text.as_ref().to_owned(), is_known: true }
    }
}
