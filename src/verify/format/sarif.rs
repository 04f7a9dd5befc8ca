//! A report as SARIF 2.1.0, which code scanning services show. Source: OASIS, "Static Analysis Results Interchange Format (SARIF) 2.1.0".

use serde_json::{Value, json};

use crate::verify::{Finding, Level, Report, Rule, Subject, rules};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report, with its results at the first line of `file`, which makes the image.
pub fn sarif(report: &Report, file: &str) -> Value {
    let all = rules::all();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &all, file)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "byoi",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": all.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "results": results,
            "properties": {"image": report.image, "digest": report.digest},
        }],
    })
}

fn level(rule: &Rule) -> &'static str {
    if rule.level == Level::Must { "error" } else { "warning" }
}

fn descriptor(rule: &Rule) -> Value {
    let help = format!("{}.\n\nIn a Dockerfile: {}.\n\nIn byoi.toml: {}.\n\nSource: {}.", rule.why, rule.dockerfile, rule.description, rule.source);
    json!({
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": format!("{}.", rule.title)},
        "fullDescription": {"text": format!("{}.", rule.why)},
        "help": {"text": help},
        "defaultConfiguration": {"level": level(rule)},
    })
}

fn result(finding: &Finding, all: &[&Rule], file: &str) -> Value {
    let rule = finding.rule;
    let kind = match finding.subject {
        Subject::Path(_) => "resource",
        _ => "object",
    };
    let mut result = json!({
        "ruleId": rule.id,
        "ruleIndex": all.iter().position(|known| known.id == rule.id),
        "level": level(rule),
        "message": {"text": format!("{}: {}.", finding.subject, finding.what)},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": {"startLine": 1}},
            "logicalLocations": [{"fullyQualifiedName": finding.subject.to_string(), "kind": kind}],
        }],
        // The same finding of the next run, whatever else changed.
        "partialFingerprints": {"byoi/v1": crate::digest::Digest::of(format!("{}\n{}", rule.id, finding.subject)).hex()},
    });
    if finding.is_allowed {
        result["suppressions"] = json!([{"kind": "external"}]);
    }
    result
}

/// A file's name as a relative reference: what is no letter, digit or mark of an address is escaped.
fn uri(file: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    file.bytes().map(escape).collect()
}
