//! Where a URL leads: what may be said there, and how it is shown.

use reqwest::{Method, StatusCode};
use url::{Host, Url};

/// Whether `host`, a host name or address without port, is this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether `url` leads to this machine.
pub(crate) fn leads_to_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether two URLs have the same scheme, host and port: the reach of credentials.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

/// The URL as errors and logs show it: without user, password, the token of a conda channel (`/t/TOKEN/…`), and the query, where signed URLs
/// carry their secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // These fail for URLs without a host only, which have neither.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    if let Some((_, rest)) = url.path().strip_prefix("/t/").and_then(|path| path.split_once('/')) {
        shown.set_path(&format!("/t/********/{rest}"));
    }
    if shown.query().is_some() {
        shown.set_query(Some("…"));
    }
    shown.to_string().replace("?%E2%80%A6", "?…")
}

/// Where an answer sends the client: none if it does not, or not in a way that keeps the method.
pub(super) fn redirect(method: &Method, status: StatusCode, from: &Url, location: Option<&str>) -> Option<Result<Url, String>> {
    let keeps_any_method = [307, 308].contains(&status.as_u16());
    let safe = [Method::GET, Method::HEAD].contains(method) && [301, 302, 303].contains(&status.as_u16());
    if !keeps_any_method && !safe {
        return None;
    }
    let Some(location) = location else { return Some(Err("it does not say to where".to_owned())) };
    Some(follow(from, location))
}

/// Resolves a `Location`, and refuses what no client should follow.
pub(crate) fn follow(from: &Url, location: &str) -> Result<Url, String> {
    let to = from.join(location).map_err(|error| format!("its address is not a URL: {error}"))?;
    if !["http", "https"].contains(&to.scheme()) || to.host().is_none() {
        return Err(format!("{} is neither https nor http", shown(&to)));
    }
    if from.scheme() == "https" && to.scheme() == "http" && !leads_to_loopback(&to) {
        return Err(format!("{} would give up encryption", shown(&to)));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for (host, loopback) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("[::1]", true),
            ("localhost.evil.org", false),
            ("127.0.0.1.nip.io", false),
            ("10.0.0.1", false),
            ("[::2]", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
            assert_eq!(leads_to_loopback(&url(&format!("http://{host}:5000/"))), loopback, "{host}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let text = shown(&url("https://user:hunter2@a.b:444/c/d?X-Amz-Signature=hunter3#hunter4"));
        assert_eq!(text, "https://a.b:444/c/d?…");
        assert_eq!(shown(&url("https://a.b/t/hunter5/channel/noarch/x.conda")), "https://a.b/t/********/channel/noarch/x.conda");
    }

    #[test]
    fn redirects_keep_the_method_and_the_encryption() {
        let from = url("https://a.b/x/y");
        let to = |method: &Method, status: u16, location| redirect(method, StatusCode::from_u16(status).unwrap(), &from, location);
        assert_eq!(to(&Method::GET, 302, Some("../z?q=1")).unwrap().unwrap().as_str(), "https://a.b/z?q=1");
        assert_eq!(to(&Method::PUT, 307, Some("https://c.d/")).unwrap().unwrap().as_str(), "https://c.d/");
        assert!(to(&Method::PUT, 302, Some("/z")).is_none());
        assert!(to(&Method::GET, 304, Some("/z")).is_none());
        assert!(to(&Method::GET, 200, None).is_none());
        for location in [None, Some("http://c.d/"), Some("file:///etc/passwd"), Some("ftp://a.b/")] {
            assert!(to(&Method::GET, 302, location).unwrap().is_err(), "{location:?}");
        }
        assert!(to(&Method::GET, 302, Some("http://127.0.0.1:1/")).unwrap().is_ok());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let a = url("https://a.b/x");
        assert!(same_origin(&a, &url("https://a.b:443/y")));
        for other in ["http://a.b/x", "https://a.b:444/x", "https://x.a.b/x"] {
            assert!(!same_origin(&a, &url(other)), "{other}");
        }
    }
}
