//! What a call, or the whole build, came to when it failed: gRPC's status, whose details carry BuildKit's typed errors.

use byoi::error::{Fault, Kind};

use crate::messages::{Detail, Status};
use crate::wire::Many;

/// gRPC's status codes (grpc.io, "Status codes and their use in gRPC") that the frontend uses.
pub mod code {
    pub const UNKNOWN: i64 = 2;
    pub const DEADLINE_EXCEEDED: i64 = 4;
    pub const NOT_FOUND: i64 = 5;
    pub const UNIMPLEMENTED: i64 = 12;
    pub const INTERNAL: i64 = 13;
    pub const UNAVAILABLE: i64 = 14;
}

/// A failed call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}: {}", .status.message)]
pub struct CallFailed {
    /// What was being done.
    pub doing: String,
    /// What the daemon said, or the connection.
    pub status: Status,
}

impl CallFailed {
    /// A failure of the connection or of the protocol.
    pub fn new(doing: impl Into<String>, code: i64, message: impl Into<String>) -> Self {
        CallFailed { doing: doing.into(), status: Status { code, message: message.into(), details: Many::default() } }
    }

    /// Whether the daemon says that it knows no such file.
    pub fn is_not_found(&self) -> bool {
        // BuildKit before 0.23 gives no code, only the kernel's words.
        self.status.code == code::NOT_FOUND || self.status.message.contains("no such file or directory") || self.status.message.contains("not found")
    }

    /// The details that BuildKit attached.
    pub fn details(&self) -> &[Detail] {
        &self.status.details.0
    }
}

impl Fault for CallFailed {
    fn kind(&self) -> Kind {
        Kind::World
    }
}
