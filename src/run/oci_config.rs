//! The `config.json` of an OCI bundle (OCI runtime specification): the container that docker would make of an image and a space.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::space::{self, HIDDEN_DIRECTORIES, ImageConfig, METADATA_DIRECTORY, Space};
use crate::contract;

/// What a program gets where the image says nothing. Source: docker.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The container's name for itself.
const HOSTNAME: &str = "byoi-run";
/// What root in the container, by `sudo`, may do. Source: docker's default.
const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
/// What of the kernel's tables nobody sees. Source: docker's default.
const MASKED: &[&str] =
    &["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/scsi", "/proc/timer_list", "/sys/firmware"];
/// What of them nobody changes. Source: docker's default.
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Text of the container's `/etc/hosts`.
pub fn hosts() -> String {
    format!("127.0.0.1 localhost\n127.0.1.1 {HOSTNAME}\n")
}

/// What of this machine lies in the container.
pub struct Places<'a> {
    /// The home.
    pub home: &'a str,
    /// The directory with the metadata file.
    pub metadata: &'a str,
    /// The file with [`hosts`].
    pub hosts: &'a str,
}

/// The document. The root file system is `rootfs` beside it.
pub fn document(image: &ImageConfig, space: &Space, places: &Places<'_>) -> Value {
    let (uid, gid) = space::owner();
    let cwd = if image.working_directory.starts_with('/') { &image.working_directory } else { "/" };
    let namespaces: Vec<Value> = ["pid", "ipc", "uts", "mount", "network"].iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": "1.0.2",
        "hostname": HOSTNAME,
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": uid, "gid": gid},
            "args": space.command(image),
            "env": variables(image, space),
            "cwd": cwd,
            "capabilities": {"bounding": CAPABILITIES},
        },
        "mounts": mounts(places),
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
        },
    })
}

/// The image's, the space's over them.
fn variables(image: &ImageConfig, space: &Space) -> Vec<String> {
    let own = image.variables.iter().filter_map(|variable| variable.split_once('='));
    let defaults = [("PATH", PATH), ("HOSTNAME", HOSTNAME)];
    let given = space.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all: BTreeMap<&str, &str> = defaults.into_iter().chain(own).chain(given).collect();
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn mounts(places: &Places<'_>) -> Vec<Value> {
    let mount =
        |target: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": source, "options": options});
    let bind = |target: &str, source: &str, options: &[&str]| mount(target, "bind", source, &[&["rbind"], options].concat());
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        bind("/etc/hosts", places.hosts, &["ro"]),
    ];
    mounts.extend(HIDDEN_DIRECTORIES.iter().map(|directory| mount(directory, "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec"])));
    mounts.push(bind(METADATA_DIRECTORY, places.metadata, &["ro"]));
    mounts.push(bind(contract::HOME, places.home, &["rw"]));
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_what_docker_would_do() {
        let image = ImageConfig {
            entrypoint: vec!["/entry".to_owned()],
            command: vec!["serve".to_owned()],
            variables: ["A=1", "AWS_REGION=mars", "ODD"].map(str::to_owned).into(),
            working_directory: "relative".to_owned(),
        };
        let space = Space { variables: [("AWS_REGION".to_owned(), "eu-west-1".to_owned())].into(), ..Space::default() };
        let document = document(&image, &space, &Places { home: "/h", metadata: "/m", hosts: "/x" });
        let process = &document["process"];
        assert_eq!(process["args"], json!(["/entry", "serve"]));
        assert_eq!(process["env"], json!(["A=1", "AWS_REGION=eu-west-1", "HOSTNAME=byoi-run", format!("PATH={PATH}")]));
        assert_eq!((&process["user"], &process["cwd"]), (&json!({"uid": 1000, "gid": 100}), &json!("/")));
        let targets: Vec<_> = document["mounts"].as_array().unwrap().iter().map(|mount| mount["destination"].as_str().unwrap()).collect();
        assert!(targets.ends_with(&["/opt/ml", "/opt/.sagemakerinternal", "/opt/ml/metadata", "/home/sagemaker-user"]), "{targets:?}");
    }
}
