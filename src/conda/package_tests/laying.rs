//! One package, laid.

use tar::EntryType;

use super::*;
use crate::conda::testing::TIME;
use crate::plan::MTIME;

const BUILT: &str = "/home/build/_h_env_placehold_placehold_placehold_placehold";

#[test]
fn files_keep_their_time_and_get_modes_by_rule() {
    let specimen = Specimen::new("a")
        .file("bin/tool", 0o4711, "run")
        .file("etc/secret", 0o600, "text")
        .mtime(0)
        .file("lib/é/名.txt", 0o664, "names")
        .file(&format!("lib/{}/x", "d".repeat(150)), 0o444, "long");
    assert_eq!(
        lines(&laid(&specimen).unwrap()),
        [
            format!("bin/tool 755 {TIME} run"),
            "etc/secret 644 0 text".to_owned(),
            format!("lib/{}/x 644 {TIME} long", "d".repeat(150)),
            format!("lib/é/名.txt 644 {TIME} names"),
        ]
    );
}

#[test]
fn prefixes_are_replaced_in_texts_and_binaries() {
    let binary = format!("\x7fELF\0{BUILT}/lib\0end").into_bytes();
    let specimen = Specimen::new("a")
        .patched("bin/tool", 0o755, BUILT, false, format!("#!{BUILT}/bin/python\nprefix = '{BUILT}'\n"))
        .patched("lib/liba.so", 0o644, BUILT, true, binary.clone())
        .file("share/untouched", 0o644, BUILT);
    let laid = laid(&specimen).unwrap();
    assert_eq!(text(&laid[0].1), "#!/opt/conda/bin/python\nprefix = '/opt/conda'\n");
    let patched = bytes(&laid[1].1);
    assert_eq!(patched.len(), binary.len());
    assert!(patched.starts_with(b"\x7fELF\0/opt/conda/lib\0\0") && patched.ends_with(b"\0\0end"));
    assert_eq!(text(&laid[2].1), BUILT);
}

#[test]
fn a_prefix_too_long_for_a_binary_is_an_error() {
    let specimen = Specimen::new("a").patched("lib/liba.so", 0o644, "/short", true, "\0/short/lib\0");
    let error = laid(&specimen).unwrap_err();
    assert!(error.contains("a-1.0-0") && error.contains("`lib/liba.so` cannot get the prefix /opt/conda"), "{error}");
}

#[test]
fn noarch_python_is_mapped_and_gets_its_commands() {
    let specimen = Specimen::new("a")
        .noarch_python()
        .file("site-packages/a/__init__.py", 0o644, "code")
        .file("python-scripts/script", 0o755, "script")
        .file("share/a", 0o644, "data")
        .file("python-scripts/tool", 0o755, "loses against the entry point")
        .entry_point("tool = a.cli:Main.run");
    let laid = laid(&specimen).unwrap();
    let paths: Vec<String> = laid.iter().map(|(path, _)| path.absolute()).collect();
    assert_eq!(
        paths,
        ["/opt/conda/bin/script", "/opt/conda/bin/tool", "/opt/conda/lib/python3.12/site-packages/a/__init__.py", "/opt/conda/share/a"]
    );
    let tool = &laid[1].1;
    assert_eq!((tool.mode, tool.mtime), (0o755, MTIME));
    assert!(text(tool).starts_with("#!/opt/conda/bin/python3.12\n") && text(tool).contains("from a.cli import Main"), "{}", text(tool));
}

#[test]
fn links_stay_links() {
    let specimen = Specimen::new("a")
        .file("bin/b", 0o755, "same")
        .hard_link("bin/a", "bin/b", b"same")
        .symlink("lib/out", "../../../usr/lib/x")
        .symlink("lib/absolute", "/usr/lib")
        .symlink("lib/dangling", "nowhere");
    assert_eq!(
        lines(&laid(&specimen).unwrap()),
        [
            format!("bin/a 755 {TIME} same"),
            "bin/b = opt/conda/bin/a".to_owned(),
            format!("lib/absolute 777 {TIME} -> /usr/lib"),
            format!("lib/dangling 777 {TIME} -> nowhere"),
            format!("lib/out 777 {TIME} -> ../../../usr/lib/x"),
        ]
    );
}

