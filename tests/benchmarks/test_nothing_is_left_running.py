"""What a benchmark starts ends with it, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.processes import running
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
# A wrapper, and the server that it started and left behind: both hold the pipe open.
WRAPPER = ("sh", "-c", "sleep 600 & cat > /dev/null")
DEAF = ("sh", "-c", "trap '' TERM; sleep 600")
BENCHMARK = """
import subprocess, sys
from benchmarks.processes import running

with running(["sleep", "600"], pass_fds=[int(sys.argv[1])]):
    print("started", flush=True)
    sys.stdin.read()
"""
TERMINATED_IN_A_CALLBACK = """
import asyncio, os, signal, socket
import uvloop
from benchmarks.processes import running

ended = asyncio.Event()

class Caller(asyncio.Protocol):
    def data_received(self, data):
        os.kill(os.getpid(), signal.SIGTERM)

    def connection_lost(self, error):
        ended.set()

async def load():
    near, far = socket.socketpair()
    await asyncio.get_running_loop().create_connection(Caller, sock=near)
    far.send(b"answer")
    await ended.wait()

with running(["sleep", "600"]):
    uvloop.run(load())
print("measured the next side")
"""


class Pipe:
    """Its end is seen once every process that inherited `write` has ended."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()

    def is_closed_by_all(self) -> bool:
        os.close(self.write)
        return os.read(self.read, 1) == b""


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.read)
    with suppress(OSError):  # most tests have closed it
        os.close(made.write)


def test_what_a_process_started_ends_with_it(pipe: Pipe) -> None:
    with running(WRAPPER, stdin=subprocess.PIPE, pass_fds=[pipe.write]):
        pass

    assert pipe.is_closed_by_all()


def test_it_ends_also_when_the_benchmark_fails(pipe: Pipe) -> None:
    def measure() -> None:
        with running(WRAPPER, stdin=subprocess.PIPE, pass_fds=[pipe.write]):
            raise RuntimeError("no figure")

    with pytest.raises(RuntimeError, match="no figure"):
        measure()

    assert pipe.is_closed_by_all()


def test_a_process_that_does_not_end_in_time_is_killed(pipe: Pipe) -> None:
    with running(DEAF, end_s=0.1, pass_fds=[pipe.write]):
        pass

    assert pipe.is_closed_by_all()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_benchmark_that_is_ended_takes_along_what_it_started(
    end: signal.Signals, pipe: Pipe
) -> None:
    command = [sys.executable, "-c", BENCHMARK, str(pipe.write)]
    benchmark = subprocess.Popen(
        command, cwd=ROOT, pass_fds=[pipe.write], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with benchmark:
        assert benchmark.stdout is not None
        benchmark.stdout.readline()
        benchmark.send_signal(end)

    assert pipe.is_closed_by_all()


def test_a_benchmark_that_is_terminated_in_a_callback_measures_nothing_more() -> None:
    benchmark = subprocess.run(
        [sys.executable, "-c", TERMINATED_IN_A_CALLBACK],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip

    assert benchmark.returncode == 128 + signal.SIGTERM
    assert benchmark.stdout == ""
