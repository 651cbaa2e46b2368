"""A service listens where it did before, unless something else does now."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local_cloud.kept_ports import kept_port, last_addresses


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as opened:
        yield opened


def test_a_port_that_is_free_is_kept_and_a_taken_one_is_not(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    addresses = {"Key Vault": f"https://localhost:{port}"}

    while_taken = kept_port(addresses, "Key Vault")
    listener.close()

    assert while_taken == 0
    assert kept_port(addresses, "Key Vault") == port


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[1]", id="no-object"),
        pytest.param(b'{"tokens": 5}', id="no-address"),
        pytest.param(b'{"tokens": "http://h:99999/"}', id="no-port"),
        pytest.param(b"\xff", id="no-text"),
    ],
)
def test_a_damaged_file_keeps_no_port(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "addresses.json").write_bytes(content)

    addresses = last_addresses(tmp_path / "addresses.json")

    assert kept_port(addresses, "tokens") == 0
    assert last_addresses(tmp_path / "absent.json") == {}
