//! Descriptions that are right, and what is read from them.

use super::{SHORTEST, read, with};
use crate::description::{Activate, CondaSource, Existing, ExtensionOrigin, FileOrigin, Unpack};
use crate::digest::Digest;
use crate::reference::ImageSource;

#[test]
fn the_shortest_description() {
    let description = read(SHORTEST);
    assert_eq!(description.base.value, ImageSource::Scratch);
    assert_eq!((description.base_requirement.as_str(), description.layers), ("scratch", 40));
    assert!(description.extensions.is_empty() && description.files.is_empty() && description.env.is_empty());
    assert!(description.editor.is_none() && description.sudo.is_none() && description.warnings.is_empty());
}

#[test]
fn a_description_that_says_everything() {
    let description = read(include_str!("full.toml"));
    assert_eq!(description.base_requirement, "public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu");
    let requirements: Vec<_> = description.extensions.iter().map(|extension| extension.origin.requirement()).collect();
    assert_eq!(
        requirements,
        [
            "github:VSCodeVim/Vim@v1.27.2/vim-1.27.2.vsix",
            "open-vsx:ms-python.python@2023.20.0",
            "url:https://example.com/x.vsix",
            "path:extensions/mine.vsix"
        ]
    );
    assert_eq!(description.extensions[2].sha256, Some(Digest::of("")));
    let targets: Vec<_> = description.files.iter().map(|file| file.target.absolute()).collect();
    assert_eq!(targets, ["/etc/pip.conf", "/opt/share", "/opt/share/hello.txt", "/opt/tool"]);
    assert_eq!((description.files[0].mode, description.files[1].owner), (Some(0o644), (1000, 100)));
    assert_eq!(description.files[1].exclude, ["**/*.tmp", "!keep.tmp"]);
    assert_eq!(description.files[2].origin, FileOrigin::Content("hello\n".to_owned()));
    assert_eq!(description.files[3].unpack, Some(Unpack { strip: 1 }));
    assert_eq!(description.machine_settings["[python]"]["editor.tabSize"], 4);
    assert_eq!(description.user_settings["editor.fontSize"], 14.5);
    assert_eq!(description.env["PATH"].value, "/opt/tool/bin:${PATH}:/opt/late/bin");
    assert_eq!(description.labels["org.opencontainers.image.source"], "https://github.com/acme/ide");
    assert!(description.sudo.as_ref().is_some_and(|sudo| sudo.value));
    let editor = &description.editor.as_ref().unwrap().value;
    assert_eq!(
        (editor.base_path.as_str(), editor.arguments.as_slice()),
        ("/CodeEditor/default", &["--disable-telemetry".into(), "--locale=de".into()][..])
    );
    assert_eq!(description.layers, 12);
    assert!(description.warnings.is_empty(), "{:?}", description.warnings);
}

#[test]
fn conda_that_says_everything() {
    let conda = read(include_str!("full.toml")).conda.unwrap();
    let texts = |list: &[crate::description::Spanned<String>]| list.iter().map(|one| one.value.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&conda.channels), ["https://conda.example.com/acme", "conda-forge/label/dev", "./channel"]);
    let CondaSource::Packages(packages) = &conda.source else { panic!("packages") };
    assert_eq!(texts(packages), ["scrapy >=2.11", "conda-forge::python =3.12"]);
    assert_eq!((conda.prefix.absolute().as_str(), conda.owner), ("/opt/env", (0, 0)));
    assert_eq!((conda.existing, conda.activate, conda.compile_bytecode), (Existing::Update, Activate::Entrypoint, true));
    assert_eq!((texts(&conda.allow_link_scripts), conda.cuda.unwrap().value), (vec!["fontconfig".to_owned()], "12.4".to_owned()));
}

