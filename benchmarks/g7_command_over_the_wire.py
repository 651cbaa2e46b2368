"""A command over Microsoft's SDKs, and who takes the time of it.

The command is `POST /environments` of the whole app: token, validation, read, batch, the event sent
and the orchestration started. Over the wire, SDKs and endpoints are in one process and on one loop,
so its time is the sum of theirs; a timer looks at each millisecond of it whose code runs.

Run as `.venv/bin/python benchmarks/g7_command_over_the_wire.py`.
"""

import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rounds import judge
from tests.faults.table import INPUTS, routes
from tests.faults.wire_runs import WireRun
from tests.kit.virtual_time import run_virtual
from tests.kit.wire_app import wired

ROUNDS, COMMANDS, WARM = 5, 100, 10
LOOP: Final = "the event loop"
ROW: Final = ("environments", "POST v1/runtime/environments")
OWNERS: Final = (
    ("endpoint", ("/local_cloud/", "/aiohttp/web", "/proton/", "/tests/kit/durable_extension")),
    ("SDK", ("/azure/", "/aiohttp/client", "/aiohttp/connector", "/isodate/", "/msal")),
    ("ours", ("/shared/", "/function_apps/")),
)


class Sampler:
    """Counts, while entered, whose code runs at each millisecond of processor time."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before)

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        self.found[owner_of(frame)] += 1


def owner_of(frame: FrameType | None) -> str:
    """Return whose code is innermost: libraries count for who called them."""
    while frame is not None:
        path = frame.f_code.co_filename
        for owner, parts in OWNERS:
            if any(part in path for part in parts):
                return owner
        frame = frame.f_back
    return LOOP


async def over_the_wire(folder: Path) -> tuple[float, Counter[str]]:
    """Return the milliseconds of one command, and the samples of all by owner."""
    given = _PREPARED
    async with wired(ROW[0], folder, is_proxied=False) as wires:
        run = WireRun(wires, given, routes()[ROW])
        taken, samples = 0.0, Counter[str]()
        for number in range(WARM + COMMANDS):
            await run.begin()
            if number < WARM:
                await run.ask()
                continue
            with Sampler() as sampler:
                begun = time.perf_counter()
                assert await run.ask() is not None
                taken += time.perf_counter() - begun
            samples += sampler.found
    return taken / COMMANDS * 1000, samples


_PREPARED = run_virtual(INPUTS[ROW]())


def main() -> int:
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            taken_ms, samples = asyncio.run(over_the_wire(Path(folder)))
        shares = {owner: samples[owner] / samples.total() for owner in (*dict(OWNERS), LOOP)}
        own_ms = taken_ms * shares["ours"]
        named = {f"share of {owner}": share for owner, share in shares.items()}
        rounds.append({"one command, ms": taken_ms, "of which ours, ms": own_ms, **named})
    return judge("A command over the wire", rounds, {})


if __name__ == "__main__":
    sys.exit(main())
