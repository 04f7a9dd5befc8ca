//! 066–073: the command line of the editor's server.

use crate::contract::{BASE_PATH, BASE_PATH_DOCUMENTED, HOME, IMAGE_SERVER_DATA, LAUNCHER, SERVER_HOST, SERVER_PORT};
use crate::image_path::ImagePath;
use crate::verify::programs::absolute;
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, Server, Value};

const DOCUMENTED: &str = "AWS documentation, Custom images for Code Editor (health check, authentication, base URL)";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI066",
        name: "host",
        title: "The editor listens on 0.0.0.0",
        level: Level::Must,
        why: "The server runs and Studio does not find it: without `--host` it listens on localhost alone, and the app ends as `InternalFailure` after fifteen minutes",
        dockerfile: "`--host 0.0.0.0`",
        description: "cannot be broken: byoi always writes it",
        source: DOCUMENTED,
        check: Check::Upper(host),
    },
    Rule {
        id: "BYOI067",
        name: "port",
        title: "The editor listens on port 8888",
        level: Level::Must,
        why: "The server runs and Studio does not find it: without `--port` it listens on 8000, and the app ends as `InternalFailure` after fifteen minutes",
        dockerfile: "`--port 8888`",
        description: "cannot be broken: byoi always writes it",
        source: DOCUMENTED,
        check: Check::Upper(port),
    },
    Rule {
        id: "BYOI068",
        name: "connection-token",
        title: "The editor asks for no connection token",
        level: Level::Must,
        why: "Every page answers 403 `Forbidden`: Studio cannot send the token that the server makes up",
        dockerfile: "`--without-connection-token`, and no other option for tokens",
        description: "cannot be broken: byoi always writes it",
        source: DOCUMENTED,
        check: Check::Upper(connection_token),
    },
    Rule {
        id: "BYOI069",
        name: "base-path",
        title: "The editor serves under /codeeditor/default",
        level: Level::Must,
        why: "The browser shows a blank page, or 404 for every script: Studio opens the app under this path",
        dockerfile: "`--base-path /codeeditor/default`",
        description: "`editor.base-path`; no other value than the two that work is accepted",
        source: DOCUMENTED,
        check: Check::Upper(base_path),
    },
    Rule {
        id: "BYOI070",
        name: "base-path-case",
        title: "The base path is in lower case",
        level: Level::Should,
        why: "Studio's own images and addresses use lower case, and the server compares case by case: of the two spellings in AWS's documents this is the one that is seen to be used",
        dockerfile: "`--base-path /codeeditor/default`",
        description: "leave `editor.base-path` out",
        source: "aws/sagemaker-distribution, start-code-editor; addresses of running apps",
        check: Check::Upper(base_path_case),
    },
    Rule {
        id: "BYOI071",
        name: "server-ends",
        title: "The editor's options let it go on",
        level: Level::Must,
        why: "The server prints, installs or removes something and ends; Studio says `InternalFailure` after fifteen minutes",
        dockerfile: "install extensions in a RUN of their own, and start the server without such an option",
        description: "cannot be broken: `editor.arguments` refuses such options",
        source: "Code-OSS, serverEnvironmentService.ts and server.main.ts",
        check: Check::Upper(server_ends),
    },
    Rule {
        id: "BYOI072",
        name: "unknown-option",
        title: "The editor knows all of its options",
        level: Level::Should,
        why: "The option has no effect: the server says `Ignoring option …: not supported for server` and goes on, with its default instead (a misspelt `--extension-dir` hides all extensions)",
        dockerfile: "see `sagemaker-code-editor --help`",
        description: "see `sagemaker-code-editor --help`; `editor.arguments` goes to the server as it is",
        source: "Code-OSS, serverEnvironmentService.ts (serverOptions)",
        check: Check::Upper(unknown_option),
    },
    Rule {
        id: "BYOI073",
        name: "server-data",
        title: "The editor keeps its data on the space's volume",
        level: Level::Should,
        why: "Settings and extensions of users are lost with each restart of the app, and two versions of an image do not share them",
        dockerfile: "`--server-data-dir /home/sagemaker-user/sagemaker-code-editor-server-data`",
        description: "cannot be broken: byoi always writes it",
        source: "aws/amazon-sagemaker-feedback#75; aws/sagemaker-distribution, start-code-editor",
        check: Check::Files(server_data),
    },
];

