//! The patterns and limits of the SageMaker API on what the documents hold. Source: the service model, `service-2.json` of botocore 1.43,
//! shapes `ImageName`, `AppImageConfigName`, `RoleArn`, `ImageDisplayName`, `ImageDescription`, `ImageBaseImage`, `ReleaseNotes`, `DomainId`,
//! `ContainerEntrypoint`, `ContainerArguments`, `ContainerEnvironmentVariables`, `SageMakerImageVersionAlias`.

use crate::contract::limits as container;

/// Why a value would be refused by the service, as the rest of a sentence that begins with the value.
pub type Refusal = String;

/// `[a-zA-Z0-9]([-.]?[a-zA-Z0-9]){0,62}`.
pub fn image_name(name: &str) -> Result<(), Refusal> {
    name_of(name, "-.", false, "letters and digits, with single hyphens or dots between them")
}

/// `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`.
pub fn app_image_config_name(name: &str) -> Result<(), Refusal> {
    name_of(name, "-", true, "letters and digits, with hyphens between them")
}

/// At most 63 characters; separators neither first nor last, and one at a time unless `repeated`.
fn name_of(name: &str, separators: &str, repeated: bool, allowed: &str) -> Result<(), Refusal> {
    let is_separator = |c: char| separators.contains(c);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || is_separator(c));
    let doubled = name.as_bytes().windows(2).any(|pair| pair.iter().all(|byte| is_separator(char::from(*byte))));
    let fits = plain && !name.starts_with(is_separator) && !name.ends_with(is_separator) && (repeated || !doubled);
    match name.len() {
        1..=63 if fits => Ok(()),
        _ => Err(format!("must be 1 to 63 {allowed}")),
    }
}

/// `arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`, 20 to 2048 characters.
pub fn role_arn(arn: &str) -> Result<(), Refusal> {
    let refused = || Err("must be a role's ARN, like arn:aws:iam::123456789012:role/studio".to_owned());
    let Some(rest) = arn.strip_prefix("arn:aws") else { return refused() };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '-');
    let Some(rest) = rest.strip_prefix(":iam::") else { return refused() };
    let Some((account, role)) = rest.split_once(":role") else { return refused() };
    let is_role = !role.trim_start_matches('/').is_empty() && role.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c));
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if is_account && is_role && (20..=2048).contains(&arn.len()) { Ok(()) } else { refused() }
}

/// `\S(.*\S)?`, 1 to 128 characters.
pub fn display_name(name: &str) -> Result<(), Refusal> {
    let fits = (1..=128).contains(&name.chars().count()) && name.trim() == name && !name.contains(['\n', '\r']);
    if fits { Ok(()) } else { Err("must be one line of 1 to 128 characters without space at its ends".to_owned()) }
}

/// `.*`, 1 to 512 characters.
pub fn description(text: &str) -> Result<(), Refusal> {
    line(text, 512)
}

/// `.*`, 1 to 255 characters.
pub fn release_notes(text: &str) -> Result<(), Refusal> {
    line(text, 255)
}

/// `.*`, 1 to 255 characters.
pub fn base_image(text: &str) -> Result<(), Refusal> {
    line(text, 255)
}

fn line(text: &str, most: usize) -> Result<(), Refusal> {
    let fits = (1..=most).contains(&text.chars().count()) && !text.contains(['\n', '\r']);
    if fits { Ok(()) } else { Err(format!("must be one line of 1 to {most} characters")) }
}

/// `d-(-*[a-z0-9]){1,61}`, at most 63 characters.
pub fn domain_id(id: &str) -> Result<(), Refusal> {
    let rest = id.strip_prefix("d-").unwrap_or_default();
    let fits = rest.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let ends = rest.chars().last().is_some_and(|c| c != '-');
    if fits && ends && id.len() <= 63 { Ok(()) } else { Err("must be a domain's id, like d-abcdefghijkl".to_owned()) }
}

