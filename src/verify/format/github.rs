//! A report as workflow commands of GitHub Actions: annotations on the change that is checked.
//!
//! Source: GitHub's documentation, "Workflow commands for GitHub Actions"; escapes: actions/toolkit, `command.ts`.

use crate::verify::{Finding, Level, Report};

/// One command a finding that nobody allowed, at the first line of `file`, which makes the image.
pub fn github(report: &Report, file: Option<&str>) -> String {
    let findings = report.findings.iter().filter(|finding| !finding.is_allowed);
    findings.map(|finding| command(finding, file)).collect()
}

fn command(finding: &Finding, file: Option<&str>) -> String {
    let rule = finding.rule;
    let kind = if rule.level == Level::Must { "error" } else { "warning" };
    let place = file.map(|file| format!("file={},line=1,", property(file))).unwrap_or_default();
    let fix = if file.is_some_and(|file| file.ends_with(".toml")) { rule.description } else { rule.dockerfile };
    let message = format!("{}: {}.\n{}.\nFix: {}.", finding.subject, finding.what, rule.why, fix);
    format!("::{kind} {place}title={}::{}\n", property(&format!("{} {}", rule.id, rule.title)), data(&message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::specimen::Specimen;

    #[test]
    fn a_finding_is_one_line_whatever_it_holds() {
        let image = Specimen::good().set("User", "a%\n::error ::x").set("WorkingDir", "/tmp");
        let report = image.judged();
        let text = github(&report, Some("a,b:c/Dockerfile"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].starts_with("::error file=a%2Cb%3Ac/Dockerfile,line=1,title=BYOI020 The config's user is 1000%3A100::config.User: "),
            "{text}"
        );
        assert!(lines[0].contains("`a%25%0A`") || lines[0].contains("a%25%0A::error"), "{text}");
        assert!(lines[1].starts_with("::warning file="), "{text}");
        assert!(github(&report, None).starts_with("::error title="));
    }
}
