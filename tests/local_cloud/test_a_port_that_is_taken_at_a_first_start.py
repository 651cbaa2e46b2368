"""Between the choice of a port and its listener another program may take it."""

import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

import local_cloud.__main__ as program
from local_cloud import kept_ports
from local_cloud.listeners import PortTaken
from local_cloud.process import ADDRESSES
from shared.connections.loopback_ports import free_port

pytestmark = pytest.mark.real


FOURTH = 3


@dataclass
class Taken:
    """`port` has a listener of another program; `listening` are those of this one at its end."""

    port: int
    listening: set[int] = field(default_factory=set)


def listening() -> set[int]:
    connections = psutil.Process().net_connections("tcp")
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Taken]:
    """A port that is taken, which is chosen fourth; the cloud ends once it is ready."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken, chosen = Taken(int(other.getsockname()[1])), count()
        before = listening()

        def choose(*given: Any) -> int:
            return taken.port if next(chosen) == FOURTH else free_port(*given)

        async def ends(*_: object) -> int:
            taken.listening = listening() - before
            return 0

        monkeypatch.setattr(kept_ports, "free_port", choose)
        monkeypatch.setattr(program, "_wait_for_end", ends)
        yield taken


def start(state: Path, *options: str) -> int:
    return program._run(program._parser().parse_args(options), state)


def test_a_first_start_chooses_others_and_leaves_none_of_the_first(
    taken: Taken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert start(tmp_path) == 0

    assert re.search(f"port {taken.port} of .* was taken meanwhile", caplog.text)
    assert "choose another" not in caplog.text
    named = json.loads((tmp_path / ADDRESSES).read_text()).values()
    assert taken.listening == {urlsplit(address).port for address in named}


def test_a_port_that_was_given_is_not_exchanged(taken: Taken, tmp_path: Path) -> None:
    refused = f"on port {taken.port}: .*choose another with --cosmos-port"
    with pytest.raises(PortTaken, match=refused):
        start(tmp_path, "--cosmos-port", str(taken.port))


def test_where_apps_look_for_it_the_start_ends(taken: Taken, tmp_path: Path) -> None:
    (tmp_path / ADDRESSES).write_text("{}")

    with pytest.raises(PortTaken, match=f"on port {taken.port}: Address already in use"):
        start(tmp_path)
