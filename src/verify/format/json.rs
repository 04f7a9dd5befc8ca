//! A report as one JSON object.

use serde_json::{Value, json};

use crate::verify::{Finding, Level, Report, Rule, Subject};

/// The report as one JSON object.
pub fn json(report: &Report) -> Value {
    let mut value = findings(report);
    value["image"] = json!(report.image);
    value["digest"] = json!(report.digest);
    value
}

/// What was found, for a report on more than that.
pub fn findings(report: &Report) -> Value {
    json!({
        "broken": report.is_broken(),
        "must": report.count(Level::Must),
        "should": report.count(Level::Should),
        "rules_asked": report.asked,
        "rules_unasked": report.unasked,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    let mut value = rule(finding.rule);
    value["subject"] = subject(&finding.subject);
    value["found"] = json!(finding.what);
    value["allowed"] = json!(finding.is_allowed);
    value
}

/// A rule as a JSON object.
pub fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id, "name": rule.name, "level": rule.level, "title": rule.title, "why": rule.why,
        "fix": {"dockerfile": rule.dockerfile, "byoi.toml": rule.description}, "source": rule.source,
    })
}

fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::Config(key) => json!({"config": key}),
        Subject::Path(path) => json!({"path": path.absolute()}),
        Subject::Layer(number, digest) => json!({"layer": number, "digest": digest}),
        Subject::Manifest => json!({"manifest": true}),
        Subject::Index => json!({"index": true}),
    }
}
