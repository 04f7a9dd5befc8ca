//! What the client asks for: options that arrive as variables of the environment (`frontend/gateway/gateway.go`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use byoi::contract;
use byoi::error::{Error, Fault, Kind};
use byoi::user_config::UserConfig;
use jiff::Timestamp;
use serde_json::Value;

use crate::llb::Network;
use crate::messages::CacheImport;

/// The prefix of each option's variable; a number follows. The order of the numbers means nothing.
const OPTION: &str = "BUILDKIT_FRONTEND_OPT_";

/// What the client asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    all: BTreeMap<String, String>,
    /// The client's session.
    pub session: String,
}

/// An option that byoi cannot do.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// A platform that SageMaker does not run.
    #[error("the platform {0} is asked for, but SageMaker Studio runs {os}/{architecture} alone", os = contract::OS, architecture = contract::ARCHITECTURE)]
    Platform(String),
    /// A target that is none.
    #[error("there is no target `{0}`")]
    Target(String),
    /// An epoch that is no number.
    #[error("SOURCE_DATE_EPOCH is `{0}`, which is no number of seconds since 1970")]
    Epoch(String),
}

impl Fault for OptionError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn help(&self) -> Option<String> {
        match self {
            OptionError::Platform(_) => Some("leave `--platform` out, or ask for linux/amd64".to_owned()),
            OptionError::Target(_) => Some("the targets are `image` (the default), `lock` and `oci`".to_owned()),
            OptionError::Epoch(_) => None,
        }
    }
}

/// What a build makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The image.
    Image,
    /// `byoi.lock`.
    Lock,
    /// An OCI layout with our own compressed bytes, without the base's layers.
    Layout,
}

/// The build argument that holds the user's configuration, for its mirrors.
pub const CONFIG: &str = "BYOI_CONFIG";

