//! `--allow ID`: what some rules find is borne with.

use std::collections::BTreeSet;

use crate::verify::rules;

/// Rules whose findings do not count.
#[derive(Debug, clap::Args)]
pub struct Allow {
    /// Bear with what this rule finds; again for more.
    #[arg(long, value_name = "ID", value_parser = rule_id)]
    allow: Vec<String>,
}

impl Allow {
    /// The rules' ids.
    pub fn ids(&self) -> BTreeSet<String> {
        self.allow.iter().cloned().collect()
    }
}

fn rule_id(text: &str) -> Result<String, String> {
    match rules::find(&text.to_uppercase()) {
        Some(rule) => Ok(rule.id.to_owned()),
        None => Err("there is no such rule; `byoi verify --list` lists them".to_owned()),
    }
}
