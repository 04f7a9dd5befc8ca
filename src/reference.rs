//! How people name images: registry references, and the transports of skopeo's kind (`oci:DIR:TAG`, `docker-archive:FILE`, …).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::digest::Digest;

/// The registry that a reference without a host means.
pub const DOCKER_HUB: &str = "docker.io";

/// A reference to an image in a registry, normalised: `ubuntu` is `docker.io/library/ubuntu:latest`.
/// Grammar: the distribution project's reference grammar; repository and tag are checked against it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text does not name an image.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct InvalidReference {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Reference {
    /// The registry's host and port, as in a URL.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's path in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where neither tag nor digest was given, none for a reference by digest alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one was given. It wins over the tag.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The last part of a manifest's URL: the digest, else the tag.
    pub fn manifest_name(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| "latest".to_owned()),
        }
    }

    /// The same repository and tag, pinned to `digest`.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Reference { digest: Some(digest), ..self.clone() }
    }

    /// The repository at another registry or path, same tag and digest: what a mirror does.
    ///
    /// # Errors
    /// When the parts do not make a reference.
    pub fn relocated(&self, registry: &str, repository: &str) -> Result<Self, InvalidReference> {
        let moved = Reference { registry: registry.to_owned(), repository: repository.to_owned(), ..self.clone() };
        check_parts(&moved).map_err(|reason| InvalidReference { text: format!("{registry}/{repository}"), reason })?;
        Ok(moved)
    }

    /// `host/path` without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |reason: String| InvalidReference { text: text.to_owned(), reason };
        if text.contains("://") {
            return Err(invalid("it is a URL; leave the scheme out".to_owned()));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|error| invalid(error.to_string()))?)),
            None => (text, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" || host.bytes().any(|c| c.is_ascii_uppercase()) => (host, path),
            _ => (DOCKER_HUB, name),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
        let repository = if registry == DOCKER_HUB && !repository.contains('/') { format!("library/{repository}") } else { repository.to_owned() };
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        let reference = Reference { registry: registry.to_owned(), repository, tag, digest };
        check_parts(&reference).map_err(invalid)?;
        Ok(reference)
    }
}

fn check_parts(reference: &Reference) -> Result<(), String> {
    let Reference { registry, repository, tag, .. } = reference;
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, Some(port)),
        _ => (registry.as_str(), None),
    };
    let is_ipv6 = host.starts_with('[') && host.ends_with(']') && host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = !host.is_empty() && host.split('.').all(|label| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
    if !is_ipv6 && !is_name {
        return Err(format!("`{registry}` is not a registry's host name"));
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(format!("`{registry}` does not end in a port number"));
    }
    if repository.is_empty() || repository == "library/" {
        return Err("the repository's name is missing".to_owned());
    }
    if repository.bytes().any(|c| c.is_ascii_uppercase()) {
        return Err(format!("the repository `{repository}` must be lower case"));
    }
    if !repository.split('/').all(is_path_component) {
        return Err(format!("`{repository}` is not a repository's name (lower-case letters, digits and single separators `.`, `_`, `-`, `/`)"));
    }
    if registry.len() + 1 + repository.len() > 255 {
        return Err("the name is longer than 255 characters".to_owned());
    }
    if let Some(tag) = tag {
        let first = tag.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_');
        let rest = tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c));
        if !first || !rest || tag.len() > 128 {
            return Err(format!("`{tag}` is not a tag (letters, digits, `_`, `.`, `-`, at most 128)"));
        }
    }
    Ok(())
}

