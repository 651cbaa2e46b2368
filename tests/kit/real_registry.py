"""A real registry of images on this machine: the one of go-containerregistry's `crane`.

It is among the programs of a node, which `make kubebox` fills in; else it is unpacked from the
binaries that lie beside the clone.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.binaries import CRANE, NODE_RUNTIME, runtime_folder
from shared.connections.loopback_ports import free_port
from shared.kernel.entropy import SystemEntropy

_BESIDE: Final = REPOSITORY.parent / "shared" / "bin" / "node-runtime.tar.xz"


@cache
def crane() -> str:
    """Return the path of the program; skip the test where this machine has none."""
    programs = os.environ.get(NODE_RUNTIME) or runtime_folder(
        StateFolder(REPOSITORY / ".factory").cache
    )
    found = shutil.which(CRANE, path=str(programs))
    if found:
        return found
    if not _BESIDE.is_file():
        pytest.skip("this machine has no crane: `make kubebox` builds it")
    folder = Path(tempfile.gettempdir()) / f"crane-{os.getuid()}-{_BESIDE.stat().st_mtime_ns}"
    program = folder / "crane"
    if not program.is_file():
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as draft, tarfile.open(_BESIDE) as archive:
            member = next(each for each in archive if Path(each.name).name == "crane")
            member.name = "crane"
            archive.extract(member, draft, filter="data")
            (Path(draft) / "crane").rename(program)
    return str(program)


@contextmanager
def registry_on_loopback() -> Iterator[str]:
    """Serve an empty registry; give its host and port."""
    address = f"127.0.0.1:{free_port(SystemEntropy())}"
    with subprocess.Popen(
        [crane(), "registry", "serve", "--address", address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        # It logs each request, and would stand still once nobody reads.
        reader = Thread(target=process.stderr.read)
        try:
            first = process.stderr.readline()
            assert b"serving" in first, first
            reader.start()
            yield address
        finally:
            process.kill()
            if reader.ident is not None:
                reader.join()


def crane_says(*words: str) -> str:
    """Return what `crane` with *words* prints."""
    return subprocess.run(
        [crane(), *words], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
