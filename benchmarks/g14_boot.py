"""G14: boot of the joined app to ready, and the memory of the idle host; with G8's rule about SDKs.

Every service there is runs in one process, `python -m local_host` on this repository, with a new
state folder. Ready is the line that says so. Memory is the process's resident set after some idle
seconds. No client library of Azure may be loaded before somebody uses it: the interpreter itself
lists what it imported, in a run of its own because the list slows it down.

Run as `.venv/bin/python benchmarks/g14_boot.py`.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.processes import running  # noqa: E402
from benchmarks.rounds import MISSED, ROUNDS, judge  # noqa: E402
from local_agent.shutdown import stop_agent  # noqa: E402
from shared.kernel.clock import SystemClock  # noqa: E402

BOOT_MAX_S = 5.0
MEMORY_MAX_MIB = 350.0
IDLE_S = 3.0
NOT_AN_SDK = ("azure", "azure.functions", "azure.durable_functions")


@contextmanager
def booted(folder: str, **environ: str) -> Iterator[psutil.Process]:
    """Run a host whose state is in *folder*; its standard error goes to a file there."""
    try:
        with _running(folder, environ) as process:
            yield psutil.Process(process.pid)
    finally:
        # It is a process of its own, which goes on without its host.
        asyncio.run(stop_agent(Path(folder, "state"), SystemClock()))


@contextmanager
def _running(folder: str, environ: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "local_host", ".", "--port", "0", "--state", f"{folder}/state"]
    with (
        Path(folder, "stderr").open("w") as errors,
        running(
            command, cwd=ROOT, env={**os.environ, "RUNTIME_PROFILE": "local", **environ},
            stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if " ready on http" in line:
                break
        else:
            raise RuntimeError(f"the host ended before it was ready: see {errors.name}")
        yield process


def figures() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with booted(folder) as host:
            took_s = time.perf_counter() - began
            time.sleep(IDLE_S)  # noqa: TID251  a process of its own is watched
            used = host.cpu_times()
            return {
                "boot, s": took_s,
                "processor time, s": used.user + used.system,
                "memory when idle, MiB": host.memory_info().rss / 2**20,
            }


def sdks_loaded() -> list[str]:
    """Return the client libraries of Azure that a booted host has loaded."""
    with tempfile.TemporaryDirectory() as folder:
        with booted(folder, PYTHONPROFILEIMPORTTIME="1"):
            pass
        lines = Path(folder, "stderr").read_text().splitlines()
    modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    azure = {".".join(name.split(".")[:2]) for name in modules if name.split(".")[0] == "azure"}
    return sorted(azure.difference(NOT_AN_SDK))


def main() -> int:
    rounds = [figures() for _ in range(ROUNDS)]
    print(f"G14 boot of the joined app (median of {ROUNDS} rounds)")
    limits = {"boot, s": BOOT_MAX_S, "memory when idle, MiB": MEMORY_MAX_MIB}
    code = judge("G14", rounds, limits)
    loaded = sdks_loaded()
    print(f"  client libraries of Azure loaded: {', '.join(loaded) or 'none'}")
    return MISSED if loaded else code


if __name__ == "__main__":
    sys.exit(main())
