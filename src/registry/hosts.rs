//! Where registries are reached, and by which scheme.

use std::collections::BTreeSet;

use url::Url;

use super::http::is_loopback;
use crate::reference::DOCKER_HUB;
use crate::user_config::UserConfig;

/// Where Docker Hub's registry really is.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// The schemes of registries: https, but plain HTTP on this machine, unless the user's configuration says otherwise.
#[derive(Clone)]
pub(super) struct Hosts {
    plain_http: BTreeSet<String>,
    https: BTreeSet<String>,
}

impl Hosts {
    /// As the user's configuration has it.
    pub(super) fn new(config: &UserConfig) -> Self {
        Hosts { plain_http: config.plain_http.clone(), https: config.https.clone() }
    }

    /// The root of a registry's URLs; none for a name that makes no URL.
    pub(super) fn base(&self, registry: &str) -> Option<Url> {
        let host = if registry == DOCKER_HUB { DOCKER_HUB_HOST } else { registry };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => name,
            _ => host,
        };
        let plain = self.plain_http.contains(host) || (is_loopback(name) && !self.https.contains(host));
        format!("{}://{host}/", if plain { "http" } else { "https" }).parse().ok()
    }
}
