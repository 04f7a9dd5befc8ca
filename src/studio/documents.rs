//! The documents themselves.

use serde_json::{Map, Value, json};

use super::EcrImage;
use super::domain::{CustomImage, with};
use super::limits::{self, Refusal};
use crate::contract;
use crate::error::Problem;

/// What the documents are to say.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image.
    pub image: EcrImage,
    /// The name of the SageMaker image.
    pub name: String,
    /// The name of the AppImageConfig.
    pub config_name: String,
    /// The role with which SageMaker pulls the image.
    pub role: String,
    /// The name that Studio shows.
    pub display_name: Option<String>,
    /// A description.
    pub description: Option<String>,
    /// What is new in this version.
    pub release_notes: Option<String>,
    /// Aliases of this version.
    pub aliases: Vec<String>,
    /// What the image is made for.
    pub processor: Processor,
    /// `ContainerEntrypoint`.
    pub entrypoint: Vec<String>,
    /// `ContainerArguments`.
    pub arguments: Vec<String>,
    /// `ContainerEnvironmentVariables`.
    pub variables: Vec<(String, String)>,
    /// The domain that the image is attached to.
    pub domain: String,
    /// The custom images that the domain has.
    pub existing: Vec<CustomImage>,
}

/// What an image is made for. A label, nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Processor {
    /// CPU.
    Cpu,
    /// GPU.
    Gpu,
}

impl Processor {
    fn name(self) -> &'static str {
        match self {
            Processor::Cpu => "CPU",
            Processor::Gpu => "GPU",
        }
    }
}

/// A document: the name of its file, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The file's name.
    pub file: &'static str,
    /// The operation of the service whose input it is; none for the template.
    pub operation: Option<&'static str>,
    /// What it says.
    pub body: Value,
}

/// Names of all files, in the order in which they are used.
pub fn files() -> impl Iterator<Item = &'static str> {
    ["create-image.json", "create-image-version.json", "create-app-image-config.json", "update-domain.json", "cloudformation.json"].into_iter()
}

/// The documents.
///
/// # Errors
/// All values that the service would refuse.
pub fn documents(request: &Request) -> Result<Vec<Document>, Vec<Problem>> {
    let problems = refused(request);
    if !problems.is_empty() {
        return Err(problems);
    }
    let bodies = [
        (Some("CreateImage"), create_image(request)),
        (Some("CreateImageVersion"), create_image_version(request)),
        (Some("CreateAppImageConfig"), create_app_image_config(request)),
        (Some("UpdateDomain"), update_domain(request)),
        (None, template(request)),
    ];
    Ok(files().zip(bodies).map(|(file, (operation, body))| Document { file, operation, body }).collect())
}

fn refused(request: &Request) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |what: &str, value: &str, outcome: Result<(), Refusal>| {
        if let Err(why) = outcome {
            problems.push(Problem::new(format!("the service would refuse {what} `{value}`: it {why}")));
        }
    };
    let image = request.image.to_string();
    check("the image", &image, limits::base_image(&image));
    check("the name", &request.name, limits::image_name(&request.name));
    check("the name of the AppImageConfig", &request.config_name, limits::app_image_config_name(&request.config_name));
    check("the role", &request.role, limits::role_arn(&request.role));
    check("the domain", &request.domain, limits::domain_id(&request.domain));
    if let Some(text) = &request.display_name {
        check("the display name", text, limits::display_name(text));
    }
    if let Some(text) = &request.description {
        check("the description", text, limits::description(text));
    }
    if let Some(text) = &request.release_notes {
        check("the release notes", text, limits::release_notes(text));
    }
    for alias in &request.aliases {
        check("the alias", alias, limits::alias(alias));
    }
    check("the entrypoint", &request.entrypoint.join(" "), limits::entrypoint(&request.entrypoint));
    check("the arguments", &request.arguments.join(" "), limits::arguments(&request.arguments));
    for (name, value) in &request.variables {
        check("the variable", name, limits::variable(name, value));
    }
    let most = contract::limits::VARIABLES;
    if request.variables.len() > most {
        problems.push(Problem::new(format!("the service would refuse {} variables: an AppImageConfig holds {most}", request.variables.len())));
    }
    problems
}

/// An object of the fields that have a value.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

fn text(value: &Option<String>) -> Option<Value> {
    value.as_ref().map(|text| json!(text))
}

fn list(words: &[String]) -> Option<Value> {
    (!words.is_empty()).then(|| json!(words))
}

fn create_image(request: &Request) -> Value {
    object([
        ("ImageName", Some(json!(request.name))),
        ("RoleArn", Some(json!(request.role))),
        ("DisplayName", text(&request.display_name)),
        ("Description", text(&request.description)),
    ])
}

fn create_image_version(request: &Request) -> Value {
    object([
        ("ImageName", Some(json!(request.name))),
        ("BaseImage", Some(json!(request.image.to_string()))),
        // The same image asked for twice is one version: the service tells repetitions by this token.
        ("ClientToken", Some(json!(&request.image.digest().hex()[..36]))),
        ("Aliases", list(&request.aliases)),
        ("Processor", Some(json!(request.processor.name()))),
        ("ReleaseNotes", text(&request.release_notes)),
    ])
}

