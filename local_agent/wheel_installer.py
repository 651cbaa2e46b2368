"""Installs wheels into a virtual environment of their own, by a pip that runs confined."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from local_agent.confined_command import CommandFailed, end_commands, run_confined
from local_agent.sandbox_order import share_program
from local_agent.state_files import file_lock
from shared.persistence.plain_files import read_plain
from shared.surfaces.errors import BadArtifact
from shared.surfaces.wheelhouses import REQUIREMENTS, pins

_INTO_ENVIRONMENT: Final = '"$0" -I -m venv --without-pip "$1" && shift && exec "$@"'
"""Makes the environment of the first argument, and then runs the command behind it."""


def base_python() -> str:
    """Return the interpreter that this virtual environment is based on, without its packages."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def install(wheels: Path, names: list[str], target: Path, installer: Path) -> None:
    """Make *target* a virtual environment with the wheels *names* of the folder *wheels*.

    *installer* is the environment whose pip does it, made where there is none.

    Raises:
        BadArtifact: they cannot be installed.
    """
    python = base_python()
    with file_lock(installer.with_suffix(".lock")):
        if not (installer / "complete").exists():
            command = [python, "-I", "-m", "venv", str(installer)]
            _run("create the installer", command, target=installer, workdir=installer)
            (installer / "complete").touch()
    packages = names
    if (wheels / REQUIREMENTS).is_file():
        # pip reads our copy: what it takes for a line, an option or a coding is not ours to guess.
        lines = pins(read_plain(wheels / REQUIREMENTS))
        (wheels / REQUIREMENTS).write_text("\n".join(lines), encoding="ascii")
        packages = ["--require-hashes", "--find-links", ".", "-r", REQUIREMENTS]
    share_program(wheels)
    pip = [str(installer / "bin" / "python"), "-I", "-m", "pip", "--isolated"]
    _run(
        "install the wheels",
        ["/bin/sh", "-c", _INTO_ENVIRONMENT, python, str(target),
         *pip, "--python", str(target / "bin" / "python"), "install", "--no-index", "-q",
         "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--only-binary=:all:",
         *packages],
        target=target,
        readable=[wheels, installer],
        workdir=wheels,
    )  # fmt: skip


def end_installers(folder: Path) -> None:
    """End the installers of the artifacts below *folder*, whose agent has ended."""
    for parent in (folder, *folder.glob("sha256/*")):
        end_commands(parent)


def _run(
    purpose: str,
    command: Sequence[str],
    *,
    target: Path,
    workdir: Path,
    readable: Sequence[Path] = (),
) -> None:
    try:
        run_confined(command, target=target, readable=readable, workdir=workdir)
    except CommandFailed as failed:
        raise BadArtifact(f"could not {purpose}: {failed}") from failed
