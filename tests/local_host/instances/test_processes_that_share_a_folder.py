"""Host processes of one state folder that are killed: another goes on, and nobody notices."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from threading import Event, Thread, Timer
from typing import Any, Final

import pytest

from tests.kit.host_processes import Process, started
from tests.kit.patience import PATIENCE_S
from tests.kit.seeded_entropy import SeededEntropy

pytestmark = [pytest.mark.once, pytest.mark.real]
BASE: Final = "/runtime/webhooks/durabletask"
STEPS: Final = 6
ROUNDS: Final = 20
TAKEN_OVER_WITHIN_S: Final = 20.0
"""About one on a quiet machine; the tests of others run beside this one."""
APP: Final = """
    import os
    import time
    import azure.durable_functions as df
    import azure.functions as func

    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    def note(text):
        # One write is one line, whoever else writes.
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{os.getpid()} {text}\\n")

    @app.activity_trigger(input_name="x")
    def step(x: str) -> str:
        note(f"begins {x}")
        time.sleep(0.1)
        note(f"ended {x}")
        return x

    @app.orchestration_trigger(context_name="context")
    def work(context):
        name, done = context.instance_id, []
        for number in range(6):
            done.append((yield context.call_activity("step", f"{name}-{number}")))
        done.append((yield context.wait_for_external_event("Go")))
        return done

    @app.timer_trigger(arg_name="timer", schedule="* * * * * *", use_monitor=False)
    def tick(timer: func.TimerRequest) -> None:
        note("ticks")

    @app.route(route="hello")
    async def hello(req: func.HttpRequest) -> str:
        return "hello"

    @app.route(route="start/{id}")
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> str:
        return await client.start_new("work", req.route_params["id"])
"""


class Instances:
    """Processes of one app and folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.notes = folder / "notes"
        self.notes.touch()

    def start(self) -> tuple[Process, str]:
        """Return a host that is ready, and its address."""
        host = self._stack.enter_context(
            started(
                self._folder, "--join", "--port", "0",
                state=self._folder / "state", NOTES=str(self.notes),
            )
        )  # fmt: skip
        return host, host.read_until(r"ready on (http://127\.0\.0\.1:\d+) in")[1]

    def noted(self) -> list[tuple[str, str]]:
        """Return who did what, in order."""
        lines = self.notes.read_text().splitlines()
        return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]

    def assert_never_two_primaries(self) -> None:
        primaries = [pid for pid, _ in groupby(pid for pid, _ in self.noted())]
        assert len(set(primaries)) == len(primaries), primaries


@pytest.fixture
def instances(tmp_path: Path) -> Iterator[Instances]:
    (tmp_path / "function_app.py").write_text(dedent(APP))
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with ExitStack() as stack:
        yield Instances(tmp_path, stack)