/// `ContainerConfig`; its variables are an object for the service, and a list of keys and values for CloudFormation.
fn container_config(request: &Request, variables: Value) -> Value {
    object([
        ("ContainerEntrypoint", list(&request.entrypoint)),
        ("ContainerArguments", list(&request.arguments)),
        ("ContainerEnvironmentVariables", (!request.variables.is_empty()).then_some(variables)),
    ])
}

fn create_app_image_config(request: &Request) -> Value {
    let variables: Map<String, Value> = request.variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "AppImageConfigName": request.config_name,
        "CodeEditorAppImageConfig": {
            "FileSystemConfig": {"MountPath": contract::HOME, "DefaultUid": contract::UID, "DefaultGid": contract::GID},
            "ContainerConfig": container_config(request, Value::Object(variables)),
        },
    })
}

fn update_domain(request: &Request) -> Value {
    let new = CustomImage { image: request.name.clone(), version: None, config: request.config_name.clone() };
    let images: Vec<Value> = with(&request.existing, new).iter().map(CustomImage::to_json).collect();
    json!({"DomainId": request.domain, "DefaultUserSettings": {"CodeEditorAppSettings": {"CustomImages": images}}})
}

/// Image, version and config as a template. CloudFormation refuses a FileSystemConfig for Code Editor (doc `AWS::SageMaker::AppImageConfig`);
/// the domain belongs to another stack, so the output says what its `CustomImages` need.
fn template(request: &Request) -> Value {
    let image = object([
        ("ImageName", Some(json!(request.name))),
        ("ImageRoleArn", Some(json!(request.role))),
        ("ImageDisplayName", text(&request.display_name)),
        ("ImageDescription", text(&request.description)),
    ]);
    let version = object([
        ("ImageName", Some(json!(request.name))),
        ("BaseImage", Some(json!(request.image.to_string()))),
        ("Aliases", list(&request.aliases)),
        ("Processor", Some(json!(request.processor.name()))),
        ("ReleaseNotes", text(&request.release_notes)),
    ]);
    let variables: Vec<Value> = request.variables.iter().map(|(name, value)| json!({"Key": name, "Value": value})).collect();
    let entry = CustomImage { image: request.name.clone(), version: None, config: request.config_name.clone() }.to_json();
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("The Code Editor image {}", request.name),
        "Resources": {
            "Image": {"Type": "AWS::SageMaker::Image", "Properties": image},
            "ImageVersion": {"Type": "AWS::SageMaker::ImageVersion", "DependsOn": "Image", "Properties": version},
            "AppImageConfig": {
                "Type": "AWS::SageMaker::AppImageConfig",
                "Properties": {
                    "AppImageConfigName": request.config_name,
                    "CodeEditorAppImageConfig": {"ContainerConfig": container_config(request, json!(variables))},
                },
            },
        },
        "Outputs": {
            "CustomImage": {
                "Description": "What DefaultUserSettings.CodeEditorAppSettings.CustomImages of the domain has to hold, beside what it holds already",
                "Value": entry.to_string(),
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn request() -> Request {
        let reference = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/editor:1".parse().unwrap();
        Request {
            image: EcrImage::new(&reference, Digest::of("image")).unwrap(),
            name: "editor".to_owned(),
            config_name: "editor".to_owned(),
            role: "arn:aws:iam::123456789012:role/studio".to_owned(),
            display_name: None,
            description: None,
            release_notes: None,
            aliases: Vec::new(),
            processor: Processor::Cpu,
            entrypoint: vec![contract::ENTRYPOINT.to_owned()],
            arguments: Vec::new(),
            variables: Vec::new(),
            domain: "d-abc".to_owned(),
            existing: Vec::new(),
        }
    }

    #[test]
    fn the_file_system_is_for_the_cli_and_not_for_cloudformation() {
        let documents = documents(&request()).unwrap();
        let of = |file: &str| documents.iter().find(|document| document.file == file).unwrap().body.to_string();
        assert!(of("create-app-image-config.json").contains(r#""DefaultUid":1000"#));
        assert!(!of("cloudformation.json").contains("FileSystemConfig"));
        assert!(of("create-image-version.json").contains("@sha256:"));
    }

    #[test]
    fn everything_that_would_be_refused_is_said_at_once() {
        let wrong = Request {
            name: "my_editor".to_owned(),
            config_name: "a.b".to_owned(),
            role: "studio".to_owned(),
            domain: "domain".to_owned(),
            entrypoint: vec!["bash".to_owned(), "-c".to_owned()],
            arguments: vec!["x".repeat(65)],
            variables: (0..26).map(|number| (format!("V{number}"), String::new())).collect(),
            ..request()
        };
        let problems = documents(&wrong).unwrap_err();
        assert_eq!(problems.len(), 7, "{problems:?}");
    }
}
