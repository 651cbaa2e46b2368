"""A base with Python from Debian's packages, which are unpacked and never installed: no root.

The machine's own `apt-get` finds and verifies them, so the base is of the machine's release. It has
Python, certificates, and no shell.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from shutil import which
from typing import Final

from cli.artifacts import run_program
from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.images.build import ACCOUNTS, Base, BaseLayer
from shared.images.layer import Entry, Link, TextFile, files_below, write_layer
from shared.images.layout import Layout
from shared.images.media_types import LAYER
from shared.images.port import Descriptor

PYTHON: Final = "/usr/bin/python3"
_MINOR: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES: Final = (
    f"python{_MINOR}-minimal", f"libpython{_MINOR}-minimal", f"libpython{_MINOR}-stdlib", "libc6",
    "libssl3", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0",
    "libuuid1", "libcrypt1", "libgcc-s1", "libstdc++6", "ca-certificates", "media-types", "netbase",
)  # fmt: skip
"""What the interpreter and its standard library load, by Debian 12's names."""
_FORM: Final = 2
"""Of the layer: raised when the same packages give other content."""
_CERTIFICATES: Final = "etc/ssl/certs/ca-certificates.crt"
_DROPPED: Final = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/")
_ENVIRON: Final[Mapping[str, str]] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "SSL_CERT_FILE": f"/{_CERTIFICATES}",
}
_LISTED: Final = re.compile(
    r"^'[^']+' (?P<file>\S+) \d+ SHA256:(?P<hash>[0-9a-f]{64})$", re.MULTILINE
)
_REMEDY: Final = (
    "run `apt-get update`, or build on another image: `--base docker.io/library/python@sha256:…`;"
    " a static program needs none: `--base scratch`"
)


def debian_base(layout: Layout, cache: Path) -> Base:
    """Return the base, its layer put into *layout*; what was built of the same packages is reused.

    Raises:
        Failure: this machine has no Debian packages of this Python.
    """
    missing = [name for name in ("apt-get", "dpkg") if which(name) is None]
    if missing:
        raise Failure(
            f"this machine has no {' and no '.join(missing)}, by which a base is made",
            ExitCode.USAGE,
            remedy=_REMEDY,
        )
    hashes = _listed()
    content = json.dumps([_FORM, sorted(hashes.items())])
    folder = cache / "bases" / hashlib.sha256(content.encode()).hexdigest()[:24]
    packed, note = folder / "layer.tar.gz", folder / "layer.json"
    if not note.is_file():
        _build(hashes, folder)
    known = json.loads(note.read_text(encoding="utf-8"))
    blob = layout.blob(known["digest"])
    blob.unlink(missing_ok=True)
    _share(packed, blob)
    layer = BaseLayer(Descriptor(LAYER, known["digest"], known["size"]), known["diff_id"])
    return Base([layer], _ENVIRON)


def _listed() -> Mapping[str, str]:
    """Return the SHA-256 of each package's file, of the versions that apt would install."""
    command = ["apt-get", "download", "--print-uris", "-q", *PACKAGES]
    output = run_program(command, "find the packages of a base", remedy=_REMEDY)
    found = {each["file"]: each["hash"] for each in _LISTED.finditer(output)}
    if len(found) != len(PACKAGES):
        raise Failure(
            f"apt-get knows {len(found)} of the {len(PACKAGES)} packages of a base",
            ExitCode.UNAVAILABLE,
            remedy=_REMEDY,
        )
    return found


def _build(hashes: Mapping[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as temporary:
        packages, root = Path(temporary) / "packages", Path(temporary) / "root"
        packages.mkdir()
        # Without it apt, as root, would give the download to a user who cannot write here.
        user = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        command = ["apt-get", *user, "download", "-q", *PACKAGES]
        run_program(command, "download the packages of a base", folder=packages, remedy=_REMEDY)
        for file, expected in hashes.items():
            content = (packages / file).read_bytes()
            if hashlib.sha256(content).hexdigest() != expected:
                raise Failure(f"{file} is not what apt-get listed", ExitCode.UNAVAILABLE)
            run_program(["dpkg", "-x", file, str(root)], f"unpack {file}", folder=packages)
        draft = Path(temporary) / "layer.tar.gz"
        with draft.open("wb") as target:
            layer = write_layer(_entries(root), target)
        draft.replace(folder / "layer.tar.gz")
    # Last: it says that the layer is whole.
    (folder / "layer.json").write_text(json.dumps(asdict(layer)), encoding="utf-8")


def _entries(root: Path) -> Mapping[str, Entry]:
    found = files_below(root)
    entries = {name: each for name, each in found.items() if not name.startswith(_DROPPED)}
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    trusted = "".join(path.read_text(encoding="utf-8") + "\n" for path in authorities)
    return {
        **entries,
        **ACCOUNTS,
        "usr/bin/python3": Link(f"python{_MINOR}"),
        "usr/bin/python": Link(f"python{_MINOR}"),
        _CERTIFICATES: TextFile(trusted),
    }


def _share(packed: Path, blob: Path) -> None:
    """Have the content of *packed* at *blob*, without a copy where the disk allows it."""
    try:
        blob.hardlink_to(packed)
    except OSError:
        blob.write_bytes(packed.read_bytes())
