//! `byoi studio`: its documents are held against the service's own model, botocore's validation and cfn-lint.

use std::fs;
use std::path::Path;
use std::process::Command;

use byoi::registry::testing::TestRegistry;
use serde_json::{Value, json};

use crate::support::base::editor_base;
use crate::support::byoi::{Run, Workplace};
use crate::support::tools;

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const ROLE: &str = "arn:aws:iam::123456789012:role/service-role/studio";

/// A place where ECR is the registry of the test, which has the image of a build as `team/editor:1`.
fn place() -> (TestRegistry, Workplace) {
    let registry = TestRegistry::start();
    registry.put_image("base", "1", &editor_base(2));
    let place = Workplace::new();
    place.write("byoi.toml", format!("schema = 1\nbase = \"{}/base:1\"\n", registry.host()));
    place.build(&[&format!("docker://{}/team/editor:1", registry.host())]);
    place.configure(&format!("[mirrors]\n\"{ECR}\" = \"{}\"\n", registry.host()));
    (registry, place)
}

fn studio(place: &Workplace, image: &str, more: &[&str]) -> Run {
    let image = format!("{ECR}/{image}");
    let words = ["studio", &image, "--name", "our.editor", "--role-arn", ROLE, "--domain-id", "d-abcdefghijkl"];
    place.byoi(&[&words, more].concat())
}

fn read(place: &Workplace, file: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path("studio").join(file)).unwrap()).unwrap()
}

fn python(program: &str) -> Command {
    let python = tools::work().join("aws/bin").join(program);
    assert!(python.exists(), "{} is missing: run hack/setup and hack/aws", python.display());
    Command::new(python)
}

