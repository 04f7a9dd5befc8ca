//! The documents that attach an image to SageMaker Studio: requests for the AWS CLI and a CloudFormation template. Values are held against the
//! service's own patterns and limits before anything is written.

mod documents;
mod domain;
mod limits;

pub use documents::{Document, Processor, Request, documents, files};
pub use domain::{CustomImage, DomainError, custom_images};

use std::fmt;

use crate::digest::Digest;
use crate::reference::Reference;

/// An image in a private ECR repository, by digest: the only kind that Studio takes (doc "Attach a custom image").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrImage {
    registry: String,
    repository: String,
    digest: Digest,
}

/// A reference that is no image of a private ECR repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in a private ECR repository, and Studio takes images from nowhere else")]
pub struct NotEcr(pub String);

impl EcrImage {
    /// The image with this digest in the repository of `reference`.
    ///
    /// # Errors
    /// [`NotEcr`].
    pub fn new(reference: &Reference, digest: Digest) -> Result<Self, NotEcr> {
        if !is_private_ecr(reference.registry()) {
            return Err(NotEcr(reference.to_string()));
        }
        Ok(EcrImage { registry: reference.registry().to_owned(), repository: reference.repository().to_owned(), digest })
    }

    /// The AWS region of the repository, which must be the domain's.
    pub fn region(&self) -> &str {
        self.registry.split('.').nth(3).unwrap_or_default()
    }

    /// The digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for EcrImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.registry, self.repository, self.digest)
    }
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, also of other partitions (`.amazonaws.com.cn`) and with FIPS (`.dkr.ecr-fips.`).
fn is_private_ecr(registry: &str) -> bool {
    let mut parts = registry.splitn(5, '.');
    let mut next = || parts.next().unwrap_or_default();
    let account = next();
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account && next() == "dkr" && ["ecr", "ecr-fips"].contains(&next()) && !next().is_empty() && next().starts_with("amazonaws.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_from_private_ecr_alone() {
        let digest = Digest::of("image");
        for (text, region) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/editor:1", "eu-west-1"),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/x", "us-gov-west-1"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/x", "cn-north-1"),
        ] {
            let image = EcrImage::new(&text.parse().unwrap(), digest).unwrap();
            assert_eq!(image.region(), region);
            assert!(image.to_string().ends_with(&format!("@{digest}")), "{image}");
        }
        for text in ["public.ecr.aws/x/y:1", "ubuntu:24.04", "12345.dkr.ecr.eu-west-1.amazonaws.com/x", "localhost:5000/x"] {
            assert!(EcrImage::new(&text.parse().unwrap(), digest).is_err(), "{text}");
        }
    }
}
