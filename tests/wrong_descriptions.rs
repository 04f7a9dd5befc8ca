//! Every rule of the language says where it is broken, why it is there, and what to do: one wrong description a rule, with the message that
//! people see.

use byoi::cli::render::{Style, render, render_warnings};
use byoi::description::parse;
use byoi::error::{Error, Problem};

/// A wrong description, named by the rule that it breaks.
pub type Case = (&'static str, &'static str);

/// `text` with the two lines that every description has, where it has not its own.
pub fn whole(text: &str) -> String {
    let text = text.trim_start_matches('\n');
    match text.contains("base = ") || text.contains("schema = ") {
        true => text.to_owned(),
        false => format!("schema = 1\nbase = \"scratch\"\n\n{text}"),
    }
}

fn check_places(text: &str, problems: &[Problem]) {
    for problem in problems {
        let (source, span) = problem.place.as_ref().expect("every problem has a place");
        assert_eq!(source.text, text);
        assert!(span.start <= span.end && text.get(span.clone()).is_some(), "{span:?}");
        assert!(problem.help.as_ref().is_some_and(|help| !help.is_empty()), "{} has no way out", problem.message);
    }
}

/// The rendered messages of all cases; each must be exactly one problem.
fn rendered(cases: &[Case]) -> String {
    let mut all = String::new();
    for (rule, text) in cases {
        let text = whole(text);
        let invalid = parse("byoi.toml", &text).map(|_| ()).expect_err(rule);
        check_places(&text, &invalid.problems);
        let messages: Vec<_> = invalid.problems.iter().map(|problem| &problem.message).collect();
        assert_eq!(messages.len(), 1, "{rule}: {messages:?}");
        all += &format!("=== {rule}\n{}\n", render(&Error::from(invalid), Style::default()));
    }
    all
}

/// Holds messages against the reviewed ones.
fn assert_shown(name: &str, shown: String) {
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, shown) });
}

#[test]
fn toml() {
    assert_shown(
        "toml",
        rendered(&[
            ("a string needs quotes", "schema = 1\nbase = ubuntu\n"),
            ("a string ends on its line", "schema = 1\nbase = \"ubuntu\n"),
            ("a key stands once", "schema = 1\nbase = \"scratch\"\nbase = \"ubuntu\"\n"),
            ("a table stands once", "[env]\nA = \"1\"\n\n[env]\nB = \"2\"\n"),
            ("a number has no leading zero", "[[file]]\nsource = \"a\"\ntarget = \"/a\"\nmode = 0644\n"),
            ("a header is closed", "[env\nA = \"1\"\n"),
        ]),
    );
}

