"""A conda package in memory, and how it becomes an archive: `.conda`, or the older `.tar.bz2`.

All is a function of the files: fixed times, sorted members, fixed compression levels.
"""
from __future__ import annotations

import hashlib, io, json, tarfile, zipfile
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

SUBDIR = "linux-64"
EPOCH = 1_700_000_000                 # the time of every member and record
# conda-build pads its prefix to 255 bytes, so that any shorter one fits in its place.
PLACEHOLDER = ("/home/conda/feedstock_root/build_artifacts/python_1700000000/_h_env" + "_placehold" * 30)[:255]
LEVEL = 9                             # of zstd


@dataclass
class File:
    """A member of a package, as it comes to lie below the prefix."""
    data: bytes = b""
    mode: int = 0o644
    link: str | None = None            # target of a symlink
    hard: str | None = None            # target of a hard link: a member with an earlier name
    directory: bool = False
    placeholder: str | None = None     # the prefix that stands in it
    file_mode: str | None = None       # "text" or "binary"


@dataclass
class Package:
    name: str
    version: str
    build: str = "0"
    subdir: str = SUBDIR
    depends: list[str] = field(default_factory=list)
    constrains: list[str] = field(default_factory=list)
    noarch: str | None = None
    license: str | None = None
    summary: str = ""
    entry_points: list[str] = field(default_factory=list)
    more: dict = field(default_factory=dict)          # further keys of index.json
    files: dict[str, File] = field(default_factory=dict)
    old: bool = False                                  # .tar.bz2, without paths.json

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def file_name(self) -> str:
        return self.stem + (".tar.bz2" if self.old else ".conda")


def write(package: Package, channel: Path) -> dict:
    """Writes the archive below CHANNEL and gives its record for the index."""
    index = {
        "name": package.name, "version": package.version, "build": package.build, "build_number": 0, "subdir": package.subdir,
        "depends": sorted(package.depends), "constrains": sorted(package.constrains), "timestamp": EPOCH * 1000,
        "license": package.license, "arch": None if package.noarch else "x86_64", "platform": None if package.noarch else "linux",
        "noarch": package.noarch, **package.more,
    }
    index = {key: value for key, value in index.items() if value is not None}
    path = channel / package.subdir / package.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    (_write_old if package.old else _write_conda)(package, index, path)
    archive = path.read_bytes()
    digests = {"sha256": hashlib.sha256(archive).hexdigest(), "md5": hashlib.md5(archive).hexdigest(), "size": len(archive)}
    return index | digests


def _write_conda(package: Package, index: dict, path: Path) -> None:
    info = _info(package, index) | {"info/paths.json": _json(_paths(package))}
    # The order in which conda-package-streaming writes them.
    parts = (
        ("metadata.json", b'{"conda_pkg_format_version": 2}'),
        (f"pkg-{package.stem}.tar.zst", zstandard.ZstdCompressor(level=LEVEL).compress(_tar(package.files, "w"))),
        (f"info-{package.stem}.tar.zst", zstandard.ZstdCompressor(level=LEVEL).compress(_tar(info, "w"))),
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts:
            archive.writestr(zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20)), data)


def _write_old(package: Package, index: dict, path: Path) -> None:
    prefixes = "".join(f'"{file.placeholder}" {file.file_mode} "{name}"\n' for name, file in sorted(package.files.items()) if file.placeholder)
    info = _info(package, index) | {"info/has_prefix": File(prefixes.encode())}
    path.write_bytes(_tar(info | package.files, "w:bz2"))


def _info(package: Package, index: dict) -> dict[str, File]:
    info = {
        "info/index.json": _json(index),
        "info/about.json": _json({"summary": package.summary, "license": package.license}),
        "info/files": File("".join(name + "\n" for name in sorted(package.files)).encode()),
    }
    if package.noarch == "python":
        noarch = {"type": "python", "entry_points": package.entry_points}
        info["info/link.json"] = _json({"noarch": noarch, "package_metadata_version": 1})
    return info


def _json(value: dict) -> File:
    return File(json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")


def _paths(package: Package) -> dict:
    paths = []
    for name, file in sorted(package.files.items()):
        content = package.files[file.hard].data if file.hard else file.data
        entry = {"_path": name, "path_type": "directory" if file.directory else "softlink" if file.link is not None else "hardlink"}
        if not file.directory:
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
        if file.placeholder:
            entry |= {"prefix_placeholder": file.placeholder, "file_mode": file.file_mode}
        paths.append(entry)
    return {"paths": paths, "paths_version": 1}


def _tar(files: dict[str, File], mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        for name, file in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.mtime, member.mode = EPOCH, file.mode
            if file.link is not None:
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, file.link, 0o777
            elif file.hard is not None:
                member.type, member.linkname = tarfile.LNKTYPE, file.hard
            elif file.directory:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            else:
                member.size = len(file.data)
            archive.addfile(member, io.BytesIO(file.data))
    return out.getvalue()
