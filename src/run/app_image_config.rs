//! The AppImageConfig that a space is started with: the document that `byoi studio` writes, or what `describe-app-image-config` prints.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::contract;
use crate::error::{Error, Problem};

/// `ContainerConfig` of an AppImageConfig.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerConfig {
    /// `ContainerEntrypoint`: the API holds one word.
    pub entrypoint: Option<String>,
    /// `ContainerArguments`.
    pub arguments: Option<Vec<String>>,
    /// `ContainerEnvironmentVariables`.
    pub variables: BTreeMap<String, String>,
}

/// Reads a document, which messages call `name`.
///
/// # Errors
/// What is no such document, one of another app, and values that the service would refuse.
pub fn read(name: &str, bytes: &[u8]) -> Result<ContainerConfig, Error> {
    let wrong = |what: String| {
        let help = "give the create-app-image-config.json that `byoi studio` writes, or what `aws sagemaker describe-app-image-config` prints";
        Error::input(Problem::new(format!("{name} {what}")).help(help))
    };
    let document: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| wrong(format!("is not a JSON object: {error}")))?;
    let app = document.get("CodeEditorAppImageConfig").ok_or_else(|| wrong("has no `CodeEditorAppImageConfig`".to_owned()))?;
    file_system(app).map_err(wrong)?;
    match app.get("ContainerConfig") {
        None | Some(Value::Null) => Ok(ContainerConfig::default()),
        Some(config) => container(config).map_err(wrong),
    }
}

/// Only the contract's ids and mount point work, whatever the API lets one write.
fn file_system(app: &Value) -> Result<(), String> {
    let Some(file_system) = app.get("FileSystemConfig") else { return Ok(()) };
    let expected =
        [("MountPath", Value::from(contract::HOME)), ("DefaultUid", Value::from(contract::UID)), ("DefaultGid", Value::from(contract::GID))];
    for (name, value) in expected {
        match file_system.get(name) {
            Some(found) if *found != value => return Err(format!("has the {name} {found}: Studio supports {value} alone")),
            _ => {}
        }
    }
    Ok(())
}

fn container(config: &Value) -> Result<ContainerConfig, String> {
    let entrypoint = words(config, "ContainerEntrypoint", contract::limits::ENTRYPOINT_WORDS, contract::limits::ENTRYPOINT_LENGTH)?;
    let arguments = words(config, "ContainerArguments", contract::limits::ARGUMENTS, contract::limits::ARGUMENT_LENGTH)?;
    let mut variables = BTreeMap::new();
    for (name, value) in config.get("ContainerEnvironmentVariables").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().ok_or_else(|| format!("has the variable {name} with a value that is no text"))?;
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!("has a variable `{}` that no container can have", name.escape_debug()));
        }
        let longest = contract::limits::VARIABLE_LENGTH;
        if name.chars().count() > longest || value.chars().count() > longest {
            return Err(format!("has the variable {name}, of which name or value have more than {longest} characters: the service refuses it"));
        }
        variables.insert(name.clone(), value.to_owned());
    }
    let most = contract::limits::VARIABLES;
    if variables.len() > most {
        return Err(format!("has {} variables: the service takes {most}", variables.len()));
    }
    Ok(ContainerConfig { entrypoint: entrypoint.and_then(|words| words.into_iter().next()), arguments, variables })
}

/// A list of words; none where it is absent or empty, which the service takes for the same.
fn words(config: &Value, name: &str, most: usize, longest: usize) -> Result<Option<Vec<String>>, String> {
    let Some(list) = config.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let words: Option<Vec<String>> = list.as_array().and_then(|words| words.iter().map(|word| word.as_str().map(str::to_owned)).collect());
    let words = words.ok_or_else(|| format!("has a `{name}` that is no list of words"))?;
    if words.len() > most {
        return Err(format!("has {} words in `{name}`: the service takes {most}", words.len()));
    }
    if let Some(long) = words.iter().find(|word| word.chars().count() > longest) {
        return Err(format!("has `{long}` in `{name}`: a word there has {longest} characters at most"));
    }
    if words.iter().any(|word| word.trim().is_empty() || word.contains('\0')) {
        return Err(format!("has a word in `{name}` that is blank, or has a NUL in it: the service refuses it"));
    }
    Ok((!words.is_empty()).then_some(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_app(app: Value) -> Result<ContainerConfig, String> {
        let document = json!({"AppImageConfigName": "editor", "CodeEditorAppImageConfig": app});
        read("config.json", document.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_the_service_takes() {
        let config = read_app(json!({
            "FileSystemConfig": {"MountPath": "/home/sagemaker-user", "DefaultUid": 1000, "DefaultGid": 100},
            "ContainerConfig": {
                "ContainerEntrypoint": ["/entry"], "ContainerArguments": ["--log", "debug"], "ContainerEnvironmentVariables": {"EDITOR": "vi"},
            },
        }));
        let config = config.unwrap();
        assert_eq!(config.entrypoint.as_deref(), Some("/entry"));
        assert_eq!(config.arguments.unwrap(), ["--log", "debug"]);
        assert_eq!(config.variables, BTreeMap::from([("EDITOR".to_owned(), "vi".to_owned())]));
        assert_eq!(read_app(json!({})).unwrap(), ContainerConfig::default());
        assert_eq!(read_app(json!({"ContainerConfig": {"ContainerArguments": []}})).unwrap(), ContainerConfig::default());
    }

    #[test]
    fn says_what_the_service_refuses() {
        let container = |config: Value| read_app(json!({"ContainerConfig": config})).unwrap_err();
        assert!(container(json!({"ContainerEntrypoint": ["bash", "-c"]})).contains("2 words in `ContainerEntrypoint`: the service takes 1"));
        assert!(container(json!({"ContainerArguments": ["x".repeat(65)]})).contains("64 characters at most"));
        assert!(container(json!({"ContainerArguments": "x"})).contains("no list of words"));
        assert!(container(json!({"ContainerEntrypoint": [" "]})).contains("blank"));
        assert!(container(json!({"ContainerEnvironmentVariables": {"A=B": "x"}})).contains("no container can have"));
        assert!(read_app(json!({"FileSystemConfig": {"DefaultUid": 0}})).unwrap_err().contains("DefaultUid 0: Studio supports 1000 alone"));
        for bytes in [&b"[]"[..], b"{}", b"{"] {
            assert!(read("config.json", bytes).is_err());
        }
    }
}
