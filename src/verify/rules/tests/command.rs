//! The start command.

use serde_json::Value;

use super::Case;
use crate::contract::{BASE_PATH, server_command};
use crate::verify::specimen::{Specimen, elf};

const SCRIPT: &str = "#!/bin/bash\n";

fn good() -> Specimen {
    Specimen::good()
}

/// The good image with a start script in place of byoi's, and no extension that somebody would have to link.
fn scripted(text: &str) -> Specimen {
    let image = good().without("opt/amazon").set("Entrypoint", Value::Null).set("Cmd", vec!["start"]);
    image.file("usr/local/bin/start", 0o755, format!("{SCRIPT}{text}"))
}

fn line() -> String {
    server_command(BASE_PATH, &[]).join(" ")
}

/// As mambaorg/micromamba starts, with this command.
fn micromamba(cmd: &[&str]) -> Specimen {
    let entrypoint = include_str!("../../../../tests/fixtures/micromamba/usr/local/bin/_entrypoint.sh");
    let activate = include_str!("../../../../tests/fixtures/micromamba/usr/local/bin/_activate_current_env.sh");
    let image = good().without("opt/amazon").set("Entrypoint", vec!["/usr/local/bin/_entrypoint.sh"]).set("Cmd", cmd.to_vec());
    let image = image.file("usr/local/bin/_entrypoint.sh", 0o755, entrypoint).file("usr/local/bin/_activate_current_env.sh", 0o755, activate);
    image.file("etc/arg_mamba_user", 0o644, "sage\n").env("MAMBA_USER", "sage").env("PATH", "/usr/local/bin:/usr/bin:/bin")
}

