"""`up` starts a system on the port that it had, unless another is asked for."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.main import main
from tests.cli.ended_host import ended_host

pytestmark = pytest.mark.real


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on: a host that is started there says so at once."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_system_starts_again_on_the_port_that_it_had(
    taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_host(tmp_path, taken)

    code = main(["up", "--state", str(tmp_path)])

    assert code == ExitCode.CONFLICT
    assert f"port {taken} is in use" in capsys.readouterr().err


def test_a_port_that_is_asked_for_wins(
    taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_host(tmp_path, 7491)

    code = main(["up", "--port", str(taken), "--state", str(tmp_path)])

    assert code == ExitCode.CONFLICT
    assert f"port {taken} is in use" in capsys.readouterr().err
