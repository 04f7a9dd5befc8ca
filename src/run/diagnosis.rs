//! What a failure means and how it is repaired: the failures that users report, recognised by what a container shows of them.
//! Source of each: the list of failures in docs/run.md.

use super::listeners::Listeners;
use crate::contract;

/// The kind of a failure, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The program is made for another processor.
    ExecFormat,
    /// The program is not in the image, or not at this place.
    NoProgram,
    /// The program is there and may not be run.
    NotExecutable,
    /// The first process is a shell, which ends where nobody types.
    Shell,
    /// The editor's launcher finds no node.
    MissingNode,
    /// There is no editor.
    MissingEditor,
    /// A directory that the server writes to belongs to somebody else.
    UnwritableHome,
    /// A micromamba image was told of another user than it was built for.
    MambaUser,
    /// The first process ended, for another reason.
    Ended,
    /// The server listens where the container alone reaches it.
    LocalhostBind,
    /// A server listens on another port.
    OtherPort,
    /// Nobody listens.
    NoListener,
    /// The server wants a connection token.
    TokenOn,
    /// The server serves another path than Studio's proxy asks for.
    WrongBasePath,
    /// An answer is not the one that the editor gives.
    WrongAnswer,
    /// Extensions of the image are not among those that the editor has.
    ExtensionsMissing,
    /// What worked on an empty home does not work on the home that it left.
    SecondStart,
}

impl Cause {
    /// The ids of those rules of `byoi verify` that an image with this failure breaks, one of them at least; none where no image shows it.
    pub fn rules(self) -> &'static [&'static str] {
        match self {
            Cause::ExecFormat => &["BYOI001", "BYOI002"],
            Cause::NoProgram => &["BYOI060", "BYOI064", "BYOI026"],
            Cause::NotExecutable => &["BYOI065"],
            Cause::Shell => &["BYOI061"],
            Cause::MissingNode | Cause::MissingEditor => &["BYOI064"],
            Cause::UnwritableHome => &["BYOI020", "BYOI022", "BYOI073"],
            Cause::MambaUser => &["BYOI075"],
            Cause::LocalhostBind => &["BYOI066"],
            Cause::OtherPort => &["BYOI067"],
            Cause::TokenOn => &["BYOI068"],
            Cause::WrongBasePath => &["BYOI069"],
            Cause::ExtensionsMissing => &["BYOI074", "BYOI080", "BYOI082", "BYOI085", "BYOI086", "BYOI087", "BYOI088", "BYOI089", "BYOI090"],
            Cause::Ended | Cause::NoListener | Cause::WrongAnswer | Cause::SecondStart => &[],
        }
    }
}

/// A failure, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its kind.
    pub cause: Cause,
    /// What is wrong, one sentence without a full stop.
    pub what: String,
    /// How to repair it.
    pub fix: String,
}

impl Diagnosis {
    /// A failure of this kind.
    pub fn new(cause: Cause, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Diagnosis { cause, what: what.into(), fix: fix.into() }
    }
}

/// Words of runtimes for a program that they cannot start, and what each means.
const REFUSALS: &[(&str, Cause)] = &[
    ("exec format error", Cause::ExecFormat),
    ("executable file not found", Cause::NoProgram),
    ("executable file `", Cause::NoProgram),
    ("no such file or directory", Cause::NoProgram),
    ("no command specified", Cause::NoProgram),
    ("permission denied", Cause::NotExecutable),
    ("is a directory", Cause::NotExecutable),
    ("not a directory", Cause::NoProgram),
];

/// Words that stand before a refusal where it is the image's program that was refused, and not, say, a mount.
const EXECUTING: &[&str] = &["exec:", "exec ", "executable file", "no command specified"];

/// Whether a runtime's message says that it could not start the image's program.
pub fn is_refusal(message: &str) -> bool {
    refusal(message).is_some()
}

fn refusal(message: &str) -> Option<Cause> {
    let message = message.to_lowercase();
    if !EXECUTING.iter().any(|word| message.contains(word)) {
        return None;
    }
    REFUSALS.iter().find(|(words, _)| message.contains(words)).map(|(_, cause)| *cause)
}

/// A program that the runtime could not start.
pub fn of_refusal(message: &str, command: &[String]) -> Diagnosis {
    let program = command.first().map_or("nothing", String::as_str);
    match refusal(message) {
        Some(Cause::ExecFormat) => exec_format(program),
        Some(Cause::NotExecutable) => Diagnosis::new(
            Cause::NotExecutable,
            format!("user 1000 may not run `{program}`, with which the image starts"),
            "give the file and all directories above it the right for everybody (`chmod a+rx`)",
        ),
        _ if command.is_empty() => Diagnosis::new(
            Cause::NoProgram,
            "the image says neither ENTRYPOINT nor CMD, so nothing can be started",
            "set an entrypoint that starts the editor, or name one in the AppImageConfig's `ContainerEntrypoint`",
        ),
        _ => Diagnosis::new(
            Cause::NoProgram,
            format!("`{program}`, with which the image starts, cannot be run: it, or the interpreter in its first line, is not there"),
            format!("install it on the image's PATH, and not below {}, which the space's volume hides", contract::HOME),
        ),
    }
}