def send(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer, None for an empty one."""
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            content, status = answer.read(), answer.status
    except urllib.error.HTTPError as failed:
        content, status = failed.read(), failed.code
    return status, json.loads(content) if content.startswith((b"{", b"[", b'"')) else content


def command(url: str, method: str = "POST", body: bytes | None = None) -> None:
    """Send a command as a client does that repeats what was 503."""
    until = time.monotonic() + PATIENCE_S
    while (answered := send(url, method, body))[0] == 503:
        assert time.monotonic() < until, answered
        Event().wait(0.05)
    assert answered[0] < 300, answered


def finished(base: str, instance_id: str) -> Any:
    until = time.monotonic() + PATIENCE_S
    while True:
        status, shown = send(f"{base}{BASE}/instances/{instance_id}")
        if status == 200:
            return shown
        assert status in {202, 503}, shown
        assert time.monotonic() < until, shown
        Event().wait(0.05)


def whole(name: str) -> list[str]:
    return [*(f"{name}-{number}" for number in range(STEPS)), "go"]


@contextmanager
def asking(url: str) -> Iterator[list[int]]:
    """Ask for *url* all the time; give the statuses."""
    statuses: list[int] = []
    is_over = Event()

    def ask() -> None:
        while not is_over.is_set():
            statuses.append(send(url)[0])

    thread = Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        is_over.set()
        thread.join()


def until_noted(instances: Instances, text: str, times: int = 1) -> None:
    until = time.monotonic() + PATIENCE_S
    while sum(text in noted for _, noted in instances.noted()) < times:
        assert time.monotonic() < until, instances.noted()
        Event().wait(0.02)


@pytest.mark.long
@pytest.mark.parametrize(
    "ending",
    [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="told-to-stop")],
)
def test_another_instance_goes_on_where_the_primary_ended(
    ending: signal.Signals, instances: Instances
) -> None:
    first, _ = instances.start()
    second, base = instances.start()
    assert "This host is the primary" in first.text
    assert "This host is a secondary" in second.text
    until_noted(instances, "ticks", 3)
    command(f"{base}/api/start/i", "GET")
    until_noted(instances, "begins i-2")

    with asking(f"{base}/api/hello") as statuses:
        first.process.send_signal(ending)
        ended_at = time.monotonic()
        command(f"{base}{BASE}/instances/i/raiseEvent/Go", body=b'"go"')
        taken_over_s = time.monotonic() - ended_at
        result = finished(base, "i")

    assert result["output"] == whole("i")
    assert taken_over_s < TAKEN_OVER_WITHIN_S
    assert set(statuses) == {200}
    assert send(f"{base}/admin/host/status")[1]["isPrimary"] is True
    instances.assert_never_two_primaries()


def start(base: str, name: str) -> None:
    """Start an instance as a client does that repeats and then looks."""
    until = time.monotonic() + PATIENCE_S
    while send(f"{base}{BASE}/orchestrators/work/{name}", "POST")[0] != 202:
        if send(f"{base}{BASE}/instances/{name}")[0] in {200, 202}:
            return
        assert time.monotonic() < until, name
        Event().wait(0.05)


def primary_of(running: list[tuple[Process, str]]) -> int:
    """Return the place of the primary, once there is one."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for place, (_, base) in enumerate(running):
            if send(f"{base}/admin/host/status")[1]["isPrimary"]:
                return place
        Event().wait(0.05)
    raise AssertionError("nobody is primary")


@pytest.mark.long
def test_of_three_that_are_killed_in_turn_none_loses_what_was_accepted(
    instances: Instances,
) -> None:
    chance = SeededEntropy(9)
    running = [instances.start() for _ in range(3)]
    names = []
    for round_ in range(ROUNDS):
        # Every second time the primary, else any of the three.
        place = int(3 * chance.fraction()) if round_ % 2 else primary_of(running)
        victim, _ = running.pop(place)
        killing = Timer(chance.fraction(), victim.process.kill)
        killing.start()
        for number in range(6):
            names.append(f"r{round_}n{number}")
            base = running[number % 2][1]
            start(base, names[-1])
            command(f"{base}{BASE}/instances/{names[-1]}/raiseEvent/Go", body=b'"go"')
        killing.join()
        running.append(instances.start())

    for name in names:
        assert finished(running[2][1], name)["output"] == whole(name)
    assert len({pid for pid, _ in instances.noted()}) > ROUNDS // 2
    instances.assert_never_two_primaries()


def test_a_host_that_joins_has_no_endpoints_of_a_cloud(tmp_path: Path) -> None:
    with started(tmp_path, "--join", "--cosmos-port", "0", state=tmp_path / "state") as host:
        assert host.end() == 2
        assert "instances share a cloud beside them" in host.text


@pytest.mark.long
def test_a_host_that_cannot_take_over_ends_and_says_why(instances: Instances) -> None:
    first, _ = instances.start()
    second, _ = instances.start()
    state = instances.notes.parent / "state"
    # The first does not look at it any more.
    (state / "host.db").write_bytes(b"no database" * 5_000)
    (state / "host.db-wal").unlink()
    first.process.kill()

    assert second.end() == 2
    assert "host.db is not available: the file is damaged" in second.text
