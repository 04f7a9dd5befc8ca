"""Shared libraries of this Debian as conda packages, and what ELF files ask for."""
from __future__ import annotations

import os, re, subprocess, tempfile
from pathlib import Path
from typing import Callable

from package import File, Package

# Names that belong to glibc: never packaged, but asked for as `__glibc >=x`.
GLIBC = re.compile(r"^(ld-linux.*|libc|libm|libdl|libpthread|librt|libutil|libresolv|libanl)\.so")
# Debian's name → conda-forge's.
CONDA_NAME = {
    "libssl3": "openssl", "libffi8": "libffi", "zlib1g": "libzlib", "libbz2-1.0": "bzip2", "liblzma5": "liblzma",
    "libreadline8": "readline", "libncursesw6": "ncurses", "libtinfo6": "ncurses", "libuuid1": "libuuid", "libsqlite3-0": "libsqlite",
    "libcrypt1": "libxcrypt", "libnsl2": "libnsl", "libtirpc3": "libtirpc", "libstdc++6": "libstdcxx", "libgcc-s1": "libgcc",
    "libexpat1": "libexpat", "libcom-err2": "libcom_err", "libk5crypto3": "krb5", "libkrb5-3": "krb5", "libkrb5support0": "krb5",
    "libgssapi-krb5-2": "krb5", "libkeyutils1": "keyutils", "libgdbm6": "gdbm", "libgdbm-compat4": "gdbm", "libdb5.3": "libdb",
}


def is_elf(data: bytes) -> bool:
    return data[:4] == b"\x7fELF"


def _patchelf(data: bytes, *arguments: str) -> tuple[bytes, str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        said = subprocess.run(["patchelf", *arguments, file.name], check=True, capture_output=True, text=True).stdout
        return Path(file.name).read_bytes(), said


def needed(data: bytes) -> list[str]:
    try:
        return _patchelf(data, "--print-needed")[1].split()
    except subprocess.CalledProcessError:      # static
        return []


def with_rpath(data: bytes, rpath: str) -> bytes:
    return _patchelf(data, "--force-rpath", "--set-rpath", rpath)[0]


def glibc_floor(files: list[bytes]) -> str | None:
    """The highest GLIBC_2.x that any of the files asks for, as a dependency."""
    minors = [int(minor) for data in files for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?\0", data)]
    return f"__glibc >=2.{max(minors)},<3.0.a0" if minors else None


class Libraries:
    """Makes packages of libraries as they are asked for."""

    def __init__(self) -> None:
        self.packages: dict[str, Package] = {}
        self._owner_of: dict[str, str] = {}
        self._path: dict[str, str] = {}
        listed = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
        for line in listed.splitlines():
            if "x86-64" in line and "=>" in line:
                self._path.setdefault(line.split()[0], line.split("=> ")[1].strip())

    def provide(self, soname: str) -> str | None:
        """The name of the package that has SONAME; none for glibc's own."""
        if GLIBC.match(soname):
            return None
        if soname in self._owner_of:
            return self._owner_of[soname]
        if soname not in self._path:
            raise SystemExit(f"mkchannel: {soname} is asked for, and this machine has none")
        path = self._path[soname]
        real = os.path.realpath(path)
        # dpkg may know it by the name without /usr.
        debian = next(owner for owner in map(_debian_package, (real, path, re.sub("^/usr", "", real))) if owner)
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", f"{debian}:amd64"], check=True, capture_output=True, text=True).stdout
        name = CONDA_NAME.get(debian, debian)
        plain = re.split(r"[-+]", re.sub(r"^\d+:", "", version))[0]
        package = self.packages.setdefault(name, Package(name, plain, "h0_0", summary=f"{debian} {version} of Debian"))
        self._owner_of[soname] = name
        data = Path(real).read_bytes()
        depends = {self.provide(other) for other in needed(data)} | {glibc_floor([data])}
        package.depends = sorted(set(package.depends) | depends - {None, name})
        file_name = os.path.basename(real)
        package.files[f"lib/{file_name}"] = File(with_rpath(data, "$ORIGIN"), 0o755)
        if file_name != soname:
            package.files[f"lib/{soname}"] = File(link=file_name)
        return name

    def complete(self, package: Package, rpath_of: Callable[[str], str | None] = lambda name: None) -> None:
        """Gives a package the dependencies that its ELF files have, and these the rpath that RPATH_OF says."""
        own = {os.path.basename(name) for name in package.files}
        programs = {name: file for name, file in package.files.items() if is_elf(file.data)}
        depends = {glibc_floor([file.data for file in programs.values()])}
        for name, file in programs.items():
            depends |= {self.provide(soname) for soname in needed(file.data) if soname not in own}
            if rpath := rpath_of(name):
                file.data = with_rpath(file.data, rpath)
        package.depends = sorted(set(package.depends) | depends - {None, package.name})


def _debian_package(path: str) -> str | None:
    found = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
    return found.stdout.split(":")[0] if found.returncode == 0 else None
