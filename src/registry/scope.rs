//! What a token is asked for: access to repositories (distribution's token specification, "Token Scope Documentation").

use std::collections::BTreeSet;
use std::fmt;

/// Access to one repository: `repository:NAME:ACTION,…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// `repository:NAME`
    resource: String,
    actions: BTreeSet<String>,
}

impl Scope {
    /// To read.
    pub(super) fn pull(repository: &str) -> Self {
        Scope { resource: format!("repository:{repository}"), actions: BTreeSet::from(["pull".to_owned()]) }
    }

    /// To read and write.
    pub(super) fn push(repository: &str) -> Self {
        let mut scope = Self::pull(repository);
        scope.actions.insert("push".to_owned());
        scope
    }

    /// Reads the scopes of a challenge, separated by spaces.
    fn parse_all(text: &str) -> Vec<Scope> {
        let parse = |text: &str| {
            let (resource, actions) = text.rsplit_once(':')?;
            Some(Scope { resource: resource.to_owned(), actions: actions.split(',').map(str::to_owned).collect() })
        };
        text.split(' ').filter_map(parse).collect()
    }

    /// Whether whoever has this one may do what the other asks for.
    pub(super) fn covers(&self, other: &Scope) -> bool {
        self.resource == other.resource && other.actions.is_subset(&self.actions)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<_> = self.actions.iter().map(String::as_str).collect();
        write!(f, "{}:{}", self.resource, actions.join(","))
    }
}

/// `scopes`, and what the challenge asks for besides.
pub(super) fn joined(scopes: &[Scope], challenge: Option<&str>) -> Vec<Scope> {
    let mut all = scopes.to_vec();
    for asked in Scope::parse_all(challenge.unwrap_or_default()) {
        match all.iter_mut().find(|scope| scope.resource == asked.resource) {
            Some(scope) => scope.actions.extend(asked.actions),
            None => all.push(asked),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_task_and_challenge_are_joined() {
        let of = |scopes: &[Scope], challenge: &str| joined(scopes, Some(challenge)).iter().map(Scope::to_string).collect::<Vec<_>>();
        assert_eq!(of(&[Scope::push("a")], "repository:a:pull"), ["repository:a:pull,push"]);
        assert_eq!(of(&[Scope::pull("a")], "repository:a:pull,push registry:catalog:*"), ["repository:a:pull,push", "registry:catalog:*"]);
        assert_eq!(of(&[Scope::push("a"), Scope::pull("b")], ""), ["repository:a:pull,push", "repository:b:pull"]);
    }
}
