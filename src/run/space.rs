//! What Studio gives the container of a space, as data: user, mounts, metadata, variables, and what an AppImageConfig changes of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::app_image_config::ContainerConfig;
use crate::contract;
use crate::json;

/// Stand-ins for what SageMaker sets; an image sees such values and nothing depends on which. Source: doc "EnvVariables". `SAGEMAKER_APP_TYPE_LOWERCASE`
/// is not among them: sagemaker-distribution's own scripts make it.
const VARIABLES: &[(&str, &str)] = &[
    ("AWS_ACCOUNT_ID", "111122223333"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/_sagemaker-instance-credentials/byoi-run"),
    ("AWS_DEFAULT_REGION", "eu-west-1"),
    ("AWS_REGION", "eu-west-1"),
    ("SAGEMAKER_APP_TYPE", "CodeEditor"),
    ("SAGEMAKER_SPACE_NAME", "byoi-run"),
];

/// Directories over which empty file systems are mounted. Source: doc "Metadata directories".
pub const HIDDEN_DIRECTORIES: &[&str] = &["/opt/ml", "/opt/.sagemakerinternal"];
/// The directory of the app's metadata. Source: doc "Metadata directories".
pub const METADATA_DIRECTORY: &str = "/opt/ml/metadata";
/// Name of the file in it.
pub const METADATA_FILE: &str = "resource-metadata.json";

/// A space as a container sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Space {
    /// One word instead of the image's entrypoint.
    pub entrypoint: Option<String>,
    /// What follows the entrypoint, instead of the image's command.
    pub arguments: Option<Vec<String>>,
    /// Variables of the container.
    pub variables: BTreeMap<String, String>,
}

impl Space {
    /// A space that runs an image with this AppImageConfig. SageMaker's variables win over its.
    pub fn new(config: &ContainerConfig) -> Self {
        let mut variables = config.variables.clone();
        variables.extend(VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Space { entrypoint: config.entrypoint.clone(), arguments: config.arguments.clone(), variables }
    }

    /// The words that are run of an image with this config: what docker makes of entrypoint and command.
    pub fn command(&self, config: &ImageConfig) -> Vec<String> {
        let entrypoint = self.entrypoint.clone().map_or_else(|| config.entrypoint.clone(), |word| vec![word]);
        // Another entrypoint than the image's takes the image's command away.
        let arguments = match (&self.arguments, &self.entrypoint) {
            (Some(arguments), _) => arguments.clone(),
            (None, Some(_)) => Vec::new(),
            (None, None) => config.command.clone(),
        };
        [entrypoint, arguments].concat()
    }

    /// The text of the metadata file. Source: doc "Metadata directories".
    pub fn metadata() -> Vec<u8> {
        json::canonical(&json!({
            "AppType": "CodeEditor",
            "DomainId": "d-byoirun",
            "SpaceName": "byoi-run",
            "UserProfileName": "byoi-run",
            "ResourceArn": "arn:aws:sagemaker:eu-west-1:111122223333:app/d-byoirun/byoi-run/CodeEditor/default",
            "ResourceName": "default",
            "AppImageVersion": "current",
        }))
    }
}

/// What an image's config says of how it is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub command: Vec<String>,
    /// `Env`, each `NAME=VALUE`.
    pub variables: Vec<String>,
    /// `WorkingDir`.
    pub working_directory: String,
}

impl ImageConfig {
    /// Reads the object `config` of an image's config.
    pub fn read(config: &Value) -> Self {
        let words = |name: &str| -> Vec<String> {
            let words = config.get(name).and_then(Value::as_array);
            words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let working_directory = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default().to_owned();
        ImageConfig { entrypoint: words("Entrypoint"), command: words("Cmd"), variables: words("Env"), working_directory }
    }
}

/// The owner of process and home.
pub fn owner() -> (u32, u32) {
    (contract::UID, contract::GID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn each_variable_of_the_platform_has_a_stand_in() {
        for name in contract::RESERVED_VARIABLES.iter().filter(|name| !name.ends_with("_LOWERCASE")) {
            assert!(VARIABLES.iter().any(|(known, _)| known == name), "{name}");
        }
        assert!(VARIABLES.iter().all(|(name, _)| contract::RESERVED_VARIABLES.contains(name)));
    }

    #[test]
    fn the_platforms_variables_win() {
        let own = [("AWS_REGION", "mars"), ("EDITOR", "vi")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let space = Space::new(&ContainerConfig { variables: own.into(), ..ContainerConfig::default() });
        assert_eq!((space.variables["AWS_REGION"].as_str(), space.variables["EDITOR"].as_str()), ("eu-west-1", "vi"));
    }

    #[test]
    fn another_entrypoint_takes_the_images_command_away() {
        let image = ImageConfig { entrypoint: words("/entry"), command: words("serve --x"), ..ImageConfig::default() };
        let command = |entrypoint: Option<&str>, arguments: Option<&str>| {
            let space = Space { entrypoint: entrypoint.map(str::to_owned), arguments: arguments.map(words), ..Space::default() };
            space.command(&image).join(" ")
        };
        assert_eq!(command(None, None), "/entry serve --x");
        assert_eq!(command(Some("other"), None), "other");
        assert_eq!(command(None, Some("a b")), "/entry a b");
        assert_eq!(command(Some("other"), Some("a")), "other a");
    }

    #[test]
    fn every_hidden_directory_is_reserved() {
        for directory in HIDDEN_DIRECTORIES.iter().chain([&METADATA_DIRECTORY]) {
            assert!(contract::reserved_directory(&crate::image_path::ImagePath::literal(directory)).is_some());
        }
    }
}