/// Descriptions that the JSON Schema refuses too.
pub const SHAPE: &[Case] = &[
    ("schema is required", "base = \"scratch\"\n"),
    ("base is required", "schema = 1\n"),
    ("schema is one that this byoi knows", "schema = 2\nbase = \"scratch\"\nwhat-version-2-has = true\n"),
    ("schema is a number", "schema = \"1\"\nbase = \"scratch\"\n"),
    ("a misspelt key at the top level", "schema = 1\nbsae = \"x\"\nbase = \"scratch\"\n"),
    ("a misspelt table", "[setings.user]\n\"a.b\" = 1\n"),
    ("a misspelt key in a table", "[[file]]\nsource = \"a\"\ntraget = \"/a\"\ntarget = \"/a\"\n"),
    ("an underscore for a hyphen", "[editor]\nbase_path = \"/codeeditor/default\"\n"),
    ("a key like no other", "[account]\ncolour = \"blue\"\n"),
    ("a key of another table", "[account]\nlayers = 3\n"),
    ("a top-level key below a header", "[image]\nlabels = { team = \"ide\" }\n"),
    ("conda says what it asks for", "[conda]\nchannels = [\"conda-forge\"]\n"),
    ("conda asks for one thing", "[conda]\nchannels = [\"conda-forge\"]\npackages = [\"scrapy\"]\nenvironment = \"environment.yml\"\n"),
    ("conda has one lock or one environment", "[conda]\nenvironment = \"environment.yml\"\nlock = \"pixi.lock\"\n"),
    ("packages need channels", "[conda]\npackages = [\"scrapy\"]\n"),
    ("channels mean nothing beside a lock", "[conda]\nlock = \"pixi.lock\"\nchannels = [\"conda-forge\"]\n"),
    ("a misspelt key of conda", "[conda]\nchannel = \"conda-forge\"\nenvironment = \"environment.yml\"\n"),
    ("conda's channels are a list", "[conda]\nchannels = \"conda-forge\"\npackages = [\"scrapy\"]\n"),
    ("conda's packages are no table", "[conda]\nchannels = [\"conda-forge\"]\npackages = { scrapy = \">=2\" }\n"),
    ("link scripts are allowed by name", "[conda]\nenvironment = \"environment.yml\"\nallow-link-scripts = true\n"),
    ("CUDA's version is a string", "[conda]\nenvironment = \"environment.yml\"\ncuda = 12.4\n"),
    ("bytecode is compiled or not", "[conda]\nenvironment = \"environment.yml\"\ncompile-bytecode = \"yes\"\n"),
    ("the user is fixed", "schema = 1\nuser = \"root\"\nbase = \"scratch\"\n"),
    ("nothing is run", "schema = 1\nrun = [\"apt-get update\"]\nbase = \"scratch\"\n"),
    ("one table where several are meant", "[file]\nsource = \"a\"\ntarget = \"/a\"\n"),
    ("several tables where one is meant", "[[env]]\nA = \"1\"\n"),
    ("a string where a table is meant", "schema = 1\neditor = \"vim\"\nbase = \"scratch\"\n"),
    ("a table where a string is meant", "schema = 1\n[base]\nimage = \"ubuntu\"\n"),
    ("a number where a variable's text is meant", "[env]\nTHREADS = 8\n"),
    ("a boolean where a label's text is meant", "[labels]\n\"com.example.tested\" = true\n"),
    ("a string where a boolean is meant", "[account]\nsudo = \"yes\"\n"),
    ("a string where a list is meant", "[editor]\narguments = \"--disable-telemetry\"\n"),
    ("a number in a list of strings", "[editor]\narguments = [\"--log\", 3]\n"),
    ("a number where a mode is meant", "[[file]]\nsource = \"a\"\ntarget = \"/a\"\nmode = 644\n"),
    ("at least one layer", "[image]\nlayers = 0\n"),
    ("at most a hundred layers", "[image]\nlayers = 101\n"),
];

#[test]
fn shape() {
    assert_shown("shape", rendered(SHAPE));
}

#[test]
fn bases() {
    assert_shown(
        "bases",
        rendered(&[
            ("a base has no docker://", "schema = 1\nbase = \"docker://ubuntu:24.04\"\n"),
            ("a base is no URL", "schema = 1\nbase = \"https://public.ecr.aws/ubuntu\"\n"),
            ("a base is in no daemon", "schema = 1\nbase = \"docker-daemon:ubuntu:24.04\"\n"),
            ("a base is in no dir: directory", "schema = 1\nbase = \"dir:image\"\n"),
            ("a tar says what it is", "schema = 1\nbase = \"file:rootfs.tar\"\n"),
            ("a transport has a path", "schema = 1\nbase = \"oci-archive:\"\n"),
            ("a transport is no URL scheme", "schema = 1\nbase = \"oci://image\"\n"),
            ("a repository is lower case", "schema = 1\nbase = \"public.ecr.aws/Acme/ide:1\"\n"),
            ("a tag is a tag", "schema = 1\nbase = \"ubuntu:24.04!\"\n"),
            ("a digest is whole", "schema = 1\nbase = \"ubuntu@sha256:abc\"\n"),
            ("a base is not empty", "schema = 1\nbase = \"\"\n"),
            ("a base has no spaces at its ends", "schema = 1\nbase = \" ubuntu\"\n"),
        ]),
    );
}