/// `alphanumeric (separator alphanumeric)*` where a separator is `.`, `_`, `__`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let mut separator = String::from("^");
    for c in component.chars() {
        match c {
            'a'..='z' | '0'..='9' => separator.clear(),
            '.' | '_' | '-' => separator.push(c),
            _ => return false,
        }
        if !(matches!(separator.as_str(), "" | "." | "_" | "__") || separator.bytes().all(|c| c == b'-')) {
            return false;
        }
    }
    separator.is_empty()
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an image lies that byoi reads: a base, or an image to inspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// In a registry.
    Registry(Reference),
    /// In an OCI image layout directory.
    OciLayout {
        /// The directory.
        directory: PathBuf,
        /// The value of `org.opencontainers.image.ref.name`; without it the layout must hold one image.
        tag: Option<String>,
    },
    /// In a tar of an OCI image layout.
    OciArchive {
        /// The tar.
        file: PathBuf,
    },
    /// In a tar as `docker save` writes it.
    DockerArchive {
        /// The tar.
        file: PathBuf,
    },
    /// A root filesystem as a tar, plain or compressed; not an image yet.
    RootFs {
        /// The tar.
        file: PathBuf,
    },
    /// Nothing at all.
    Scratch,
}

impl FromStr for ImageSource {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let file = |rest: &str| match rest {
            "" => Err(InvalidReference { text: text.to_owned(), reason: "the file's name is missing".to_owned() }),
            rest => Ok(PathBuf::from(rest)),
        };
        if text == "scratch" {
            return Ok(ImageSource::Scratch);
        }
        Ok(match text.split_once(':') {
            Some(("oci", rest)) => {
                let (directory, tag) = split_layout(rest);
                ImageSource::OciLayout { directory: file(directory)?, tag }
            }
            Some(("oci-archive", rest)) => ImageSource::OciArchive { file: file(rest)? },
            Some(("docker-archive", rest)) => ImageSource::DockerArchive { file: file(rest)? },
            Some(("rootfs", rest)) => ImageSource::RootFs { file: file(rest)? },
            Some(("docker", rest)) if rest.starts_with("//") => ImageSource::Registry(rest[2..].parse()?),
            _ => ImageSource::Registry(text.parse()?),
        })
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::Registry(reference) => write!(f, "{reference}"),
            ImageSource::OciLayout { directory, tag: None } => write!(f, "oci:{}", directory.display()),
            ImageSource::OciLayout { directory, tag: Some(tag) } => write!(f, "oci:{}:{tag}", directory.display()),
            ImageSource::OciArchive { file } => write!(f, "oci-archive:{}", file.display()),
            ImageSource::DockerArchive { file } => write!(f, "docker-archive:{}", file.display()),
            ImageSource::RootFs { file } => write!(f, "rootfs:{}", file.display()),
            ImageSource::Scratch => f.write_str("scratch"),
        }
    }
}

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a registry, under a tag.
    Registry(Reference),
    /// Into an OCI image layout directory.
    OciLayout {
        /// The directory; made if it is not there.
        directory: PathBuf,
        /// The value of `org.opencontainers.image.ref.name`.
        tag: Option<String>,
    },
    /// Into a tar of an OCI image layout.
    OciArchive {
        /// The tar.
        file: PathBuf,
    },
    /// Into a tar as `docker load` reads it.
    DockerArchive {
        /// The tar.
        file: PathBuf,
        /// The name that the image gets when it is loaded.
        reference: Option<Reference>,
    },
    /// Into the local docker daemon, under this name.
    DockerDaemon(Reference),
}

impl FromStr for Destination {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |reason: &str| InvalidReference { text: text.to_owned(), reason: reason.to_owned() };
        let file = |rest: &str| if rest.is_empty() { Err(invalid("the file's name is missing")) } else { Ok(PathBuf::from(rest)) };
        match text.split_once(':') {
            Some(("oci", rest)) => {
                let (directory, tag) = split_layout(rest);
                Ok(Destination::OciLayout { directory: file(directory)?, tag })
            }
            Some(("oci-archive", rest)) => Ok(Destination::OciArchive { file: file(rest)? }),
            Some(("docker-archive", rest)) => {
                let (path, reference) = split_layout(rest);
                let reference = reference.map(|name| name.parse()).transpose()?;
                Ok(Destination::DockerArchive { file: file(path)?, reference })
            }
            Some(("docker-daemon", rest)) => Ok(Destination::DockerDaemon(pushable(rest.parse()?).map_err(|reason| invalid(&reason))?)),
            Some(("docker", rest)) if rest.starts_with("//") => {
                Ok(Destination::Registry(pushable(rest[2..].parse()?).map_err(|reason| invalid(&reason))?))
            }
            _ => Err(invalid("a destination begins with docker://, oci:, oci-archive:, docker-archive: or docker-daemon:")),
        }
    }
}