fn exec_format(program: &str) -> Diagnosis {
    Diagnosis::new(
        Cause::ExecFormat,
        format!("`{program}` is made for another processor (exec format error): Studio runs {}/{}", contract::OS, contract::ARCHITECTURE),
        "build for linux/amd64 (`docker build --platform linux/amd64`), with programs of that architecture",
    )
}

/// Programs that read commands and end where there are none.
const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "ash", "ksh", "python", "python3", "node"];

/// A first process that ended before anybody listened.
pub fn of_end(code: i64, log: &str, command: &[String]) -> Diagnosis {
    if let Some(diagnosis) = of_log(log) {
        return diagnosis;
    }
    let last = command.last().map_or("", String::as_str);
    let shown = command.join(" ");
    if SHELLS.contains(&last.rsplit('/').next().unwrap_or(last)) && code == 0 {
        return Diagnosis::new(
            Cause::Shell,
            format!(
                "the container ended at once: its command is `{shown}`, a shell, which ends where nobody types; in Studio the app would end in InternalFailure after some 15 minutes"
            ),
            format!(
                "start the editor: `ENTRYPOINT [\"{}\"]` where the base has that script, else the server's command",
                contract::PLATFORM_ENTRYPOINT
            ),
        );
    }
    let said = last_lines(log, 3);
    let said = if said.is_empty() { ", which said nothing".to_owned() } else { format!("; the last that it said: {said}") };
    Diagnosis::new(
        Cause::Ended,
        format!("the container ended with exit code {code} before anybody listened: `{shown}`{said}"),
        "run it by hand and read its log: the first process must be the editor's server, in the foreground",
    )
}

/// A failure of which the log itself tells.
fn of_log(log: &str) -> Option<Diagnosis> {
    let line_with = |words: &[&str]| log.lines().rev().find(|line| words.iter().any(|word| line.contains(word)));
    if let Some(line) = line_with(&["xec format error", "cannot execute binary file"]) {
        return Some(exec_format(line.trim()));
    }
    if line_with(&["This micromamba-docker image was built with 'ARG MAMBA_USER="]).is_some() {
        return Some(Diagnosis::new(
            Cause::MambaUser,
            "micromamba's entrypoint refuses the user: the variable MAMBA_USER is not what /etc/arg_mamba_user says",
            "set MAMBA_USER back, or write the user's name to /etc/arg_mamba_user as sagemaker-distribution does",
        ));
    }
    if let Some(line) = line_with(&["node: command not found", "node: not found", "node: No such file", "‘node’: No such file", "exec: node:"]) {
        return Some(Diagnosis::new(
            Cause::MissingNode,
            format!("the editor's launcher finds no node: `{}`", line.trim()),
            "install nodejs and have its directory on the image's PATH (ENV PATH), since nothing activates an environment before the launcher runs",
        ));
    }
    let launcher = contract::LAUNCHER;
    let absent = [format!("{launcher}: command not found"), format!("{launcher}: not found"), format!("there is no {launcher} on the PATH")];
    if let Some(line) = line_with(&absent.each_ref().map(String::as_str)) {
        return Some(Diagnosis::new(
            Cause::MissingEditor,
            format!("there is no editor: `{}`", line.trim()),
            format!("install {launcher} (conda-forge has it) and have its directory on the image's PATH"),
        ));
    }
    line_with(&["EACCES: permission denied", "EROFS: read-only", "Permission denied"]).map(unwritable)
}

/// A place that the server may not write to, or what it says of one.
pub fn unwritable(line: &str) -> Diagnosis {
    Diagnosis::new(
        Cause::UnwritableHome,
        format!("user 1000:100 may not write where the image wants to: `{}`", line.trim()),
        format!(
            "HOME must be {home}, and the server's data must lie there (`--server-data-dir {data}`); a volume that somebody else wrote must be given to 1000:100",
            home = contract::HOME,
            data = contract::SERVER_DATA
        ),
    )
}

/// A container that runs, and nobody reaches the editor in it.
pub fn of_silence(listeners: Option<&Listeners>, log: &str) -> Diagnosis {
    let port = contract::SERVER_PORT;
    if let Some(address) = listeners.and_then(Listeners::on_loopback) {
        return Diagnosis::new(
            Cause::LocalhostBind,
            format!("the server listens on {address}, which the container alone reaches: Studio would wait for it in vain"),
            format!("start the server with `--host {}`: its default is localhost", contract::SERVER_HOST),
        );
    }
    if let Some(diagnosis) = of_log(log) {
        return diagnosis;
    }
    match listeners {
        Some(listeners) if !listeners.is_empty() => Diagnosis::new(
            Cause::OtherPort,
            format!("nobody listens on port {port}; there are listeners on {listeners}"),
            format!("start the server with `--host {} --port {port}`: its default is localhost:8000", contract::SERVER_HOST),
        ),
        _ => {
            let said = last_lines(log, 3);
            let said = if said.is_empty() { "its log is empty".to_owned() } else { format!("the last that it said: {said}") };
            Diagnosis::new(
                Cause::NoListener,
                format!("the container runs, and nobody listens in it; {said}"),
                "the first process must start the editor's server; a slow start gets more time with --timeout",
            )
        }
    }
}