/// As sagemaker-distribution starts.
fn distribution() -> Specimen {
    let own = |name: &str| std::fs::read(format!("{}/tests/fixtures/distribution/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let image = good().set("Entrypoint", vec!["entrypoint-code-editor"]).set("Cmd", Value::Null);
    let image = image.file("usr/local/bin/entrypoint-code-editor", 0o755, own("usr/local/bin/entrypoint-code-editor"));
    let image = image.file("usr/local/bin/start-code-editor", 0o755, own("usr/local/bin/start-code-editor"));
    let conf = "etc/supervisor/conf.d/supervisord-code-editor.conf";
    let image = image.file(conf, 0o644, own(conf)).file("opt/conda/bin/supervisord", 0o755, "#!/opt/conda/bin/python3.11\n");
    let image = image.file("opt/conda/bin/python3.11", 0o755, elf(62)).env("STUDIO_LOGGING_DIR", "/var/log/studio/");
    image.directory("var/log/studio", 0o755, (1000, 100)).directory("var/run/supervisord", 0o777, (0, 0))
}

pub(super) fn cases() -> Vec<Case> {
    let command: Vec<&str> = vec!["sagemaker-code-editor"];
    let mut limits = server_command(BASE_PATH, &[]);
    limits.extend(["--default-folder".to_owned(), format!("/home/sagemaker-user/{}", "x".repeat(60))]);
    vec![
        ("BYOI060", good().set("Entrypoint", Value::Null).set("Cmd", Value::Null)),
        ("BYOI061", good().set("Entrypoint", Value::Null).set("Cmd", vec!["/bin/bash"])),
        ("BYOI061", micromamba(&["/bin/bash"])),
        ("BYOI061", distribution().set("Entrypoint", vec!["/bin/bash", "-l"]).set("Entrypoint", vec!["/bin/bash"])),
        ("BYOI062", scripted("echo hello\nmkdir -p /tmp/x\n")),
        ("BYOI062", good().set("Entrypoint", Value::Null).set("Cmd", vec!["/bin/sh", "-c", "echo hello"])),
        ("BYOI063", good().set("Cmd", vec!["/usr/bin/jupyter"]).file("usr/bin/jupyter", 0o755, elf(62))),
        ("BYOI064", good().set("Cmd", vec!["code-server"])),
        ("BYOI064", good().set("Entrypoint", vec!["/usr/local/bin/entrypoint.sh"])),
        ("BYOI064", good().without("opt/conda/bin/node")),
        ("BYOI064", scripted(&line()).env("PATH", "/usr/local/bin:/bin").without("opt/conda/conda-meta")),
        ("BYOI064", distribution().without("opt/conda/bin/supervisord")),
        ("BYOI064", distribution().without("opt/conda/bin/python3.11").without("opt/conda/conda-meta")),
        ("BYOI064", good().without("usr/bin/bash").without("opt/conda/conda-meta")),
        ("BYOI065", good().file("usr/local/bin/byoi-entrypoint", 0o744, "#!/bin/sh\n")),
        ("BYOI065", good().directory("opt/conda", 0o700, (0, 0))),
        ("BYOI074", good().set("Entrypoint", Value::Null)),
        (
            "BYOI074",
            micromamba(&["sagemaker-code-editor"])
                .set("Cmd", server_command(BASE_PATH, &[]))
                .file(
                    "opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/acme.hello-1.2.3/package.json",
                    0o644,
                    r#"{"publisher": "acme", "name": "hello", "version": "1.2.3", "engines": {"vscode": "^1.90.0"}}"#,
                )
                .file(
                    "opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/extensions.json",
                    0o644,
                    crate::verify::specimen::listed(&[("acme.hello", "1.2.3")]),
                ),
        ),
        ("BYOI075", micromamba(&command).set("Cmd", server_command(BASE_PATH, &[])).env("MAMBA_USER", "other")),
        ("BYOI076", good().set("Cmd", limits)),
        ("BYOI076", good().set("Entrypoint", vec!["/usr/bin/env", "/usr/local/bin/byoi-entrypoint"])),
        (
            "BYOI077",
            good().set("Entrypoint", vec!["/opt/foreign.sh"]).file("opt/foreign.sh", 0o755, "#!/bin/bash\necho hello\n").without("opt/amazon"),
        ),
        ("BYOI078", distribution().set("Env", vec!["PATH=/opt/conda/bin:/usr/local/bin:/bin", "HOME=/home/sagemaker-user"])),
        ("BYOI078", distribution().without("var/run")),
        ("BYOI062", scripted("if [ -n \"$X\" ]; then echo \"$X\"; fi")),
    ]
}

#[test]
fn starts_of_all_kinds_are_followed() {
    let line = line();
    let shell = |text: &str| good().set("Entrypoint", Value::Null).without("opt/amazon").set("Cmd", vec!["/bin/sh", "-c", text]);
    let activated = "eval \"$(micromamba shell hook --shell=bash)\"; micromamba activate base; ";
    for (number, image) in [
        distribution(),
        scripted(&line),
        scripted(&format!("exec {line}")),
        scripted(&format!("set -e\nif [ -n \"$X\" ]; then\n  exec sagemaker-code-editor --version\nelse\n  exec {line} \"$@\"\nfi\n")),
        scripted(&line.replace("8888", "\"${PORT:-8888}\"").replace("/codeeditor", "/${SAGEMAKER_APP_TYPE,,}")),
        scripted(&line.replace("/codeeditor/default", "\"$BASE\"")).env("BASE", "/codeeditor/default"),
        scripted(&format!("BASE=$(echo \"$X\")\n{}", line.replace("/codeeditor/default", "$BASE"))),
        scripted(&format!("if [ -n \"$RECOVERY\" ]; then\n  {}\nelse\n  {line}\nfi\n", line.replace("/home/sagemaker-user/", "/tmp/"))),
        scripted("exec \"$@\"").set("Entrypoint", vec!["start"]).set("Cmd", server_command(BASE_PATH, &[])),
        scripted(&format!("/opt/other {line}")).file("opt/other", 0o755, "#!/bin/sh\nexec env A=1 \"$@\"\n"),
        scripted(&format!("source /opt/env/bin/activate\n{line}")),
        shell(&line),
        shell(&format!("exec {line}")),
        shell(&line.replace("sagemaker-code-editor ", "node /opt/conda/share/sagemaker-code-editor/out/server-main.js ")),
        micromamba(&[]).set("Cmd", server_command(BASE_PATH, &[])),
        shell(&format!("{activated}{line}")).env("PATH", "/usr/bin:/bin").file("usr/bin/micromamba", 0o755, elf(62)),
        good().set("Cmd", Value::Null),
        good().set("Cmd", vec!["--disable-telemetry"]),
    ]
    .into_iter()
    .enumerate()
    {
        // Words of a shell that are known are not held against the limits of one argument.
        let broken: Vec<_> = image.broken().into_iter().filter(|id| id != "BYOI076").collect();
        assert!(broken.is_empty(), "{number}: {:?}\n{:?}", image.judged().findings, image.evidence().files.unwrap().start);
    }
}

#[test]
fn what_is_found_says_the_way() {
    let image = micromamba(&["/bin/bash"]).file("usr/local/bin/entrypoint-code-editor", 0o755, "#!/bin/bash\n");
    let hint = "; the image has entrypoint-code-editor, but does not name it";
    assert_eq!(image.found("BYOI061"), [format!("config.Entrypoint: it ends in a shell: /usr/local/bin/_entrypoint.sh → /bin/bash{hint}")]);
    let image = good().without("opt/conda/bin/node");
    let found = image.found("BYOI064");
    assert!(found[0].starts_with("/opt/conda/bin/sagemaker-code-editor: it starts `node`, but there is no `node` in /opt/conda/bin:"), "{found:?}");
}

#[test]
fn circles_end() {
    let image = scripted("start\nexec start").broken();
    assert_eq!(image.len(), 1, "{image:?}");
    let fork = scripted("start & start & start & start & start & start & start & start\n");
    assert_eq!(fork.broken().len(), 1);
}