impl Options {
    /// Reads them out of variables.
    pub fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut options = Options::default();
        for (name, value) in variables {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
            if name == "BUILDKIT_SESSION_ID" {
                value.clone_into(&mut options.session);
            } else if name.starts_with(OPTION)
                && let Some((key, value)) = value.split_once('=')
            {
                options.all.insert(key.to_owned(), value.to_owned());
            }
        }
        options
    }

    /// An option's value; none where it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a `--build-arg`; none where it is absent or empty.
    pub fn build_argument(&self, name: &str) -> Option<&str> {
        self.get(&format!("build-arg:{name}"))
    }

    /// The name of the description's file.
    pub fn filename(&self) -> &str {
        self.get("filename").unwrap_or("byoi.toml")
    }

    /// The image that the frontend itself was started from.
    pub fn own_image(&self) -> Option<&str> {
        self.get("source")
    }

    /// Whether steps run though their results are known.
    pub fn no_cache(&self) -> bool {
        match self.all.get("no-cache").map(String::as_str) {
            None => false,
            Some("") => true,
            Some(targets) => targets.split(',').any(|target| target == "image"),
        }
    }

    /// Whether a lock that is not current is an error.
    pub fn locked(&self) -> bool {
        self.build_argument("BYOI_LOCKED").is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// Labels of the command line.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.with_prefix("label:").collect()
    }

    /// A named context: for `name`, best one for this platform.
    pub fn context(&self, name: &str) -> Option<&str> {
        let platform = format!("context:{name}::{}/{}", contract::OS, contract::ARCHITECTURE);
        self.get(&platform).or_else(|| self.get(&format!("context:{name}")))
    }

    /// What is to be made.
    ///
    /// # Errors
    /// A target that is none.
    pub fn target(&self) -> Result<Target, Error> {
        match self.get("target") {
            None | Some("image") => Ok(Target::Image),
            Some("lock") => Ok(Target::Lock),
            Some("oci") => Ok(Target::Layout),
            Some(other) => Err(OptionError::Target(other.to_owned()).into()),
        }
    }

    /// Refuses platforms other than the contract's.
    ///
    /// # Errors
    /// [`OptionError::Platform`].
    pub fn check_platform(&self) -> Result<(), Error> {
        let asked = self.get("platform").into_iter().flat_map(|platforms| platforms.split(','));
        let wrong = asked.into_iter().find(|platform| {
            let mut parts = platform.split('/');
            let (os, architecture) = (parts.next(), parts.next());
            let variant = parts.next();
            os != Some(contract::OS) || !matches!(architecture, Some("amd64" | "x86_64")) || !matches!(variant, None | Some("" | "v1"))
        });
        wrong.map_or(Ok(()), |platform| Err(OptionError::Platform(platform.to_owned()).into()))
    }

    /// Whether the answer is to be a map of platforms though there is one.
    pub fn multi_platform(&self) -> bool {
        let asked = self.get("multi-platform").or_else(|| self.build_argument("BUILDKIT_MULTI_PLATFORM"));
        asked.is_some_and(|value| matches!(value, "1" | "true"))
    }

    /// The time of the image, where the client gives one.
    ///
    /// # Errors
    /// One that is no number of seconds.
    pub fn epoch(&self) -> Result<Option<Timestamp>, Error> {
        let Some(text) = self.build_argument("SOURCE_DATE_EPOCH") else { return Ok(None) };
        let seconds = text.parse::<i64>().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Ok(Some(seconds.ok_or_else(|| OptionError::Epoch(text.to_owned()))?))
    }

    /// The user's configuration, as far as it says where else things are: the client's own file stays with the client.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn config(&self) -> Result<UserConfig, Error> {
        self.build_argument(CONFIG).map_or_else(|| Ok(UserConfig::default()), |text| UserConfig::parse(CONFIG, text.to_owned(), Path::new("/")))
    }

    /// What steps with network may reach.
    pub fn network(&self) -> Network {
        match self.get("force-network-mode") {
            Some("host") => Network::Host,
            Some("none") => Network::None,
            _ => Network::Default,
        }
    }

    /// Caches that the client names.
    pub fn cache_imports(&self) -> Vec<CacheImport> {
        let of = |kind: &str, attributes| CacheImport { kind: kind.to_owned(), attributes };
        let references = self.get("cache-from").into_iter().flat_map(|references| references.split(','));
        let mut all: Vec<_> = references.map(|reference| of("registry", [("ref".to_owned(), reference.to_owned())].into())).collect();
        let listed: Vec<Value> = self.get("cache-imports").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        for one in &listed {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let attributes = one["Attrs"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
            all.push(of(one["Type"].as_str().unwrap_or_default(), attributes));
        }
        all
    }

    /// Names that the client resolves for steps: `--add-host`.
    pub fn hosts(&self) -> Vec<(String, String)> {
        let hosts = self.get("add-hosts").into_iter().flat_map(|hosts| hosts.split(','));
        hosts.filter_map(|host| host.split_once('=')).map(|(name, ip)| (name.trim_matches('"').to_owned(), ip.trim_matches('"').to_owned())).collect()
    }

    /// All options whose name begins so, without that beginning.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
        self.all.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[&str]) -> Options {
        let variables = pairs.iter().enumerate().map(|(number, pair)| (format!("{OPTION}{number}").into(), (*pair).into()));
        Options::read(variables)
    }

    #[test]
    fn options_are_split_at_the_first_equals_sign() {
        let options = options(&["label:a=b=c", "label:x=", "build-arg:BYOI_LOCKED=1", "filename=my.toml", "add-hosts=a=1.2.3.4,b=::1", "odd"]);
        assert_eq!(options.labels(), BTreeMap::from([("a".to_owned(), "b=c".to_owned()), ("x".to_owned(), String::new())]));
        assert!(options.locked() && !options.no_cache());
        assert_eq!(options.filename(), "my.toml");
        assert_eq!(options.hosts(), [("a".to_owned(), "1.2.3.4".to_owned()), ("b".to_owned(), "::1".to_owned())]);
    }

    #[test]
    fn an_empty_value_is_a_value_where_it_means_something() {
        assert!(options(&["no-cache="]).no_cache());
        assert!(options(&["no-cache=a,image"]).no_cache());
        assert!(!options(&["no-cache=a"]).no_cache());
        assert!(options(&["add-hosts="]).hosts().is_empty());
    }

    #[test]
    fn one_platform_and_three_targets() {
        for good in ["linux/amd64", "linux/amd64,linux/amd64/v1", ""] {
            options(&[&format!("platform={good}")]).check_platform().unwrap();
        }
        for wrong in ["linux/arm64", "linux/amd64,linux/arm64", "windows/amd64", "linux/amd64/v3"] {
            assert!(
                options(&[&format!("platform={wrong}")])
                    .check_platform()
                    .unwrap_err()
                    .to_string()
                    .contains("SageMaker Studio runs linux/amd64 alone")
            );
        }
        assert_eq!(options(&["target="]).target().unwrap(), Target::Image);
        assert_eq!(options(&["target=oci"]).target().unwrap(), Target::Layout);
        assert!(options(&["target=builder"]).target().is_err());
    }

    #[test]
    fn contexts_of_the_platform_come_first() {
        let options = options(&["context:base=docker-image://a", "context:base::linux/amd64=docker-image://b"]);
        assert_eq!(options.context("base"), Some("docker-image://b"));
        assert_eq!(options.context("other"), None);
    }
}
