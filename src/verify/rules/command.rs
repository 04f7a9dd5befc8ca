//! 060–065 and 074–079: what the container starts, followed to its end.

use crate::base::index::{Entry, Node};
use crate::contract::{IMAGE_EXTENSIONS, IMAGE_SERVER_DATA, PLATFORM_ENTRYPOINT, limits};
use crate::image_path::ImagePath;
use crate::verify::programs::absolute;
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{End, Evidence, Files, Found, Hop, Lookup, Value, may};

const COMMAND: &str = "AWS documentation, Custom images for Code Editor (entry point, health check)";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI060",
        name: "command",
        title: "The image has an entrypoint or a command",
        level: Level::Must,
        why: "Unless the AppImageConfig names a ContainerEntrypoint, nothing starts and the app ends as `InternalFailure`",
        dockerfile: "`ENTRYPOINT [\"entrypoint-code-editor\"]` on sagemaker-distribution, else a CMD that starts sagemaker-code-editor",
        description: "cannot be broken: byoi always writes an entrypoint",
        source: COMMAND,
        check: Check::Documents(command),
    },
    Rule {
        id: "BYOI061",
        name: "ends-in-shell",
        title: "The command does not end in a shell",
        level: Level::Must,
        why: "The shell finds nobody at its input and ends; Studio waits for a server that never comes and says `InternalFailure` after fifteen minutes. Images on sagemaker-distribution or micromamba without an entrypoint of their own are the usual case",
        dockerfile: "`ENTRYPOINT [\"entrypoint-code-editor\"]` on sagemaker-distribution, else a CMD that starts sagemaker-code-editor; or name it as ContainerEntrypoint in the AppImageConfig",
        description: "cannot be broken: byoi's entrypoint starts the editor",
        source: "aws/sagemaker-distribution#538 and #178; Dockerfile of mambaorg/micromamba (CMD [\"/bin/bash\"])",
        check: Check::Files(ends_in_shell),
    },
    Rule {
        id: "BYOI062",
        name: "starts-no-server",
        title: "The start script starts the editor",
        level: Level::Must,
        why: "The script ends, or does something else; Studio waits for a server that never comes and says `InternalFailure` after fifteen minutes",
        dockerfile: "end the script with `exec sagemaker-code-editor …`, or with `exec \"$@\"` and the server's command in CMD",
        description: "cannot be broken: byoi's entrypoint starts the editor",
        source: COMMAND,
        check: Check::Files(starts_no_server),
    },
    Rule {
        id: "BYOI063",
        name: "unknown-program",
        title: "The command ends in the editor's server as far as can be seen",
        level: Level::Should,
        why: "byoi cannot look into the program, and so says nothing of address, port, base path and token; `byoi run` shows whether it works",
        dockerfile: "start sagemaker-code-editor by its name or by a shell script",
        description: "cannot be broken unless the base's own script does it",
        source: COMMAND,
        check: Check::Files(unknown_program),
    },
    Rule {
        id: "BYOI064",
        name: "program-missing",
        title: "Every program of the start command is there, on the PATH that it is looked for",
        level: Level::Must,
        why: "The app ends at once with `not found` (`node: command not found`, `supervisord: not found`, `exec: no such file or directory`), and Studio says `InternalFailure`",
        dockerfile: "install the program, or put its directory on PATH: `ENV PATH=/opt/conda/bin:$PATH`; nothing activates a conda environment by itself",
        description: "`[env] PATH = \"/opt/conda/bin:$PATH\"`, or a conda package or [[file]] that brings the program",
        source: "conda-forge/sagemaker-code-editor-feedstock (the launcher runs `node` from the PATH); sagemaker-distribution, entrypoint-code-editor",
        check: Check::Files(program_missing),
    },
    Rule {
        id: "BYOI065",
        name: "program-not-executable",
        title: "Every program of the start command can be started by user 1000",
        level: Level::Must,
        why: "The app ends at once with `permission denied`, and Studio says `InternalFailure`",
        dockerfile: "`COPY --chmod=0755 …`, and directories that others may enter",
        description: "`mode = \"0755\"` of the [[file]]",
        source: "AWS documentation, Custom image specifications (UID, GID): the app runs as 1000:100",
        check: Check::Files(program_refused),
    },
    Rule {
        id: "BYOI074",
        name: "unseen-extensions",
        title: "The editor looks for extensions where the image has them",
        level: Level::Should,
        why: "Extensions of the image stay invisible: the server reads the directory on the space's volume, and nothing links the image's extensions there",
        dockerfile: "start through `entrypoint-code-editor` of sagemaker-distribution, or with `--extensions-dir /opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions`, which then holds users' own extensions too and loses them with the app",
        description: "cannot be broken: byoi's entrypoint links them at every start",
        source: "aws/sagemaker-distribution, start-code-editor; aws/code-editor, sagemaker-extensions-sync",
        check: Check::Files(unseen_extensions),
    },
    Rule {
        id: "BYOI075",
        name: "mamba-user",
        title: "MAMBA_USER is the user for whom micromamba's entrypoint was built",
        level: Level::Must,
        why: "The app ends at once: `ERROR: This micromamba-docker image was built with 'ARG MAMBA_USER=…'`",
        dockerfile: "write the name into /etc/arg_mamba_user too: `RUN echo \"$MAMBA_USER\" > /etc/arg_mamba_user`, or leave MAMBA_USER alone",
        description: "leave MAMBA_USER out of `[env]`",
        source: "mamba-org/micromamba-docker, _entrypoint.sh",
        check: Check::Files(mamba_user),
    },
    Rule {
        id: "BYOI076",
        name: "api-limits",
        title: "Entrypoint and command fit into an AppImageConfig",
        level: Level::Should,
        why: "Studio's AppImageConfig, with which AWS recommends to configure the start, cannot repeat them: it holds one word of 256 characters and 50 arguments of 64",
        dockerfile: "put the command into a script of the image, and make its path the entrypoint",
        description: "shorten `editor.arguments`",
        source: "SageMaker API, ContainerConfig (ContainerEntrypoint, ContainerArguments)",
        check: Check::Documents(api_limits),
    },
    Rule {
        id: "BYOI077",
        name: "foreign-entrypoint",
        title: "No entrypoint of the base swallows the command",
        level: Level::Must,
        why: "The command alone would start the editor, but the inherited entrypoint does not hand over to it, and Studio says `InternalFailure` after fifteen minutes",
        dockerfile: "`ENTRYPOINT []` before CMD",
        description: "cannot be broken: byoi writes its own entrypoint",
        source: "users' reports with NVIDIA's and other bases; OCI image specification, config (Entrypoint, Cmd)",
        check: Check::Files(foreign_entrypoint),
    },
    Rule {
        id: "BYOI078",
        name: "supervisor",
        title: "Where supervisord starts the editor, its log and run directories are there and writable",
        level: Level::Must,
        why: "supervisord ends at once with `Format string … contains names which cannot be expanded` or `cannot be written`, and Studio says `InternalFailure`",
        dockerfile: "`ENV STUDIO_LOGGING_DIR=/var/log/studio/`, and `/var/log/studio` and `/var/run/supervisord` owned by 1000:100",
        description: "leave STUDIO_LOGGING_DIR of the base as it is",
        source: "aws/sagemaker-distribution, entrypoint-code-editor and supervisord-common.conf",
        check: Check::Files(supervisor),
    },
];

