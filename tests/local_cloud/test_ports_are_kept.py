"""A service listens where it did before, where apps that run look for it."""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path

import pytest

from local_cloud.kept_ports import chosen_ports, last_addresses
from shared.connections.loopback_ports import COUNT, FIRST
from shared.kernel.entropy import SystemEntropy
from shared.kernel.port_numbers import port_number

OURS = range(FIRST, FIRST + COUNT)


def _chosen(addresses: Mapping[str, object], given: int) -> int:
    return chosen_ports({"tokens": given}, addresses, SystemEntropy())["tokens"]


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

    assert _chosen(addresses, 0) in OURS
    assert last_addresses(tmp_path / "absent.json") == {}


def test_the_port_that_was_given_is_taken_else_that_of_the_last_start() -> None:
    last = {"tokens": "http://127.0.0.1:4711/"}

    assert (_chosen(last, 0), _chosen(last, 815)) == (4711, 815)


def test_a_first_start_takes_no_port_that_a_connection_may_get() -> None:
    ports = chosen_ports({"tokens": 0, "blobs": 0}, {}, SystemEntropy()).values()

    assert len(set(ports)) == 2
    assert all(port in OURS for port in ports)


@pytest.mark.parametrize("text", ["65536", "-1", "", "x", "1e3"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected 0 to 65535"):
        port_number(text)
