"""Between the choice of a port and its listener another program may take it."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import local_cloud.__main__ as program
from local_cloud import kept_ports
from local_cloud.listeners import PortTaken
from local_cloud.process import ADDRESSES
from shared.connections.loopback_ports import free_port

pytestmark = pytest.mark.real


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port with a listener, which is chosen first; the cloud ends once it is ready."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = int(other.getsockname()[1])
        chosen = iter([port])
        monkeypatch.setattr(
            kept_ports, "free_port", lambda *given: next(chosen, None) or free_port(*given)
        )

        async def ends(*_: object) -> int:
            return 0

        monkeypatch.setattr(program, "_wait_for_end", ends)
        yield port


def start(state: Path) -> int:
    return program._run(program._parser().parse_args([]), state)


def test_a_first_start_chooses_another(taken: int, tmp_path: Path) -> None:
    assert start(tmp_path) == 0

    listened = json.loads((tmp_path / ADDRESSES).read_text()).values()
    assert listened
    assert not any(f":{taken}" in address for address in listened)


def test_where_apps_look_for_it_the_start_ends(taken: int, tmp_path: Path) -> None:
    (tmp_path / ADDRESSES).write_text("{}")

    with pytest.raises(PortTaken, match=f"on port {taken}: Address already in use"):
        start(tmp_path)