fn command(evidence: &Evidence) -> Vec<Found> {
    match evidence.config.command().is_empty() {
        true => vec![Found::at_config("Cmd", "the image has neither Entrypoint nor Cmd")],
        false => Vec::new(),
    }
}

/// The key of the config that holds the command.
fn key(evidence: &Evidence) -> &'static str {
    if evidence.config.entrypoint.is_empty() { "Cmd" } else { "Entrypoint" }
}

/// How the command gets to its end.
fn way(hops: &[Hop]) -> String {
    hops.iter().map(|hop| hop.word.as_str()).collect::<Vec<_>>().join(" → ")
}

/// Whether another rule says that the entrypoint is to blame.
fn is_swallowed(files: &Files) -> bool {
    matches!(files.start.end, End::Shell(_) | End::Script(_)) && files.command_alone.as_ref().is_some_and(|start| start.server().is_some())
}

fn ends_in_shell(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let End::Shell(_) = &files.start.end else { return Vec::new() };
    if is_swallowed(files) {
        return Vec::new();
    }
    let own = files.programs().find(PLATFORM_ENTRYPOINT, &evidence.config.path(), "/");
    let hint = if matches!(own, Lookup::Found(_)) { "; the image has entrypoint-code-editor, but does not name it" } else { "" };
    vec![Found::at_config(key(evidence), format!("it ends in a shell: {}{hint}", way(&files.start.hops)))]
}

