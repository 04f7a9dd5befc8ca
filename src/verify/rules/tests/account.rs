//! Account and home.

use super::Case;
use crate::verify::specimen::Specimen;

pub(super) fn cases() -> Vec<Case> {
    let good = Specimen::good;
    let root = "root:x:0:0:root:/root:/bin/sh\n";
    let home = "home/sagemaker-user";
    vec![
        ("BYOI020", good().set("User", "root")),
        ("BYOI020", good().set("User", "")),
        ("BYOI020", good().set("User", "1000:0")),
        ("BYOI020", good().set("User", "nobody")),
        ("BYOI021", good().file("etc/passwd", 0o644, root)),
        ("BYOI021", good().file("etc/passwd", 0o644, format!("{root}ubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n"))),
        ("BYOI022", good().env("HOME", "/root")),
        ("BYOI023", good().without(home)),
        ("BYOI023", good().directory(home, 0o755, (0, 0))),
        ("BYOI024", good().set("WorkingDir", "/tmp")),
        ("BYOI024", good().set("WorkingDir", "")),
        ("BYOI025", good().env("PATH", "/opt/conda/bin:/bin:/home/sagemaker-user/bin").file("home/sagemaker-user/bin/tool", 0o755, "x")),
        (
            "BYOI026",
            good().set("Entrypoint", vec!["/home/sagemaker-user/bin/start"]).file("home/sagemaker-user/bin/start", 0o755, "#!/bin/sh\nexec \"$@\"\n"),
        ),
        ("BYOI028", good().env("PIP_CONFIG_FILE", "/home/sagemaker-user/.pip.conf").file("home/sagemaker-user/.pip.conf", 0o644, "")),
        ("BYOI029", good().file("home/sagemaker-user/notes.md", 0o644, "")),
    ]
}

#[test]
fn the_usual_things_of_a_home_are_no_fault() {
    let image = Specimen::good().env("PATH", "/opt/conda/bin:/bin:/home/sagemaker-user/.local/bin").env("CACHE", "/home/sagemaker-user/.cache");
    assert!(image.file("home/sagemaker-user/.bashrc", 0o644, "").broken().is_empty());
}

#[test]
fn users_are_named_with_what_they_come_to() {
    let found = |user: &str| Specimen::good().set("User", user).found("BYOI020");
    assert_eq!(found("root"), ["config.User: the user is `root`, that is 0:0"]);
    assert_eq!(found("nobody"), ["config.User: the user is `nobody`, but /etc/passwd has no user `nobody`"]);
    assert!(found("sagemaker-user").is_empty() && found("1000").is_empty() && found("sagemaker-user:users").is_empty());
}