/// What the service's model has against a document.
fn judged(operation: &str, file: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/aws_documents.py");
    let output = tools::output(python("python").arg(script).arg(operation).arg(file));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const OPERATIONS: [(&str, &str); 4] = [
    ("CreateImage", "create-image.json"),
    ("CreateImageVersion", "create-image-version.json"),
    ("CreateAppImageConfig", "create-app-image-config.json"),
    ("UpdateDomain", "update-domain.json"),
];

#[test]
fn the_service_takes_the_documents() {
    let (_registry, place) = place();
    let domain = json!({"DomainId": "d-abcdefghijkl", "DefaultUserSettings": {"CodeEditorAppSettings": {"CustomImages": [
        {"ImageName": "older", "AppImageConfigName": "older", "ImageVersionNumber": 7}]}}});
    place.write("domain.json", domain.to_string());
    let more =
        ["--display-name", "Our editor", "--description", "It has vim", "--release-notes", "The first", "--alias", "1.0", "--processor", "gpu"];
    let run =
        studio(&place, "team/editor:1", &[&more[..], &["--env", "TEAM=blue", "--env", "AWS_REGION=x", "--domain", "domain.json"]].concat()).ok();
    for (operation, file) in OPERATIONS {
        assert_eq!(judged(operation, &place.path("studio").join(file)), "", "{file}");
    }
    assert_eq!(run.out.lines().count(), 4, "{}", run.out);
    assert!(run.out.starts_with("aws sagemaker create-image --region eu-west-1 --cli-input-json file://studio/create-image.json\n"), "{}", run.out);
    assert!(run.err.contains("AWS_REGION has no effect") && run.err.contains("Spaces that run keep"), "{}", run.err);
    assert!(!run.err.contains("replaces the domain's list"), "{}", run.err);

    let config = read(&place, "create-app-image-config.json");
    assert_eq!(config["AppImageConfigName"], "our-editor");
    let container = &config["CodeEditorAppImageConfig"]["ContainerConfig"];
    assert_eq!(container["ContainerEntrypoint"], json!(["/usr/local/bin/byoi-entrypoint"]));
    assert_eq!(
        config["CodeEditorAppImageConfig"]["FileSystemConfig"],
        json!({"MountPath": "/home/sagemaker-user", "DefaultUid": 1000, "DefaultGid": 100})
    );
    let images = &read(&place, "update-domain.json")["DefaultUserSettings"]["CodeEditorAppSettings"]["CustomImages"];
    assert_eq!(images[0]["ImageName"], "older");
    assert_eq!(images[1], json!({"ImageName": "our.editor", "AppImageConfigName": "our-editor"}));

    let lint = tools::output(python("cfn-lint").arg(place.path("studio/cloudformation.json")));
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
}

#[test]
fn the_image_is_named_by_its_digest() {
    let (registry, place) = place();
    studio(&place, "team/editor:1", &[]).ok();
    let digest = place.byoi(&["inspect", "--json", &format!("{}/team/editor:1", registry.host())]).ok().json()["digest"].clone();
    let version = read(&place, "create-image-version.json");
    assert_eq!(version["BaseImage"], format!("{ECR}/team/editor@{}", digest.as_str().unwrap()));
    assert_eq!(version, {
        studio(&place, "team/editor:1", &[]).ok();
        read(&place, "create-image-version.json")
    });
}

/// The judges themselves find what is wrong.
#[test]
fn the_judges_can_say_no() {
    let place = Workplace::new();
    let file = place.path("wrong.json");
    place.write("wrong.json", json!({"ImageName": "my_image", "RoleArn": "x", "DisplayName": "d".repeat(129), "Extra": "y"}).to_string());
    let judgement = judged("CreateImage", &file);
    for expected in ["ImageName: 'my_image' does not match", "RoleArn: 1 is below 20", "DisplayName: 129 is above 128", "Extra is unknown"] {
        assert!(judgement.contains(expected), "{expected}: {judgement}");
    }
    place.write("wrong.json", json!({"ImageName": "x", "BaseImage": "y", "Processor": "TPU"}).to_string());
    let judgement = judged("CreateImageVersion", &file);
    assert!(judgement.contains("'TPU' is none of") && judgement.contains("ClientToken"), "{judgement}");
    let template = json!({"Resources": {"X": {"Type": "AWS::SageMaker::Image", "Properties": {"ImageNam": "x"}}}});
    place.write("wrong.json", template.to_string());
    assert!(!tools::output(python("cfn-lint").arg(&file)).status.success());
}

#[test]
fn what_the_service_would_refuse_is_not_written() {
    let (registry, place) = place();
    place
        .byoi(&["studio", &format!("{}/team/editor:1", registry.host()), "--name", "x", "--role-arn", ROLE, "--domain-id", "d-a"])
        .fails(1, &["private ECR"]);
    studio(&place, "team/editor:1", &["--display-name", " x", "--alias", ".1", "--env", "=x"]).fails(1, &["display name", "alias", "variable"]);
    studio(&place, "team/editor:1", &["--domain", "byoi.toml"]).fails(1, &["describe-domain"]);
    studio(&place, "team/editor:1", &["--env", "x"]).fails(2, &["NAME=VALUE"]);
    studio(&place, "team/nothing:1", &[]).fails(3, &["team/nothing"]);
    assert!(!place.path("studio").exists());
}

#[test]
fn an_image_that_is_not_ours_keeps_its_command_if_it_fits() {
    let (registry, place) = place();
    let mut image = editor_base(2);
    image.config = json!({"Cmd": ["sagemaker-code-editor", "--host", "0.0.0.0"]});
    registry.put_image("team/other", "1", &image);
    let run = studio(&place, "team/other:1", &[]).ok();
    let container = read(&place, "create-app-image-config.json")["CodeEditorAppImageConfig"]["ContainerConfig"].clone();
    assert_eq!(container, json!({"ContainerEntrypoint": ["sagemaker-code-editor"], "ContainerArguments": ["--host", "0.0.0.0"]}));
    assert!(run.err.contains("replaces the domain's list"), "{}", run.err);
    image.config = json!({"Entrypoint": ["bash", "-c", "exec sagemaker-code-editor"]});
    registry.put_image("team/other", "2", &image);
    studio(&place, "team/other:2", &[]).fails(1, &["has 3 words", "put a script into the image"]);
}