#[test]
fn extensions() {
    assert_shown(
        "extensions",
        rendered(&[
            ("an extension has an origin", "[[extension]]\nsha256 = \"00\"\n".replace("00", &"0".repeat(64)).leak()),
            ("an extension has one origin", "[[extension]]\npath = \"a.vsix\"\nurl = \"https://example.com/a.vsix\"\n"),
            ("github needs a tag", "[[extension]]\ngithub = \"a/b\"\nasset = \"b.vsix\"\n"),
            ("github needs an asset", "[[extension]]\ngithub = \"a/b\"\ntag = \"v1\"\n"),
            ("open-vsx needs a version", "[[extension]]\nopen-vsx = \"a.b\"\n"),
            ("a tag means nothing beside open-vsx", "[[extension]]\nopen-vsx = \"a.b\"\nversion = \"1.0.0\"\ntag = \"v1\"\n"),
            ("a sha256 means nothing beside a path", "[[extension]]\npath = \"a.vsix\"\nsha256 = \"abc\"\n".replace("abc", &"0".repeat(64)).leak()),
            ("github is no URL", "[[extension]]\ngithub = \"https://github.com/VSCodeVim/Vim\"\ntag = \"v1\"\nasset = \"b.vsix\"\n"),
            ("github is OWNER/NAME", "[[extension]]\ngithub = \"vim\"\ntag = \"v1\"\nasset = \"b.vsix\"\n"),
            ("a tag is one tag", "[[extension]]\ngithub = \"a/b\"\ntag = \"v1.*\"\nasset = \"b.vsix\"\n"),
            ("an asset is a file name", "[[extension]]\ngithub = \"a/b\"\ntag = \"v1\"\nasset = \"dist/b.vsix\"\n"),
            ("open-vsx is NAMESPACE.NAME", "[[extension]]\nopen-vsx = \"ms-python/python\"\nversion = \"1.0.0\"\n"),
            ("the version has its own key", "[[extension]]\nopen-vsx = \"ms-python.python@1.0.0\"\nversion = \"1.0.0\"\n"),
            ("a version is exact", "[[extension]]\nopen-vsx = \"ms-python.python\"\nversion = \"^1.0\"\n"),
            ("latest is no version", "[[extension]]\nopen-vsx = \"ms-python.python\"\nversion = \"latest\"\n"),
            ("an extension stands once", "[[extension]]\npath = \"a.vsix\"\n[[extension]]\npath = \"./a.vsix\"\n"),
            (
                "an extension has one version",
                "[[extension]]\nopen-vsx = \"a.b\"\nversion = \"1.0.0\"\n[[extension]]\nopen-vsx = \"A.b\"\nversion = \"2.0.0\"\n",
            ),
        ]),
    );
}

#[test]
fn addresses() {
    assert_shown(
        "addresses",
        rendered(&[
            ("a URL is whole", "[[extension]]\nurl = \"example.com/a.vsix\"\n"),
            ("a URL is http or https", "[[extension]]\nurl = \"ftp://example.com/a.vsix\"\n"),
            ("a file URL is a path", "[[extension]]\nurl = \"file:///a.vsix\"\n"),
            ("a URL has no spaces", "[[extension]]\nurl = \"https://example.com/a b.vsix\"\n"),
            ("a URL has no credentials", "[[extension]]\nurl = \"https://me:secret@example.com/a.vsix\"\n"),
            ("a URL has no fragment", "[[extension]]\nurl = \"https://example.com/a.vsix#v1\"\n"),
            ("a sha256 has 64 digits", "[[extension]]\nurl = \"https://example.com/a.vsix\"\nsha256 = \"e3b0c442\"\n"),
            ("a path is relative", "[[extension]]\npath = \"/home/me/a.vsix\"\n"),
            ("a path stays in the folder", "[[extension]]\npath = \"../a.vsix\"\n"),
            ("a path has no tilde", "[[file]]\nsource = \"~/.vimrc\"\ntarget = \"/etc/vimrc\"\n"),
            ("a path is not empty", "[[file]]\nsource = \"\"\ntarget = \"/etc/vimrc\"\n"),
            ("a path has no NUL", "[[file]]\nsource = \"a\\u0000\"\ntarget = \"/etc/vimrc\"\n"),
        ]),
    );
}

