//! The command line of the editor's server.

use super::Case;
use crate::verify::specimen::Specimen;

const RIGHT: &str =
    "--host 0.0.0.0 --port 8888 --without-connection-token --base-path /codeeditor/default --server-data-dir /home/sagemaker-user/data";

/// The good image with these arguments of the server.
fn with(arguments: &str) -> Specimen {
    let words: Vec<&str> = std::iter::once("sagemaker-code-editor").chain(arguments.split_whitespace()).collect();
    Specimen::good().set("Cmd", words)
}

fn replaced(from: &str, to: &str) -> Specimen {
    assert!(RIGHT.contains(from));
    with(&RIGHT.replace(from, to))
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        ("BYOI066", replaced("--host 0.0.0.0", "")),
        ("BYOI066", replaced("0.0.0.0", "localhost")),
        ("BYOI067", replaced("--port 8888", "")),
        ("BYOI067", replaced("8888", "8000")),
        ("BYOI067", with(&format!("{RIGHT} --socket-path /tmp/s"))),
        ("BYOI068", replaced("--without-connection-token", "")),
        ("BYOI068", replaced("--without-connection-token", "--connection-token=x")),
        ("BYOI068", with(&format!("{RIGHT} --connection-token-file /t"))),
        ("BYOI069", replaced("--base-path /codeeditor/default", "")),
        ("BYOI069", replaced("/codeeditor/default", "/jupyterlab/default")),
        ("BYOI070", replaced("/codeeditor/default", "/CodeEditor/default")),
        ("BYOI071", with(&format!("{RIGHT} --list-extensions"))),
        ("BYOI071", with(&format!("{RIGHT} --version"))),
        ("BYOI072", with(&format!("{RIGHT} --extension-dir /x"))),
        ("BYOI073", replaced("/home/sagemaker-user/data", "/opt/data")),
        ("BYOI073", replaced("/home/sagemaker-user/data", "/opt/amazon/sagemaker/sagemaker-code-editor-server-data")),
    ]
}

#[test]
fn other_spellings_of_the_right_command_are_no_fault() {
    for arguments in [
        RIGHT.to_owned(),
        RIGHT.replace(' ', "=").replace("=--", " --").replace("token=", "token "),
        RIGHT.replace("--base-path", "--server-base-path"),
        format!("{RIGHT} --list-extensions --start-server"),
        format!("{RIGHT} --disable-telemetry --log trace"),
    ] {
        assert!(with(&arguments).broken().is_empty(), "{arguments}");
    }
}

#[test]
fn the_place_is_where_the_words_stand() {
    assert_eq!(replaced("8888", "8000").found("BYOI067"), ["config.Cmd: the editor listens on port 8000"]);
    let script = format!("#!/bin/bash\nexec sagemaker-code-editor {}\n", RIGHT.replace("8888", "8000"));
    let image = Specimen::good().set("Cmd", vec!["/opt/start"]).file("opt/start", 0o755, script);
    assert_eq!(image.found("BYOI067"), ["/opt/start: the editor listens on port 8000"]);
}

#[test]
fn without_a_place_of_its_own_the_server_uses_the_home() {
    let image = || replaced("--server-data-dir /home/sagemaker-user/data", "");
    assert!(image().found("BYOI073").is_empty());
    let elsewhere = image().env("HOME", "/home/mambauser").found("BYOI073");
    assert_eq!(elsewhere, ["config.Cmd: the editor is started without --server-data-dir, and the user's home is /home/mambauser"]);
    let nobody = image().set("Env", vec!["PATH=/opt/conda/bin:/usr/bin:/bin"]);
    assert!(nobody.found("BYOI073").is_empty(), "passwd knows the home");
    assert_eq!(nobody.file("etc/passwd", 0o644, "").found("BYOI073").len(), 1);
}
