"""`python -m local_cloud` as a process of its own: started and ended by a test."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.real_system import REPOSITORY


@contextmanager
def a_cloud(state: Path, *options: str) -> Iterator[Mapping[str, str]]:
    """Run a local cloud; give the settings of an app that uses it."""
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    command = [sys.executable, "-m", "local_cloud", "--state", str(state)]
    with subprocess.Popen(
        [*command, "--service-bus-port", "0", *options],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        printed = ""
        try:
            while "local cloud ready" not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            yield json.loads((state / "app-settings.json").read_text())
        finally:
            process.terminate()