#[test]
fn files() {
    assert_shown(
        "files",
        rendered(&[
            ("a file has an origin", "[[file]]\ntarget = \"/a\"\n"),
            ("a file has a target", "[[file]]\nsource = \"a\"\n"),
            ("source or content", "[[file]]\nsource = \"a\"\ncontent = \"b\"\ntarget = \"/a\"\n"),
            ("sha256 goes with url", "[[file]]\nsource = \"a\"\nsha256 = \"abc\"\ntarget = \"/a\"\n".replace("abc", &"0".repeat(64)).leak()),
            ("exclude goes with source", "[[file]]\nurl = \"https://example.com/a\"\nexclude = [\"*.tmp\"]\ntarget = \"/a\"\n"),
            ("content is not unpacked", "[[file]]\ncontent = \"a\"\nunpack = true\ntarget = \"/a\"\n"),
            ("strip goes with unpack", "[[file]]\nsource = \"a.tar\"\nstrip = 1\ntarget = \"/a\"\n"),
            ("strip is not negative", "[[file]]\nsource = \"a.tar\"\nunpack = true\nstrip = -1\ntarget = \"/a\"\n"),
            ("mode does not go with unpack", "[[file]]\nsource = \"a.tar\"\nunpack = true\nmode = \"0644\"\ntarget = \"/a\"\n"),
            ("exclude does not go with unpack", "[[file]]\nsource = \"a.tar\"\nunpack = true\nexclude = [\"*.tmp\"]\ntarget = \"/a\"\n"),
            ("a mode is octal", "[[file]]\nsource = \"a\"\nmode = \"rw-r--r--\"\ntarget = \"/a\"\n"),
            ("a mode has no setuid bit", "[[file]]\nsource = \"a\"\nmode = \"4755\"\ntarget = \"/a\"\n"),
            ("an owner is numbers", "[[file]]\nsource = \"a\"\nowner = \"root:root\"\ntarget = \"/a\"\n"),
            ("an owner is one that the platform knows", "[[file]]\nsource = \"a\"\nowner = \"70000:100\"\ntarget = \"/a\"\n"),
            ("a pattern is a pattern", "[[file]]\nsource = \"a\"\nexclude = [\"*.tmp\", \"[a-\"]\ntarget = \"/a\"\n"),
            ("a pattern is not empty", "[[file]]\nsource = \"a\"\nexclude = [\"!\"]\ntarget = \"/a\"\n"),
            ("a pattern stays in the source", "[[file]]\nsource = \"a\"\nexclude = [\"../b\"]\ntarget = \"/a\"\n"),
            ("one file a target", "[[file]]\nsource = \"a\"\ntarget = \"/opt/a\"\n[[file]]\ncontent = \"b\"\ntarget = \"/opt//a\"\n"),
            ("the same directory once", "[[file]]\nsource = \"a\"\ntarget = \"/opt/a\"\n[[file]]\nsource = \"a/\"\ntarget = \"/opt/a\"\n"),
            ("nothing lies below a file", "[[file]]\nsource = \"a\"\ntarget = \"/opt/a/b\"\n[[file]]\ncontent = \"b\"\ntarget = \"/opt/a\"\n"),
        ]),
    );
}

