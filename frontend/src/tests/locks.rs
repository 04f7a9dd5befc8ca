//! Builds without a current lock.

use byoi::digest::Digest;

use super::fake::{self, Built, build};
use super::{DESCRIPTION, OPTIONS, daemon, lock, with};
use crate::messages::{Solve, Warn};

#[test]
fn without_a_lock_one_step_with_network_makes_one() {
    let mut fake = daemon();
    fake.files.remove("byoi.lock");
    fake.made_lock = Some(lock().to_toml());
    fake.more = vec!["gateway.warnings"];
    let built = build(&fake, &OPTIONS);
    built.result();
    let locking = built.of::<Solve>("Solve").into_iter().flat_map(|solve| fake::operations(&solve.definition.unwrap()));
    let locking: Vec<_> = locking.filter(|(name, op)| op.exec.is_some() && name.starts_with("lock ")).collect();
    let [(name, op)] = locking.as_slice() else { panic!("{locking:?}") };
    assert!(name.contains("not pinned"));
    let exec = op.exec.as_ref().unwrap();
    assert_eq!(exec.network, 0);
    assert!(exec.mounts.0.iter().filter_map(|mount| mount.secret.as_ref()).any(|secret| secret.id == "byoi-docker-config" && secret.optional));
    let warnings = built.of::<Warn>("Warn");
    assert!(warnings.iter().any(|warning| String::from_utf8_lossy(&warning.short).contains("this build is not pinned")));

    let host = build(&fake, &with(&[("force-network-mode", "host"), ("target", "lock")]));
    let made = host.operations().into_iter().find_map(|(_, op)| op.file).unwrap();
    assert_eq!(made.actions.0[0].mkfile.as_ref().unwrap().data, lock().to_toml().into_bytes());
    let networks = host.of::<Solve>("Solve").into_iter().flat_map(|solve| fake::operations(&solve.definition.unwrap()));
    assert_eq!(networks.filter_map(|(_, op)| op.exec).map(|exec| exec.network).collect::<Vec<_>>(), [1]);
}

/// Why no lock could be made is this build's error, with its line; what an earlier build came to is tried again.
#[test]
fn a_lock_that_cannot_be_made_is_an_error_at_its_line() {
    let mut fake = daemon();
    fake.files.remove("byoi.lock");
    let source = std::sync::Arc::new(byoi::error::Source { name: "byoi.toml".to_owned(), text: DESCRIPTION.to_owned() });
    let at = DESCRIPTION.find("url =").unwrap();
    let problem = byoi::error::Problem::new("there is no such file").at(&source, at..at + 5).help("look again");
    let failure = crate::failure::Failure::of(&byoi::error::Error::input(problem), "byoi.toml").to_bytes();
    let attempts = |built: &Built| {
        let graphs = built.of::<Solve>("Solve").into_iter().map(|solve| solve.definition.unwrap());
        let locks = graphs.flat_map(|definition| {
            let named = fake::operations(&definition).into_iter().zip(definition.def.0);
            named
                .filter(|((name, _), _)| name.starts_with("lock "))
                .map(|(_, bytes)| definition.metadata[&Digest::of(bytes).to_string()].ignore_cache)
                .collect::<Vec<_>>()
        });
        locks.collect::<Vec<_>>()
    };
    // It is from before this build began, since it was made just now.
    fake.lock_failure = Some(failure.clone());
    std::thread::sleep(std::time::Duration::from_millis(2));
    let built = build(&fake, &OPTIONS);
    assert_eq!(built.error().message, "byoi.toml:6: there is no such file; look again");
    assert_eq!(attempts(&built), [false, true]);
    let later = String::from_utf8(failure).unwrap();
    let (before, after) = later.split_once("\"at\":").unwrap();
    let rest = &after[after.find(|c: char| !c.is_ascii_digit()).unwrap()..];
    fake.lock_failure = Some(format!("{before}\"at\":99999999999999{rest}").into_bytes());
    let built = build(&fake, &OPTIONS);
    assert_eq!(built.error().message, "byoi.toml:6: there is no such file; look again");
    assert_eq!(attempts(&built), [false]);
}

#[test]
fn a_lock_may_be_demanded() {
    let mut fake = daemon();
    let text = DESCRIPTION.replace("hello.vsix", "other.vsix");
    fake.files.insert("byoi.toml".to_owned(), text.into_bytes());
    let locked = with(&[("build-arg:BYOI_LOCKED", "1")]);
    assert!(build(&fake, &locked).error().message.contains("byoi.lock is stale, and BYOI_LOCKED=1 forbids"));
    fake.files.remove("byoi.lock");
    assert!(build(&fake, &locked).error().message.contains("byoi.lock is not there"));
}
