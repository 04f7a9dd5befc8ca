//! `byoi schema`: the JSON Schema of descriptions.

use std::io::Write;

use clap::Args;

use crate::description;
use crate::error::{Error, FileError};

/// Print the JSON Schema of descriptions, for editors that complete and check TOML
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  byoi schema > byoi.schema.json\n\nThen put this on the first line of byoi.toml:\n  #:schema ./byoi.schema.json")]
pub struct SchemaArgs {}

/// Prints the schema to `out`.
///
/// # Errors
/// When `out` cannot be written.
pub fn schema(_: &SchemaArgs, out: &mut dyn Write) -> Result<(), Error> {
    writeln!(out, "{:#}", description::schema()).map_err(FileError::at("write", "standard output"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_json_document() {
        let mut out = Vec::new();
        schema(&SchemaArgs {}, &mut out).unwrap();
        let printed: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(printed["properties"]["schema"]["minimum"], 1);
        assert!(out.ends_with(b"}\n"));
    }
}
