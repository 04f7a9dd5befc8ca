//! LLB: the graph of operations that BuildKit is asked to solve.

mod graph;
mod operations;
pub mod proto;
mod written;

pub use graph::{Edge, Graph, VertexOptions};
pub use operations::{CONTENT_SWITCH, Exec, Mounted, Network};
pub use written::{Written, WrittenNode};
