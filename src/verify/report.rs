//! What all rules found in one image.

use std::collections::BTreeSet;

use super::evidence::Evidence;
use super::finding::Subject;
use super::rule::{Level, Rule};
use super::rules;
use crate::digest::Digest;

/// What one rule found at one place.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Where.
    pub subject: Subject,
    /// What stands there.
    pub what: String,
    /// Whether the user said that it may be so.
    pub is_allowed: bool,
}

/// What all rules found in one image.
#[derive(Debug)]
pub struct Report {
    /// The image's name for people.
    pub image: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What was found, in the order of the rules.
    pub findings: Vec<Finding>,
    /// Rules that were asked.
    pub asked: usize,
    /// Rules that were not, since files of layers were not read.
    pub unasked: usize,
}

/// Asks all rules. What the rules with these ids find is allowed.
pub fn judge(evidence: &Evidence, allowed: &BTreeSet<String>) -> Report {
    let mut report = Report { image: evidence.name.clone(), digest: evidence.digest, findings: Vec::new(), asked: 0, unasked: 0 };
    for rule in rules::all() {
        let Some(found) = rule.judge(evidence) else {
            report.unasked += 1;
            continue;
        };
        report.asked += 1;
        let is_allowed = allowed.contains(rule.id);
        report.findings.extend(found.into_iter().map(|found| Finding { rule, subject: found.subject, what: found.what, is_allowed }));
    }
    report
}

impl Report {
    /// Findings of a level that nobody allowed.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.rule.level == level && !finding.is_allowed).count()
    }

    /// Whether a must is broken that nobody allowed.
    pub fn is_broken(&self) -> bool {
        self.count(Level::Must) > 0
    }
}
