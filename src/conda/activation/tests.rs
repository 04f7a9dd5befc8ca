//! Scripts as packages have them, and bash as the judge of what we say a script sets.

use std::process::Command;

use proptest::prelude::*;

use super::*;

const PREFIX: &str = "/opt/conda";

fn read_all(files: &[(&str, &str)]) -> Activation {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    read(&ImagePath::literal(PREFIX), &files)
}

fn read_script(text: &str) -> Option<BTreeMap<String, String>> {
    let activation = read_all(&[("etc/conda/activate.d/x.sh", text)]);
    activation.scripts.is_empty().then_some(activation.variables)
}

/// What a script exports, by bash's own word, beside what bash always does.
fn by_bash(script: &str) -> BTreeMap<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let mut bash = Command::new("/bin/bash");
    bash.args(["--noprofile", "--norc", "-c", ". \"$1\"; exec /usr/bin/env -0", "bash"]).arg(file.path());
    let output = bash.env_clear().env("CONDA_PREFIX", PREFIX).output().unwrap();
    assert!(output.stderr.is_empty(), "{script:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let variables = text.split_terminator('\0').filter_map(|variable| variable.split_once('='));
    let bashs = |name: &str| ["PWD", "SHLVL", "_", "CONDA_PREFIX"].contains(&name);
    variables.filter(|(name, _)| !bashs(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A script's name, its text, and the variables that it sets.
type Simple = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Scripts in the forms in which packages of conda-forge have them, with what we take from each.
const SIMPLE: &[Simple] = &[
    (
        "esmf",
        "#!/bin/sh\n\n# where the ESMF makefile fragment lies\nexport ESMFMKFILE=${CONDA_PREFIX}/lib/esmf.mk\n",
        &[("ESMFMKFILE", "/opt/conda/lib/esmf.mk")],
    ),
    ("magics", "export MAGPLUS_HOME=\"${CONDA_PREFIX}\"\nexport MAGPLUS_QUIET='1'", &[("MAGPLUS_HOME", "/opt/conda"), ("MAGPLUS_QUIET", "1")]),
    ("ucx", "  export UCX_TLS=self,tcp ; export UCX_LOG_LEVEL=warn # quiet\n", &[("UCX_LOG_LEVEL", "warn"), ("UCX_TLS", "self,tcp")]),
    (
        "go",
        "#!/usr/bin/env bash\nexport GOROOT=\"$CONDA_PREFIX/go\"\nexport CONDA_GO_COMPILER=1 GOFLAGS=\"-modcacherw -ldflags=\\\"-s\\\"\"\n",
        &[("CONDA_GO_COMPILER", "1"), ("GOFLAGS", "-modcacherw -ldflags=\"-s\""), ("GOROOT", "/opt/conda/go")],
    ),
    ("nothing", "#!/bin/sh\n\t\n# nothing to do on Linux\n", &[]),
    ("empty", "", &[]),
];

/// Scripts that do more, in the same way.
const MORE: &[(&str, &str)] = &[
    (
        "libgdal",
        "#!/bin/bash\n# Store existing GDAL env vars and set to this conda env\nif [[ -n \"${GDAL_DATA:-}\" ]]; then\n    export _CONDA_SET_GDAL_DATA=$GDAL_DATA\nfi\nif [ -d \"${CONDA_PREFIX}/share/gdal\" ]; then\n    export GDAL_DATA=\"${CONDA_PREFIX}/share/gdal\"\nfi\nexport CPL_ZIP_ENCODING=UTF-8\n",
    ),
    (
        "proj",
        "#!/bin/sh\nif [ -n \"${PROJ_DATA:-}\" ]; then\n  export _CONDA_SET_PROJ_DATA=$PROJ_DATA\nfi\nexport PROJ_DATA=\"${CONDA_PREFIX}/share/proj\"\nif [ -f \"${CONDA_PREFIX}/share/proj/copyright_and_licenses.csv\" ]; then\n  export PROJ_NETWORK=\"OFF\"\nelse\n  export PROJ_NETWORK=\"ON\"\nfi\n",
    ),
    ("openjdk", "#!/usr/bin/env bash\nexport JAVA_HOME_CONDA_BACKUP=\"${JAVA_HOME:-}\"\nexport JAVA_HOME=\"${CONDA_PREFIX}/lib/jvm\"\n"),
    (
        "gcc",
        "#!/bin/bash\n_get_sourced_filename() {\n  basename \"${BASH_SOURCE[0]}\"\n}\nfunction _tc_activation() {\n  local act_nature=$1; shift\n}\n_tc_activation activate x86_64-conda-linux-gnu- \"CC,gcc\"\nexport CC=x86_64-conda-linux-gnu-gcc\n",
    ),
    ("rust", "#!/usr/bin/env bash\nexport CARGO_HOME=${CARGO_HOME:-${CONDA_PREFIX}/.cargo}\nexport PATH=${CARGO_HOME}/bin:${PATH}\n"),
    (
        "libglib",
        "export GSETTINGS_SCHEMA_DIR_CONDA_BACKUP=\"${GSETTINGS_SCHEMA_DIR:-}\"\nexport GSETTINGS_SCHEMA_DIR=\"$CONDA_PREFIX/share/glib-2.0/schemas\"\n",
    ),
    ("cuda-nvcc", "#!/bin/bash\nexport NVCC_PREPEND_FLAGS=\"${NVCC_PREPEND_FLAGS} -ccbin=${CXX}\"\n"),
    ("r-base", "#!/usr/bin/env sh\nR CMD javareconf > /dev/null 2>&1 || true\n"),
    ("libxml2", "xml_catalog_files_libxml2=\"${XML_CATALOG_FILES:-}\"\nXML_CATALOG_FILES=\"${XML_CATALOG_FILES:-}\"\nexport XML_CATALOG_FILES\n"),
    ("path", "export PATH=\"${CONDA_PREFIX}/nvvm/bin\"\n"),
    ("platform", "export AWS_REGION=eu-central-1\n"),
    ("the shell's own", "export IFS=x\n"),
    ("command", "export A=$(uname)\n"),
    ("command in quotes", "export A=\"`uname`\"\n"),
    ("tilde", "export A=~/x\n"),
    ("tilde after a colon", "export A=x:~\n"),
    ("braces", "export A={b,c}\n"),
    ("another variable", "export A=$CONDA_PREFIX_1\n"),
    ("not exported", "A=1\n"),
    ("appended", "export A+=1\n"),
    ("a name alone", "export A\n"),
    ("an option", "export -n A=1\n"),
    ("a second command", "export A=1 && rm -rf /\n"),
    ("in the background", "export A=1 &\n"),
    ("an empty statement", "export A=1;;\n"),
    ("a continued line", "export A=1 \\\n"),
    ("a text of two lines", "export A=\"1\n2\"\n"),
    ("a quote that stays open", "export A='1\n"),
    ("lines of Windows", "export A=1\r\n"),
    ("a comment that is none", "export A=1#2\n"),
    ("a backslash", "export A=\"\\n\"\n"),
    ("a dollar", "export A=\"$\"\n"),
    ("ANSI quotes", "export A=$'\\x41'\n"),
];

#[test]
fn scripts_that_only_export_are_read_and_bash_agrees() {
    for (name, script, expected) in SIMPLE {
        let expected: BTreeMap<_, _> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read_script(script).as_ref(), Some(&expected), "{name}");
        assert_eq!(by_bash(script), expected, "{name}");
    }
}

#[test]
fn scripts_that_do_more_are_named() {
    for (name, script) in MORE {
        assert_eq!(read_script(script), None, "{name}");
    }
    let mut bytes = b"# \xff\nexport A=1\n".to_vec();
    assert_eq!(script::variables(&bytes, PREFIX), None);
    bytes[2] = 0;
    assert_eq!(script::variables(&bytes, PREFIX), None);
}

#[test]
fn the_last_one_wins_and_scripts_come_after_variables() {
    let activation = read_all(&[
        ("etc/conda/activate.d/a.sh", "export A=a B=a\n"),
        ("etc/conda/activate.d/b.sh", "export B=b\n"),
        ("etc/conda/activate.d/c.sh", "export B=$(c)\n"),
        ("etc/conda/env_vars.d/x.json", r#"{"A": "x", "C": "$CONDA_PREFIX"}"#),
        ("etc/conda/env_vars.d/y.json", r#"{"D": "y"}"#),
    ]);
    let variables: Vec<_> = activation.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["A=a", "B=b", "C=$CONDA_PREFIX", "D=y"]);
    assert_eq!((activation.scripts, activation.refused), (vec!["etc/conda/activate.d/c.sh".to_owned()], Vec::new()));
}

#[test]
fn only_files_of_the_two_directories_are_read() {
    for path in ["etc/conda/activate.d/x.sh", "etc/conda/env_vars.d/x.json"] {
        assert!(wants(path), "{path}");
    }
    for path in ["etc/conda/activate.d/x.fish", "etc/conda/activate.d/a/x.sh", "etc/conda/deactivate.d/x.sh", "opt/etc/conda/activate.d/x.sh"] {
        assert!(!wants(path), "{path}");
        assert_eq!(read_all(&[(path, "export A=1\n")]), Activation::default());
    }
}

#[test]
fn variables_that_are_no_objects_of_texts_are_refused() {
    for text in ["", "[]", "{\"A\": 1}", "{\"A b\": \"1\"}", "{\"PATH\": \"/x\"}", "{\"A\": \"\\u0000\"}", "{\"HOME\": \"/\"}"] {
        let activation = read_all(&[("etc/conda/env_vars.d/x.json", text)]);
        assert_eq!((activation.variables.len(), activation.refused.len()), (0, 1), "{text}");
    }
}

fn described(more: &str) -> description::Description {
    description::parse("byoi.toml", &format!("schema = 1\nbase = \"scratch\"\n[conda]\nlock = \"pixi.lock\"\n{more}")).unwrap()
}

fn locked(variables: &[(&str, &str)]) -> lock::Conda {
    lock::Conda {
        requirement: lock::CondaRequirement {
            channels: Vec::new(),
            specs: Vec::new(),
            pixi_lock: None,
            prefix: ImagePath::literal(PREFIX),
            update_existing: false,
            cuda: None,
        },
        python: None,
        editor: None,
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        activation_scripts: vec!["etc/conda/activate.d/c.sh".to_owned()],
        history: Vec::new(),
        packages: Vec::new(),
        replaced: Vec::new(),
    }
}

fn shown(variables: &BTreeMap<String, String>) -> Vec<String> {
    variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn an_image_is_in_its_environment() {
    let conda = described("").conda.unwrap();
    let variables = image_variables(&conda, &locked(&[("A", "1"), ("PATH", "/evil"), ("HOME", "/root")]));
    assert_eq!(shown(&variables), ["A=1", "CONDA_DEFAULT_ENV=base", "CONDA_PREFIX=/opt/conda", "PATH=/opt/conda/bin:$PATH"]);
    let conda = described("prefix = \"/opt/env\"\n").conda.unwrap();
    let variables = image_variables(&conda, &locked(&[]));
    assert_eq!(shown(&variables), ["CONDA_DEFAULT_ENV=/opt/env", "CONDA_PREFIX=/opt/env", "PATH=/opt/env/bin:$PATH"]);
}

#[test]
fn the_descriptions_variables_win_and_both_extend_path() {
    let conda = described("").conda.unwrap();
    let of_image = || image_variables(&conda, &locked(&[("A", "1")]));
    let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = |pairs: &[(&str, &str)]| with_description(of_image(), env(pairs))["PATH"].clone();
    assert_eq!(with_description(of_image(), env(&[("A", "2")]))["A"], "2");
    assert_eq!(path(&[]), "/opt/conda/bin:$PATH");
    assert_eq!(path(&[("PATH", "/a:${PATH}:/b")]), "/a:/opt/conda/bin:$PATH:/b");
    assert_eq!(path(&[("PATH", "/opt/conda/bin:$PATH")]), "/opt/conda/bin:$PATH");
    assert_eq!(with_description(BTreeMap::new(), env(&[("PATH", "/a:$PATH")]))["PATH"], "/a:$PATH");
}

#[test]
fn the_entrypoint_sources_scripts_only_where_it_is_asked_to() {
    assert_eq!(sourced(&described("").conda.unwrap(), &locked(&[])), [""; 0]);
    assert_eq!(sourced(&described("activate = \"entrypoint\"\n").conda.unwrap(), &locked(&[])), ["/opt/conda/etc/conda/activate.d/c.sh"]);
}

/// Pieces of scripts: what is understood, and what nearly is.
const PIECES: &[&str] = &[
    "export ",
    "export",
    "A=",
    "B_1=",
    "=",
    "a",
    "Z9",
    "é",
    "/",
    ":",
    "\"",
    "'",
    "$CONDA_PREFIX",
    "${CONDA_PREFIX}",
    "$",
    "{",
    "}",
    "\\",
    "`",
    ";",
    " ",
    "\t",
    "\n",
    "#",
    "~",
    "*",
    "!",
    "(",
    ")",
    "&",
    "|",
    "<",
    "[",
    "^",
    "?",
];

proptest! {
    /// Whatever is taken for simple, bash takes for the same.
    #[test]
    fn bash_agrees_with_whatever_is_read(
        lines in prop::collection::vec((prop::sample::select(&["export A=", "export B=1 C=", " export _a=", "# ", "export D="][..]),
            prop::collection::vec(prop::sample::select(PIECES), 0..7)), 0..4),
        ends in prop::sample::select(&["\n", "", ";\n"][..]),
    ) {
        let script: String = lines.iter().map(|(begin, pieces)| format!("{begin}{}{ends}", pieces.concat())).collect();
        if let Some(variables) = read_script(&script) {
            prop_assert_eq!(by_bash(&script), variables, "{:?}", script);
        }
    }

    /// Values in quotes are understood, whatever they hold.
    #[test]
    fn quoted_values_are_read(value in "[ -~é]{0,20}") {
        let double = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`");
        let single = value.replace('\'', "'\"'\"'");
        let script = format!("export A=\"{double}\"\nexport B='{single}'\nexport C=$CONDA_PREFIX'{single}'\n");
        let variables = read_script(&script).unwrap();
        prop_assert_eq!((&variables["A"], &variables["B"], &variables["C"]), (&value, &value, &format!("{PREFIX}{value}")));
        prop_assert_eq!(by_bash(&script), variables);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in any::<String>()) {
        let _ = script::variables(&bytes, PREFIX);
        let _ = script::variables(text.as_bytes(), PREFIX);
        let _ = json_variables(&bytes);
    }
}
