"""Makes a conda channel out of parts that this machine has or its package registries give; see hack/channel, which calls it."""
from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import awkward, index, interpreter, programs, wheels
from libraries import Libraries
from package import SUBDIR, Package, write


def _make(job: tuple[Package, Path, Path, str]) -> tuple[str, str, dict]:
    package, channel, tree, version = job
    record = write(interpreter.compile_bytecode(package, tree, version), channel)
    return package.subdir, package.file_name, record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("out", "python", "wheels", "node", "editor"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--python-version", required=True)
    options = parser.parse_args()
    libraries = Libraries()
    packages = interpreter.from_tree(options.python, options.python_version, libraries)
    packages += wheels.from_wheels(options.wheels, options.python_version, libraries)
    packages += [programs.nodejs(options.node, libraries), programs.editor(options.editor, libraries), *awkward.packages()]
    packages += libraries.packages.values()
    libraries.packages["openssl"].depends.append("ca-certificates")

    records: dict[str, dict[str, dict]] = {SUBDIR: {}, "noarch": {}}
    # The largest first, so that none is left alone at the end.
    packages.sort(key=lambda package: (-sum(len(file.data) for file in package.files.values()), package.stem))
    with ProcessPoolExecutor() as pool:
        for subdir, name, record in pool.map(_make, [(package, options.out, options.python, options.python_version) for package in packages]):
            records[subdir][name] = record
    for subdir, some in records.items():
        index.write(options.out, subdir, some)
    size = sum(record["size"] for some in records.values() for record in some.values())
    print(f"hack/channel: {len(packages)} packages, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
