//! The messages of LLB, BuildKit's build graph: names and numbers of `solver/pb/ops.proto`. Members of a oneof come last, as Go writes them: the
//! digest of an [`Op`]'s bytes is then the digest by which BuildKit knows the vertex.

use std::collections::BTreeMap;

use crate::wire::{Many, messages};

messages! {
    /// A vertex.
    Op {
        1 inputs: Many<Input>, 10 platform: Option<Platform>, 11 constraints: Option<Constraints>,
        2 exec: Option<ExecOp>, 3 source: Option<SourceOp>, 4 file: Option<FileOp>, 6 merge: Option<MergeOp>,
    }
    Input { 1 digest: String, 2 index: i64 }
    Platform { 1 architecture: String, 2 os: String, 3 variant: String, 4 os_version: String, 5 os_features: Many<String> }
    Constraints { 1 filter: Many<String> }

    ExecOp { 1 meta: Option<Meta>, 2 mounts: Many<Mount>, 3 network: i64 }
    Meta { 1 args: Many<String>, 2 env: Many<String>, 3 cwd: String, 6 extra_hosts: Many<HostIp> }
    HostIp { 1 host: String, 2 ip: String }
    Mount {
        1 input: i64, 2 selector: String, 3 dest: String, 4 output: i64, 5 readonly: bool, 6 kind: i64, 20 cache: Option<CacheOpt>,
        21 secret: Option<SecretOpt>, 24 content_cache: i64,
    }
    CacheOpt { 1 id: String, 2 sharing: i64 }
    SecretOpt { 1 id: String, 4 mode: i64, 5 optional: bool }

    SourceOp { 1 identifier: String, 2 attributes: BTreeMap<String, String> }

    FileOp { 2 actions: Many<FileAction> }
    FileAction {
        1 input: i64, 2 secondary_input: i64, 3 output: i64, 4 copy: Option<Copy>, 5 mkfile: Option<MkFile>, 6 mkdir: Option<MkDir>,
        7 rm: Option<Rm>,
    }
    Copy {
        1 src: String, 2 dest: String, 4 mode: i64, 6 dir_copy_contents: bool, 7 attempt_unpack: bool, 8 create_dest_path: bool, 11 timestamp: i64,
    }
    MkFile { 1 path: String, 2 mode: i64, 3 data: Vec<u8>, 4 owner: Option<ChownOpt>, 5 timestamp: i64 }
    MkDir { 1 path: String, 2 mode: i64, 4 owner: Option<ChownOpt>, 5 timestamp: i64 }
    ChownOpt { 1 user: Option<UserOpt>, 2 group: Option<UserOpt> }
    /// By number; Go's encoder writes the number of root too, which nobody here sends.
    UserOpt { 2 by_id: i64 }
    Rm { 1 path: String, 2 allow_not_found: bool }

    MergeOp { 1 inputs: Many<MergeInput> }
    MergeInput { 1 input: i64 }

    /// What is said of a vertex beside it.
    OpMetadata { 1 ignore_cache: bool, 2 description: BTreeMap<String, String>, 5 caps: BTreeMap<String, bool> }
    /// A graph: operations in topological order, the last one without an operation and with one input.
    Definition { 1 def: Many<Vec<u8>>, 2 metadata: BTreeMap<String, OpMetadata>, 3 source: Option<SourceMap> }
    SourceMap { 1 locations: BTreeMap<String, Locations>, 2 infos: Many<SourceInfo> }
    Locations { 1 locations: Many<Location> }
    Location { 1 source_index: i64, 2 ranges: Many<Range> }
    SourceInfo { 1 filename: String, 2 data: Vec<u8>, 4 language: String }
    Range { 1 start: Option<Position>, 2 end: Option<Position> }
    Position { 1 line: i64, 2 character: i64 }
}