#[test]
fn targets() {
    assert_shown(
        "targets",
        rendered(&[
            ("a target is absolute", "[[file]]\nsource = \"a\"\ntarget = \"etc/a\"\n"),
            ("a target stays in the image", "[[file]]\nsource = \"a\"\ntarget = \"/etc/../../a\"\n"),
            ("the root is no target", "[[file]]\nsource = \"a\"\ntarget = \"/\"\n"),
            ("a file's target is a file's path", "[[file]]\ncontent = \"a\"\ntarget = \"/etc/\"\n"),
            ("a name is not too long", "[[file]]\nsource = \"a\"\ntarget = \"/etc/NAME\"\n".replace("NAME", &"n".repeat(256)).leak()),
            ("a name is no whiteout", "[[file]]\nsource = \"a\"\ntarget = \"/etc/.wh.a\"\n"),
            ("the home is hidden by the volume", "[[file]]\nsource = \"a\"\ntarget = \"/home/sagemaker-user/.bashrc\"\n"),
            ("/opt/ml is the platform's", "[[file]]\nsource = \"a\"\ntarget = \"/opt/ml/a\"\n"),
            ("/opt/.sagemakerinternal is the platform's", "[[file]]\nsource = \"a\"\ntarget = \"/opt/.sagemakerinternal/a\"\n"),
            ("/var/log/studio is the platform's", "[[file]]\nsource = \"a\"\ntarget = \"/var/log/studio\"\n"),
            ("/dev is the runtime's", "[[file]]\nsource = \"a\"\ntarget = \"/dev/a\"\n"),
            ("/etc/hosts is the runtime's", "[[file]]\nsource = \"a\"\ntarget = \"/etc/hosts\"\n"),
            ("the entrypoint is byoi's", "[[file]]\nsource = \"a\"\ntarget = \"/usr/local/bin/byoi-entrypoint\"\n"),
            ("the platform's entrypoint is byoi's", "[[file]]\nsource = \"a\"\ntarget = \"/opt/bin/entrypoint-code-editor\"\n"),
            ("users are merged", "[[file]]\nsource = \"a\"\ntarget = \"/etc/passwd\"\n"),
            ("groups are merged", "[[file]]\nsource = \"a\"\ntarget = \"/etc/group\"\n"),
            (
                "extensions have a table",
                "[[file]]\nsource = \"a\"\ntarget = \"/opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/a.b-1.0.0\"\n",
            ),
            (
                "machine settings have a table",
                "[[file]]\nsource = \"a\"\ntarget = \"/opt/amazon/sagemaker/sagemaker-code-editor-server-data/data/Machine/settings.json\"\n",
            ),
            (
                "user settings have a table",
                "[[file]]\nsource = \"a\"\ntarget = \"/opt/amazon/sagemaker/sagemaker-code-editor-server-data/data/User/settings.json\"\n",
            ),
            ("a directory of the contract is no file", "[[file]]\ncontent = \"a\"\ntarget = \"/usr/local/bin\"\n"),
        ]),
    );
}

#[test]
fn variables_and_labels() {
    assert_shown(
        "variables_and_labels",
        rendered(&[
            ("a name has no hyphen", "[env]\n\"MY-VAR\" = \"1\"\n"),
            ("a name does not begin with a digit", "[env]\n1ST = \"1\"\n"),
            ("HOME is fixed", "[env]\nHOME = \"/root\"\n"),
            ("USER is fixed", "[env]\nUSER = \"root\"\n"),
            ("the platform sets the region", "[env]\nAWS_REGION = \"eu-central-1\"\n"),
            ("the platform sets the app's type", "[env]\nSAGEMAKER_APP_TYPE = \"JupyterLab\"\n"),
            ("a value has no NUL", "[env]\nA = \"a\\u0000b\"\n"),
            ("PATH is extended", "[env]\nPATH = \"/opt/tool/bin:/usr/bin\"\n"),
            ("PATH holds the base's once", "[env]\nPATH = \"$PATH:/opt/tool/bin:${PATH}\"\n"),
            ("PATH holds the base's as a whole part", "[env]\nPATH = \"/opt$PATH\"\n"),
            ("nothing else is expanded in PATH", "[env]\nPATH = \"$HOME/bin:$PATH\"\n"),
            ("PATH has no empty part", "[env]\nPATH = \"/opt/tool/bin::$PATH\"\n"),
            ("PATH has absolute directories", "[env]\nPATH = \"bin:$PATH\"\n"),
            ("a label's name has no spaces", "[labels]\n\"my team\" = \"x\"\n"),
            ("the base's name is byoi's to say", "[labels]\n\"org.opencontainers.image.base.name\" = \"x\"\n"),
        ]),
    );
}

