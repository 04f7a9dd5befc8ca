//! A report for people.

use std::fmt::Write as _;

use crate::verify::{Finding, Level, Report, Rule, format, rules};

/// Columns after which lines are wrapped.
const WIDTH: usize = 100;
/// Places that are shown of one rule.
const MOST: usize = 10;

/// The report. `harmless` takes out of foreign text what a terminal would act on.
pub(super) fn text(report: &Report, harmless: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    for group in report.findings.chunk_by(|one, next| one.rule.id == next.rule.id) {
        rule(&mut out, group, harmless);
    }
    let image = harmless(&report.image);
    let verdict = match (report.count(Level::Must), report.count(Level::Should)) {
        (0, 0) => "breaks no rule".to_owned(),
        (0, should) => format!("breaks no must, {should} of what it should be"),
        (must, should) => format!("is broken: {must} of what it must be, {should} of what it should be"),
    };
    let unasked = if report.unasked > 0 { format!(", {} need its files", report.unasked) } else { String::new() };
    // A String takes all.
    let _ = writeln!(out, "{image} {verdict} ({} rules asked{unasked})\n{}", report.asked, report.digest);
    out
}

fn rule(out: &mut String, group: &[Finding], harmless: &dyn Fn(&str) -> String) {
    let Some(first) = group.first() else { return };
    let Rule { id, name, title, level, why, dockerfile, description, source, .. } = first.rule;
    let allowed = if first.is_allowed { ", allowed" } else { "" };
    let level = if *level == Level::Must { "must" } else { "should" };
    let _ = writeln!(out, "{id} {name} ({level}{allowed}): {title}");
    for finding in group.iter().take(MOST) {
        paragraph(out, "  × ", &harmless(&format!("{}: {}", finding.subject, finding.what)));
    }
    if group.len() > MOST {
        let _ = writeln!(out, "    and {} more", group.len() - MOST);
    }
    paragraph(out, "  why: ", why);
    paragraph(out, "  in a Dockerfile: ", dockerfile);
    paragraph(out, "  in byoi.toml: ", description);
    paragraph(out, "  source: ", source);
    out.push('\n');
}

fn paragraph(out: &mut String, label: &str, text: &str) {
    let options = textwrap::Options::new(WIDTH).initial_indent(label).subsequent_indent("    ").break_words(false);
    let _ = writeln!(out, "{}", textwrap::fill(text, options));
}

/// All rules: one line each, or as JSON.
pub(super) fn list(as_json: bool) -> String {
    if as_json {
        let rules: Vec<_> = rules::all().into_iter().map(format::json_rule).collect();
        return format!("{}\n", serde_json::Value::from(rules));
    }
    let line = |rule: &Rule| {
        let level = if rule.level == Level::Must { "must" } else { "should" };
        format!("{} {level:<6} {:<24} {}\n", rule.id, rule.name, rule.title)
    };
    rules::all().into_iter().map(line).collect()
}