/// What is found of the server's command line, at the part of the image that has it.
fn at_server(evidence: &Evidence, files: &Files, what: impl FnOnce(&Server) -> Option<String>) -> Vec<Found> {
    let Some(server) = files.start.server() else { return Vec::new() };
    what(server).map(|what| place(evidence, files, what)).into_iter().collect()
}

/// The config where the words stand there, whatever wrappers hand them on; else the file that starts the editor.
fn place(evidence: &Evidence, files: &Files, what: String) -> Found {
    let has = |list: &[String]| list.iter().any(|word| word.contains(LAUNCHER));
    let launched = files.start.hops.iter().rfind(|hop| hop.word != "node").map_or("config.Cmd", |hop| hop.by.as_str());
    match launched.strip_prefix("config.") {
        _ if has(&evidence.config.cmd) => Found::at_config("Cmd", what),
        Some(key) => Found::at_config(key, what),
        None => Found::at_path(&ImagePath::parse(launched).unwrap_or_default(), what),
    }
}

fn host(evidence: &Evidence, files: &Files) -> Vec<Found> {
    at_server(evidence, files, |server| match server.value("host") {
        Value::Text(host) if host != SERVER_HOST => Some(format!("the editor listens on {host}")),
        Value::Absent => Some("the editor is started without --host".to_owned()),
        _ => None,
    })
}

fn port(evidence: &Evidence, files: &Files) -> Vec<Found> {
    at_server(evidence, files, |server| match (server.value("port"), server.value("socket-path")) {
        (_, Value::Text(path)) => Some(format!("the editor listens on the socket {path} instead of a port")),
        (Value::Text(port), _) if port != SERVER_PORT.to_string() => Some(format!("the editor listens on port {port}")),
        (Value::Absent, _) => Some("the editor is started without --port".to_owned()),
        _ => None,
    })
}

fn connection_token(evidence: &Evidence, files: &Files) -> Vec<Found> {
    at_server(evidence, files, |server| {
        let given = ["connection-token", "connection-token-file"].into_iter().find(|name| server.value(name) != Value::Absent);
        match (given, server.has("without-connection-token")) {
            (Some(name), _) => Some(format!("the editor is started with --{name}")),
            (None, false) => Some("the editor is started without --without-connection-token".to_owned()),
            (None, true) => None,
        }
    })
}

fn base_path(evidence: &Evidence, files: &Files) -> Vec<Found> {
    at_server(evidence, files, |server| match server.base_path() {
        Value::Text(path) if !path.trim_end_matches('/').eq_ignore_ascii_case(BASE_PATH) => Some(format!("the editor serves under `{path}`")),
        Value::Absent => Some("the editor is started without --base-path".to_owned()),
        _ => None,
    })
}

fn base_path_case(evidence: &Evidence, files: &Files) -> Vec<Found> {
    at_server(evidence, files, |server| match server.base_path() {
        Value::Text(path) if path.eq_ignore_ascii_case(BASE_PATH) && path != BASE_PATH => {
            let documented = if path == BASE_PATH_DOCUMENTED { ", as in the documentation's sample" } else { "" };
            Some(format!("the editor serves under {path}{documented}"))
        }
        _ => None,
    })
}

fn server_ends(evidence: &Evidence, files: &Files) -> Vec<Found> {
    at_server(evidence, files, |server| server.ending().map(|option| format!("the editor is started with --{option}")))
}

fn unknown_option(evidence: &Evidence, files: &Files) -> Vec<Found> {
    at_server(evidence, files, |server| {
        let unknown = server.unknown();
        let named = unknown.iter().map(|option| format!("--{option}")).collect::<Vec<_>>().join(", ");
        (!unknown.is_empty()).then(|| format!("the editor does not know {named}"))
    })
}

fn server_data(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let is_on_volume = |directory: &str| {
        let directory = absolute(directory, HOME);
        directory == HOME || directory.starts_with(&format!("{HOME}/"))
    };
    at_server(evidence, files, |server| match server.value("server-data-dir") {
        Value::Text(directory) if directory == IMAGE_SERVER_DATA => Some(format!("the editor keeps its data in the image's own {directory}")),
        Value::Text(directory) if !is_on_volume(&directory) => Some(format!("the editor keeps its data in {directory}")),
        Value::Absent => {
            let home = files.account.home(&evidence.config);
            let what = format!("the editor is started without --server-data-dir, and the user's home is {home}");
            (!is_on_volume(&home)).then_some(what)
        }
        _ => None,
    })
}
