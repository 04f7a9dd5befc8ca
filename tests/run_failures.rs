//! `byoi run`: each failure that users report is made, recognised and named; what is not the image's fault is told from it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use byoi::digest::Digest;
use byoi::studio::{EcrImage, Processor};
use serde_json::Value;

use crate::support::byoi::{Run, Workplace};
use crate::support::docker::Docker;
use crate::support::run::{command, inventory, is_healthy, run};
use crate::support::studio::{inside, quickstart};
use crate::support::tools::{self, stdout};

/// Words of an entrypoint that starts the editor as Studio needs it, past the image's own script.
const SERVER: [&str; 10] = [
    "sagemaker-code-editor",
    "--host",
    "0.0.0.0",
    "--port",
    "8888",
    "--without-connection-token",
    "--base-path",
    "/codeeditor/default",
    "--server-data-dir",
    "/home/sagemaker-user/sagemaker-code-editor-server-data",
];

/// [`SERVER`] with one word for another; without it where the other is empty.
fn server(word: &str, other: &str) -> String {
    let words = SERVER.iter().map(|known| if *known == word { other } else { known }).filter(|word| !word.is_empty());
    format!("ENTRYPOINT {}\nCMD []\n", Value::from(words.collect::<Vec<_>>()))
}

/// The first bytes of a program for arm64.
fn arm64() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0");
    header
}

