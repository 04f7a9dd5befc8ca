"""CPython as packages, out of a tree of `build-python`; and the bytecode that conda ships with packages of a platform."""
from __future__ import annotations

import os, re, subprocess, tempfile
from pathlib import Path

from libraries import Libraries, is_elf
from package import EPOCH, PLACEHOLDER, File, Package

PROGRAMS = ("python", "python3", "python{}", "python{}-config", "python3-config", "pydoc3", "pydoc{}")


def from_tree(tree: Path, version: str, libraries: Libraries) -> list[Package]:
    """`python`, `python_abi`, `tzdata` and `ca-certificates`."""
    short = ".".join(version.split(".")[:2])
    abi = "cp" + short.replace(".", "")
    python = Package("python", version, f"h0_0_{abi}", license="PSF-2.0", summary=f"CPython {version}",
                     depends=[f"python_abi {short}.* *_{abi}", "tzdata"], more={"python_site_packages_path": f"lib/python{short}/site-packages"})
    skipped = re.compile(rf"^lib/python{re.escape(short)}/(site-packages|tkinter|turtledemo|ensurepip)/|\.a$|_tkinter|^include/.*/internal/")
    programs = {name.format(short) for name in PROGRAMS}
    for top in ("bin", "lib", "include", "share"):
        for path in sorted((tree / top).rglob("*")):
            name = path.relative_to(tree).as_posix()
            if (path.is_dir() and not path.is_symlink()) or skipped.search(name) or (top == "bin" and path.name not in programs):
                continue
            if path.is_symlink():
                python.files[name] = File(link=os.readlink(path))
                continue
            file = File(path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
            if PLACEHOLDER.encode() in file.data:
                file.placeholder, file.file_mode = PLACEHOLDER, "binary" if b"\0" in file.data else "text"
            python.files[name] = file
    python.files["bin/python"] = File(link=f"python{short}")
    python.files[f"lib/python{short}/site-packages/README.txt"] = File(b"Modules of packages.\n")
    libraries.complete(python)
    python_abi = Package("python_abi", short, f"0_{abi}", subdir="noarch", noarch="generic", constrains=[f"python {short}.* *_{abi}"])
    zones = Package("tzdata", "2024a", "h0_0", subdir="noarch", noarch="generic")
    for path in sorted(Path("/usr/share/zoneinfo").rglob("*")):
        if path.is_file() and not {"right", "posix"} & set(path.parts):
            zones.files["share/zoneinfo/" + path.relative_to("/usr/share/zoneinfo").as_posix()] = File(path.read_bytes())
    certificates = Package("ca-certificates", "2024.1.1", "h0_0", subdir="noarch", noarch="generic")
    certificates.files["ssl/cacert.pem"] = File(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    certificates.files["ssl/cert.pem"] = File(link="cacert.pem")
    return [python, python_abi, zones, certificates]


# Reads names relative to the folder that is its first argument; compiles those that compile.
COMPILE = """
import os, py_compile, sys
folder, prefix = sys.argv[1:]
for name in sys.stdin.read().splitlines():
    path = os.path.join(folder, name)
    try:
        py_compile.compile(path, dfile=f"{prefix}/{name}", doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    except (py_compile.PyCompileError, UnicodeDecodeError):
        pass
"""


def compile_bytecode(package: Package, tree: Path, version: str) -> Package:
    """Adds `__pycache__`: checked against its source's time and size, as conda-build has it. A source with a placeholder changes its size, and gets none."""
    short = ".".join(version.split(".")[:2])
    sources = {name: file for name, file in package.files.items() if name.startswith(f"lib/python{short}/") and name.endswith(".py") and not file.placeholder}
    if package.noarch or not sources:
        return package
    with tempfile.TemporaryDirectory() as folder:
        for name, file in sources.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            os.utime(path, (EPOCH, EPOCH))
        environment = {"PYTHONHOME": str(tree), "LD_LIBRARY_PATH": str(tree / "lib"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
        subprocess.run([tree / f"bin/python{short}", "-S", "-W", "ignore", "-c", COMPILE, folder, PLACEHOLDER], check=True, env=environment,
                       input="\n".join(sorted(sources)), text=True)
        for path in sorted(Path(folder).rglob("*.pyc")):
            package.files[path.relative_to(folder).as_posix()] = File(path.read_bytes())
    return package
