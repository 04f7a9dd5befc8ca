//! The account's files work where they are read: by shadow's own checkers, by the C library, and by a real sudo with its PAM checks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use byoi::account;
use byoi::description;
use byoi::digest::Digest;
use byoi::error::Error;
use byoi::image_path::ImagePath;
use byoi::inputs::Inputs;
use byoi::layer::Node;
use byoi::lock::{Facts, Text};
use tempfile::TempDir;

const SHADOW: &str = "/etc/shadow";

struct NoInputs;

impl Inputs for NoInputs {
    fn open(&self, _: &Digest) -> Result<fs::File, Error> {
        unreachable!("the account needs no input")
    }
}

/// A base with Debian's own account files and Ubuntu's user in them.
fn base() -> Facts {
    let master = |name: &str| fs::read_to_string(format!("/usr/share/base-passwd/{name}.master")).unwrap();
    let passwd = master("passwd").replace(":*:", ":x:") + "ubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash\n";
    let group = master("group").replace(":*:", ":x:").replace("sudo:x:27:", "sudo:x:27:ubuntu") + "ubuntu:x:1000:\n";
    let names = |text: &str| text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
    let shadow: String = names(&passwd).iter().map(|name| format!("{name}:*:19000:0:99999:7:::\n")).collect();
    let member = |name: &str| if name == "sudo" { "ubuntu" } else { "" };
    let gshadow: String = names(&group).iter().map(|name| format!("{name}:*::{}\n", member(name))).collect();
    let text = |content, mode| Text { mode, owner: (0, 0), content };
    let texts = [
        ("/etc/passwd", text(passwd, 0o644)),
        ("/etc/group", text(group, 0o644)),
        (SHADOW, text(shadow, 0o640)),
        ("/etc/gshadow", text(gshadow, 0o640)),
    ];
    Facts { sudo: true, texts: texts.into_iter().map(|(path, text)| (ImagePath::literal(path), text)).collect(), ..Facts::default() }
}

/// The files of an image on that base, written below a folder with their modes and owners, and the texts by path.
fn image(facts: &Facts, folder: &Path) -> BTreeMap<String, String> {
    let wants_sudo = description::parse("byoi.toml", "schema = 1\nbase = \"debian:12\"\n[account]\nsudo = true\n").unwrap();
    for (path, text) in &facts.texts {
        write(folder, &path.absolute(), &text.content, text.mode, text.owner);
    }
    let mut texts = BTreeMap::new();
    for component in account::components(&wants_sudo, facts).unwrap() {
        for (path, entry) in component.lay(&NoInputs).unwrap() {
            if let Node::File(content) = &entry.node {
                let text = std::io::read_to_string(content.open().unwrap()).unwrap();
                write(folder, &path.absolute(), &text, entry.mode, (entry.uid, entry.gid));
                texts.insert(path.absolute(), text);
            }
        }
    }
    texts
}

fn write(folder: &Path, path: &str, content: &str, mode: u16, (uid, gid): (u32, u32)) {
    let file = folder.join(path.trim_start_matches('/'));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, content).unwrap();
    chown(&file, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(u32::from(mode))).unwrap();
}

/// Runs a command as root, with the image's `/etc/passwd` and the like in place of this machine's, in a mount namespace of its own.
fn in_image(folder: &Path, command: &str) -> Output {
    let script = "set -e; cd \"$1\"
        for file in etc/passwd etc/group etc/shadow etc/gshadow etc/sudoers.d; do mount --bind \"$file\" \"/$file\"; done
        cd /; eval \"$2\"";
    Command::new("unshare").args(["--mount", "sh", "-c", script, "sh"]).arg(folder).arg(command).env("LC_ALL", "C").output().unwrap()
}

/// The same as the account.
fn as_account(folder: &Path, command: &str) -> Output {
    in_image(folder, &format!("exec setpriv --reuid 1000 --regid 100 --clear-groups sh -c '{command}'"))
}

fn out(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn shadows_own_checkers_find_nothing_wrong() {
    let folder = TempDir::new().unwrap();
    image(&base(), folder.path());
    // Quietly pwck leaves out home directories and shells that this machine does not have.
    let checked = in_image(folder.path(), "pwck -r -q && grpck -r -q");
    assert!(checked.status.success() && out(&checked).is_empty(), "{}", out(&checked));
    // The checkers do see what would be wrong.
    write(folder.path(), "/etc/gshadow", "sudo:*::ubuntu\n", 0o640, (0, 0));
    assert!(out(&in_image(folder.path(), "grpck -r -q")).contains("no user ubuntu"));
}

#[test]
fn the_account_becomes_root_where_the_base_has_shadow_passwords() {
    let folder = TempDir::new().unwrap();
    let laid = image(&base(), folder.path());
    assert!(laid.contains_key(SHADOW));
    let whoami = as_account(folder.path(), "id -un; id -gn; getent passwd 1000; sudo -n id -un");
    assert_eq!(out(&whoami), "sagemaker-user\nusers\nsagemaker-user:x:1000:100::/home/sagemaker-user:/bin/bash\nroot\n");
}

#[test]
fn the_account_becomes_root_where_the_base_has_none() {
    let folder = TempDir::new().unwrap();
    let mut facts = base();
    facts.texts.retain(|path, _| !path.absolute().contains("shadow"));
    // Something to bind over this machine's own files: as if there were none, no line is found in them.
    for name in ["shadow", "gshadow"] {
        write(folder.path(), &format!("/etc/{name}"), "", 0o640, (0, 0));
    }
    let laid = image(&facts, folder.path());
    assert!(!laid.contains_key(SHADOW));
    let becomes_root = as_account(folder.path(), "sudo -n id -un");
    assert_eq!(out(&becomes_root), "root\n");
    // With the usual `x` it would not: PAM looks for the line in the shadow file.
    write(folder.path(), "/etc/passwd", &laid["/etc/passwd"].replace("sagemaker-user:*:", "sagemaker-user:x:"), 0o644, (0, 0));
    let refused = as_account(folder.path(), "sudo -n id -un");
    assert!(!refused.status.success() && out(&refused).contains("account validation failure"), "{}", out(&refused));
}

#[test]
fn without_the_sudoers_file_the_account_stays_what_it_is() {
    let folder = TempDir::new().unwrap();
    image(&base(), folder.path());
    fs::remove_file(folder.path().join("etc/sudoers.d/byoi")).unwrap();
    assert!(!as_account(folder.path(), "sudo -n id -un").status.success());
}