/// A Dockerfile on the quickstart's image, the step that fails, the cause, and words of the message. Which step meets a program for another
/// processor depends on the runtime's version.
fn failures() -> Vec<(&'static str, String, &'static str, &'static str, &'static [&'static str])> {
    let text = str::to_owned;
    vec![
        ("localhost", server("0.0.0.0", "127.0.0.1"), "listener", "localhost-bind", &["127.0.0.1:8888", "--host 0.0.0.0"]),
        ("port", server("8888", "8000"), "listener", "other-port", &["0.0.0.0:8000", "--port 8888"]),
        ("token", server("--without-connection-token", ""), "page", "token-on", &["GET / answers 403", "--without-connection-token"]),
        ("base-path", server("/codeeditor/default", "/editor"), "base-path", "wrong-base-path", &["answers 404", "it serves /editor"]),
        ("extensions", server("", ""), "extensions", "extensions-missing", &["does not have acme-labs.hello-studio@1.2.3"]),
        ("home", text("ENV HOME=/root\n") + &server("", ""), "home", "unwritable-home", &["`/root`", "HOME must be /home/sagemaker-user"]),
        ("data", server(SERVER[9], "/opt/data"), "home", "unwritable-home", &["`/opt/data`", "--server-data-dir"]),
        (
            "node",
            text("ENV PATH=/usr/bin:/bin\n") + &server("sagemaker-code-editor", "/opt/editor/bin/sagemaker-code-editor"),
            "listener",
            "missing-node",
            &["node: command not found", "on the image's PATH"],
        ),
        ("editor", text("ENV PATH=/usr/bin:/bin\n"), "listener", "missing-editor", &["there is no sagemaker-code-editor on the PATH"]),
        ("shell", text("ENTRYPOINT []\nCMD [\"/bin/bash\"]\n"), "listener", "shell", &["`/bin/bash`, a shell", "entrypoint-code-editor"]),
        ("arm64", text("COPY arm64 /arm64\nENTRYPOINT [\"/arm64\"]\n"), "start or listener", "exec-format", &["another processor", "linux/amd64"]),
        ("nowhere", text("ENTRYPOINT [\"/nowhere\"]\n"), "start", "no-program", &["`/nowhere`", "cannot be run"]),
        ("motd", text("ENTRYPOINT [\"/etc/motd\"]\n"), "start", "not-executable", &["may not run `/etc/motd`"]),
        ("crash", text("ENTRYPOINT [\"sh\", \"-c\", \"printf '\\\\033[31mboom\\\\n'; exit 3\"]\n"), "listener", "ended", &["exit code 3", "boom"]),
        ("sleep", text("ENTRYPOINT [\"sleep\", \"1000\"]\n"), "listener", "no-listener", &["nobody listens", "its log is empty"]),
        (
            "json",
            text("ENTRYPOINT [\"node\", \"-e\", \"require('http').createServer((q, a) => a.end()).listen(8888, '0.0.0.0')\"]\n"),
            "page",
            "wrong-answer",
            &["GET / answers 200 without a type", "the editor's server itself"],
        ),
        (
            "once",
            text("COPY once /once\nENTRYPOINT [\"sh\", \"/once\"]\n"),
            "second-start",
            "second-start",
            &["on the home that the first start left", "exit code 9", "used already"],
        ),
    ]
}

#[test]
fn each_failure_is_recognised() {
    let (docker, place) = (Docker::start_with_network(), quickstart());
    let mut build = place.command(&["build", "docker-daemon:base:1"]);
    stdout(build.env("DOCKER_HOST", docker.host()));
    place.write("context/arm64", arm64());
    place.write("context/once", "[ ! -e ~/used ] || { echo used already; exit 9; }\ntouch ~/used\nexec byoi-entrypoint\n");
    tools::stdout(Command::new("chmod").arg("0755").arg(place.path("context/arm64")));
    for (name, text, step, cause, words) in failures() {
        place.write("context/Dockerfile", format!("FROM base:1\n{text}"));
        docker.run(&["build", "--quiet", "--tag", name, place.path("context").to_str().unwrap()]);
        let image = format!("docker-daemon:{name}");
        let run = run(&docker, &place, &[&image, "--json", "--timeout", "20"]);
        assert_eq!(run.code, Some(1), "{name}: {}\n{}", run.out, run.err);
        let report = run.json();
        let failed = report["steps"].as_array().unwrap().iter().find(|step| step["outcome"] == "failed").unwrap();
        let seen = ["step", "cause"].map(|key| failed[key].as_str().unwrap());
        assert!(step.split(" or ").any(|step| step == seen[0]) && cause == seen[1], "{name}: {report:#}");
        let message = run.message();
        assert!(!run.err.contains('\u{1b}'), "{name}");
        for word in words {
            assert!(message.contains(word), "{name}: no `{word}` in\n{}", run.err);
        }
        judged_alike(&docker, &place, &image, &failed["rules"]);
        if name == "shell" {
            with_an_app_image_config(&docker, &place, &image);
        }
        docker.run(&["image", "rm", name]);
    }
    assert_eq!(inventory(&docker), ["", "", "base:1"].map(str::to_owned));
    a_home_of_somebody_else(&docker, &place);
}

/// `byoi verify` finds the same without running the image, by one of the rules that the failed step names.
fn judged_alike(docker: &Docker, place: &Workplace, image: &str, rules: &Value) {
    let named: Vec<&str> = rules.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let mut verify = place.command(&["verify", image, "--format", "json"]);
    let judged = Run::of(verify.env("DOCKER_HOST", docker.host())).json();
    let found: Vec<&str> = judged["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert!(named.is_empty() || named.iter().any(|id| found.contains(id)), "{image}: of {named:?} verify found none: {found:?}");
}

/// The document that `byoi studio` writes makes the same image run.
fn with_an_app_image_config(docker: &Docker, place: &Workplace, image: &str) {
    let reference = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/editor:1".parse().unwrap();
    let documents = byoi::studio::documents(&byoi::studio::Request {
        image: EcrImage::new(&reference, Digest::of("image")).unwrap(),
        name: "editor".to_owned(),
        config_name: "editor".to_owned(),
        role: "arn:aws:iam::123456789012:role/studio".to_owned(),
        display_name: None,
        description: None,
        release_notes: None,
        aliases: Vec::new(),
        processor: Processor::Cpu,
        entrypoint: vec!["byoi-entrypoint".to_owned()],
        arguments: vec!["--log".to_owned(), "trace".to_owned()],
        variables: vec![("EDITOR".to_owned(), "vi".to_owned())],
        domain: "d-abc".to_owned(),
        existing: Vec::new(),
    });
    let documents = documents.unwrap();
    let config = documents.iter().find(|document| document.operation == Some("CreateAppImageConfig")).unwrap();
    place.write("config.json", config.body.to_string());
    let report = run(docker, place, &[image, "--app-image-config", "config.json", "--json"]).ok().json();
    is_healthy(&report);
    assert!(report["steps"][0]["detail"].as_str().unwrap().contains("`byoi-entrypoint --log trace`"), "{report:#}");
}

fn a_home_of_somebody_else(docker: &Docker, place: &Workplace) {
    place.write("roots/file", "");
    let run = run(docker, place, &["docker-daemon:base:1", "--volume", "./roots"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.out.contains("failed   home") && run.message().contains("must be given to 1000:100"), "{}\n{}", run.out, run.err);
}

#[test]
fn what_is_not_the_images_fault() {
    let (docker, place) = (&Docker::start_with_network(), &Workplace::new());
    place.write("context/Dockerfile", "FROM scratch\nCOPY Dockerfile /\nENTRYPOINT [\"/nowhere\"]\n");
    docker.run(&["build", "--quiet", "--tag", "small:1", place.path("context").to_str().unwrap()]);
    run(docker, place, &["docker-daemon:nowhere:1", "--engine", "docker"]).fails(1, &["docker has no image nowhere:1"]);
    run(docker, place, &["docker-daemon:small:1", "--engine", "runc"]).fails(3, &["runc and crun keep no images"]);
    run(docker, place, &["oci:nowhere"]).fails(1, &["nowhere"]);
    run(docker, place, &["scratch"]).fails(1, &["scratch is not an image"]);
    let mut nobody = command(docker, place, &["docker-daemon:small:1", "--engine", "docker"]);
    Run::of(nobody.env("DOCKER_HOST", "unix:///nowhere")).fails(3, &["nothing here runs containers", "docker:", "start docker or podman"]);
    let mut taken = inside(docker, "python3").args(["-c", TAKEN]).stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(taken.stdout.take().unwrap()).read_line(&mut port).unwrap();
    run(docker, place, &["docker-daemon:small:1", "--port", port.trim()]).fails(3, &["docker start", "address already in use"]);
    drop(taken.stdin.take());
    taken.wait().unwrap();
    place.write("config.json", r#"{"CodeEditorAppImageConfig": {"FileSystemConfig": {"DefaultUid": 0}}}"#);
    run(docker, place, &["docker-daemon:small:1", "--app-image-config", "config.json"]).fails(1, &["Studio supports 1000 alone"]);
    assert_eq!(inventory(docker), ["", "", "small:1"].map(str::to_owned));
}

/// Takes a port, says which, and holds it until its standard input ends.
const TAKEN: &str =
    "import socket, sys\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nprint(s.getsockname()[1], flush=True)\nsys.stdin.read()";
