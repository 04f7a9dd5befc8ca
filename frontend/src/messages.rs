//! The messages of BuildKit's gateway that the frontend uses: names and numbers of `frontend/gateway/pb/gateway.proto`,
//! `util/apicaps/pb/caps.proto`, `api/types/worker.proto`, `tonistiigi/fsutil/types/stat.proto` and `google/rpc/status.proto`.

use std::collections::BTreeMap;

use crate::llb::proto::{Definition, Platform, Range, SourceInfo};
use crate::wire::{Many, messages};

messages! {
    /// Of a call that asks or answers nothing.
    Empty {}

    /// A capability of the daemon; it counts only while it is enabled.
    ApiCap { 1 id: String, 2 enabled: bool }
    /// A worker of the daemon.
    WorkerRecord { 1 id: String, 3 platforms: Many<Platform> }
    /// The answer to `Ping`.
    Pong { 1 frontend: Many<ApiCap>, 2 llb: Many<ApiCap>, 3 workers: Many<WorkerRecord> }

    /// The answer to `Inputs`: states that the caller gives instead of local sources.
    InputsAnswer { 1 definitions: BTreeMap<String, Definition> }

    ResolveImageConfig { 1 reference: String, 2 platform: Option<Platform>, 3 mode: String, 4 log_name: String, 5 resolver: i64, 6 session: String, 7 store: String }
    ImageConfig { 1 digest: String, 2 config: Vec<u8>, 3 reference: String }

    /// A result of a solve.
    Ref { 1 id: String, 2 definition: Option<Definition> }
    RefMap { 1 refs: BTreeMap<String, Ref> }
    Outcome { 10 metadata: BTreeMap<String, Vec<u8>>, 1 ref_deprecated: Option<String>, 3 reference: Option<Ref>, 4 references: Option<RefMap> }
    CacheImport { 1 kind: String, 2 attributes: BTreeMap<String, String> }
    Solve {
        1 definition: Option<Definition>, 5 allow_result_return: bool, 6 allow_result_array_ref: bool, 12 cache_imports: Many<CacheImport>,
        14 evaluate: bool,
    }
    Solved { 1 reference: String, 3 result: Option<Outcome> }

    FileRange { 1 offset: i64, 2 length: i64 }
    ReadFile { 1 reference: String, 2 path: String, 3 range: Option<FileRange> }
    FileContent { 1 data: Vec<u8> }
    ReadDir { 1 reference: String, 2 path: String }
    /// A directory entry; its mode is Go's `os.FileMode`.
    Stat { 1 path: String, 2 mode: i64, 5 size: i64, 7 link: String }
    Listing { 1 entries: Many<Stat> }

    /// An error's detail: JSON under a type's name.
    Detail { 1 type_url: String, 2 value: Vec<u8> }
    Status { 1 code: i64, 2 message: String, 3 details: Many<Detail> }
    Return { 1 result: Option<Outcome>, 2 error: Option<Status> }
    Warn { 1 digest: String, 2 level: i64, 3 short: Vec<u8>, 4 detail: Many<Vec<u8>>, 5 url: String, 6 info: Option<SourceInfo>, 7 ranges: Many<Range> }
}