#[test]
fn editor_and_settings() {
    let many = format!("[editor]\narguments = [{}]\n", ["\"--x\""; 41].join(", ")).leak();
    assert_shown(
        "editor_and_settings",
        rendered(&[
            ("the host is fixed", "[editor]\narguments = [\"--host\", \"127.0.0.1\"]\n"),
            ("the host is fixed in its other form", "[editor]\narguments = [\"--host=127.0.0.1\"]\n"),
            ("the port is fixed", "[editor]\narguments = [\"--port=8080\"]\n"),
            ("there is no connection token", "[editor]\narguments = [\"--connection-token\", \"x\"]\n"),
            ("the server's data stays on the volume", "[editor]\narguments = [\"--server-data-dir=/opt/data\"]\n"),
            ("extensions have a table of their own", "[editor]\narguments = [\"--install-extension\", \"a.b\"]\n"),
            ("the base path has its own key", "[editor]\narguments = [\"--server-base-path=/x\"]\n"),
            ("an argument is short", "[editor]\narguments = [\"--default-folder=LONG\"]\n".replace("LONG", &"/x".repeat(30)).leak()),
            ("an argument is not blank", "[editor]\narguments = [\" \"]\n"),
            ("arguments are few", many),
            ("the base path is one that Studio knows", "[editor]\nbase-path = \"/ide\"\n"),
            ("a setting is no date", "[settings.user]\n\"a.b\" = 2026-01-01\n"),
            ("a setting is a number that JSON has", "[settings.user]\n\"a.b\" = [1, nan]\n"),
            ("a setting is a number of 64 bits", "[settings.user]\n\"a.b\" = 99999999999999999999\n"),
            ("settings are of the machine or the user", "[settings.workspace]\n\"a.b\" = 1\n"),
        ]),
    );
}

