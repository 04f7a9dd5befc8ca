//! The rules of the platform, SageMaker Studio's Code Editor, as data: used to construct images that keep them, and to judge any image.
//!
//! Each rule says where it comes from. "doc" is AWS's documentation, "api" the SageMaker service model, "source" the source of
//! sagemaker-distribution or of the editor.

use crate::image_path::ImagePath;

/// The only platform that Studio's instances run. Source: api, `AppInstanceType` has no Graviton type; sagemaker-distribution publishes amd64 alone.
pub const OS: &str = "linux";
/// See [`OS`].
pub const ARCHITECTURE: &str = "amd64";

/// User id of the app's process. Source: doc "Custom image specifications", UID.
pub const UID: u32 = 1000;
/// Group id of the app's process. Source: doc "Custom image specifications", GID.
pub const GID: u32 = 100;
/// Whether the app's process has this permission (4 read, 2 write, 1 execute or enter) on what has this mode and owner.
pub fn may(mode: u16, (uid, gid): (u32, u32), permission: u16) -> bool {
    let shift = if uid == UID {
        6
    } else if gid == GID {
        3
    } else {
        0
    };
    mode >> shift & permission == permission
}

/// The user's name. Source: sagemaker-distribution's Dockerfile, `NB_USER`.
pub const USER_NAME: &str = "sagemaker-user";
/// The group's name where the base has none for [`GID`]; Debian's and Ubuntu's name for it.
pub const GROUP_NAME: &str = "users";
/// The user's shell.
pub const SHELL: &str = "/bin/bash";
/// The user's home, and the mount point of the space's volume, which hides whatever the image has there. Source: doc "WorkingDirectory".
pub const HOME: &str = "/home/sagemaker-user";
/// Where programs keep temporary files; the editor its sockets and the time of the last activity. Source: aws/code-editor, `/api/idle`.
pub const TEMPORARY: &str = "/tmp";
/// `User` of the image's config: numbers, so that no runtime has to look them up.
pub const CONFIG_USER: &str = "1000:100";
/// Largest uid and gid that a file of any layer may have. Source: api `FileSystemConfig` limits; sagemaker-custom-image samples, DEVELOPMENT.md.
pub const MAX_ID: u32 = 65535;

/// The address on which the editor must listen. Source: doc "Health check".
pub const SERVER_HOST: &str = "0.0.0.0";
/// The port on which the editor must listen. Source: doc "Health check".
pub const SERVER_PORT: u16 = 8888;
/// The path under which Studio's proxy reaches the editor. Source: sagemaker-distribution's `start-code-editor` (lower case).
pub const BASE_PATH: &str = "/codeeditor/default";
/// The other spelling that works; doc's sample uses it.
pub const BASE_PATH_DOCUMENTED: &str = "/CodeEditor/default";
/// Server data on the space's volume: settings and the user's extensions. Source: sagemaker-distribution's `start-code-editor`.
pub const SERVER_DATA: &str = "/home/sagemaker-user/sagemaker-code-editor-server-data";
/// Server data of the image: its settings and extensions. Source: the built-in extension `sagemaker-extensions-sync` reads exactly this place.
pub const IMAGE_SERVER_DATA: &str = "/opt/amazon/sagemaker/sagemaker-code-editor-server-data";
/// The image's extensions. Source: as [`IMAGE_SERVER_DATA`].
pub const IMAGE_EXTENSIONS: &str = "/opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions";

/// The server's launcher, found on the PATH. Source: conda-forge's feedstock of sagemaker-code-editor.
pub const LAUNCHER: &str = "sagemaker-code-editor";
/// Name of the platform's own start script on the PATH. Source: doc, sample 2.
pub const PLATFORM_ENTRYPOINT: &str = "entrypoint-code-editor";
/// Our entrypoint: one word, since an AppImageConfig's `ContainerEntrypoint` holds one. Source: api `ContainerConfig`.
pub const ENTRYPOINT: &str = "/usr/local/bin/byoi-entrypoint";

/// The arguments with which the server must be started, with the base path in its place; each at most 64 characters. Source: doc; api `ContainerArguments`.
pub fn server_command(base_path: &str, more: &[String]) -> Vec<String> {
    let port = SERVER_PORT.to_string();
    let fixed =
        [LAUNCHER, "--host", SERVER_HOST, "--port", &port, "--without-connection-token", "--base-path", base_path, "--server-data-dir", SERVER_DATA];
    fixed.iter().map(|word| (*word).to_owned()).chain(more.iter().cloned()).collect()
}

