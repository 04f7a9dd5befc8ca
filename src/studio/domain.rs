//! The custom images that a domain has already: `update-domain` replaces the whole list, so that what is not repeated is lost.

use serde_json::{Map, Value, json};

use crate::error::{Fault, Kind};

/// An entry of `CustomImages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomImage {
    /// `ImageName`.
    pub image: String,
    /// `ImageVersionNumber`, where a version is pinned.
    pub version: Option<u64>,
    /// `AppImageConfigName`.
    pub config: String,
}

/// What was given as the domain's description is none.
#[derive(Debug, thiserror::Error)]
#[error("{file} is not what `aws sagemaker describe-domain` prints: {why}")]
pub struct DomainError {
    /// The file, for people.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

impl Fault for DomainError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn help(&self) -> Option<String> {
        Some("write it with `aws sagemaker describe-domain --domain-id d-… > domain.json`".to_owned())
    }
}

/// The Code Editor images in the output of `aws sagemaker describe-domain`.
///
/// # Errors
/// [`DomainError`].
pub fn custom_images(file: &str, text: &[u8]) -> Result<Vec<CustomImage>, DomainError> {
    let wrong = |why: String| DomainError { file: file.to_owned(), why };
    let domain: Map<String, Value> = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    if !domain.contains_key("DomainArn") && !domain.contains_key("DomainId") {
        return Err(wrong("it has neither DomainId nor DomainArn".to_owned()));
    }
    let images = domain.get("DefaultUserSettings").and_then(|settings| settings.pointer("/CodeEditorAppSettings/CustomImages"));
    let Some(images) = images else { return Ok(Vec::new()) };
    let images = images.as_array().ok_or_else(|| wrong("its CustomImages are no list".to_owned()))?;
    images.iter().map(|image| entry(image).ok_or_else(|| wrong(format!("{image} is no entry of CustomImages")))).collect()
}

fn entry(image: &Value) -> Option<CustomImage> {
    let text = |name: &str| image.get(name)?.as_str().map(str::to_owned);
    let version = image.get("ImageVersionNumber").map(Value::as_u64);
    Some(CustomImage { image: text("ImageName")?, config: text("AppImageConfigName")?, version: version.unwrap_or(None) })
}

impl CustomImage {
    /// The entry as the service takes it.
    pub fn to_json(&self) -> Value {
        match self.version {
            Some(version) => json!({"ImageName": self.image, "ImageVersionNumber": version, "AppImageConfigName": self.config}),
            None => json!({"ImageName": self.image, "AppImageConfigName": self.config}),
        }
    }
}

/// The list with `new` in it: in the place of an entry for the same image and config, else at the end.
pub fn with(existing: &[CustomImage], new: CustomImage) -> Vec<CustomImage> {
    let mut all: Vec<_> = existing.to_vec();
    match all.iter_mut().find(|one| one.image == new.image && one.config == new.config) {
        Some(same) => *same = new,
        None => all.push(new),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = r#"{"DomainArn": "arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc", "DefaultUserSettings": {"CodeEditorAppSettings": {
        "CustomImages": [{"ImageName": "other", "AppImageConfigName": "other-config", "ImageVersionNumber": 3},
                         {"ImageName": "mine", "AppImageConfigName": "mine", "ImageVersionNumber": 1}]}}}"#;

    #[test]
    fn nothing_of_the_domain_is_lost() {
        let existing = custom_images("domain.json", DOMAIN.as_bytes()).unwrap();
        let mine = CustomImage { image: "mine".to_owned(), version: None, config: "mine".to_owned() };
        let new = with(&existing, mine.clone());
        assert_eq!(new, [existing[0].clone(), mine.clone()]);
        assert_eq!(with(&[], mine.clone()), [mine]);
        assert_eq!(new[0].to_json(), json!({"ImageName": "other", "ImageVersionNumber": 3, "AppImageConfigName": "other-config"}));
    }

    #[test]
    fn a_domain_without_images_and_a_file_that_is_none() {
        assert_eq!(custom_images("x", br#"{"DomainId": "d-1"}"#).unwrap(), []);
        for text in
            [&b"[]"[..], b"{}", b"no json", br#"{"DomainId": "d-1", "DefaultUserSettings": {"CodeEditorAppSettings": {"CustomImages": [{}]}}}"#]
        {
            assert!(custom_images("x", text).is_err());
        }
    }
}
