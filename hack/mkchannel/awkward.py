"""Small packages for what an installer must get right and ordinary packages seldom show. Their names begin with `t-`."""
from __future__ import annotations

import json

from package import PLACEHOLDER, File, Package


def packages() -> list[Package]:
    return [*_links_and_modes(), *_scripts(), *_clobbering(), *_two_versions(), *_virtual(), _noarch_python(), _old()]


def _generic(name: str, version: str = "1.0", **more) -> Package:
    return Package(name, version, "h0_0", subdir="noarch", noarch="generic", **more)


def _links_and_modes() -> list[Package]:
    package = Package("t-modes", "1.0", "h0_0")
    package.files = {
        "bin/t-setuid": File(b"#!/bin/sh\n", 0o4755),
        "bin/t-0775": File(b"#!/bin/sh\n", 0o775),
        "share/t-0600": File(b"secret\n", 0o600),
        "share/t-0444": File(b"readonly\n", 0o444),
        "share/T-Case": File(b"upper\n"),
        "share/t-case": File(b"lower\n"),
        "share/t-link-abs": File(link="/etc/hostname"),
        "share/t-link-up": File(link="../../outside"),
        "share/t-link-dangling": File(link="nowhere"),
        "share/t-link-directory": File(link="t-directory"),
        "share/t-directory/inside": File(b"inside\n"),
        "share/t-hard-1": File(b"one content, two names\n", 0o755),
        "share/t-hard-2": File(hard="share/t-hard-1", mode=0o755),
        "share/" + "d" * 120 + "/" + "e" * 120 + "/" + "f" * 60: File(b"long path\n"),
        "share/unicode-é中": File(b"utf-8 name\n"),
        "share/with space": File(b"space\n"),
        "bin/t-shebang": File(b"#!" + PLACEHOLDER.encode() + b"/bin/python -s\n", 0o755, placeholder=PLACEHOLDER, file_mode="text"),
        "lib/t-binary.bin": File(b"\0head\0" + PLACEHOLDER.encode() + b"/lib/x:" + PLACEHOLDER.encode() + b"/lib/y\0tail\0",
                                 placeholder=PLACEHOLDER, file_mode="binary"),
    }
    menu = _generic("t-menu")
    item = {"name": "t", "command": ["t"], "platforms": {"linux": {}}}
    menu.files["Menu/t-menu.json"] = File(json.dumps(
        {"$id": "https://schemas.conda.org/menuinst-1.schema.json", "menu_name": "t", "menu_items": [item]}).encode())
    empty = _generic("t-empty")
    return [package, menu, empty]


def _scripts() -> list[Package]:
    link = Package("t-postlink", "1.0", "h0_0")
    link.files["bin/.t-postlink-post-link.sh"] = File(b'#!/bin/bash\necho "post-link ran in $PREFIX" >> "$PREFIX/.messages.txt"\n', 0o755)
    exports = Package("t-activate", "1.0", "h0_0")
    exports.files = {
        "etc/conda/activate.d/t-activate.sh": File(b'export T_HOME="$CONDA_PREFIX/lib/t"\n'),
        "etc/conda/deactivate.d/t-activate.sh": File(b"unset T_HOME\n"),
        "etc/conda/env_vars.d/t-activate.json": File(b'{"T_STATIC": "1"}\n'),
    }
    program = Package("t-activate-program", "1.0", "h0_0")
    program.files["etc/conda/activate.d/t-activate-program.sh"] = File(b'if [ -d "$CONDA_PREFIX" ]; then export T_PROGRAM=$(basename "$CONDA_PREFIX"); fi\n')
    return [link, exports, program]


def _clobbering() -> list[Package]:
    """The same path in two packages."""
    pair = []
    for letter in "ab":
        package = Package(f"t-clobber-{letter}", "1.0", "h0_0")
        package.files["share/t-clobber.txt"] = File(letter.encode() + b"\n")
        package.files[f"share/t-clobber-{letter}.txt"] = File(letter.encode() + b"\n")
        pair.append(package)
    file = _generic("t-file", files={"share/t-either": File(b"a file\n")})
    directory = _generic("t-folder", files={"share/t-either/inside": File(b"a directory\n")})
    return [*pair, file, directory]


def _two_versions() -> list[Package]:
    """`t-lib` in two versions, one that needs the newer and one that needs the older."""
    one = _generic("t-lib", "1.0", files={
        "share/t-lib/same": File(b"same\n"), "share/t-lib/changed": File(b"1\n"), "share/t-lib/removed": File(b"removed\n"),
        "share/t-lib/folder/removed": File(b"removed\n"), "share/t-lib/becomes-folder": File(b"file\n"), "share/t-lib/link": File(link="same"),
    })
    two = _generic("t-lib", "2.0", files={
        "share/t-lib/same": File(b"same\n"), "share/t-lib/changed": File(b"2\n"), "share/t-lib/added": File(b"added\n"),
        "share/t-lib/becomes-folder/inside": File(b"folder\n"), "share/t-lib/link": File(link="changed"),
    })
    return [one, two, _generic("t-needs-new", depends=["t-lib >=2"]), _generic("t-needs-old", depends=["t-lib <2"])]


def _virtual() -> list[Package]:
    return [Package("t-cuda", "1.0", "h0_0", depends=["__cuda >=12"]), Package("t-newglibc", "1.0", "h0_0", depends=["__glibc >=2.99"])]


def _noarch_python() -> Package:
    package = Package("t-noarch", "1.0", "pyh0_0", subdir="noarch", noarch="python", depends=["python"],
                      entry_points=["t-noarch = t_noarch:main", "t-noarch-deep = t_noarch.deep:Class.method"])
    package.files = {
        "site-packages/t_noarch/__init__.py": File(b"def main():\n    print('t-noarch')\n"),
        "site-packages/t_noarch/deep.py": File(b"class Class:\n    @staticmethod\n    def method():\n        print('t-noarch-deep')\n"),
        "python-scripts/t-script": File(b"#!" + PLACEHOLDER.encode() + b"/bin/python\nprint('t-script')\n", 0o755, placeholder=PLACEHOLDER, file_mode="text"),
        "share/t-noarch/data.txt": File(b"data\n"),
    }
    return package


def _old() -> Package:
    """As they were before 2017: `.tar.bz2`, `has_prefix` and no paths.json."""
    return Package("t-old", "1.0", "0", old=True, files={
        "bin/t-old": File(b"#!" + PLACEHOLDER.encode() + b"/bin/python\nprint('t-old')\n", 0o755, placeholder=PLACEHOLDER, file_mode="text"),
        "share/t-old/data": File(b"data\n"),
        "share/t-old/link": File(link="data"),
    })