/// A directory of the image that the platform hides or keeps for itself.
#[derive(Debug, Clone, Copy)]
pub struct ReservedDirectory {
    /// The absolute path.
    pub path: &'static str,
    /// What becomes of files there, as the rest of a sentence that begins with the path.
    pub why: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

/// Directories where an image must not put files.
pub const RESERVED_DIRECTORIES: &[ReservedDirectory] = &[
    // doc "WorkingDirectory"
    ReservedDirectory {
        path: HOME,
        why: "is where the space's volume is mounted: whatever the image has there is hidden",
        instead: "put files that every space needs under /opt or /etc",
    },
    // doc "Metadata directories"
    ReservedDirectory {
        path: "/opt/ml",
        why: "is used by AWS for metadata and mounted over at run time",
        instead: "choose another directory under /opt",
    },
    ReservedDirectory {
        path: "/opt/.sagemakerinternal",
        why: "is used by AWS and mounted over at run time",
        instead: "choose another directory under /opt",
    },
    // doc "Logging"
    ReservedDirectory { path: "/var/log/studio", why: "is reserved for the logs of the app", instead: "choose another directory under /var/log" },
    // kernel file systems of every container runtime
    ReservedDirectory { path: "/proc", why: "is the kernel's: a file system is mounted there", instead: "choose another directory" },
    ReservedDirectory { path: "/sys", why: "is the kernel's: a file system is mounted there", instead: "choose another directory" },
    ReservedDirectory { path: "/dev", why: "is the container runtime's: a file system is mounted there", instead: "choose another directory" },
];

/// The rule that `path` breaks, if it lies in a reserved directory.
pub fn reserved_directory(path: &ImagePath) -> Option<&'static ReservedDirectory> {
    RESERVED_DIRECTORIES.iter().find(|reserved| path.starts_with(&ImagePath::literal(reserved.path)))
}

/// Variables that the platform sets itself: an image's own values are overridden. Source: doc "EnvVariables"; sagemaker-distribution.
pub const RESERVED_VARIABLES: &[&str] = &[
    "AWS_ACCOUNT_ID",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "SAGEMAKER_SPACE_NAME",
    "SAGEMAKER_APP_TYPE",
    "SAGEMAKER_APP_TYPE_LOWERCASE",
];

/// Prefixes of variables that belong to the platform; a variable of this kind that it does not set today is only worth a warning.
pub const PLATFORM_VARIABLE_PREFIXES: &[&str] = &["AWS_", "SAGEMAKER_"];

/// Variables that byoi sets, since the contract fixes them.
pub const CONTRACT_VARIABLES: &[(&str, &str)] = &[("HOME", HOME), ("USER", USER_NAME)];

/// Options of the editor's server that would undo the contract, and what fixes each. Source: doc; the server's option list.
pub const FIXED_ARGUMENTS: &[(&str, &str)] = &[
    ("--host", "Studio finds the server at 0.0.0.0 only"),
    ("--port", "Studio finds the server at port 8888 only"),
    ("--socket-path", "Studio finds the server at 0.0.0.0 port 8888 only"),
    ("--base-path", "it is `editor.base-path`"),
    ("--server-base-path", "it is `editor.base-path`"),
    ("--without-connection-token", "every image has it already"),
    ("--connection-token", "Studio cannot send a token: every page would answer 403"),
    ("--connection-token-file", "Studio cannot send a token: every page would answer 403"),
    ("--server-data-dir", "user data lies on the space's volume, which outlives the app"),
    ("--user-data-dir", "the server ignores it; settings are `[settings]`"),
    ("--extensions-dir", "the user's extensions lie on the space's volume; the image's are linked there at every start"),
    ("--builtin-extensions-dir", "the server overwrites it"),
    ("--install-extension", "the server would install and exit; use [[extension]]"),
    ("--install-builtin-extension", "the server would install and exit; use [[extension]]"),
    ("--uninstall-extension", "the server would uninstall and exit"),
    ("--update-extensions", "the server would update and exit"),
    ("--list-extensions", "the server would print and exit"),
    ("--locate-extension", "the server would print and exit"),
    ("--help", "the server would print and exit"),
    ("-h", "the server would print and exit"),
    ("--version", "the server would print and exit"),
    ("-v", "the server would print and exit"),
    ("--start-server", "every image starts the server already"),
];

/// Limits of the SageMaker API on an AppImageConfig. Source: api `ContainerConfig`.
pub mod limits {
    /// Entries of `ContainerEntrypoint`.
    pub const ENTRYPOINT_WORDS: usize = 1;
    /// Characters of an entry of `ContainerEntrypoint`.
    pub const ENTRYPOINT_LENGTH: usize = 256;
    /// Entries of `ContainerArguments`.
    pub const ARGUMENTS: usize = 50;
    /// Characters of an entry of `ContainerArguments`.
    pub const ARGUMENT_LENGTH: usize = 64;
    /// Entries of `ContainerEnvironmentVariables`.
    pub const VARIABLES: usize = 25;
    /// Characters of a variable's name or value.
    pub const VARIABLE_LENGTH: usize = 256;
    /// Layers of an image that overlay file systems mount; base and ours together. Source: the kernel's overlay mount option limit as docker applies it.
    pub const LAYERS: usize = 127;
}

/// Values of a VSIX's `TargetPlatform` that run on Studio; absent is good too. Source: the editor's list of target platforms.
pub const EXTENSION_PLATFORMS: &[&str] = &["linux-x64", "universal", "undefined"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_command_keeps_the_limits_of_the_api() {
        let command = server_command(BASE_PATH, &[]);
        assert!(command.len() <= limits::ARGUMENTS && command.iter().all(|word| word.len() <= limits::ARGUMENT_LENGTH));
        assert!(ENTRYPOINT.len() <= limits::ENTRYPOINT_LENGTH);
    }

    #[test]
    fn reserved_directories_hold_what_is_below_them_only() {
        assert!(reserved_directory(&ImagePath::literal("/opt/ml/x")).is_some());
        assert!(reserved_directory(&ImagePath::literal("/opt/mlops")).is_none());
    }
}
