"""`python -m local_host` as a process: what it prints, how it ends."""

import re
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.kit.host_processes import started
from tests.kit.patience import PATIENCE_S
from tests.kit.removal import remove_in_use
from tests.kit.small_disk import make_read_only, small_disk

pytestmark = pytest.mark.real

APP = """
    import asyncio
    import logging
    import time
    import azure.functions as func

    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route("hello", methods=["GET"])
    async def hello(req: func.HttpRequest) -> str:
        logging.info("said hello")
        return "hello"

    @app.route("slow")
    async def slow(req: func.HttpRequest) -> str:
        logging.info("slow begins")
        await asyncio.sleep(30)
        return ""

    @app.route("stuck")
    def stuck(req: func.HttpRequest) -> str:
        logging.info("stuck begins")
        while True:
            time.sleep(1)

    @app.route("runtime/x")
    async def refused(req: func.HttpRequest) -> str:
        return ""
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "function_app.py").write_text(dedent(APP))
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    return tmp_path


def test_it_prints_what_runs_and_what_does_not_and_stops_when_told(folder: Path) -> None:
    with started(folder, "--port", "0", state=folder / "state") as host:
        base = host.read_until(r"ready on (http://127\.0\.0\.1:\d+) in")[1]
        assert re.search(rf"hello +\[GET\] {base}/api/hello", host.text)
        assert "refused does not run: route 'runtime/x' conflicts with" in host.text
        assert "\x1b" not in host.text

        with urllib.request.urlopen(f"{base}/api/hello") as answer:
            assert answer.read() == b"hello"
        host.read_until("said hello")

        host.process.send_signal(signal.SIGTERM)

        assert host.end() == 0


@pytest.mark.long
@pytest.mark.parametrize("size", [5_000, 100])
def test_a_damaged_database_is_said_with_the_way_out(size: int, folder: Path) -> None:
    state = folder / "state"
    state.mkdir()
    (state / "host.db").write_bytes(b"no database" * size)

    with started(folder, "--port", "0", state=state) as host:
        assert host.end() == 2
        assert "host.db is not available: the file is damaged: restore it" in host.text
        assert "--state is another" in host.text
        assert "Traceback" not in host.text


@pytest.mark.long
def test_a_state_folder_that_is_read_only_is_said_with_the_way_out(folder: Path) -> None:
    with small_disk(folder / "state") as state:
        make_read_only(state)

        with started(folder, "--port", "0", state=state) as host:
            assert host.end() == 2
            assert "host.lock cannot be written: Read-only file system" in host.text
            assert "Traceback" not in host.text


def remove(state: Path) -> None:
    remove_in_use(state)


def replace(state: Path) -> None:
    state.rename(state.with_name("moved"))
    state.mkdir()


def empty(state: Path) -> None:
    for path in state.iterdir():
        path.unlink()


@pytest.mark.long
@pytest.mark.parametrize("harm", [remove, replace, empty])
def test_a_host_whose_state_folder_goes_says_so_and_ends(
    harm: Callable[[Path], None], folder: Path
) -> None:
    state = folder / "state"
    with started(folder, "--port", "0", state=state) as host:
        base = host.read_until(r"ready on (http://127\.0\.0\.1:\d+) in")[1]
        (state / "notes").write_text("what others put there is no harm")
        with urllib.request.urlopen(f"{base}/api/hello") as answer:
            assert answer.read() == b"hello"

        harm(state)

        assert host.end() == 5
        assert "was removed or replaced: this host ends" in host.text
        assert "Traceback" not in host.text
        assert not list(state.glob("*")), "a host that ends makes nothing anew"


@pytest.mark.long
def test_a_function_that_never_returns_does_not_keep_the_host_from_its_end(folder: Path) -> None:
    with started(folder, "--port", "0", "--grace", "0.5", state=folder / "state") as host:
        port = int(host.read_until(r"ready on http://127\.0\.0\.1:(\d+)")[1])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /api/stuck HTTP/1.1\r\nHost: x\r\n\r\n")
            host.read_until("stuck begins")

            host.process.send_signal(signal.SIGTERM)

            assert host.end() == 0


@pytest.mark.long
def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    with started(folder, "--port", "0", "--grace", "60", state=folder / "state") as host:
        port = int(host.read_until(r"ready on http://127\.0\.0\.1:(\d+)")[1])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n")
            host.read_until("slow begins")
            host.process.send_signal(signal.SIGINT)
            host.read_until("once more ends it at once")
            began = time.monotonic()

            host.process.send_signal(signal.SIGINT)

            assert host.end() == 130
            assert time.monotonic() - began < 30


@pytest.mark.long
def test_a_taken_port_is_said_with_the_way_out(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started(folder, "--port", str(port), state=folder / "state") as host:
            assert host.end() == 3

    assert f"cannot listen on 127.0.0.1:{port}" in host.text
    assert "--port" in host.text


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with started(tmp_path / "nowhere", state=tmp_path / "state") as host:
        assert host.end() == 2

    assert "no such folder" in host.text


@pytest.mark.long
def test_without_any_function_it_stays_up_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("import nothing_like_it")
    with started(tmp_path, "--port", "0", state=tmp_path / "state") as host:
        base = host.read_until(r"0 functions ready on (http://\S+)")[1]
        host.read_until("The host stays up and answers 404")

        with urllib.request.urlopen(base) as answer:
            assert answer.status == 200

    assert "ModuleNotFoundError" in host.text


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "99999"), "argument --port: expected 0 to 65535, got '99999'"),
        (("--port", "0", "--state", "FILE"), "cannot be the state folder: File exists; choose"),
    ],
    ids=["port-of-no-socket", "state-is-a-file"],
)
def test_arguments_that_cannot_be_are_usage_errors(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    file = folder / "host.json"
    given = [str(file) if each == "FILE" else each for each in arguments]
    with started(folder, *given, state=folder / "state") as host:
        assert host.end() == 2
        assert said in host.text


@pytest.mark.long
def test_what_the_host_writes_is_for_its_own_user_only(folder: Path) -> None:
    state = folder / "state"
    with started(folder, "--port", "0", state=state) as host:
        host.read_until("ready on")

        files = [path for path in state.rglob("*") if path.is_file()]
        assert files
        assert [path.name for path in files if path.stat().st_mode & 0o077] == []
        assert state.stat().st_mode & 0o077 == 0


@pytest.mark.long
def test_an_app_is_told_under_which_name_it_is_reached(tmp_path: Path) -> None:
    told = """
        import os
        import azure.functions as func

        app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

        @app.route("name")
        def name(req: func.HttpRequest) -> str:
            return os.environ["WEBSITE_HOSTNAME"]
    """
    (tmp_path / "function_app.py").write_text(dedent(told))
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with started(tmp_path, "--port", "0", state=tmp_path / "state") as host:
        port = host.read_until(r"functions? ready on http://127.0.0.1:(\d+)").group(1)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/name", timeout=PATIENCE_S
        ) as answer:
            assert answer.read().decode() == f"127.0.0.1:{port}"


@pytest.mark.long
def test_a_task_that_a_function_leaves_behind_cannot_end_the_host(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(
        dedent("""
            import asyncio
            import sys
            import azure.functions as func

            app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
            left = []

            async def ends() -> None:
                sys.exit(3)

            @app.route("leave", methods=["GET"])
            async def leave(req: func.HttpRequest) -> str:
                left.append(asyncio.create_task(ends()))
                asyncio.get_running_loop().call_soon(sys.exit, 4)
                return "left"

            @app.route("fine", methods=["GET"])
            async def fine(req: func.HttpRequest) -> str:
                return "fine"
        """)
    )
    with started(tmp_path, "--port", "0", state=tmp_path / "state") as host:
        base = host.read_until(r"ready on (http://127\.0\.0\.1:\d+) in")[1]

        with urllib.request.urlopen(f"{base}/api/leave") as answer:
            assert answer.read() == b"left"
        host.read_until("wanted to end the process[^$]*SystemExit: 4")

        with urllib.request.urlopen(f"{base}/api/fine") as answer:
            assert answer.read() == b"fine"
        host.process.send_signal(signal.SIGTERM)
        assert host.end() == 0


@pytest.mark.long
def test_an_app_that_ends_its_process_at_import_ends_no_other(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "function_app.py").write_text("import sys\nsys.exit(2)\n")

    with started(folder, other, "--port", "0", state=folder / "state") as host:
        base = host.read_until(r"ready on (http://127\.0\.0\.1:\d+) in")[1]
        with urllib.request.urlopen(f"{base}/api/hello") as answer:
            assert answer.read() == b"hello"

    assert "failed in line 2: SystemExit: 2" in host.text
