//! The judge: whether SageMaker Studio can run an image as a Code Editor, said in seconds and without running it, for any image, whoever made it.
//!
//! Evidence is gathered once (documents, then one pass over the layers); rules are data and pure functions over it; a report is what they found.

mod account;
mod config;
pub mod environment;
mod evidence;
pub mod extensions;
mod finding;
pub mod format;
mod interest;
mod programs;
mod remembered;
mod report;
mod rule;
pub mod rules;
#[cfg(any(test, feature = "testing"))]
pub mod specimen;
mod start;

pub use account::Account;
pub use config::RunConfig;
pub use evidence::{Evidence, Files, Overrides, Subject as Judged};
pub use finding::{Found, Subject};
pub use interest::survey as survey_interest;
pub use programs::{Lookup, Programs, is_hidden, may};
pub use remembered::judge_known;
pub use report::{Finding, Report, judge};
pub use rule::{Check, Level, Rule};
pub use start::{End, Hop, Server, Start, Value, Word, options as server_options};
