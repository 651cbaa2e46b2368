"""Another program on the public port of an environment is named, with the port and the process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_agent.launcher import TOKEN_VARIABLE
from local_agent.public_port import explained, taken_by_another
from local_agent.starts import STARTED
from local_agent.state_files import DesiredSite, SurfaceFolder
from shared.connections.loopback_ports import free_port
from shared.kernel.entropy import SystemEntropy
from shared.surfaces.errors import TrafficUnavailable
from tests.surfaces.harness import ENVIRONMENT, SITE

pytestmark = pytest.mark.real
_LISTENER = """
import socket, sys
one = socket.create_server(("127.0.0.1", 0))
print(one.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def listener(token: str) -> Iterator[tuple[int, int]]:
    """Yield port and process of a listener that was started with *token*."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTENER],
        env={**os.environ, TOKEN_VARIABLE: token},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid


def site_on(port: int) -> DesiredSite:
    return DesiredSite(SITE, port, 1)


def test_another_program_is_named(tmp_path: Path) -> None:
    (tmp_path / STARTED).write_text("ours")
    with listener("another") as (port, pid):
        said = taken_by_another(site_on(port), tmp_path)

    assert f"port {port}, the public port of {ENVIRONMENT}" in said
    assert f"process {pid}" in said
    assert "end that" in said


def test_so_is_one_before_envoy_was_ever_started(tmp_path: Path) -> None:
    with listener("another") as (port, pid):
        assert f"process {pid}" in taken_by_another(site_on(port), tmp_path)


def test_the_environments_own_envoy_is_no_other_program(tmp_path: Path) -> None:
    (tmp_path / STARTED).write_text("ours")
    with listener("ours") as (port, _):
        assert taken_by_another(site_on(port), tmp_path) == ""


def test_a_port_without_a_listener_is_not_taken(tmp_path: Path) -> None:
    assert taken_by_another(site_on(free_port(SystemEntropy())), tmp_path) == ""


async def test_an_envoy_that_does_not_answer_is_explained_by_it(tmp_path: Path) -> None:
    folder = SurfaceFolder(tmp_path).site(ENVIRONMENT)
    with socket.create_server(("127.0.0.1", 0)) as other:
        folder.path.mkdir(parents=True)
        folder.write_site(site_on(other.getsockname()[1]))
        with pytest.raises(TrafficUnavailable) as refused:
            await _fail_in(folder)
        free = replace(site_on(free_port(SystemEntropy())), fence=2)
        folder.write_site(free)
        with pytest.raises(TrafficUnavailable) as unexplained:
            await _fail_in(folder)

    assert f"process {os.getpid()}" in refused.value.message
    assert unexplained.value.message == "Envoy is late"


async def _fail_in(folder: Any) -> None:
    async with explained(folder):
        raise TrafficUnavailable("Envoy is late")
