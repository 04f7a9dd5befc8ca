//! A report in the forms that programs read, and the rules as a document; what people read of a report is the command's.

mod github;
mod json;
mod markdown;
mod sarif;

pub use github::github;
pub use json::{findings as json_findings, json, rule as json_rule};
pub use markdown::rules as markdown_rules;
pub use sarif::sarif;
