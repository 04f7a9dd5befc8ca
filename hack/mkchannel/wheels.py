"""Wheels as packages: pure ones become `noarch: python`, the others packages of the platform."""
from __future__ import annotations

import base64, configparser, email.message, email.parser, hashlib, re, zipfile
from pathlib import Path

from libraries import Libraries
from package import PLACEHOLDER, File, Package
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

# PyPI's name → conda-forge's, where the plain one means something else there.
CONDA_NAME = {"tzdata": "python-tzdata"}


def from_wheels(folder: Path, version: str, libraries: Libraries) -> list[Package]:
    wheels = {}
    for path in sorted(folder.glob("*.whl")):
        wheels[canonicalize_name(parse_wheel_filename(path.name)[0])] = Wheel(path)
    needs = Needs({name: wheel.metadata for name, wheel in wheels.items()}, version)
    return [_package(name, wheel, needs, version, libraries) for name, wheel in wheels.items()]


class Wheel:
    def __init__(self, path: Path) -> None:
        _, version, _, tags = parse_wheel_filename(path.name)
        self.version = str(version)
        self.pure = all(tag.platform == "any" for tag in tags)
        self.archive = zipfile.ZipFile(path)
        self.dist_info = next(name.split("/")[0] for name in self.archive.namelist() if name.endswith(".dist-info/METADATA"))
        self.metadata = email.parser.Parser().parsestr(self.archive.read(f"{self.dist_info}/METADATA").decode())

    def console_scripts(self) -> list[tuple[str, str]]:
        parser = configparser.ConfigParser(delimiters=("=",), strict=False)
        parser.optionxform = str
        if f"{self.dist_info}/entry_points.txt" in self.archive.namelist():
            parser.read_string(self.archive.read(f"{self.dist_info}/entry_points.txt").decode())
        found = parser.items("console_scripts") if parser.has_section("console_scripts") else []
        return [(command, reference.split("[")[0].strip()) for command, reference in found]


class Needs:
    """What wheels require, as conda's dependencies. conda knows no extras: what one adds becomes a dependency like any."""

    def __init__(self, metadata: dict[str, email.message.Message], version: str) -> None:
        self.metadata = metadata
        short = ".".join(version.split(".")[:2])
        self.environment = default_environment() | {"python_version": short, "python_full_version": version, "implementation_version": version}

    def of(self, name: str, extra: str = "", seen: set | None = None) -> list[str]:
        seen = set() if seen is None else seen
        found = []
        for line in self.metadata[name].get_all("Requires-Dist", []):
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate(self.environment | {"extra": extra}):
                continue
            if extra and not (requirement.marker and "extra" in str(requirement.marker)):
                continue
            found.append(_spec(requirement))
            needed = canonicalize_name(requirement.name)
            for more in requirement.extras:
                if needed in self.metadata and (needed, more) not in seen:
                    seen.add((needed, more))
                    found += self.of(needed, more, seen)
        return found


def _conda_name(name: str) -> str:
    name = canonicalize_name(name)
    return CONDA_NAME.get(name, name)


def _spec(requirement: Requirement) -> str:
    """PEP 440's specifiers in conda's words."""
    parts = []
    for part in requirement.specifier:
        fuzzy = part.operator == "==" and part.version.endswith(".*")
        parts.append(part.version if fuzzy else part.operator.replace("===", "==") + part.version)
    return " ".join(filter(None, [_conda_name(requirement.name), ",".join(sorted(parts))]))


def _package(name: str, wheel: Wheel, needs: Needs, version: str, libraries: Libraries) -> Package:
    short = ".".join(version.split(".")[:2])
    site = "site-packages/" if wheel.pure else f"lib/python{short}/site-packages/"
    license = wheel.metadata.get("License-Expression") or (wheel.metadata.get("License") or "")[:60]
    package = Package(_conda_name(name), wheel.version, license=license, summary=wheel.metadata.get("Summary") or "", depends=needs.of(name))
    if wheel.pure:
        package.noarch, package.subdir, package.build = "python", "noarch", "pyhd8ed1ab_0"
        package.depends.append("python " + re.sub(r"\s+", "", wheel.metadata.get("Requires-Python") or ">=3.8"))
    else:
        major, minor = map(int, short.split("."))
        package.build = f"py{major}{minor}h0_0"
        package.depends += [f"python >={short},<{major}.{minor + 1}.0a0", f"python_abi {short}.* *_cp{major}{minor}"]
    for member in wheel.archive.infolist():
        if not member.filename.endswith("/") and member.filename != f"{wheel.dist_info}/RECORD":
            target, file = _member(wheel, member, site, f"include/python{short}/{name}/")
            package.files[target] = file
    package.files[f"{site}{wheel.dist_info}/INSTALLER"] = File(b"conda\n")
    for command, reference in wheel.console_scripts():
        if wheel.pure:
            package.entry_points.append(f"{command} = {reference}")
        else:                                  # packages of a platform carry the script itself
            package.files[f"bin/{command}"] = _script(reference, short)
    package.files[f"{site}{wheel.dist_info}/RECORD"] = _record(package, site, wheel.dist_info)
    if not wheel.pure:
        libraries.complete(package)
    return package


def _member(wheel: Wheel, member: zipfile.ZipInfo, site: str, headers: str) -> tuple[str, File]:
    file = File(wheel.archive.read(member), 0o755 if (member.external_attr >> 16) & 0o111 else 0o644)
    scheme = re.match(r"[^/]+\.data/(\w+)/(.*)", member.filename)
    if not scheme:
        return site + member.filename, file
    kind, rest = scheme.groups()
    if kind == "scripts":
        file.mode = 0o755
        if re.match(rb"#!pythonw?\b", file.data):
            file.data = re.sub(rb"^#!pythonw?", b"#!" + PLACEHOLDER.encode() + b"/bin/python", file.data)
            file.placeholder, file.file_mode = PLACEHOLDER, "text"
        return ("python-scripts/" if wheel.pure else "bin/") + rest, file
    return {"purelib": site, "platlib": site, "headers": headers, "data": ""}[kind] + rest, file


def _script(reference: str, short: str) -> File:
    module, function = reference.split(":")
    text = (f"#!{PLACEHOLDER}/bin/python{short}\nimport sys\nfrom {module} import {function.split('.')[0]}\n"
            f"if __name__ == '__main__':\n    sys.exit({function}())\n")
    return File(text.encode(), 0o755, placeholder=PLACEHOLDER, file_mode="text")


def _record(package: Package, site: str, dist_info: str) -> File:
    lines = []
    for name, file in sorted(package.files.items()):
        if name.startswith(site):
            digest = base64.urlsafe_b64encode(hashlib.sha256(file.data).digest()).rstrip(b"=").decode()
            lines.append(f"{name.removeprefix(site)},sha256={digest},{len(file.data)}\n")
    return File("".join([*lines, f"{dist_info}/RECORD,,\n"]).encode())
