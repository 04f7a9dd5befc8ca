//! Who may do what at the test registry: everybody, an account by Basic, or a token by Bearer from the registry's own token endpoint.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How the registry asks for credentials.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Not at all.
    #[default]
    Open,
    /// By HTTP Basic.
    Basic {
        /// The account.
        user: String,
        /// Its password.
        password: String,
    },
    /// By tokens for scopes.
    Bearer(BearerAccess),
}

/// Tokens, and who gets them.
#[derive(Debug, Clone)]
pub struct BearerAccess {
    /// The account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// An identity token that serves instead of the password, by the `POST` form.
    pub identity_token: Option<String>,
    /// Whether anybody gets a token that may pull.
    pub anonymous_pull: bool,
    /// The realm of the challenge, instead of this registry's own `/token`.
    pub realm: Option<String>,
    /// `expires_in` of the tokens, in seconds.
    pub expires_in: u64,
}

impl BearerAccess {
    /// An account that gets tokens; nobody else does.
    pub fn account(user: &str, password: &str) -> Self {
        BearerAccess {
            user: user.to_owned(),
            password: password.to_owned(),
            identity_token: None,
            anonymous_pull: false,
            realm: None,
            expires_in: 300,
        }
    }
}

/// Something a request needs: `pull` or `push` for a repository.
pub(super) type Need = (String, &'static str);

/// The tokens that were given out, and the scopes of each.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    issued: BTreeMap<String, BTreeSet<(String, String)>>,
    count: u64,
}

impl Tokens {
    pub(super) fn forget(&mut self) {
        self.issued.clear();
    }
}

impl Access {
    /// Whether a request with this `Authorization` may do what it needs; else the challenge to answer with.
    pub(super) fn allows(&self, authorization: Option<&str>, needs: &[Need], tokens: &Tokens, host: &str) -> Result<(), String> {
        match self {
            Access::Open => Ok(()),
            Access::Basic { user, password } if is_basic(authorization, user, password) => Ok(()),
            Access::Basic { .. } => Err("Basic realm=\"test registry\"".to_owned()),
            Access::Bearer(bearer) => {
                let scopes = authorization.and_then(|value| value.strip_prefix("Bearer ")).and_then(|token| tokens.issued.get(token));
                let may = |(repository, action): &Need| scopes.is_some_and(|scopes| scopes.contains(&(repository.clone(), (*action).to_owned())));
                if scopes.is_some() && needs.iter().all(may) {
                    return Ok(());
                }
                let realm = bearer.realm.clone().unwrap_or_else(|| format!("http://{host}/token"));
                let mut challenge = format!("Bearer realm=\"{realm}\",service=\"test registry\"");
                if let Some((repository, _)) = needs.first() {
                    let actions: Vec<_> = needs.iter().filter(|(name, _)| name == repository).map(|(_, action)| *action).collect();
                    challenge += &format!(",scope=\"repository:{repository}:{}\"", actions.join(","));
                }
                if scopes.is_some() {
                    challenge += ",error=\"insufficient_scope\"";
                }
                Err(challenge)
            }
        }
    }

    /// A token for the scopes that are asked for, as far as they are granted; none for wrong credentials.
    pub(super) fn token(&self, authorization: Option<&str>, fields: &[(String, String)], tokens: &mut Tokens) -> Option<(String, u64)> {
        let Access::Bearer(bearer) = self else { return None };
        let refresh = fields.iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value.as_str());
        let known = match (authorization, refresh) {
            (_, Some(refresh)) if bearer.identity_token.as_deref() == Some(refresh) => true,
            (Some(_), None) if is_basic(authorization, &bearer.user, &bearer.password) => true,
            (None, None) => false,
            _ => return None,
        };
        let scopes = fields.iter().filter(|(name, _)| name == "scope").flat_map(|(_, value)| value.split(' '));
        let mut granted = BTreeSet::new();
        for scope in scopes {
            let mut parts = scope.splitn(3, ':');
            let (Some("repository"), Some(repository), Some(actions)) = (parts.next(), parts.next(), parts.next()) else { continue };
            for action in actions.split(',') {
                if known || (bearer.anonymous_pull && action == "pull") {
                    granted.insert((repository.to_owned(), action.to_owned()));
                }
            }
        }
        tokens.count += 1;
        let token = format!("token-{}", tokens.count);
        tokens.issued.insert(token.clone(), granted);
        Some((token, bearer.expires_in))
    }
}

fn is_basic(authorization: Option<&str>, user: &str, password: &str) -> bool {
    authorization == Some(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}
