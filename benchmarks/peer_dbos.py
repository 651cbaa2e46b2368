"""DBOS's side of G1: workflows of five steps on SQLite, WAL, synchronous=FULL.

Run by `durable_peers.py` in the peer's own environment, as `peer_restate.py` is.
"""

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


DBOS.launch()


def one(number: int) -> float:
    began = time.perf_counter()
    assert sequence(number) == number + 5
    return time.perf_counter() - began


def measure(in_flight: int, count: int) -> dict[str, Any]:
    with ThreadPoolExecutor(in_flight) as pool:
        began = time.perf_counter()
        latencies = sorted(pool.map(one, range(count)))
        return {"rate": count / (time.perf_counter() - began), "latencies_s": latencies}


measure(16, 20)
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(measure(*map(int, line.split()))), flush=True)
DBOS.destroy()
