//! The image is a function of lock and local files: folder, umask, time zone, locale, threads and machine do not reach its bytes.

use std::fs;

use crate::support::base::{registry_with_base, set_mode, write_project};
use crate::support::byoi::{Run, Workplace};

#[test]
fn surroundings_do_not_reach_the_bytes() {
    let registry = registry_with_base(3);
    let base = format!("{}/base:1", registry.host());
    let build = |umask: &str, variables: &[(&str, &str)], threads: &str, private: bool| {
        let place = Workplace::new();
        write_project(&place, &base);
        if private {
            for (name, mode) in [("tools", 0o700), ("tools/run", 0o700), ("tools/data/numbers", 0o600), ("hello.vsix", 0o400)] {
                set_mode(&place.path(name), mode);
            }
            let old = fs::File::open(place.path("tools/run")).unwrap();
            old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400)).unwrap();
        }
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut command = place.through(&["sh", "-c", &script], &["build", "--threads", threads, "oci:image"]);
        let run = Run::of(command.envs(variables.iter().copied())).ok();
        (run.out, fs::read(place.path("byoi.lock")).unwrap())
    };
    let plain = build("022", &[], "1", false);
    let other = build("077", &[("TZ", "Asia/Kathmandu"), ("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8")], "5", true);
    assert_eq!(plain, other);
}

#[test]
fn the_description_reaches_the_bytes_and_the_lock_does_not_move_by_itself() {
    let registry = registry_with_base(2);
    let place = Workplace::new();
    write_project(&place, &format!("{}/base:1", registry.host()));
    let first = place.byoi(&["build"]).ok();
    let lock = fs::read(place.path("byoi.lock")).unwrap();
    // The tag has another image by now: the lock still says which one is meant.
    registry.put_image("base", "1", &crate::support::base::editor_base(5));
    place.forget();
    assert_eq!(place.byoi(&["build", "oci:image"]).ok().out, first.out);
    assert_eq!(fs::read(place.path("byoi.lock")).unwrap(), lock);
    place.byoi(&["lock", "--update", "base"]).ok();
    assert_ne!(place.byoi(&["build"]).ok().out, first.out);
}

#[test]
fn files_that_lie_elsewhere_or_are_named_otherwise_make_the_same_image() {
    let registry = registry_with_base(2);
    let base = format!("{}/base:1", registry.host());
    let (here, there) = (Workplace::new(), Workplace::new());
    write_project(&here, &base);
    write_project(&there, &base);
    fs::create_dir(there.path("deep")).unwrap();
    for name in ["byoi.toml", "hello.vsix", "tools"] {
        fs::rename(there.path(name), there.path("deep").join(if name == "byoi.toml" { "other.toml" } else { name })).unwrap();
    }
    let plain = here.byoi(&["build"]).ok();
    assert_eq!(there.byoi(&["build", "-f", "deep/other.toml"]).ok().out, plain.out);
    assert!(there.path("deep/other.lock").is_file());
}
