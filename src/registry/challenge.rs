//! `WWW-Authenticate`: how a registry asks for credentials (RFC 9110, section 11.6.1; distribution's token specification).

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from elsewhere.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what, as far as the registry says it: `repository:x:pull`.
        scope: Option<String>,
    },
}

/// The first challenge that byoi can meet, tokens preferred.
///
/// # Errors
/// The names of the schemes that are asked for instead; empty where none is.
pub(super) fn challenge(headers: &HeaderMap) -> Result<Challenge, String> {
    let mut schemes = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        schemes.extend(parse(&String::from_utf8_lossy(value.as_bytes())));
    }
    let bearer = schemes.iter().filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let Some((realm, parameters)) = bearer.filter_map(|(_, all)| all.get("realm").map(|realm| (realm, all))).next() {
        let of = |name: &str| parameters.get(name).cloned();
        return Ok(Challenge::Bearer { realm: realm.clone(), service: of("service"), scope: of("scope") });
    }
    if schemes.iter().any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")) {
        return Ok(Challenge::Basic);
    }
    Err(schemes.into_iter().map(|(scheme, _)| scheme.chars().take(40).collect::<String>()).collect::<Vec<_>>().join(", "))
}

/// All challenges of a header: `scheme [name=value, …], scheme …`. What makes no sense is skipped.
fn parse(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut challenges: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        let word: String = rest.chars().take_while(|c| is_token(*c)).collect();
        if word.is_empty() {
            // Neither a scheme nor a parameter: on to the next comma.
            match rest.split_once(',') {
                Some((_, more)) => rest = more,
                None => return challenges,
            }
            continue;
        }
        rest = rest[word.len()..].trim_start();
        match rest.strip_prefix('=') {
            None => challenges.push((word, BTreeMap::new())),
            Some(value) => {
                let (value, more) = parameter(value.trim_start());
                rest = more;
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
            }
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A quoted or plain value, and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (index, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[index + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    fn of(values: &[&str]) -> Result<Challenge, String> {
        challenge(&values.iter().map(|value| (WWW_AUTHENTICATE, value.parse().unwrap())).collect())
    }

    #[test]
    fn reads_what_registries_send() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Ok(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned), scope: scope.map(str::to_owned) })
        };
        assert_eq!(
            of(&[r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull,push""#]),
            bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:library/x:pull,push"))
        );
        assert_eq!(of(&[r#"bearer Realm=https://a.b/t , service="x \" y""#]), bearer("https://a.b/t", Some("x \" y"), None));
        assert_eq!(of(&[r#"Basic realm="https://123.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#]), Ok(Challenge::Basic));
        assert_eq!(of(&[r#"Basic realm="x", Bearer realm="https://a.b/""#]), bearer("https://a.b/", None, None));
        assert_eq!(of(&["Negotiate", "Basic"]), Ok(Challenge::Basic));
    }

    #[test]
    fn names_what_it_cannot_meet() {
        assert_eq!(of(&["Negotiate", "NTLM abc=="]), Err("Negotiate, NTLM".to_owned()));
        assert_eq!(of(&["Bearer service=x"]), Err("Bearer".to_owned()));
        assert_eq!(of(&[]), Err(String::new()));
    }

    proptest! {
        #[test]
        fn never_fails_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = challenge(&[(WWW_AUTHENTICATE, value)].into_iter().collect());
            }
        }

        #[test]
        fn realm_comes_back(realm in "[ -~]{0,40}", service in "[a-z]{1,9}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("Bearer service={service},realm=\"{quoted}\"");
            prop_assert_eq!(of(&[&text]), Ok(Challenge::Bearer { realm, service: Some(service), scope: None }));
        }
    }
}