/// A server that answers 403 to whoever brings no token, or prints one.
pub fn token_on(seen: &str) -> Diagnosis {
    Diagnosis::new(
        Cause::TokenOn,
        format!("the server wants a connection token, which Studio does not send: {seen}"),
        "start the server with `--without-connection-token`",
    )
}

/// A page that is there without the base path alone.
pub fn wrong_base_path(status: u16, served: Option<&str>) -> Diagnosis {
    let path = contract::BASE_PATH;
    let served = served.map(|served| format!(", and its log says that it serves {served}")).unwrap_or_default();
    Diagnosis::new(
        Cause::WrongBasePath,
        format!("GET {path}, which Studio's proxy asks for, answers {status}{served}"),
        format!("start the server with `--base-path {path}`; upper and lower case count"),
    )
}

/// The last lines of a log as one.
fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn refusals_of_runtimes_are_told_from_their_own_failures() {
        let docker = "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";
        for (message, cause) in [
            (format!("{docker}exec: \"/nowhere\": stat /nowhere: no such file or directory: unknown"), Cause::NoProgram),
            (format!("{docker}exec: \"entry\": executable file not found in $PATH: unknown\nError: failed to start containers: x"), Cause::NoProgram),
            (format!("{docker}exec: \"/etc/motd\": permission denied: unknown"), Cause::NotExecutable),
            (format!("{docker}exec /opt/node: exec format error"), Cause::ExecFormat),
            ("Error response from daemon: No command specified".to_owned(), Cause::NoProgram),
            ("Error: crun: executable file `entry` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found".to_owned(), Cause::NoProgram),
        ] {
            assert!(is_refusal(&message), "{message}");
            assert_eq!(of_refusal(&message, &words("entry")).cause, cause, "{message}");
        }
        for message in [
            "driver failed programming external connectivity: Bind for 127.0.0.1:1 failed: port is already allocated",
            "error mounting \"x\" to rootfs at \"/home\": no such file or directory",
        ] {
            assert!(!is_refusal(message), "{message}");
        }
    }

    #[test]
    fn the_rules_that_causes_name_are_there() {
        for id in [Cause::ExecFormat, Cause::NoProgram, Cause::UnwritableHome, Cause::ExtensionsMissing].iter().flat_map(|cause| cause.rules()) {
            assert!(crate::verify::rules::find(id).is_some(), "{id}");
        }
    }

    #[test]
    fn ends_are_told_by_log_command_and_code() {
        let end = |code: i64, log: &str, command: &str| of_end(code, log, &words(command)).cause;
        assert_eq!(end(0, "", "/usr/local/bin/_entrypoint.sh /bin/bash"), Cause::Shell);
        assert_eq!(end(1, "boom", "/bin/bash"), Cause::Ended);
        assert_eq!(end(127, "/opt/bin/sagemaker-code-editor: line 3: node: command not found", "sagemaker-code-editor"), Cause::MissingNode);
        assert_eq!(end(127, "sh: 1: sagemaker-code-editor: not found", "/bin/sh"), Cause::MissingEditor);
        assert_eq!(end(127, "byoi-entrypoint: there is no sagemaker-code-editor on the PATH (/usr/bin)", "x"), Cause::MissingEditor);
        assert_eq!(end(1, "Error: EACCES: permission denied, mkdir '/root/.x'", "x"), Cause::UnwritableHome);
        assert_eq!(end(126, "/bin/x: cannot execute binary file: Exec format error", "x"), Cause::ExecFormat);
        assert_eq!(end(1, "ERROR: This micromamba-docker image was built with 'ARG MAMBA_USER=mambauser', but", "x"), Cause::MambaUser);
        assert!(of_end(3, "", &words("x")).what.contains("said nothing"));
    }

    #[test]
    fn silence_is_told_by_the_listeners() {
        let row = |local: &str| Listeners::read(&format!("0: {local} 0:0 0A"));
        assert_eq!(of_silence(Some(&row("0100007F:22B8")), "").cause, Cause::LocalhostBind);
        assert_eq!(of_silence(Some(&row("00000000:1F40")), "").cause, Cause::OtherPort);
        assert_eq!(of_silence(Some(&Listeners::default()), "").cause, Cause::NoListener);
        assert_eq!(of_silence(None, "x: EACCES: permission denied, open '/y'").cause, Cause::UnwritableHome);
    }
}
