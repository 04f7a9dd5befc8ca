"""The index of a channel: repodata.json, the same as zstd, and sharded (CEP 16)."""
from __future__ import annotations

import hashlib, json
from pathlib import Path

import msgpack, zstandard

KINDS = {"packages": ".tar.bz2", "packages.conda": ".conda"}


def write(channel: Path, subdir: str, records: dict[str, dict]) -> None:
    """RECORDS: file name → record. Both subdirectories of a channel need an index, be it empty."""
    folder = channel / subdir
    shards = folder / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    compress = zstandard.ZstdCompressor(level=19).compress
    by_kind = lambda some: {kind: {name: record for name, record in sorted(some.items()) if name.endswith(suffix)} for kind, suffix in KINDS.items()}
    text = json.dumps({"info": {"subdir": subdir}, "removed": [], "repodata_version": 1, **by_kind(records)}, indent=1, sort_keys=True).encode()
    (folder / "repodata.json").write_bytes(text)
    (folder / "repodata.json.zst").write_bytes(compress(text))
    digests = {}
    for package in sorted({record["name"] for record in records.values()}):
        raw = {name: record | {key: bytes.fromhex(record[key]) for key in ("sha256", "md5")}
               for name, record in records.items() if record["name"] == package}
        shard = compress(msgpack.packb({**by_kind(raw), "removed": []}))
        digest = hashlib.sha256(shard)
        (shards / f"{digest.hexdigest()}.msgpack.zst").write_bytes(shard)
        digests[package] = digest.digest()
    info = {"subdir": subdir, "base_url": "./", "shards_base_url": "./shards/"}
    (folder / "repodata_shards.msgpack.zst").write_bytes(compress(msgpack.packb({"version": 1, "info": info, "shards": digests})))