#[test]
fn conda_that_says_little() {
    let conda = read(&with("[conda]\nenvironment = \"./ci/environment.yml\"\n")).conda.unwrap();
    assert_eq!((conda.prefix.absolute().as_str(), conda.owner), ("/opt/conda", (1000, 100)));
    assert_eq!((conda.existing, conda.activate, conda.compile_bytecode), (Existing::Keep, Activate::Env, false));
    assert!(conda.channels.is_empty() && conda.cuda.is_none() && conda.allow_link_scripts.is_empty());
    let CondaSource::Environment(file) = conda.source else { panic!("an environment") };
    assert_eq!(file.value, std::path::Path::new("ci/environment.yml"));
    let CondaSource::Lock(file) = read(&with("conda = { lock = \"pixi.lock\" }\n")).conda.unwrap().source else { panic!("a lock") };
    assert_eq!(file.value, std::path::Path::new("pixi.lock"));
}

#[test]
fn channels_of_all_kinds() {
    for channel in ["conda-forge", "conda-forge/label/dev", "https://a.example.com/x/y/", "http://localhost:8080/a", "file:///srv/channel", "./a/b"] {
        let conda = read(&with(&format!("[conda]\nchannels = [\"{channel}\"]\npackages = [\"a\"]\n"))).conda.unwrap();
        assert_eq!(conda.channels[0].value, channel);
    }
}

#[test]
fn values_know_their_places() {
    let description = read(include_str!("full.toml"));
    let text = |span: &std::ops::Range<usize>| &description.source.text[span.clone()];
    assert_eq!(text(&description.base.span), "\"public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu\"");
    assert_eq!(text(&description.env["EDITOR"].span), "\"nano\"");
    let extensions: Vec<_> = description.extensions.iter().map(|extension| text(&extension.span)).collect();
    assert_eq!(extensions, ["\"VSCodeVim/Vim\"", "\"ms-python.python\"", "\"https://example.com/x.vsix\"", "\"./extensions/mine.vsix\""]);
    assert_eq!((text(&description.files[0].span), text(&description.files[2].span)), ("\"etc/pip.conf\"", "\"\"\"\nhello\n\"\"\""));
    assert_eq!(text(&description.editor.as_ref().unwrap().span), "[editor]");
    assert_eq!(text(&description.sudo.as_ref().unwrap().span), "true");
}

#[test]
fn every_kind_of_base() {
    for base in ["ubuntu:24.04", "oci:dir", "oci:dir:tag", "oci-archive:a.tar", "docker-archive:a.tar", "rootfs:r.tar.zst", "localhost:5000/x"] {
        let description = read(&format!("schema = 1\nbase = \"{base}\"\n"));
        assert_eq!(description.base_requirement, base);
    }
}

#[test]
fn two_directories_can_share_a_target_and_hold_single_files() {
    let description = read(&with(
        r#"
[[file]]
source = "a"
target = "/opt/x"
[[file]]
source = "b"
target = "/opt/x"
[[file]]
content = ""
target = "/opt/x/y/z"
"#,
    ));
    assert_eq!(description.files.len(), 3);
}

#[test]
fn origins_read_as_written() {
    let description = read(&with("[[extension]]\nurl = \"http://localhost:8080/x.vsix\"\n"));
    assert_eq!(description.extensions[0].origin, ExtensionOrigin::Url("http://localhost:8080/x.vsix".parse().unwrap()));
    assert!(description.warnings.is_empty());
}

#[test]
fn the_template_reads_with_and_without_its_examples() {
    let template = crate::description::template();
    let description = read(template);
    assert!(description.extensions.is_empty() && description.files.is_empty() && description.warnings.is_empty());
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let full = read(&template.lines().map(uncommented).collect::<Vec<_>>().join("\n"));
    assert_eq!((full.extensions.len(), full.files.len(), full.env.len(), full.labels.len()), (3, 2, 2, 1));
    assert!(full.conda.is_some());
    assert!(full.warnings.is_empty() && full.sudo.is_some() && !full.machine_settings.is_empty() && !full.user_settings.is_empty());
}

#[test]
fn line_ends_and_marks_of_other_systems_move_no_place() {
    let text = format!("\u{feff}{}", with("[env]\nA = \"é\"\nB = \"2\"\n").replace('\n', "\r\n"));
    let description = read(&text);
    assert_eq!(&text[description.env["B"].span.clone()], "\"2\"");
    assert_eq!(&text[description.base.span.clone()], "\"scratch\"");
}
