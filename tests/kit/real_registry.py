"""Real registries of images on this machine, from the programs of a node (`make kubebox`).

`crane` of go-containerregistry has one in memory, which knows referrers; `registry` is the common
one, of github.com/distribution/distribution, which can ask for a password.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.binaries import CRANE, NODE_RUNTIME, runtime_folder
from local_cluster.cluster_folder import ClusterFolder
from local_cluster.image_registry import LOOPBACK, ImageRegistry, configuration
from shared.connections.loopback_ports import free_port
from shared.kernel.entropy import SystemEntropy

USERNAME: Final = "ci"
PASSWORD: Final = "pass-word"
_HASHED: Final = "$2b$04$abcdefghijklmnopqrstuuudBIGi88QUaH8UOst3i3n1jdKYDf0WW"
_READY: Final = ("serving on port", "listening on")


def node_program(name: str) -> str:
    """Return the path of a program of nodes; skip the test where this machine has none."""
    folder = os.environ.get(NODE_RUNTIME)
    folder = folder or str(runtime_folder(StateFolder(REPOSITORY / ".factory").cache))
    found = shutil.which(name, path=folder)
    if found is None:
        pytest.skip(f"this machine has no {name}: `make kubebox` builds it")
    return found


@contextmanager
def registry_on_loopback() -> Iterator[str]:
    """Serve crane's registry, empty; give its host and port."""
    address = f"127.0.0.1:{free_port(SystemEntropy())}"
    with _served([node_program(CRANE), "registry", "serve", "--address", address]):
        yield address


@contextmanager
def common_registry(folder: Path, *, asks_password: bool = False) -> Iterator[str]:
    """Serve the common registry, empty, with its files below *folder*; give its host and port."""
    address = f"127.0.0.1:{free_port(SystemEntropy())}"
    settings = dict(configuration(folder / "images", address))
    settings["log"] = {**settings["log"], "level": "info"}  # else it says nothing
    if asks_password:
        users = folder / "htpasswd"
        users.write_text(f"{USERNAME}:{_HASHED}\n", encoding="utf-8")
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(users)}}
    file = folder / "registry.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    with _served([node_program("registry"), "serve", str(file)]):
        yield address


@contextmanager
def cluster_registry(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a cluster's registry, empty; give its addresses for this machine and for pods."""
    cluster, port = ClusterFolder(folder), free_port(SystemEntropy())
    registry = ImageRegistry(Path(node_program("registry")), cluster, port)
    for each in (cluster.nodes, cluster.images):
        each.mkdir()
    bridge = "127.0.0.2"  # in its place: a bridge takes root
    with ExitStack() as stack:
        for program in registry.programs([LOOPBACK, bridge]):
            file = Path(program.command[-1])
            settings = json.loads(file.read_bytes())
            settings["log"]["level"] = "info"  # else it says nothing
            file.write_text(json.dumps(settings), encoding="utf-8")
            stack.enter_context(_served(program.command))
        yield registry.address, f"{bridge}:{port}"


@contextmanager
def _served(command: Sequence[str]) -> Iterator[None]:
    """Run *command* until the block ends, which begins when it says that it listens."""
    with subprocess.Popen(
        command,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        # It logs requests, and would stand still once nobody reads.
        reader = Thread(target=process.stderr.read)
        try:
            lines: list[str] = []
            while not any(each in "".join(lines) for each in _READY):
                line = process.stderr.readline()
                assert line, f"{command[0]} ended: {''.join(lines)}"
                lines.append(line)
            reader.start()
            yield
        finally:
            process.kill()
            if reader.ident is not None:
                reader.join()


def crane_says(*words: str) -> str:
    """Return what `crane` with *words* prints."""
    return subprocess.run(
        [node_program(CRANE), *words], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
