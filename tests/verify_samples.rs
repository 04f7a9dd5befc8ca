//! The two sample Dockerfiles of the platform's documentation, as images on stand-in bases, get the verdicts that are known of them.

use serde_json::Value;

use crate::support::byoi::{Run, Workplace};
use crate::support::conda_base::Base;

fn judged(base: &Base) -> Run {
    Workplace::new().byoi(&["verify", "--format", "json", &format!("oci:{}", base.image())])
}

/// Each finding as `ID subject: what`.
fn findings(run: &Run) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let report = run.json();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            let subject = finding["subject"].as_object().unwrap().values().next().unwrap();
            format!("{} {}: {}", text(&finding["id"]), subject.as_str().unwrap_or_default(), text(&finding["found"]))
        })
        .collect()
}

#[test]
fn the_sample_on_micromamba_breaks_what_is_known() {
    let run = judged(&Base::micromamba_sample());
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    let found = findings(&run);
    let expected = [
        "BYOI020 config.User: the user is `1000`, that is 1000:0",
        "BYOI021 /etc/passwd: it has no user 1000",
        "BYOI022 config.Env: HOME is not set, and without a line in /etc/passwd it is /",
        "BYOI023 /home/sagemaker-user: it is not there",
        "BYOI024 config.WorkingDir: the working directory is /tmp",
        "BYOI070 config.Cmd: the editor serves under /CodeEditor/default, as in the documentation's sample",
        "BYOI073 config.Cmd: the editor is started without --server-data-dir, and the user's home is /",
        "BYOI076 config.Cmd: the argument `eval \"$(micromamba shell hook --shell=ba…` has 181 characters",
    ];
    let own: Vec<_> = found.iter().filter(|line| line.as_str() < "BYOI080").collect();
    assert_eq!(own, expected, "{found:#?}");
}

#[test]
fn the_sample_on_the_distribution_is_clean() {
    let run = judged(&Base::distribution_sample());
    assert_eq!((run.code, findings(&run)), (Some(0), Vec::new()), "{}", run.err);
}

/// Without an entrypoint of its own, which is the usual mistake.
#[test]
fn the_distribution_itself_ends_in_a_shell() {
    let run = judged(&Base::distribution());
    assert_eq!(run.code, Some(1));
    let way = "/usr/local/bin/_entrypoint.sh → /bin/bash; the image has entrypoint-code-editor, but does not name it";
    assert_eq!(findings(&run), [format!("BYOI061 config.Entrypoint: it ends in a shell: {way}")]);
}