fn starts_no_server(evidence: &Evidence, files: &Files) -> Vec<Found> {
    match &files.start.end {
        End::Script(script) if !is_swallowed(files) => {
            let by = way(&files.start.hops);
            let what = if script.starts_with("config.") { "the command".to_owned() } else { script.clone() };
            vec![Found::at_config(key(evidence), format!("{what} starts no editor: {by}"))]
        }
        _ => Vec::new(),
    }
}

fn unknown_program(evidence: &Evidence, files: &Files) -> Vec<Found> {
    match &files.start.end {
        End::Opaque(word) if !is_swallowed(files) => {
            let named = if word.is_empty() { "a word that only a running shell knows".to_owned() } else { format!("`{word}`") };
            vec![Found::at_config(key(evidence), format!("it ends in {named}: {}", way(&files.start.hops)))]
        }
        _ => Vec::new(),
    }
}

fn program_missing(_: &Evidence, files: &Files) -> Vec<Found> {
    let missing = files.start.hops.iter().filter(|hop| hop.lookup == Lookup::Absent);
    missing
        .map(|hop| {
            let place = if hop.word.contains('/') { String::new() } else { format!(" in {}", hop.path.join(":")) };
            let what = format!("there is no `{}`{place}", hop.word);
            match hop.by.strip_prefix("config.") {
                Some(key) => Found::at_config(key, what),
                None => Found::at_path(&ImagePath::parse(&hop.by).unwrap_or_default(), format!("it starts `{}`, but {what}", hop.word)),
            }
        })
        .collect()
}

fn program_refused(_: &Evidence, files: &Files) -> Vec<Found> {
    let hops = files.start.hops.iter();
    hops.filter_map(|hop| match &hop.lookup {
        Lookup::Refused(path, why) => Some(Found::at_path(path, format!("it {why}; {} starts it", hop.by))),
        _ => None,
    })
    .collect()
}

fn unseen_extensions(_: &Evidence, files: &Files) -> Vec<Found> {
    let Some(server) = files.start.server() else { return Vec::new() };
    let extensions = ImagePath::literal(IMAGE_EXTENSIONS);
    let count = files.index.below(&extensions).filter(|(path, _)| path.name() == b"package.json" && is_two_below(path, &extensions)).count();
    let real = |directory: &str| ImagePath::parse(absolute(directory, "/")).ok().and_then(|path| files.index.resolve(&path));
    let sees = |value: &Value, wanted: &str| match value {
        Value::Text(directory) => real(directory) == real(wanted),
        Value::Computed => true,
        Value::Absent => false,
    };
    let own = server.value("extensions-dir");
    let is_seen = sees(&own, IMAGE_EXTENSIONS) || (own == Value::Absent && sees(&server.value("server-data-dir"), IMAGE_SERVER_DATA));
    if count == 0 || is_seen || files.extensions.are_linked {
        return Vec::new();
    }
    let looked_at = match own {
        Value::Text(directory) => directory,
        _ => match server.value("server-data-dir") {
            Value::Text(directory) => format!("{directory}/extensions"),
            _ => "a directory in the user's home".to_owned(),
        },
    };
    vec![Found::at_path(&extensions, format!("the image has {count} extensions there, the editor looks in {looked_at}"))]
}

