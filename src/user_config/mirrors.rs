//! Mirrors: other places for URLs and repositories, by longest prefix.

use url::Url;

/// Where else to look for what is asked for. Prefixes end at whole path segments: `docker.io/lib` says nothing about `docker.io/library`.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    urls: Vec<Rule<Url>>,
    repositories: Vec<Rule<RepositoryPrefix>>,
}

#[derive(Debug, Clone)]
struct Rule<P> {
    prefix: P,
    mirrors: Vec<P>,
    original: bool,
}

/// A registry, and the first segments of a path in it; the path may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RepositoryPrefix {
    registry: String,
    path: String,
}

impl Mirrors {
    /// No mirrors.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a rule. `prefix` and `mirrors` are all URLs (`https://github.com/`) or all registries with an optional path (`docker.io/library`).
    /// The mirrors are tried in order, and the original last, unless `original` is false: then never.
    ///
    /// # Errors
    /// A sentence that says which text is not a prefix.
    pub fn add(&mut self, prefix: &str, mirrors: &[&str], original: bool) -> Result<(), String> {
        if is_url(prefix) {
            let mirrors = mirrors.iter().map(|text| parse_url(text)).collect::<Result<_, _>>()?;
            self.urls.push(Rule { prefix: parse_url(prefix)?, mirrors, original });
            self.urls.sort_by_key(|rule| std::cmp::Reverse(segments(rule.prefix.path()).count()));
        } else {
            let mirrors = mirrors.iter().map(|text| parse_repository(text)).collect::<Result<_, _>>()?;
            self.repositories.push(Rule { prefix: parse_repository(prefix)?, mirrors, original });
            self.repositories.sort_by_key(|rule| std::cmp::Reverse(segments(&rule.prefix.path).count()));
        }
        Ok(())
    }

    /// The places to try for `url`, in order; never empty.
    pub fn of_url(&self, url: &Url) -> Vec<Url> {
        let matching = self.urls.iter().find_map(|rule| {
            let same_host = rule.prefix.scheme() == url.scheme()
                && rule.prefix.host() == url.host()
                && rule.prefix.port_or_known_default() == url.port_or_known_default();
            let rest = if same_host { below(rule.prefix.path(), url.path()) } else { None };
            rest.map(|rest| (rule, rest))
        });
        let Some((rule, rest)) = matching else { return vec![url.clone()] };
        let moved = rule.mirrors.iter().map(|mirror| {
            let mut place = mirror.clone();
            place.set_path(&join(mirror.path(), rest));
            place.set_query(url.query());
            place
        });
        moved.chain(rule.original.then(|| url.clone())).collect()
    }

    /// The places to try for a repository, as registry and path, in order; never empty.
    pub fn of_repository(&self, registry: &str, repository: &str) -> Vec<(String, String)> {
        let original = (registry.to_owned(), repository.to_owned());
        let matching = self.repositories.iter().find_map(|rule| {
            let rest = if rule.prefix.registry == registry { below(&rule.prefix.path, repository) } else { None };
            rest.map(|rest| (rule, rest))
        });
        let Some((rule, rest)) = matching else { return vec![original] };
        let moved = rule.mirrors.iter().map(|mirror| (mirror.registry.clone(), join(&mirror.path, rest).trim_matches('/').to_owned()));
        moved.chain(rule.original.then_some(original.clone())).collect()
    }
}

/// Whether a prefix means URLs; else it means a registry.
pub(super) fn is_url(prefix: &str) -> bool {
    prefix.contains("://")
}

pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    if !["https", "http"].contains(&url.scheme()) || url.host().is_none() {
        return Err(format!("`{text}` is not an https or http URL"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` has a query or fragment: a prefix ends in its path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL has a user name or password in it: byoi sends none to mirrors".to_owned());
    }
    Ok(url)
}

fn parse_repository(text: &str) -> Result<RepositoryPrefix, String> {
    if is_url(text) {
        return Err(format!("`{text}` is a URL, but its prefix is a registry: leave the scheme out"));
    }
    let text = text.trim_end_matches('/');
    let (registry, path) = text.split_once('/').unwrap_or((text, ""));
    let is_host = registry.contains(['.', ':']) || registry == "localhost";
    // The reference grammar decides what a host and a path are; `x` stands for the rest of the path.
    let reference: Result<crate::reference::Reference, _> = format!("{registry}/{path}/x").replace("//", "/").parse();
    if !is_host || reference.is_err() {
        return Err(format!("`{text}` is neither a URL (`https://…`) nor a registry with an optional path (`host/path`)"));
    }
    Ok(RepositoryPrefix { registry: registry.to_owned(), path: path.to_owned() })
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// What is left of `path` below `prefix`; none where it does not lie there.
fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.trim_start_matches('/').strip_prefix(prefix.trim_matches('/'))?;
    (prefix.trim_matches('/').is_empty() || rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

fn join(prefix: &str, rest: &str) -> String {
    match prefix.trim_end_matches('/') {
        prefix if rest.is_empty() => prefix.to_owned(),
        prefix => format!("{prefix}/{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(mirrors: &Mirrors, url: &str) -> Vec<String> {
        mirrors.of_url(&url.parse().unwrap()).iter().map(Url::to_string).collect()
    }

    #[test]
    fn the_longest_prefix_wins_and_the_original_is_last() {
        let mut mirrors = Mirrors::none();
        mirrors.add("https://github.com", &["https://a.corp/gh/", "https://b.corp"], true).unwrap();
        mirrors.add("https://github.com/secret/", &["https://c.corp/s"], false).unwrap();
        assert_eq!(
            urls(&mirrors, "https://github.com/o/r?q=1"),
            ["https://a.corp/gh/o/r?q=1", "https://b.corp/o/r?q=1", "https://github.com/o/r?q=1"]
        );
        assert_eq!(urls(&mirrors, "https://github.com/secret/x%20y"), ["https://c.corp/s/x%20y"]);
        assert_eq!(urls(&mirrors, "https://github.com/secrets/x").len(), 3);
        for other in ["http://github.com/o", "https://github.com.evil/o", "https://github.com:444/o", "https://example.org/"] {
            assert_eq!(urls(&mirrors, other).len(), 1, "{other}");
        }
    }

    #[test]
    fn repositories_move_by_whole_segments() {
        let mut mirrors = Mirrors::none();
        mirrors.add("docker.io", &["proxy.corp:5000/hub"], true).unwrap();
        mirrors.add("docker.io/library", &["lib.corp"], false).unwrap();
        let of = |path: &str| mirrors.of_repository("docker.io", path);
        assert_eq!(of("a/b"), [("proxy.corp:5000".to_owned(), "hub/a/b".to_owned()), ("docker.io".to_owned(), "a/b".to_owned())]);
        assert_eq!(of("library/ubuntu"), [("lib.corp".to_owned(), "ubuntu".to_owned())]);
        assert_eq!(of("libraryx/ubuntu").len(), 2);
        assert_eq!(mirrors.of_repository("quay.io", "a"), [("quay.io".to_owned(), "a".to_owned())]);
    }

    #[test]
    fn refuses_what_is_no_prefix() {
        for (prefix, mirror) in [
            ("github", "a.b"),
            ("a.b", "https://c.d/"),
            ("https://a.b/", "c.d"),
            ("https://a.b/?q", "https://c.d"),
            ("ftp://a.b", "ftp://c.d"),
            ("https://a.b", "https://user:secret@c.d"),
            ("a.b/C", "c.d"),
        ] {
            let message = Mirrors::none().add(prefix, &[mirror], true).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