#[test]
fn conda() {
    let environment = |more: &str| format!("[conda]\nenvironment = \"environment.yml\"\n{more}\n").leak() as &str;
    let packages = |packages: &str| format!("[conda]\nchannels = [\"conda-forge\"]\npackages = [{packages}]\n").leak() as &str;
    let channels = |channels: &str| format!("[conda]\nchannels = [{channels}]\npackages = [\"scrapy\"]\n").leak() as &str;
    assert_shown(
        "conda",
        rendered(&[
            ("packages are not empty", packages("")),
            ("a package is one line", packages(r#""scrapy\nnumpy""#)),
            ("a package is named", packages(r#""""#)),
            ("a package stands once", packages(r#""scrapy", "scrapy""#)),
            ("a package is no option", packages(r#""--update-all""#)),
            ("a package is no archive", packages(r#""https://example.com/scrapy-2.11.0-0.conda""#)),
            ("a package is not PyPI's", packages(r#""pip:scrapy""#)),
            ("channels are not empty", channels("")),
            ("a channel has no spaces", channels(r#""conda forge""#)),
            ("a channel has no platform", channels(r#""conda-forge[linux-64]""#)),
            ("a channel stands once", channels(r#""conda-forge", "conda-forge""#)),
            ("a channel is one channel", channels(r#""defaults""#)),
            ("a channel's directory stays in the folder", channels(r#""../channel""#)),
            ("a channel's directory is relative", channels(r#""/srv/channel""#)),
            ("a channel's directory is one", channels(r#""./""#)),
            ("a channel's URL has a known scheme", channels(r#""s3://bucket/channel""#)),
            ("a channel's URL has no password", channels(r#""https://me:secret@example.com/channel""#)),
            ("a channel's URL has no token", channels(r#""https://conda.anaconda.org/t/tk-1234/acme""#)),
            ("a channel's URL has no query", channels(r#""https://example.com/channel?x=1""#)),
            ("an environment file stays in the folder", "[conda]\nenvironment = \"../environment.yml\"\n"),
            ("an environment file is YAML", "[conda]\nenvironment = \"requirements.txt\"\n"),
            ("a lock is pixi's", "[conda]\nlock = \"conda-lock.yml\"\n"),
            ("a prefix is absolute", environment(r#"prefix = "opt/conda""#)),
            ("a prefix is not the root", environment(r#"prefix = "/""#)),
            ("a prefix does not lead out", environment(r#"prefix = "/opt/../conda""#)),
            ("a prefix is not hidden", environment(r#"prefix = "/home/sagemaker-user/conda""#)),
            ("a prefix is not the platform's", environment(r#"prefix = "/opt/ml/conda""#)),
            (
                "a prefix is not where extensions lie",
                environment(r#"prefix = "/opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/x""#),
            ),
            ("a prefix has plain signs", environment(r#"prefix = "/opt/my env""#)),
            ("a prefix fits the packages", environment(&format!("prefix = \"/opt{}\"", "/abcdefghi".repeat(26)))),
            ("a file is not in the prefix's way", environment("[[file]]\ncontent = \"\"\ntarget = \"/opt/conda\"")),
            ("packages of the base are kept or updated", environment(r#"existing = "replace""#)),
            ("an owner is numbers", environment(r#"owner = "sagemaker-user""#)),
            ("activation is of two kinds", environment(r#"activate = "shell""#)),
            ("CUDA's version is numbers", environment(r#"cuda = ">=12""#)),
            ("link scripts are allowed without versions", environment(r#"allow-link-scripts = ["fontconfig >=2"]"#)),
            ("allowed link scripts are some", environment("allow-link-scripts = []")),
        ]),
    );
}

#[test]
fn all_at_once_in_the_order_of_the_file() {
    let text = r#"schema = 1
base = "docker://ubuntu"

[[file]]
source = "../shared"
target = "/home/sagemaker-user/shared"
modes = "0644"

[env]
HOME = "/root"

[[extension]]
github = "vim"
tag = "v1"

[editor]
arguments = ["--port=1", "--host=x"]
"#;
    let invalid = parse("byoi.toml", text).expect_err("much is wrong");
    check_places(text, &invalid.problems);
    let starts: Vec<_> = invalid.problems.iter().map(|problem| problem.place.as_ref().unwrap().1.start).collect();
    assert!(starts.is_sorted());
    assert_eq!(starts.len(), 9);
    assert_shown("all_at_once_in_the_order_of_the_file", render(&Error::from(invalid), Style::default()));
}

#[test]
fn too_large() {
    let text = format!("schema = 1\nbase = \"scratch\"\n# {}\n", "x".repeat(1 << 20));
    let invalid = parse("byoi.toml", &text).expect_err("it is too large");
    assert!(invalid.problems[0].message.contains("more than a description can have"), "{invalid}");
}

#[test]
fn too_deep() {
    let text = whole(&format!("[settings.user]\n\"a.b\" = {}{}\n", "[".repeat(200), "]".repeat(200)));
    let invalid = parse("byoi.toml", &text).expect_err("it is too deep");
    check_places(&text, &invalid.problems);
    assert!(invalid.problems[0].message.contains("max recursion depth"), "{invalid}");
}

#[test]
fn warnings() {
    let text = whole(
        r#"
[[file]]
url = "http://example.com/a"
target = "/a"

[env]
AWS_PROFILE = "dev"
SAGEMAKER_LOGGING_DIR = "/var/log/sagemaker"

[settings.machine]
python.defaultInterpreterPath = "/opt/conda/bin/python"
"#,
    );
    let description = parse("byoi.toml", &text).expect("nothing is wrong");
    check_places(&text, &description.warnings);
    assert_shown("warnings", render_warnings(&description.warnings, Style::default()));
}