impl Destination {
    /// The reference, where the destination is a registry.
    pub fn registry(&self) -> Option<&Reference> {
        match self {
            Destination::Registry(reference) => Some(reference),
            _ => None,
        }
    }
}

fn pushable(reference: Reference) -> Result<Reference, String> {
    match reference.digest() {
        Some(_) => Err("a destination cannot be named by digest: its digest follows from its content".to_owned()),
        None => Ok(reference),
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Registry(reference) => write!(f, "docker://{reference}"),
            Destination::OciLayout { directory, tag: None } => write!(f, "oci:{}", directory.display()),
            Destination::OciLayout { directory, tag: Some(tag) } => write!(f, "oci:{}:{tag}", directory.display()),
            Destination::OciArchive { file } => write!(f, "oci-archive:{}", file.display()),
            Destination::DockerArchive { file, reference: None } => write!(f, "docker-archive:{}", file.display()),
            Destination::DockerArchive { file, reference: Some(reference) } => write!(f, "docker-archive:{}:{reference}", file.display()),
            Destination::DockerDaemon(reference) => write!(f, "docker-daemon:{reference}"),
        }
    }
}

/// `DIR[:TAG]`: the part after the first `:` is the tag.
fn split_layout(rest: &str) -> (&str, Option<String>) {
    match rest.split_once(':') {
        Some((path, tag)) if !tag.is_empty() => (path, Some(tag.to_owned())),
        Some((path, _)) => (path, None),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_people_type() {
        let digest = Digest::of("x");
        for (text, full) in [
            ("ubuntu", "docker.io/library/ubuntu:latest".to_owned()),
            ("ubuntu:24.04", "docker.io/library/ubuntu:24.04".to_owned()),
            ("jupyter/base-notebook", "docker.io/jupyter/base-notebook:latest".to_owned()),
            ("localhost:5000/x", "localhost:5000/x:latest".to_owned()),
            ("localhost/x:1", "localhost/x:1".to_owned()),
            ("public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu", "public.ecr.aws/sagemaker/sagemaker-distribution:4.4.1-cpu".to_owned()),
            (&format!("a.b/c/d__e-f@{digest}"), format!("a.b/c/d__e-f@{digest}")),
            (&format!("a.b/c:t@{digest}"), format!("a.b/c:t@{digest}")),
            ("[::1]:5000/x:y", "[::1]:5000/x:y".to_owned()),
            ("index.docker.io/ubuntu", "docker.io/library/ubuntu:latest".to_owned()),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), full, "{text}");
        }
    }

    #[test]
    fn refuses_what_no_registry_takes() {
        for text in [
            "",
            ":x",
            "Ubuntu",
            "a/B",
            "a//b",
            "a/-b",
            "x:",
            "x:.t",
            "x@sha256:1",
            "https://a.b/c",
            "a.b:port/c",
            "a..b/c",
            "a___b",
            "a/b_-c",
            "a.b/",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_transports() {
        for text in ["oci:dir", "oci:dir:tag", "oci-archive:a.tar", "docker-archive:a.tar", "rootfs:r.tar", "scratch", "docker.io/library/x:1"] {
            assert_eq!(text.parse::<ImageSource>().unwrap().to_string(), text);
        }
        for text in ["docker://a.b/c:1", "oci:d:t", "oci-archive:f", "docker-archive:f:docker.io/library/x:1", "docker-daemon:docker.io/library/x:1"]
        {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        for text in ["oci:", "ubuntu", &format!("docker://a.b/c@{}", Digest::of("")), "docker-archive:"] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
