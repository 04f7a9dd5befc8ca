//! What can go wrong between a description and a locked environment.

use crate::error::{Fault, Kind, Problem};

/// What to do about a channel that wants credentials.
pub const CREDENTIALS_HELP: &str = "put credentials for the channel's host into rattler's auth file (RATTLER_AUTH_FILE, or `rattler auth login`) or into netrc; \
                                    they never go into a description or lock";

/// A channel cannot be used, or the network cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock the conda environment")]
pub struct ChannelError {
    /// What is wrong, at the channel's place.
    problems: Vec<Problem>,
    kind: Kind,
    temporary: bool,
}

impl ChannelError {
    /// One problem with a channel.
    pub fn new(problem: Problem, kind: Kind, temporary: bool) -> Self {
        ChannelError { problems: vec![problem], kind, temporary }
    }
}

impl Fault for ChannelError {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn is_temporary(&self) -> bool {
        self.temporary
    }
}

/// A package of a channel or of a pixi.lock cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing vouches for its bytes.
    #[error("the channel states neither sha256 nor md5 of {file}, so nothing vouches for its bytes")]
    NoDigest {
        /// The archive.
        file: String,
    },
    /// Other bytes came than the channel's index promises.
    #[error("{url} has the md5 {found}, and the channel's index says {expected}")]
    Md5 {
        /// The archive.
        url: String,
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// The channel does not say how large it is, or says zero.
    #[error("{url} has {found} bytes, and the channel's index says {expected}")]
    Size {
        /// The archive.
        url: String,
        /// What was promised.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The lock's URL is of no scheme that is fetched.
    #[error("{url} is neither https, http nor file")]
    Scheme {
        /// The URL.
        url: String,
    },
    /// What was fetched is not in the cache any more.
    #[error("the archive {digest} was fetched, and is no longer in the cache")]
    Gone {
        /// The archive.
        digest: crate::digest::Digest,
    },
    /// A zip that is not a `.conda`.
    #[error("{url} is not a .conda archive: {reason}")]
    NotConda {
        /// The archive.
        url: String,
        /// Why.
        reason: String,
    },
    /// A package sets variables that are not a package's to set.
    #[error("{package} brings `{file}`, which is no table of variables that a package may set in an image")]
    Variables {
        /// The package.
        package: String,
        /// The file, relative to the prefix.
        file: String,
    },
    /// The archive holds another package than the channel's index says.
    #[error("{file} holds {found}, and the channel's index says {expected}")]
    OtherPackage {
        /// The archive.
        file: String,
        /// Name, version and build of the index.
        expected: String,
        /// Those in the archive.
        found: String,
    },
}

impl Fault for FetchError {
    fn kind(&self) -> Kind {
        match self {
            FetchError::Md5 { .. }
            | FetchError::Size { .. }
            | FetchError::NotConda { .. }
            | FetchError::Gone { .. }
            | FetchError::OtherPackage { .. } => Kind::World,
            FetchError::NoDigest { .. } | FetchError::Scheme { .. } | FetchError::Variables { .. } => Kind::Input,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            FetchError::NoDigest { .. } => Some("index the channel anew with `conda index` or `rattler-index`".to_owned()),
            FetchError::Md5 { .. } | FetchError::Size { .. } => Some(
                "the archive was changed since the channel was indexed, or damaged on the way: run the command again, then ask who keeps the channel"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
