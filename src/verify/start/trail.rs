//! What following a command gives: the programs on the way, and where it ends.

use super::server::Server;
use super::wrapper::is_launcher;
use crate::verify::programs::Lookup;

/// A program that is started on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The word that names it.
    pub word: String,
    /// Who starts it: a key of the config, or a file of the image.
    pub by: String,
    /// What stands where it should be.
    pub lookup: Lookup,
    /// The directories of PATH at that point.
    pub path: Vec<String>,
}

/// Where a command ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// In the editor's server.
    Server(Server),
    /// In a shell that waits for somebody to type.
    Shell(String),
    /// In a script that starts no server.
    Script(String),
    /// At the last of the hops, which is not there or cannot be started.
    Stuck,
    /// In a program that cannot be looked into.
    Opaque(String),
    /// There is no command.
    Nothing,
}

/// What a container's command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The programs on the way, in their order.
    pub hops: Vec<Hop>,
    /// Where it ends.
    pub end: End,
}

impl Start {
    pub(super) fn at(end: End) -> Self {
        Start { hops: Vec::new(), end }
    }

    /// The server, where it ends in one.
    pub fn server(&self) -> Option<&Server> {
        match &self.end {
            End::Server(server) => Some(server),
            _ => None,
        }
    }

    /// Of two ways that a script may go, the one to judge: a server with fewer faults, else a server, else what says more.
    pub(super) fn better(self, other: Start) -> Start {
        if other.rank() < self.rank() { other } else { self }
    }

    fn rank(&self) -> (usize, usize, usize) {
        match &self.end {
            End::Server(server) => {
                let not_there = self.hops.iter().filter(|hop| !matches!(hop.lookup, Lookup::Found(_))).count();
                (0, server.faults() + not_there, server.blemishes())
            }
            End::Stuck if is_stuck_at_launcher(self) => (1, 0, 0),
            End::Stuck | End::Opaque(_) => (2, 0, 0),
            End::Shell(_) => (3, 0, 0),
            End::Script(_) | End::Nothing => (4, 0, 0),
        }
    }
}

/// Whether the editor's launcher, or what it needs, is what cannot be started.
pub(super) fn is_stuck_at_launcher(start: &Start) -> bool {
    start.end == End::Stuck && start.hops.iter().any(|hop| is_launcher(&hop.word))
}