fn is_two_below(path: &ImagePath, above: &ImagePath) -> bool {
    path.parent().and_then(|parent| parent.parent()).as_ref() == Some(above)
}

fn mamba_user(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let is_used = files.start.hops.iter().any(|hop| hop.word.rsplit('/').next() == Some("_entrypoint.sh"));
    let path = ImagePath::literal("/etc/arg_mamba_user");
    let Some(built) = files.index.content(&path).filter(|_| is_used) else { return Vec::new() };
    let built = String::from_utf8_lossy(built).trim().to_owned();
    let set = evidence.config.variable("MAMBA_USER").unwrap_or_default();
    if built == set {
        return Vec::new();
    }
    vec![Found::at_path(&path, format!("it says `{built}`, the variable MAMBA_USER says `{set}`"))]
}

fn api_limits(evidence: &Evidence) -> Vec<Found> {
    let config = &evidence.config;
    let mut found = Vec::new();
    if config.entrypoint.len() > limits::ENTRYPOINT_WORDS {
        found.push(Found::at_config("Entrypoint", format!("it has {} words", config.entrypoint.len())));
    }
    if let Some(word) = config.entrypoint.iter().find(|word| word.chars().count() > limits::ENTRYPOINT_LENGTH) {
        found.push(Found::at_config("Entrypoint", format!("a word of it has {} characters", word.chars().count())));
    }
    // Without an entrypoint the first word of the command becomes it.
    let arguments = if config.entrypoint.is_empty() { config.cmd.get(1..).unwrap_or_default() } else { config.cmd.as_slice() };
    if arguments.len() > limits::ARGUMENTS {
        found.push(Found::at_config("Cmd", format!("it has {} arguments", arguments.len())));
    }
    if let Some(word) = arguments.iter().find(|word| word.chars().count() > limits::ARGUMENT_LENGTH) {
        let shown: String = word.chars().take(40).collect();
        found.push(Found::at_config("Cmd", format!("the argument `{shown}…` has {} characters", word.chars().count())));
    }
    found
}

fn foreign_entrypoint(evidence: &Evidence, files: &Files) -> Vec<Found> {
    if !is_swallowed(files) {
        return Vec::new();
    }
    let entrypoint = evidence.config.entrypoint.join(" ");
    vec![Found::at_config("Entrypoint", format!("`{entrypoint}` does not hand over to the command, which would start the editor"))]
}

fn supervisor(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let is_used = files.start.hops.iter().any(|hop| hop.word.rsplit('/').next() == Some("supervisord"));
    if !is_used {
        return Vec::new();
    }
    let mut found = Vec::new();
    let is_writable = |path: &str| {
        let entry = ImagePath::parse(path).ok().and_then(|path| files.index.find(&path));
        matches!(entry, Some((_, Entry { attributes, node: Node::Directory })) if may(attributes, 3))
    };
    match evidence.config.variable("STUDIO_LOGGING_DIR") {
        None | Some("") => found.push(Found::at_config("Env", "STUDIO_LOGGING_DIR is not set, and supervisord's configuration asks for it")),
        Some(directory) if !is_writable(directory) => {
            found.push(Found::at_config("Env", format!("STUDIO_LOGGING_DIR is {directory}, which is no directory in which user 1000 can write")));
        }
        Some(_) => {}
    }
    if !is_writable("/var/run/supervisord") {
        let path = ImagePath::literal("/var/run/supervisord");
        found.push(Found::at_path(&path, "it is no directory in which user 1000 can write"));
    }
    found
}
