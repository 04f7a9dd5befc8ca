//! The folder in which the description lies, wherever that is: on the client's machine (the local source `dockerfile`), in a remote git repository
//! or archive, or in a state that the caller hands over. All paths in a description are relative to it.

use std::collections::BTreeMap;

use byoi::error::Error;
use serde_json::json;

use crate::gateway::{Gateway, Reference};
use crate::llb::proto::Definition;
use crate::llb::{Edge, Graph, VertexOptions};
use crate::options::Options;

/// The name of the vertex that brings local files. All graphs of a build name it in one way, so that it is one vertex.
pub const LOCAL_FILES: &str = "[internal] load local files";

/// The folder.
#[derive(Debug, Clone)]
pub enum Folder {
    /// A local source of the client.
    Local {
        /// Its name.
        name: String,
        /// The session of the client that has it.
        session: String,
    },
    /// A git repository.
    Git(GitContext),
    /// An archive at a URL, unpacked, or its part.
    Archive {
        /// The URL.
        url: String,
        /// The part of it.
        subdirectory: String,
    },
    /// A state that the caller hands over.
    State(Definition),
}

/// A remote git context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitContext {
    /// Host and path, and after `#` the ref.
    identifier: String,
    /// The URL without a fragment.
    url: String,
    /// The directory in it; empty for all.
    subdirectory: String,
}

impl Folder {
    /// Finds it.
    ///
    /// # Errors
    /// A daemon that does not answer.
    pub async fn find(gateway: &Gateway, options: &Options) -> Result<Self, Error> {
        let name = options.get("dockerfilekey").unwrap_or("dockerfile");
        if let Some(state) = gateway.inputs().await?.remove(name) {
            return Ok(Folder::State(state));
        }
        let session = options.get(&format!("local-sessionid:{name}")).unwrap_or(&options.session).to_owned();
        let local = Folder::Local { name: name.to_owned(), session };
        let remote = options.get(options.get("contextkey").unwrap_or("context")).filter(|_| options.get("dockerfilekey").is_none());
        let subdirectory = options.get("contextsubdir").unwrap_or_default();
        Ok(match remote {
            None => local,
            Some(url) => match GitContext::parse(url, subdirectory) {
                Some(git) => Folder::Git(git),
                None if url.starts_with("http://") || url.starts_with("https://") => {
                    Folder::Archive { url: url.to_owned(), subdirectory: subdirectory.to_owned() }
                }
                None => local,
            },
        })
    }

    /// The vertex that holds these paths of the folder (and perhaps more), with all below them and what links among them lead to.
    pub fn edge(&self, graph: &mut Graph, gateway: &Gateway, paths: &[&str], options: VertexOptions) -> Edge {
        match self {
            Folder::Local { name, session } => {
                let patterns: Vec<String> = paths.iter().map(|path| literal(path)).collect();
                let mut attributes = BTreeMap::from([
                    ("local.session".to_owned(), session.clone()),
                    // Transfers are incremental per hint: another one for another selection of files.
                    ("local.sharedkeyhint".to_owned(), format!("byoi:{name}:{}", patterns.join(","))),
                ]);
                let mut capabilities = vec!["source.local", "source.local.sessionid", "source.local.sharedkeyhint"];
                if !patterns.iter().any(|pattern| pattern.is_empty()) {
                    attributes.insert("local.followpaths".to_owned(), json!(patterns).to_string());
                    capabilities.push("source.local.followpaths");
                }
                graph.source(format!("local://{name}"), attributes, options, &capabilities)
            }
            Folder::Git(git) => {
                let attributes = BTreeMap::from([
                    ("git.fullurl".to_owned(), git.url.clone()),
                    ("git.authtokensecret".to_owned(), "GIT_AUTH_TOKEN".to_owned()),
                    ("git.authheadersecret".to_owned(), "GIT_AUTH_HEADER".to_owned()),
                ]);
                let name = options.name.clone();
                let whole = graph.source(
                    format!("git://{}", git.identifier),
                    attributes,
                    options,
                    &["source.git", "source.git.fullurl", "source.git.httpauth"],
                );
                part(graph, gateway, whole, &git.subdirectory, false, name)
            }
            Folder::Archive { url, subdirectory } => {
                let attributes = BTreeMap::from([("http.filename".to_owned(), "context".to_owned())]);
                let name = options.name.clone();
                let file = graph.source(url.clone(), attributes, options, &["source.http"]);
                let whole = graph.part_of(&file, "/context", true, &gateway.worker, VertexOptions::named(name.clone()));
                part(graph, gateway, whole, subdirectory, false, name)
            }
            Folder::State(definition) => match graph.import(definition) {
                Some(edge) => edge,
                None => graph.file("/empty", Vec::new(), &gateway.worker, options),
            },
        }
    }

