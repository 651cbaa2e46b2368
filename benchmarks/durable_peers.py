"""Restate and DBOS for G1 to G3: set up in `.benchmarks/`, run as processes of their own."""

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peer_environments import HOME, ROOT, output_of, peers_python
from benchmarks.processes import running
from benchmarks.rounds import NotMeasured

RESTATE_SERVER = "@restatedev/restate-server@1.7.12"


class Peer:
    """A peer's process; `measure` runs a number of workflows, so many in flight."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def measure(self, in_flight: int, count: int, workflow: str = "sequence") -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{workflow} {in_flight} {count}\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def wait_ready(self) -> None:
        while self._line().strip() != "ready":
            pass

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NotMeasured(f"the peer ended with {self._process.wait()}")
        return line


@contextmanager
def restate() -> Iterator[Peer]:
    """Run Restate: server from npm. Raises NotMeasured."""
    home = HOME / "restate"
    python = peers_python()
    binary = home / "node_modules" / ".bin" / "restate-server"
    if not binary.exists():
        home.mkdir(exist_ok=True)
        output_of(["npm", "install", "--no-audit", "--no-fund", RESTATE_SERVER], home)
    with tempfile.TemporaryDirectory() as folder:
        ports = [str(port) for port in _free_ports(4)]
        with _process([python, "peer_restate.py", binary, folder, *ports]) as peer:
            yield peer


@contextmanager
def dbos() -> Iterator[Peer]:
    """Run DBOS. Raises NotMeasured."""
    python = peers_python()
    with (
        tempfile.TemporaryDirectory() as folder,
        _process([python, "peer_dbos.py", folder]) as peer,
    ):
        yield peer


@contextmanager
def _process(command: list[Any]) -> Iterator[Peer]:
    with running(
        command, cwd=ROOT / "benchmarks",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        peer = Peer(process)
        peer.wait_ready()
        yield peer


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
