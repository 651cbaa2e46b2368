"""Starts workloads in sandboxes as root and as a normal user, whoever runs the tests.

The normal user of a machine where root runs the tests has no other rights than its own. The Python
of the tests may lie where only root goes, so it is mounted where that user finds it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from cli.state_folder import REPOSITORY
from tests.kit.patience import PATIENCE_S

USER: Final = 54321
_ENTER: Final = """
mount --bind "$1" "$2" && mount -t tmpfs -o mode=755 tmpfs "$3" && mkdir -p "$1" &&
mount --move "$2" "$1" && shift 3 && exec "$@"
"""


@dataclass(frozen=True)
class Ended:
    """A workload that has ended, with what it wrote."""

    code: int
    output: str
    namespaces: bool
    """Whether it was in some."""
    landlock: int
    """Its version that this machine has; 0 for none."""
    filters: bool
    """Whether this machine filters system calls."""
    core: bool
    """Whether the kernel wrote a core of the shim, or wanted to."""

    def needs_namespaces(self) -> None:
        if not self.namespaces:
            pytest.skip("this machine gives no namespaces to this user")


@dataclass(frozen=True)
class Account:
    """Whoever runs the platform: `folder` is its own, `prefix` starts a program as it."""

    name: str
    folder: Path
    prefix: tuple[str, ...] = ()

    @property
    def is_root(self) -> bool:
        return self.name == "root"

    def run(self, command: Sequence[str], **options: Any) -> Ended:
        """Run *command* as a workload of this account; see `isolated_start.py` for *options*."""
        order = json.dumps({"command": list(command), "folder": str(self.folder), **options})
        return Ended(**json.loads(self.run_module("tests.surfaces.isolated_start", order)))

    def run_module(self, name: str, *arguments: str, within_s: float = PATIENCE_S) -> str:
        """Run a Python module of ours as this account; return what it wrote."""
        home = {"HOME": str(self.folder / "home-of-the-platform"), "PYTHONDONTWRITEBYTECODE": "1"}
        # Coverage of a run writes its data, and warns on the output of who may not.
        kept = {n: v for n, v in os.environ.items() if not n.startswith("COVERAGE_")}
        ended = subprocess.run(
            [*self.prefix, sys.executable, "-m", name, *arguments],
            cwd=REPOSITORY, env={**kept, **home}, check=False,
            capture_output=True, text=True, timeout=within_s,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@contextmanager
def account(name: str) -> Iterator[Account]:
    """Yield the account *name*: `root`, or `user` for any other."""
    if name == "root" and os.geteuid() != 0:
        pytest.skip("on this machine root does not run the tests")
    # Not below /tmp, of which each workload has one of its own.
    place = REPOSITORY / "build" / "accounts"
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        if name == "root" or os.geteuid() != 0:
            yield Account(name, folder)
        else:
            os.chown(folder, USER, USER)
            yield Account(name, folder, tuple(_as_user(folder / "python")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_user(place: Path) -> Iterator[str]:
    python = Path(sys.base_prefix)
    closed = [path for path in reversed(python.parents) if not path.stat().st_mode & 0o001]
    if closed:
        place.mkdir()
        yield from ("unshare", "--mount", "sh", "-c", _ENTER, "sh")
        yield from (str(python), str(place), str(closed[0]))
    yield from ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")
