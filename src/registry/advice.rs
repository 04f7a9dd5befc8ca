//! What a person can do when a registry says no. Registries differ most in how one signs in and how repositories come to be.

use reqwest::StatusCode;

use super::http::is_loopback;
use super::message::RegistryMessage;
use crate::reference::DOCKER_HUB;

/// A registry whose ways are known.
#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    /// A private Amazon ECR registry.
    Ecr { account: &'a str, region: &'a str },
    /// Amazon's public gallery.
    EcrPublic,
    /// Docker Hub.
    Hub,
    /// Any other.
    Other,
}

fn kind(registry: &str) -> Kind<'_> {
    match registry {
        "public.ecr.aws" => return Kind::EcrPublic,
        DOCKER_HUB => return Kind::Hub,
        _ => {}
    }
    let name = registry.strip_suffix(".amazonaws.com").or_else(|| registry.strip_suffix(".amazonaws.com.cn"));
    let mut parts = name.unwrap_or_default().split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(account), Some("dkr"), Some("ecr" | "ecr-fips"), Some(region), None) => Kind::Ecr { account, region },
        _ => Kind::Other,
    }
}

/// How one signs in there.
fn sign_in(registry: &str) -> String {
    match kind(registry) {
        Kind::Ecr { region, .. } => {
            format!("`aws ecr get-login-password --region {region} | docker login --username AWS --password-stdin {registry}`; it holds for 12 hours")
        }
        Kind::EcrPublic => {
            "`aws ecr-public get-login-password --region us-east-1 | docker login --username AWS --password-stdin public.ecr.aws`".to_owned()
        }
        Kind::Hub => "`docker login`".to_owned(),
        Kind::Other => format!("`docker login {registry}`"),
    }
}

/// What to do about a refusal.
pub(super) fn for_refusal(registry: &str, repository: &str, status: StatusCode, messages: &[RegistryMessage], signed_in: bool) -> Option<String> {
    let says = |word: &str| messages.iter().any(|m| m.message.to_lowercase().contains(word) || m.code.to_lowercase().contains(word));
    if says("immutable") {
        return Some("the repository's tags are immutable: push under a new tag, or change the repository's settings".to_owned());
    }
    Some(match status.as_u16() {
        401 if signed_in => format!("the credentials for {registry} are wrong or have expired; sign in again: {}", sign_in(registry)),
        401 => format!("sign in: {}; docker itself need not be there: byoi reads docker's config.json and containers' auth.json", sign_in(registry)),
        403 if !signed_in => format!("sign in: {}", sign_in(registry)),
        403 => match kind(registry) {
            Kind::Ecr { account, region } => format!(
                "your account may not do this with `{repository}`: its policy, or yours, must allow it (ecr:BatchGetImage, ecr:PutImage, …) in account {account}, region {region}"
            ),
            _ => format!("your account may not do this with `{repository}`: ask its owner, or sign in with another: {}", sign_in(registry)),
        },
        404 if says("name") || says("repository") => match kind(registry) {
            Kind::Ecr { region, .. } => {
                format!("make the repository first: `aws ecr create-repository --repository-name {repository} --region {region}`")
            }
            _ => format!(
                "check the name `{repository}`; some registries want a repository to be made first, some hide private ones from who is not signed in: {}",
                sign_in(registry)
            ),
        },
        404 if signed_in => "check the name and the tag".to_owned(),
        404 => format!("check the name and the tag; some registries hide private repositories from who is not signed in: {}", sign_in(registry)),
        413 => "the registry, or a proxy before it, limits the size of what is pushed".to_owned(),
        429 if signed_in => "too many requests: wait, or name a mirror in `[mirrors]` of byoi's config.toml".to_owned(),
        429 => format!(
            "too many requests for somebody who is not signed in: {}; or name a mirror in `[mirrors]` of byoi's config.toml",
            sign_in(registry)
        ),
        500.. => "the registry has trouble: run the command again later".to_owned(),
        400 if is_loopback(registry.rsplit_once(':').map_or(registry, |(host, _)| host)) && says("https") => {
            format!("it speaks https: add `https = [\"{registry}\"]` to `[registry]` in byoi's config.toml")
        }
        _ => return None,
    })
}

/// What to do about an answer that is not the protocol.
pub(super) fn for_garbage(registry: &str) -> String {
    format!("check that {registry} is a container registry, and that no proxy or login page answers in its place: `curl -i https://{registry}/v2/`")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    fn help(registry: &str, status: u16, message: &str, signed_in: bool) -> String {
        let messages = [RegistryMessage { code: String::new(), message: message.to_owned() }];
        for_refusal(registry, "team/image", StatusCode::from_u16(status).unwrap(), &messages, signed_in).unwrap_or_default()
    }

    #[test]
    fn knows_the_ways_of_registries() {
        assert_eq!(kind(ECR), Kind::Ecr { account: "123456789012", region: "eu-west-1" });
        assert!(matches!(kind("1.dkr.ecr.cn-north-1.amazonaws.com.cn"), Kind::Ecr { region: "cn-north-1", .. }));
        assert_eq!(kind("s3.amazonaws.com"), Kind::Other);
    }

    #[test]
    fn gives_the_command_that_helps() {
        for (registry, status, message, signed_in, expected) in [
            (ECR, 401, "", false, "aws ecr get-login-password --region eu-west-1 | docker login --username AWS --password-stdin 123456789012"),
            (
                ECR,
                404,
                "The repository with name 'x' does not exist",
                true,
                "aws ecr create-repository --repository-name team/image --region eu-west-1",
            ),
            (ECR, 400, "cannot be overwritten because the repository is immutable", true, "new tag"),
            ("public.ecr.aws", 429, "", false, "aws ecr-public get-login-password"),
            ("docker.io", 429, "toomanyrequests", false, "`docker login`"),
            ("ghcr.io", 401, "", true, "expired"),
            ("ghcr.io", 403, "", false, "docker login ghcr.io"),
            ("ghcr.io", 503, "", false, "later"),
            ("localhost:5001", 400, "client sent an http request to an https server", false, "https = [\"localhost:5001\"]"),
        ] {
            let help = help(registry, status, message, signed_in);
            assert!(help.contains(expected), "{registry} {status}: {help}");
        }
    }
}