    /// Solves for these paths.
    ///
    /// # Errors
    /// A folder that is not there.
    pub async fn solve(&self, gateway: &Gateway, paths: &[&str], name: &str) -> Result<(Reference, Edge), Error> {
        let mut graph = Graph::default();
        let edge = self.edge(&mut graph, gateway, paths, VertexOptions::named(name));
        let reference = gateway.solve(&graph, &edge, false, &[], name).await?;
        Ok((reference, edge))
    }
}

fn part(graph: &mut Graph, gateway: &Gateway, whole: Edge, subdirectory: &str, unpack: bool, name: String) -> Edge {
    let inside = subdirectory.trim_matches('/');
    if inside.is_empty() || inside == "." {
        return whole;
    }
    graph.part_of(&whole, &format!("/{inside}/"), unpack, &gateway.worker, VertexOptions::named(name))
}

/// A path as a pattern of `.dockerignore` that matches it alone; empty for the whole folder.
fn literal(path: &str) -> String {
    let clean: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    clean.join("/").chars().flat_map(|c| matches!(c, '*' | '?' | '[' | '\\').then_some('\\').into_iter().chain([c])).collect()
}

impl GitContext {
    /// Reads a remote context the way docker does; none for what is no git URL.
    fn parse(context: &str, subdirectory: &str) -> Option<Self> {
        let (url, fragment) = context.split_once('#').unwrap_or((context, ""));
        let (reference, inner) = fragment.split_once(':').unwrap_or((fragment, ""));
        let is_git = ["git://", "git@", "ssh://"].iter().any(|begin| url.starts_with(begin))
            || url.starts_with("github.com/")
            || ((url.starts_with("https://") || url.starts_with("http://")) && url.split('?').next().is_some_and(|path| path.ends_with(".git")));
        if !is_git {
            return None;
        }
        let url = if url.starts_with("github.com/") { format!("https://{url}") } else { url.to_owned() };
        let place = match url.split_once("://") {
            Some((_, rest)) => rest.rsplit_once('@').map_or(rest, |(_, place)| place).to_owned(),
            // git@host:path
            None => url.split_once('@').map_or(url.as_str(), |(_, place)| place).replacen(':', "/", 1),
        };
        let identifier = if reference.is_empty() { place } else { format!("{place}#{reference}") };
        let inside = [inner.trim_matches('/'), subdirectory.trim_matches('/')].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        Some(GitContext { identifier, url, subdirectory: inside.join("/") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(context: &str) -> Option<(String, String, String)> {
        GitContext::parse(context, "").map(|git| (git.identifier, git.url, git.subdirectory))
    }

    #[test]
    fn git_contexts_are_read_as_docker_does() {
        let some = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(git("https://example.org/x.git#main:sub/dir"), some("example.org/x.git#main", "https://example.org/x.git", "sub/dir"));
        assert_eq!(git("git://127.0.0.1/x"), some("127.0.0.1/x", "git://127.0.0.1/x", ""));
        assert_eq!(git("git@example.org:me/x.git#:sub"), some("example.org/me/x.git", "git@example.org:me/x.git", "sub"));
        assert_eq!(git("github.com/me/x#v1"), some("github.com/me/x#v1", "https://github.com/me/x", ""));
        assert_eq!(git("https://me@example.org/x.git"), some("example.org/x.git", "https://me@example.org/x.git", ""));
        assert_eq!(git("https://example.org/x.tar.gz"), None);
    }

    #[test]
    fn names_are_not_patterns() {
        assert_eq!(literal("./a*b/[c]/?"), r"a\*b/\[c]/\?");
        assert_eq!(literal("./"), "");
    }
}
