"""DBOS's side of G1 and G2: five steps in a row, twenty at once; SQLite, WAL, synchronous=FULL.

Run by `durable_peers.py` in the peer's own environment, as `peer_restate.py` is.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS

folder = Path(sys.argv[1])


@sa.event.listens_for(sa.Engine, "connect")
def durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


DBOS(
    config={
        "name": "bench",
        "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
)


@DBOS.step()
def step(value: int) -> int:
    return value + 1


@DBOS.workflow()
def sequence(value: int) -> int:
    for _ in range(5):
        value = step(value)
    return value


@DBOS.step()
async def step_of_many(value: int) -> int:
    return value + 1


@DBOS.workflow()
async def fan_out(value: int) -> int:
    return sum(await asyncio.gather(*(step_of_many(value) for _ in range(20))))


DBOS.launch()


def one_sequence(number: int) -> float:
    began = time.perf_counter()
    assert sequence(number) == number + 5
    return time.perf_counter() - began


def one_fan_out(number: int) -> float:
    began = time.perf_counter()
    assert asyncio.run(fan_out(number)) == 20 * (number + 1)
    return time.perf_counter() - began


def measure(workflow: str, in_flight: int, count: int) -> dict[str, Any]:
    one = {"sequence": one_sequence, "fan_out": one_fan_out}[workflow]
    with ThreadPoolExecutor(in_flight) as pool:
        began = time.perf_counter()
        latencies = sorted(pool.map(one, range(count)))
        return {"rate": count / (time.perf_counter() - began), "latencies_s": latencies}


measure("sequence", 16, 20)
print("ready", flush=True)
for line in sys.stdin:
    workflow, *numbers = line.split()
    print(json.dumps(measure(workflow, *map(int, numbers))), flush=True)
DBOS.destroy()