/// `(?!^[.-])^([a-zA-Z0-9-_.]+)`, 1 to 128 characters.
pub fn alias(text: &str) -> Result<(), Refusal> {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let fits = plain && !text.starts_with(['.', '-']) && (1..=128).contains(&text.len());
    if fits {
        Ok(())
    } else {
        Err("must be 1 to 128 letters, digits, hyphens, dots and underscores, and begin with neither hyphen nor dot".to_owned())
    }
}

/// `ContainerEntrypoint`: at most one word of 256 characters, not blank.
pub fn entrypoint(words: &[String]) -> Result<(), Refusal> {
    if words.len() > container::ENTRYPOINT_WORDS {
        return Err(format!("has {} words, and an AppImageConfig holds one: put a script into the image and name it", words.len()));
    }
    words_of(words, container::ENTRYPOINT_LENGTH)
}

/// `ContainerArguments`: at most 50 words of 64 characters, none blank.
pub fn arguments(words: &[String]) -> Result<(), Refusal> {
    if words.len() > container::ARGUMENTS {
        return Err(format!("has {} words, and an AppImageConfig holds {}", words.len(), container::ARGUMENTS));
    }
    words_of(words, container::ARGUMENT_LENGTH)
}

fn words_of(words: &[String], most: usize) -> Result<(), Refusal> {
    let refused = words.iter().find(|word| word.trim().is_empty() || word.chars().count() > most);
    refused.map_or(Ok(()), |word| Err(format!("has the word `{word}`, and a word may have 1 to {most} characters and not be blank")))
}

/// One entry of `ContainerEnvironmentVariables`.
pub fn variable(name: &str, value: &str) -> Result<(), Refusal> {
    let most = container::VARIABLE_LENGTH;
    let fits = |text: &str| text.chars().count() <= most;
    if !name.trim().is_empty() && fits(name) && fits(value) {
        Ok(())
    } else {
        Err(format!("must have a name and a value of at most {most} characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_service_takes() {
        let long = "a".repeat(64);
        for (name, image, config) in [
            ("editor", true, true),
            ("my-editor.2", true, false),
            ("my--editor", false, true),
            ("-editor", false, false),
            ("editor-", false, false),
            ("my_editor", false, false),
            ("", false, false),
            (long.as_str(), false, false),
            (&long[..63], true, true),
        ] {
            assert_eq!((image_name(name).is_ok(), app_image_config_name(name).is_ok()), (image, config), "{name}");
        }
    }

    #[test]
    fn other_values_are_what_the_service_takes() {
        for (arn, good) in [
            ("arn:aws:iam::123456789012:role/service-role/Studio", true),
            ("arn:aws-us-gov:iam::123456789012:role/x", true),
            ("arn:aws:iam::1234:role/x", false),
            ("arn:aws:iam::123456789012:user/x", false),
            ("arn:aws:iam::123456789012:role/", false),
        ] {
            assert_eq!(role_arn(arn).is_ok(), good, "{arn}");
        }
        assert!(domain_id("d-abc1").is_ok() && domain_id("d-").is_err() && domain_id("abc").is_err() && domain_id("d-A").is_err());
        assert!(alias("4.4_cpu-1").is_ok() && alias(".x").is_err() && alias("").is_err());
        assert!(display_name("Our editor").is_ok() && display_name(" x").is_err() && display_name("").is_err());
        let words = |count: usize, length: usize| vec!["x".repeat(length); count];
        assert!(entrypoint(&words(1, 256)).is_ok() && entrypoint(&words(2, 1)).is_err() && entrypoint(&words(1, 257)).is_err());
        assert!(arguments(&words(50, 64)).is_ok() && arguments(&words(51, 1)).is_err() && arguments(&words(1, 65)).is_err());
        assert!(arguments(&[" ".to_owned()]).is_err());
        assert!(variable("A", "").is_ok() && variable("", "b").is_err() && variable("A", &"x".repeat(257)).is_err());
    }
}