#[test]
fn a_hard_link_becomes_a_file_where_it_cannot_stay_one() {
    let mut specimen =
        Specimen::new("a").file("a", 0o644, "same").hard_link("b", "a", b"same").hard_link("c", "a", b"same").hard_link("d", "a", b"same");
    // Another content than `b` has, once its prefix is replaced.
    specimen.paths[2]["prefix_placeholder"] = serde_json::json!("sam");
    specimen.paths[2]["file_mode"] = serde_json::json!("text");
    specimen.paths[3]["no_link"] = serde_json::json!(true);
    let bytes = specimen.to_conda();
    let mut locked = specimen.locked(&bytes, "conda", None);
    locked.clobbered = vec!["a".to_owned()];
    locked.laid_size -= 1024;
    let file = |path: &str, text: &str| format!("{path} 644 {TIME} {text}");
    assert_eq!(lines(&lay(&locked, &bytes).unwrap()), [file("b", "same"), file("c", "/opt/condae"), file("d", "same")]);
}

#[test]
fn empty_directories_are_laid_and_members_nobody_lists_are_not() {
    let specimen =
        Specimen::new("a").directory("var/empty").member("var/", EntryType::Directory, 0o700, "", "").member("x", EntryType::Regular, 0o644, "", "x");
    assert_eq!(lines(&laid(&specimen).unwrap()), [format!("var/empty 755 {MTIME} directory")]);
}

#[test]
fn packages_of_before_2017_are_laid() {
    let mut specimen = Specimen::new("a")
        .patched("bin/tool", 0o755, BUILT, false, format!("#!{BUILT}/bin/python\n"))
        .file("share/text", 0o644, "text")
        .symlink("bin/link", "tool");
    specimen.is_old = true;
    assert_eq!(
        lines(&laid(&specimen).unwrap()),
        [format!("bin/link 777 {TIME} -> tool"), format!("bin/tool 755 {TIME} #!/opt/conda/bin/python\n"), format!("share/text 644 {TIME} text")]
    );
    assert!(crate::conda::PackageInfo::from_info_tar(&specimen.info_tar()[..]).unwrap().is_none(), "only the whole archive tells links from files");
    specimen.is_old = false;
    let info = crate::conda::PackageInfo::from_info_tar(&specimen.info_tar()[..]).unwrap().unwrap();
    assert_eq!(info.paths.len(), 3);
}

#[test]
fn a_large_file_is_replaced_in_windows() {
    let content: String = (0..250_000).map(|number| format!("{number} = '{BUILT}/lib/{}'\n", number * 7919)).collect();
    assert!(content.len() > 20 << 20);
    let specimen = Specimen::new("a").patched("lib/big.txt", 0o644, BUILT, false, content.clone());
    let bytes_of = specimen.to_conda();
    let laid = lay(&specimen.locked(&bytes_of, "conda", None), &bytes_of).unwrap();
    assert!(bytes(&laid[0].1) == content.replace(BUILT, "/opt/conda").into_bytes());
}

#[test]
fn one_spool_serves_a_layer() {
    let spool = LayerSpool::new();
    let mut archives = Archives::default();
    let components: Vec<Arc<dyn Component>> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let specimen = Specimen::new(name).file(&format!("share/{name}"), 0o644, name);
            let bytes = specimen.to_conda();
            let locked = specimen.locked(&bytes, "conda", None);
            archives.0.insert(locked.sha256, bytes);
            Arc::new(PackageComponent::new(&locked, &environment(), &spool)) as Arc<dyn Component>
        })
        .collect();
    let laid = shared(&components, &archives);
    let contents: Vec<String> = laid.iter().map(|laid| text(&laid[0].1)).collect();
    assert_eq!(contents, ["a", "b", "c"]);
}

#[test]
fn the_key_knows_what_decides_the_bytes() {
    let specimen = Specimen::new("a").file("share/a", 0o644, "a");
    let bytes = specimen.to_conda();
    let locked = specimen.locked(&bytes, "conda", None);
    let key = |locked: &CondaPackage, python: &Python| {
        let environment = Environment { python: Some(python.clone()), ..environment() };
        PackageComponent::new(locked, &environment, &LayerSpool::new()).key()
    };
    let same = key(&locked, &python());
    let other_python = Python { version: "3.13.0".to_owned(), site_packages: "lib/python3.13/site-packages".to_owned() };
    assert_eq!(same, key(&locked, &other_python), "only noarch packages depend on Python");
    assert_eq!(same, key(&CondaPackage { url: "https://mirror.example/a-1.0-0.conda".parse().unwrap(), ..locked.clone() }, &python()));
    assert_ne!(same, key(&CondaPackage { clobbered: vec!["share/a".to_owned()], ..locked.clone() }, &python()));
    let noarch = CondaPackage { noarch: crate::lock::Noarch::Python, ..locked };
    assert_ne!(key(&noarch, &python()), key(&noarch, &other_python));
}
