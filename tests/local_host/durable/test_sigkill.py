"""A host process that is killed loses no acknowledged start and no step that was taken."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from tests.kit.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
INSTANCES = 40
GUARD_S = 60
"""A host that says nothing for so long is killed, so that the test fails instead of hanging."""
KILLED_IN_ROUNDS = (1, 3, 5)
ROUNDS = 7
PROGRAM = """
    from datetime import timedelta
    import azure.durable_functions as df

    app = df.DFApp()

    @app.activity_trigger(input_name="x")
    def step(x: str) -> str:
        print(f"step {x}\\n", end="", flush=True)
        return x

    @app.orchestration_trigger(context_name="context")
    def work(context):
        name, results = context.instance_id, []
        for number in range(7):
            pause = timedelta(milliseconds=250)
            yield context.create_timer(context.current_utc_datetime + pause)
            calls = [context.call_activity("step", f"{name} {number} {n}") for n in range(2)]
            calls.append(context.call_sub_orchestrator("child", f"{name} {number}"))
            results.append((yield context.task_all(calls)))
        return results

    @app.orchestration_trigger(context_name="context")
    def child(context):
        return (yield context.call_activity("step", f"{context.get_input()} child"))
"""


@contextmanager
def host(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a real host over *folder*; yield its process and its base URL."""
    command = [
        sys.executable, "-m", "local_host", str(folder),
        "--port", "0", "--state", str(folder / "state"),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    guard = Timer(GUARD_S, process.kill)
    guard.start()
    try:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if "ready on" in line)
        yield process, ready.split("ready on ")[1].split()[0]
    finally:
        guard.cancel()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def request(url: str, method: str = "GET") -> Any:
    asked = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())


@pytest.mark.long
@pytest.mark.real
def test_a_host_killed_again_and_again_finishes_everything_it_had_accepted(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    started = False
    for round_ in KILLED_IN_ROUNDS:
        with host(tmp_path) as (process, base):
            if not started:
                for number in range(INSTANCES):
                    url = f"{base}/runtime/webhooks/durabletask/orchestrators/work/i{number}"
                    request(url, "POST")
                started = True
            assert process.stdout is not None
            steps = (line.split() for line in process.stdout if line.startswith("step"))
            assert any(int(step[2]) >= round_ for step in steps)

    with host(tmp_path) as (_, base):
        for number in range(INSTANCES):
            name = f"i{number}"
            assert finished(base, name)["output"] == [
                [f"{name} {n} 0", f"{name} {n} 1", f"{name} {n} child"] for n in range(ROUNDS)
            ]


def finished(base: str, instance_id: str) -> Any:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while True:
        status = request(f"{base}/runtime/webhooks/durabletask/instances/{instance_id}")
        if status["runtimeStatus"] == "Completed":
            return status
        assert time.monotonic() < give_up_at_s, status
        Event().wait(0.05)
