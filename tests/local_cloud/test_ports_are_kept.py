"""A service listens where it did before, where apps that run look for it."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from local_cloud.kept_ports import kept_port, last_addresses
from shared.kernel.port_numbers import port_number


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


@pytest.mark.parametrize("text", ["65536", "-1", "", "x", "1e3"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected 0 to 65535"):
        port_number(text)
