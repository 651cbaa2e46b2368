"""G13: one environment with 10,000 services, beside one with 1,000 in the same run.

- a page of the inventory, filtered by module, owner, status or version: p99 at most 50 ms;
- a whole scan of drift, with 1 % of the services newly changed: at most 10 s;
- the status page, which is the inventory by all its pages of 200;
- from 1,000 to 10,000 each takes at most 11 times as long.

Stores are SQLite at FULL; the surface is in memory, so what a surface takes is not in it. All is in
processor time of this process, as the machine has others to serve.

Run as `.venv/bin/python benchmarks/g13_large_environment.py [services]`.
"""

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.large_environment import TEAMS, LargeEnvironment
from benchmarks.load import percentile
from benchmarks.rounds import judge

SERVICES: Final = 10_000
ROUNDS: Final = 3
QUERIES: Final = 25
"""Of each filter, in one round."""
LIMITS: Final = {
    "a filtered page, p99, s": 0.05,
    "a scan of drift, s": 10.0,
    "a filtered page, p99, growth": 11.0,
    "a scan of drift, growth": 11.0,
    "the status page, growth": 11.0,
}
FILTERS: Final = (
    lambda number: {"moduleId": f"module-{number:05d}"},
    lambda number: {"owner": f"team-{number % TEAMS}"},
    lambda _: {"status": "Running"},
    lambda _: {"version": "2.0"},
)


async def measured(of: LargeEnvironment, number: int) -> dict[str, float]:
    """Return what one round of *of* took, in seconds."""
    queries = []
    for each in range(QUERIES):
        for query in FILTERS:
            began_s = time.process_time()
            await of.page(**query((number * QUERIES + each) % of.count))
            queries.append(time.process_time() - began_s)
    of.tamper(number)
    began_s = time.process_time()
    await of.scan()
    scan_s = time.process_time() - began_s
    began_s = time.process_time()
    assert await of.whole() == of.count
    whole_s = time.process_time() - began_s
    return {
        "a filtered page, p99": percentile(queries, 0.99),
        "a scan of drift": scan_s,
        "the status page": whole_s,
    }


async def figures(base: Path, services: int) -> list[dict[str, float]]:
    sizes = (services // 10, services)
    environments = []
    for size in sizes:
        folder = base / str(size)
        folder.mkdir()
        began_s = time.process_time()
        environments.append(await LargeEnvironment(folder, size).filled())
        print(f"  {size} services released in {time.process_time() - began_s:.0f} s", flush=True)
    # The surface in memory is no part of a host, which exempts what its start made in the same way.
    gc.collect()
    gc.freeze()
    rounds = []
    for number in range(ROUNDS):
        small, large = [await measured(each, number) for each in environments]
        growth = {f"{name}, growth": large[name] / small[name] for name in large}
        rounds.append({f"{name}, s": taken for name, taken in large.items()} | growth)
        print(f"  {rounds[-1]}", flush=True)
    return rounds


def main(arguments: Sequence[str]) -> int:
    services = int(arguments[0]) if arguments else SERVICES
    print(f"G13 {services} services in one environment (median of {ROUNDS} rounds)")
    with tempfile.TemporaryDirectory() as base:
        rounds = asyncio.run(figures(Path(base), services))
    return judge("G13", rounds, LIMITS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
