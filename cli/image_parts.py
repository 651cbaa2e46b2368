"""The files of an image from an archive, as `artifact build` makes them: packages, or a folder."""

import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cli.artifacts import REQUIREMENTS, VENDOR, run_pip
from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.images.layer import Entry, TextFile, files_below

FOLDER: Final = "/app"
SITE: Final = f"{FOLDER}/site"
_INSTALL: Final = (
    "install", "--no-index", "--no-deps", "--no-cache-dir", "--no-compile", "--only-binary=:all:",
)  # fmt: skip
_WHEEL: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl"
)
_PROGRAM: Final = re.compile(rb"\A(?:#![^\n]*python[^\n]*\n|#!/bin/sh\n'''exec' [^\n]*\n' '''\n)")
"""How pip begins the programs of packages: with the interpreter that ran it."""
_OF_BUILD: Final = frozenset({"direct_url.json", "INSTALLER", "REQUESTED"})
"""What pip notes about the installation, which is not of the package."""


def unpacked(archive: Path, folder: Path) -> Path:
    """Return *folder* with the files of *archive*, a zip of `artifact build`.

    Raises:
        Failure: it cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                path = Path(opened.extract(entry, folder))
                if entry.external_attr >> 16 & stat.S_IXUSR:
                    path.chmod(0o755)
    except (OSError, zipfile.BadZipFile) as unread:
        raise Failure(f"{archive} cannot be read: {unread}", ExitCode.USAGE) from unread
    return folder


def packages(wheels: Path, target: Path, python: str, cache: Path) -> Mapping[str, Entry]:
    """Return the files of the wheels in *wheels*, installed into *target* for the program *python*.

    Raises:
        Failure: they cannot be installed.
    """
    pins = [f"{found['name']}=={found['version']}" for found in _wheels(wheels)]
    run_pip([*_INSTALL, "--find-links", str(wheels), "--target", str(target), *pins], cache)
    entries: dict[str, Entry] = {}
    for name, entry in files_below(target, SITE.lstrip("/")).items():
        if Path(name).name in _OF_BUILD and ".dist-info/" in name:
            continue
        entries[name] = _of_no_machine(name, entry, python)
    return entries


def _wheels(folder: Path) -> Iterator[re.Match[str]]:
    for path in sorted(folder.glob("*.whl")):
        found = _WHEEL.fullmatch(path.name)
        if found is None:
            raise Failure(f"{path.name} is not the name of a wheel", ExitCode.USAGE)
        yield found


def _of_no_machine(name: str, entry: Entry, python: str) -> Entry:
    """Return *entry* without what names the interpreter of this machine."""
    if not isinstance(entry, Path):
        return entry
    if name.startswith(f"{SITE.lstrip('/')}/bin/"):
        content = entry.read_bytes()
        if _PROGRAM.match(content):
            rest = _PROGRAM.sub(b"", content, count=1).decode("utf-8", "surrogateescape")
            return TextFile(f"#!{python}\n{rest}", is_program=True)
    if name.endswith(".dist-info/RECORD"):
        # Of programs it has the hash from before, and of what was left out any.
        kept = [
            line
            for line in entry.read_text(encoding="utf-8").splitlines(keepends=True)
            if not line.startswith(("../", "bin/")) and not _is_of_build(line)
        ]
        return TextFile("".join(kept))
    return entry


def _is_of_build(line: str) -> bool:
    return line.partition(",")[0].rpartition("/")[2] in _OF_BUILD


def folder_files(folder: Path) -> Mapping[str, Entry]:
    """Return the files of a program's folder, at the place where it is started."""
    return files_below(folder, FOLDER.lstrip("/"))


def environ_of(folder: Path | None) -> Mapping[str, str]:
    """Return the variables that find the packages: of *folder* its own, else the installed ones."""
    unbuffered = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if folder is None:
        return {**unbuffered, "PYTHONPATH": SITE}
    if (folder / REQUIREMENTS).is_file() and (folder / VENDOR).is_dir():
        return {**unbuffered, "PYTHONPATH": f"{FOLDER}/{VENDOR}"}
    return {}
